"""`python -m benches.gate`: the gate's statistics at length, into docs/measured/gate.md.

Every run and trial is seeded by its number, so the figures are the same wherever the arithmetic is.
"""

import argparse
import os
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benches.gate.likeness import likenesses
from benches.gate.margins import SETTINGS, MarginCourse, Setting, simulate_margins
from benches.gate.page import Findings, page
from benches.gate.page_of_acted import acted_section
from benches.gate.page_of_alarms import alarms_section
from benches.gate.page_of_beside import beside_section
from benches.gate.page_of_corrections import corrections_section
from benches.gate.page_of_decay import decay_section
from benches.gate.page_of_drift import drift_section
from benches.gate.page_of_late import late_section
from benches.gate.page_of_lines import lines_section
from benches.gate.page_of_looks import looks_section
from benches.gate.page_of_margins import margins_section
from benches.gate.page_of_measures import measures_section
from benches.gate.page_of_served import served_section
from benches.gate.page_of_visits import visits_section
from benches.gate.policies import SCENARIOS, Scenario
from benches.gate.prevalences import PREVALENCES, Prevalence, PrevalenceRun, simulate_prevalence
from benches.gate.simulation import simulate
from benches.gate.statements import statements
from benches.gate.summary import Summary, summaries

PAGE = Path(__file__).parents[2] / "docs" / "measured" / "gate.md"


def main() -> None:
    """Everything, on all cores."""
    asked = _arguments()
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = (
        "1"  # a process a core is faster
    )
    console = Console(stderr=True)
    if asked.section is not None:
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            text = _with_section(asked.page.read_text(), asked.section, pool, asked.clinics)
        asked.page.write_text(text)
        return
    before = _of_the_gate(asked, console)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        sections = [each(pool, asked.clinics) for each in _SECTIONS.values()]
    text = "\n\n".join(part.strip() for part in (before, *sections)) + "\n"
    asked.page.write_text(text)
    print(text)


_SECTIONS = {
    "alarms": alarms_section,
    "late": late_section,
    "corrections": corrections_section,
    "lines": lines_section,
    "looks": looks_section,
    "beside": beside_section,
    "visits": visits_section,
    "decay": decay_section,
    "served": served_section,
    "acted": acted_section,
    "drift": drift_section,
}
"""Those that may be written alone."""


def _with_section(page: str, name: str, pool: Executor, clinics: int) -> str:
    """The page with this section written anew, at its end if it has none yet."""
    section = _SECTIONS[name](pool, clinics)
    heading = section.partition("\n")[0]
    before, _, rest = page.partition(f"{heading}\n")
    after = rest[rest.find("\n## ") :] if "\n## " in rest else ""
    return "\n\n".join(part.strip() for part in (before, section, after) if part) + "\n"


def _of_the_gate(asked: argparse.Namespace, console: Console) -> str:
    """The page as far as it is about promotions."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        alike = pool.submit(
            likenesses, asked.populations
        )  # one process fits with Keras while the others go on
        console.print("the claims")
        stated = statements(pool, asked.trials)
        simulated = {
            scenario.name: _simulated(pool, scenario, asked.runs, console) for scenario in SCENARIOS
        }
        by_prevalence = {
            each.share: _prevalences(pool, each, max(2, asked.runs // 3), console)
            for each in PREVALENCES
        }
        by_setting = {
            each.name: _margins(pool, each, max(2, asked.runs // 6), console) for each in SETTINGS
        }
        first = page(Findings(asked.runs, alike.result(), stated, simulated))
        return "\n".join([first, measures_section(by_prevalence), margins_section(by_setting)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs",
        type=int,
        default=60,
        help="clinics a scenario, a third a prevalence, a sixth a margin (default %(default)s)",
    )
    parser.add_argument(
        "--trials", type=int, default=1000, help="trials a statement (default %(default)s)"
    )
    parser.add_argument(
        "--populations", type=int, default=6, help="data sets for Keras (default %(default)s)"
    )
    parser.add_argument(
        "--clinics",
        type=int,
        default=4_000,
        help="calm clinics for the alarms, a tenth with each fault (default %(default)s)",
    )
    parser.add_argument(
        "--section",
        choices=sorted(_SECTIONS),
        help="write only this section, and leave the rest of the page as it is",
    )
    parser.add_argument(
        "--page",
        type=Path,
        default=PAGE,
        help="where the page goes (default docs/measured/gate.md)",
    )
    return parser.parse_args()


def _simulated(
    pool: Executor, scenario: Scenario, runs: int, console: Console
) -> dict[str, Summary]:
    found = pool.map(partial(simulate, scenario), range(runs))
    return summaries(scenario, list(track(found, scenario.name, runs, console=console)))


def _prevalences(
    pool: Executor, prevalence: Prevalence, runs: int, console: Console
) -> list[PrevalenceRun]:
    found = pool.map(partial(simulate_prevalence, prevalence), range(runs))
    return list(
        track(found, f"{100 * prevalence.share:.0f} % have the outcome", runs, console=console)
    )


def _margins(
    pool: Executor, setting: Setting, runs: int, console: Console
) -> list[dict[float | None, MarginCourse]]:
    found = pool.map(partial(simulate_margins, setting), range(runs))
    return list(track(found, setting.name, runs, console=console))


if __name__ == "__main__":
    main()
