"""docs/measured/gate.md, written from what was found; no figure in it is typed by hand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from benches.gate.likeness import TRAINING_ROWS, Likeness
from benches.gate.policies import MEMORISING, POLICIES, SHIFT, STEADY, WEEKS
from benches.gate.population import Clinic
from benches.gate.reading import Found, differences, reading, said_first
from benches.gate.simulation import FRESH_ROWS
from benches.gate.statements import Statement
from benches.gate.summary import Summary, standard_error


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the page tells."""

    runs: int
    """clinics a scenario"""
    likenesses: Sequence[Likeness]
    statements: Sequence[Statement]
    simulated: Found
    """by the scenario's name and the policy's letter"""


def page(found: Findings) -> str:
    parts = [
        filled("# The gate\n\n" + said_first(found.simulated) + _HEAD),
        table(
            ("claim", "trials", "found"),
            [(line.claim, line.trials, line.found) for line in found.statements],
        ),
        filled(_LEARNERS),
        filled(_learners(found.likenesses)),
        filled(_SIMULATION.format(runs=found.runs)),
        table(_COLUMNS, _policies(found.simulated)),
        filled(f"{_errors(found.simulated)} {_others(found.simulated)}"),
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


_COLUMNS = (
    *("policy", "promoted (harmful)", "optimism", "after a shift: promoted (harmful)", "optimism"),
    *("recovered, % (weeks)", "behind"),
)
_COLUMNS_OF_DIFFERENCES = ("compared", "no drift", "shift", "elsewhere")
_FIGURES = ("promotions", "harmful", "optimism")


def _learners(found: Sequence[Likeness]) -> str:
    told = (
        f"{one.recipe} {100 * one.true_accuracy:.1f} and {100 * one.disagreement:.1f} %"
        for one in found
    )
    return f"{'; '.join(told)}."


def _policies(found: Found) -> list[tuple[str, ...]]:
    """Without drift and after the shift."""
    calm, shifted = found[STEADY], found[SHIFT]
    return [
        (
            f"{policy.letter}: {policy.description}",
            *_row(calm[policy.letter]),
            *_row(shifted[policy.letter]),
            *_recovery(shifted[policy.letter]),
        )
        for policy in POLICIES
    ]


def _others(found: Found) -> str:
    others = [each["f"] for name, each in found.items() if name not in (STEADY, SHIFT, MEMORISING)]
    harmful, optimism = (
        sorted(getattr(each, figure).mean() for each in others)
        for figure in ("harmful", "optimism")
    )
    return (
        f"In {len(others)} other scenarios (a lucky learner, also with the shift; spoiled challengers; a "
        f"reversal) the default's harmful promotions are {harmful[0]:.1f} to {harmful[-1]:.1f}, its "
        f"optimism {optimism[0]:+.1f} to {optimism[-1]:+.1f}."
    )


def _errors(found: Found) -> str:
    """The largest of the table before it."""
    summaries = [each for name in (STEADY, SHIFT) for each in found[name].values()]
    errors = [
        max(standard_error(getattr(each, figure)) for each in summaries) for figure in _FIGURES
    ]
    return _ERRORS.format(*errors)


def _row(found: Summary) -> tuple[str, ...]:
    return (
        f"{found.promotions.mean():.1f} ({found.harmful.mean():.1f})",
        f"{found.optimism.mean():+.1f}",
    )


def _recovery(found: Summary) -> tuple[str, ...]:
    weeks = f" ({found.median_weeks:.0f})" if found.recovered_share else ""
    return f"{100 * found.recovered_share:.0f}{weeks}", f"{found.behind.mean():.1f}"


_HEAD = """

`make bench-gate` writes this page. The real rules decide about made-up patients (`benches/gate/population.py`). Their true
risk is known, and so is what a model is worth. `tests/unit/benches/test_gate.py` holds the claims with fewer
trials. [What the gate asks](../understand/model-and-gate.md#the-gate).

## Claims
"""

_LEARNERS = f"""
## The learner that stands in for Keras

Thousands of fits need a fast learner (`benches/gate/fast_learner.py`), lucky like the tutorial's network or steady like pima's.
True accuracy of a fit on {TRAINING_ROWS} rows, and the patients in another class by another seed:
"""

_CLINIC = Clinic()
_SIMULATION = f"""
## {WEEKS} weeks

A run is one clinic: {_CLINIC.first_rows} labelled rows at first, then {_CLINIC.fewest_a_week} to {_CLINIC.most_a_week} a week.
Every week a challenger learns from all rows and is judged. {{runs}} runs, the same clinics under all policies. The default is f. In week {_CLINIC.drift_week} a shift comes: glucose says less, BMI and age say more, the outcome is more
frequent.

- Harmful: promotions of a challenger that was truly less accurate, on {FRESH_ROWS:,} fresh patients.
- Optimism: by how many points of accuracy the policy says too much of its champion, in the mean.
- Recovered: the runs whose champion comes nearer to a fit on the rows since the shift than to the last one before it, and the
  median week. Behind: by how many points the last champion is below that fit.
"""

_ERRORS = """
Standard errors, at most: promoted {:.2f}, harmful {:.2f}, optimism {:.2f}.
"""

_DIFFERENCES = """
## What this says

True accuracy of one policy less another, paired over runs, with standard errors.
"""

_LIMITS = """
## What it does not show

- Patients arrive evenly and independently; no row is missing for a reason.
- The log-loss veto is tried beside accuracy alone.
- Challengers are fitted soundly on ever more rows, so promoting each looks good.
- Optimism is after two years of weekly looks; more looks spend more of the holdout's worth.
- A patient who comes again under another id may have been trained on. Verdicts leave such rows out; the simulation does not.
"""
