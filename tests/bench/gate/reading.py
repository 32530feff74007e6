"""What the page says first, and the differences between policies, with the figures of this very
run."""

from pima.core.arrays import Float64Array
from tests.bench.gate.policies import (
    LUCKY,
    LUCKY_SHIFT,
    MEMORISING,
    REVERSAL,
    SHIFT,
    SPOILED,
    STEADY,
    WEEKS,
)
from tests.bench.gate.summary import Summary, standard_error

Found = dict[str, dict[str, Summary]]
"""by the scenario's name and the policy's letter"""


def said_first(found: Found) -> str:
    steady, shift = found[STEADY], found[SHIFT]
    e, f, of_shift = steady["e"], steady["f"], shift["f"]
    return f"""
- In {WEEKS} simulated weeks the default gate (f) promotes {_mean(f.promotions)} challengers, {_mean(f.harmful)} of them
  truly worse than the champion; without the log loss (e) it is {_mean(e.promotions)} and {_mean(e.harmful)}.
- After a sudden shift {_recovered(of_shift)}; the last champion is {_mean(of_shift.behind)} points behind a model of
  the rows since.
- The figure that a champion was chosen by is too high: what the default gate says of it is {_mean(f.optimism)} points
  above the truth, with the shift {_mean(of_shift.optimism)}.
- The gate is an insurance. Promoting every challenger (h) instead of the better ones (e) changes the true accuracy by
  {_difference(found, STEADY, "h", "e")} points, and by {_difference(found, SPOILED, "h", "e")} where one in twenty is
  spoiled.
- The populations are made up: differences between policies count, not the level
  ([what it does not show](#what-it-does-not-show)).
"""


_COUNTS = ("promotions", "harmful")
_COMPARED = (
    ("fresh random splits less the hash holdout", "b", "c", (STEADY,)),
    ("five seeds less one", "e", "d", (STEADY, LUCKY)),
    ("the recent window less all of the holdout", "e", "e, all", (STEADY,)),
    ("with `log_loss_veto` less without", "f", "e", (STEADY, SHIFT)),
    ("with `minimum_gain = 0.01` less without", "g", "e", (STEADY, SHIFT)),
    ("every challenger less the gate", "h", "e", (STEADY, SHIFT, SPOILED)),
)


def differences(found: Found) -> list[tuple[str, ...]]:
    """A row for each comparison and scenario: what, where, points of true accuracy, and both
    policies' counts."""
    return [
        (
            f"{what} ({one} less {other})",
            scenario,
            _difference(found, scenario, one, other),
            *(
                " / ".join(_mean(getattr(found[scenario][each], count)) for each in (one, other))
                for count in _COUNTS
            ),
        )
        for what, one, other, scenarios in _COMPARED
        for scenario in scenarios
    ]


def reading(found: Found) -> list[str]:
    return [_stored(found), _fresh(found), _challengers(found)]


def _stored(found: Found) -> str:
    a, c = found[LUCKY]["a"], found[LUCKY]["c"]
    return (
        "Stored scores (a): a lucky score stays, and only a luckier one gets past it. What is "
        "reported is "
        f"{_mean(a.optimism)} points above the truth (c: {_mean(c.optimism)}). After the shift "
        f"{_recovered(found[LUCKY_SHIFT]['a'])} (c: {_recovered(found[LUCKY_SHIFT]['c'])})."
    )


def _fresh(found: Found) -> str:
    b, c = found[MEMORISING]["b"], found[MEMORISING]["c"]
    return (
        "Fresh random splits (b) ask the champion about its own training rows. With a learner "
        "that memorises, what is "
        f"reported is {_mean(b.optimism)} points above the truth (c: {_mean(c.optimism)})."
    )


def _challengers(found: Found) -> str:
    return (
        f"Even h ends {_mean(found[SHIFT]['h'].behind)} points behind a fit on the rows since the "
        f"shift, and {_mean(found[REVERSAL]['h'].behind)} after the reversal: retraining learns "
        "from all history alike."
    )


def _mean(values: Float64Array) -> str:
    return f"{values.mean():.1f}"


def _difference(found: Found, scenario: str, one: str, other: str) -> str:
    """Of the true accuracy, paired over the runs, with its standard error."""
    values = found[scenario][one].true_accuracy - found[scenario][other].true_accuracy
    return f"{values.mean():+.2f} ± {standard_error(values):.2f}"


def _recovered(found: Summary) -> str:
    weeks = f" in {found.median_weeks:.0f} weeks" if found.recovered_share else ""
    return f"{100 * found.recovered_share:.0f} % of the runs recover{weeks}"
