"""docs/measured/gate.md, written from what was found; no figure in it is typed by hand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from pima.core.verdicts.gate import Window
from tests.bench.gate.likeness import TRAINING_ROWS, Likeness
from tests.bench.gate.policies import POLICIES, SCENARIOS, WEEKS, Scenario
from tests.bench.gate.population import Clinic
from tests.bench.gate.reading import differences, reading, said_first
from tests.bench.gate.simulation import FRESH_ROWS
from tests.bench.gate.statements import Statement
from tests.bench.gate.summary import Summary, standard_error


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the page tells."""

    runs: int
    """clinics a scenario"""
    likenesses: Sequence[Likeness]
    statements: Sequence[Statement]
    simulated: dict[str, dict[str, Summary]]
    """by the scenario's name and the policy's letter"""


def page(found: Findings) -> str:
    parts = [
        filled("# The gate\n\n" + said_first(found.simulated) + _HEAD),
        table(
            ("claim", "trials", "found"),
            [(line.claim, line.trials, line.found) for line in found.statements],
        ),
        filled(_LEARNERS),
        _likeness_table(found.likenesses),
        filled(_SIMULATION.format(runs=found.runs)),
        *(
            part
            for scenario in SCENARIOS
            for part in _scenario(scenario, found.simulated[scenario.name])
        ),
        filled(_DIFFERENCES),
        table(_COLUMNS_OF_DIFFERENCES, differences(found.simulated)),
        filled("\n".join(f"- {sentences}" for sentences in reading(found.simulated))),
        filled(_LIMITS),
    ]
    return "\n\n".join(parts) + "\n"


def filled(text: str) -> str:
    """Paragraphs and list items at the page's width, whatever figures they hold."""
    blocks = [re.split(r"\n(?=- )", block.strip()) for block in text.split("\n\n")]
    return "\n\n".join("\n".join(map(_filled_item, block)) for block in blocks)


def _filled_item(item: str) -> str:
    indent = "  " if item.startswith("- ") else ""
    text = " ".join(item.split())
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _likeness_table(likenesses: Sequence[Likeness]) -> str:
    head = ("recipe", "true accuracy, %", "two seeds disagree, %")
    return table(
        head,
        [
            (one.recipe, f"{100 * one.true_accuracy:.1f}", f"{100 * one.disagreement:.1f}")
            for one in likenesses
        ],
    )


_COLUMNS = ("policy", "true accuracy, %", "promotions", "harmful", "optimism, points")
_COLUMNS_OF_DIFFERENCES = ("compared", "scenario", "true accuracy, points", "promotions", "harmful")
_COLUMNS_OF_DRIFT = ("recovered, % of runs", "weeks to it, median", "behind at the end, points")


def _scenario(scenario: Scenario, found: dict[str, Summary]) -> tuple[str, ...]:
    rows = [_row(each) + (_recovery(each) if scenario.drifts else ()) for each in found.values()]
    errors = [
        max(standard_error(getattr(each, figure)) for each in found.values())
        for figure in ("true_accuracy", "promotions", "harmful", "optimism")
    ]
    return (
        f"### {scenario.name}",
        table(_COLUMNS + (_COLUMNS_OF_DRIFT if scenario.drifts else ()), rows),
        "Standard errors, at most: {:.2f}, {:.2f}, {:.2f}, {:.2f}.".format(*errors),
    )


def _row(found: Summary) -> tuple[str, ...]:
    return (
        f"{found.policy.letter}: {found.policy.name}",
        f"{found.true_accuracy.mean():.2f}",
        f"{found.promotions.mean():.1f}",
        f"{found.harmful.mean():.1f}",
        f"{found.optimism.mean():+.1f}",
    )


def _recovery(found: Summary) -> tuple[str, ...]:
    weeks = f"{found.median_weeks:.0f}" if found.recovered_share else "-"
    return f"{100 * found.recovered_share:.0f}", weeks, f"{found.behind.mean():.1f}"


_HEAD = """

`make bench-gate` writes this page: one run, every trial seeded by its number. The real rules (`pima.core.rows.history`,
`gate`) decide about made-up patients (`tests/bench/gate/population.py`), whose exact probability of the outcome is
known, and so is a model's true accuracy. `tests/unit/bench/test_gate.py` holds the same claims with fewer trials.
[What the gate asks](../understand/model-and-gate.md#the-gate).

## Claims
"""

_LEARNERS = f"""
## The learner that stands in for Keras

Thousands of fits need a learner of milliseconds: `tests/bench/gate/fast_learner.py`. The lucky one stands for the
tutorial's kind of network, the steady one for pima's own, which owes little to the seed. Means over populations,
{TRAINING_ROWS} training rows each: true accuracy of one fit, and the share of fresh patients whom two fits with other
seeds put into different classes.
"""

_CLINIC = Clinic()
_LEGEND = "\n".join(f"- {policy.letter}: {policy.description}." for policy in POLICIES)
_SIMULATION = f"""
## {WEEKS} weeks

Each run is one clinic: {_CLINIC.first_rows} labelled rows at first, then {_CLINIC.fewest_a_week} to
{_CLINIC.most_a_week} a week. {100 * _CLINIC.slip_share:.0f} % arrive with a slip (glucose ten times too high or left
blank, or the wrong outcome), and of these {100 * _CLINIC.corrected_a_week:.0f} % are corrected each week. Week 0's
challenger is the first champion; every week all rows so far are retrained on and judged. {{runs}} runs a scenario, the
same clinics under all policies:

{_LEGEND}

The columns:

- True accuracy: of the standing champion on {FRESH_ROWS:,} fresh patients, the mean over the weeks.
- Harmful: promotions of a challenger that was truly less accurate than the champion.
- Optimism: what the policy says of its champion (a: the stored score; the others: its accuracy on the week's test set)
  less its true accuracy, the mean over the weeks.
- Recovered: the champion is truly nearer to a fit on only the training rows since the drift (made at the end) than to
  the last fit from before it. The median week is over the runs that recover. Behind: how far the last champion is below
  that fit.

Below each table stand the largest standard errors over the runs of its first four figures. The recent window is the
newest {Window().minimum_rows} rows of the holdout, or all while there are fewer. Spoiled challengers learned from
shuffled labels. Drifts come suddenly, in week {_CLINIC.drift_week}. Shift: glucose says less,
    BMI and age say more, and
the outcome is more frequent. Reversal: glucose says the opposite.
"""

_DIFFERENCES = """
## What this says

True accuracy of one policy less another's, paired over the runs, with its standard error; and the counts of both.
"""

_LIMITS = """
## What it does not show

- Patients arrive evenly and independently, and no row is missing for a reason.
- Only f has `log_loss_veto`, beside accuracy. Beside net benefit it is not tried.
- The fast learner is not Keras; the table above says how near it comes.
- But for the spoiled ones, all challengers are fitted soundly on ever more rows, so promoting each of them looks
  good.
- Optimism is that of two years of weekly looks at the holdout; each further look spends some more of its worth.
- A patient who comes again under another id may have been trained on. Verdicts leave such rows out where the training
  snapshot tells; the simulation keeps them in.
"""
