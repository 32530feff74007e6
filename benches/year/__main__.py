"""python -m benches.year [NAME ...]: a half year of made-up clinics, into
docs/measured/year.md.

Each clinic lives in a process of its own, one on each core, through 26 weeks or more by the
commands. With names, --nights or --without-horizon the page is only printed. --hindsight writes
only the section on hindsight by other seeds. With --keep a run that was stopped goes on where it
was: the folder keeps each half year by its name, for one state of the code.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benches.endings import child_of, end_in_order, to_its_end
from benches.year.first_fits import ratios
from benches.year.page import PAGE, SIMULATED, Simulations, page
from benches.year.page_by_seed import (
    around_section_by_seed,
    section_by_seed,
    section_of_corrected_history,
)
from benches.year.population import CLINICS, CORRECTED_HISTORY
from benches.year.simulation import simulate_many
from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

CORES = 2
NIGHTS_TO_LAST_VERDICT = 18 * 7
"""By then a verdict has as many predicted rows as loaded ones."""
_CLOCK = ("faketime", "--disable-shm", "-m", "-f", "+0", "printenv", "LD_PRELOAD")


@dataclass(frozen=True)
class Life:
    """Of one clinic of CLINICS, by one seed."""

    name: str
    seed: int = 1
    is_for_last_verdict: bool = False


def main(names: list[str], given: argparse.Namespace) -> str:
    """Let clinics live, and simulate many more; the page."""
    began = time.monotonic()
    lived = _lived([Life(name) for name in names], given)
    by_seed = "" if given.names else hindsight(given)
    simulated, fits = _without_commands(given)
    minutes = (time.monotonic() - began) / 60
    user, system, of_children, system_of_children, _ = os.times()
    processor_minutes = (user + system + of_children + system_of_children) / 60
    return page(lived, by_seed, simulated, fits, (minutes, processor_minutes))


def hindsight(given: argparse.Namespace) -> str:
    """The section on the clinics with hindsight, by seeds that have not lived yet."""
    names = [clinic.name for clinic in CLINICS if clinic.has_hindsight]
    seeds = range(2, 2 + given.seeds)
    lives = [Life(name, seed, is_for_last_verdict=True) for name in names for seed in seeds]
    return f"{section_by_seed(_lived(lives, given))}\n\n{corrected_history(given)}"


def corrected_history(given: argparse.Namespace) -> str:
    """The section on a history that was loaded with corrected values."""
    lives = [
        Life(CORRECTED_HISTORY.name, seed, is_for_last_verdict=True)
        for seed in range(2, 2 + given.seeds)
    ]
    return section_of_corrected_history(_lived(lives, given))


def _lived(lives: Sequence[Life], given: argparse.Namespace) -> list[dict[str, Any]]:
    """What they lived through, in their order."""
    began = time.monotonic()
    with ExitStack() as opened:
        with to_its_end():
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        kept = given.keep or folder
        waiting = [life for life in lives if not _of(kept, life, given).exists()]
        for life, found in _in_their_processes(waiting, folder, given):
            minutes = (time.monotonic() - began) / 60
            print(f"{life}: there after {minutes:.1f} minutes", file=sys.stderr, flush=True)
            shutil.move(found, _of(kept, life, given))
        return [json.loads(_of(kept, life, given).read_text()) for life in lives]


def _of(kept: Path, life: Life, given: argparse.Namespace) -> Path:
    """Where is kept what it lived through, under these options."""
    return kept / f"{' '.join(_options(life, given))}.json"


def _in_their_processes(
    lives: Sequence[Life], folder: Path, given: argparse.Namespace
) -> Iterator[tuple[Life, Path]]:
    """The file of each clinic's half year as soon as it has ended, as many at a time as there are
    cores."""
    waiting = list(enumerate(lives))
    living: dict[Life, tuple[subprocess.Popen[bytes], Path]] = {}
    with ExitStack() as opened:
        while waiting or living:
            while waiting and len(living) < CORES:
                number, life = waiting.pop(0)
                place = folder / str(number)
                place.mkdir()
                child = opened.enter_context(_clinic(life, place, given))
                living[life] = (child, place)
            for life, (child, place) in list(living.items()):
                if child.poll() is not None:
                    del living[life]
                    if child.returncode:
                        raise SystemExit(f"{life} ended with {child.returncode}")
                    yield life, place / "lived.json"
            time.sleep(0.2)


def _clinic(life: Life, place: Path, given: argparse.Namespace) -> Any:
    command = [sys.executable, "-m", "benches.year.living", "--folder", str(place)]
    command += _options(life, given)
    environ = clean_environ() | {
        "LD_PRELOAD": _moved_clock(),
        "FAKETIME": "+0",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
        "TMPDIR": str(place),
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    return child_of(command, cwd=ROOT, env=environ, stdin=subprocess.PIPE)


def _options(life: Life, given: argparse.Namespace) -> list[str]:
    options = [life.name, "--seed", str(life.seed)]
    if life.is_for_last_verdict:
        options += ["--nights", str(NIGHTS_TO_LAST_VERDICT), "--last-verdict"]
    elif given.nights is not None:
        options += ["--nights", str(given.nights)]
    if given.without_horizon:
        options.append("--without-horizon")
    return options


def _moved_clock() -> str:
    """The library by which a process has a clock of its own. Not the program itself: it would stand
    between us and the process that signals are for."""
    if shutil.which("faketime") is None:
        raise SystemExit("the clock is moved by Debian's package faketime: install it")
    return subprocess.run(_CLOCK, check=True, capture_output=True, text=True).stdout.strip()


def _without_commands(given: argparse.Namespace) -> tuple[Simulations, dict[str, list[float]]]:
    for library in ("OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[library] = "1"  # a process a core is faster
    with get_context("spawn").Pool(CORES) as pool:
        simulated = {
            (name, is_settled_only): simulate_many(pool, name, is_settled_only, given.clinics)
            for name in SIMULATED
            for is_settled_only in (True, False)
        }
        return simulated, ratios(pool, given.histories)


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m benches.year", description=__doc__)
    every = [clinic.name for clinic in CLINICS]
    names = "; ".join(every).replace("%", "%%")
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of: {names}")
    options.add_argument("--nights", type=int, help="at most (default: as many as a clinic lives)")
    options.add_argument(
        "--clinics", type=int, default=200, help="simulated ones (default %(default)s)"
    )
    options.add_argument(
        "--histories", type=int, default=40, help="of first fits (default %(default)s)"
    )
    options.add_argument(
        "--without-horizon", action="store_true", help="outcomes count as soon as they are there"
    )
    options.add_argument(
        "--seeds", type=int, default=10, help="of the clinics with hindsight (default %(default)s)"
    )
    options.add_argument(
        "--hindsight", action="store_true", help="write only the section on these seeds"
    )
    options.add_argument("--keep", type=Path, metavar="FOLDER", help="of clinics that have lived")
    asked = options.parse_args()
    if unknown := set(asked.names) - set(every):
        options.error(f"no clinic is called {', '.join(sorted(unknown))}")
    end_in_order()
    if asked.hindsight:
        before, after = around_section_by_seed(PAGE.read_text())
        text = before + hindsight(asked) + after
    else:
        text = main(asked.names or every, asked)
    print(text)
    is_whole = not asked.names and not asked.without_horizon and asked.nights is None
    if is_whole:
        PAGE.write_text(text)
