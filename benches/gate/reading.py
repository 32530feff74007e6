"""What the page says first, and the differences between policies, with the figures of this very
run."""

from benches.gate.policies import (
    LUCKY,
    LUCKY_SHIFT,
    MEMORISING,
    REVERSAL,
    SHIFT,
    SPOILED,
    STEADY,
    WEEKS,
)
from benches.gate.summary import Summary, standard_error
from pima.core.arrays import Float64Array

Found = dict[str, dict[str, Summary]]
"""by the scenario's name and the policy's letter"""


def said_first(found: Found) -> str:
    steady, shift = found[STEADY], found[SHIFT]
    e, f, of_shift = steady["e"], steady["f"], shift["f"]
    return f"""
- In {WEEKS} simulated weeks the default gate (f) promotes {_mean(f.promotions)} challengers, {_mean(f.harmful)} of them
  truly worse; without the log loss (e) {_mean(e.promotions)} and {_mean(e.harmful)}.
- After a sudden shift {_recovered(of_shift)}; the last champion is {_mean(of_shift.behind)} points behind a model of
  the rows since.
- A winner's figure is too high: the default gate says {_mean(f.optimism)} points of accuracy more than is true, after the
  shift {_mean(of_shift.optimism)}.
- The gate is an insurance. Promoting every challenger (h) and not only better ones (e) changes the true accuracy by
  {_difference(found, STEADY, "h", "e")} points, and by {_difference(found, SPOILED, "h", "e")} where one in twenty is
  spoiled.
- The populations are made up: differences between policies count, not the level
  ([what it does not show](#what-it-does-not-show)).
"""


_COMPARED = (
    ("fresh splits, not the holdout", "b", "c", (STEADY,)),
    ("five seeds, not one", "e", "d", (STEADY, LUCKY)),
    ("the recent window, not all", "e", "e, all", (STEADY,)),
    ("`log_loss_veto`", "f", "e", (STEADY, SHIFT)),
    ("`minimum_gain = 0.01`", "g", "e", (STEADY, SHIFT)),
    ("every challenger", "h", "e", (STEADY, SHIFT, SPOILED)),
)
_ELSEWHERE = {LUCKY: "lucky learner", SPOILED: "one in twenty spoiled"}


def differences(found: Found) -> list[tuple[str, ...]]:
    """A row for each comparison, by scenario."""
    rows = []
    for what, one, other, scenarios in _COMPARED:
        told = {each: _difference(found, each, one, other) for each in scenarios}
        elsewhere = [f"{told[each]} ({name})" for each, name in _ELSEWHERE.items() if each in told]
        cells = (told[STEADY], told.get(SHIFT, ""), "".join(elsewhere))
        rows.append((f"{what} ({one} less {other})", *cells))
    return rows


def reading(found: Found) -> list[str]:
    return [_stored(found), _fresh(found), _challengers(found)]


def _stored(found: Found) -> str:
    a, c = found[LUCKY]["a"], found[LUCKY]["c"]
    return (
        f"Stored scores (a), lucky learner: {_mean(a.optimism)} points too much are reported (c: "
        f"{_mean(c.optimism)}). After the shift {_recovered(found[LUCKY_SHIFT]['a'])} (c: "
        f"{_recovered(found[LUCKY_SHIFT]['c'])})."
    )


def _fresh(found: Found) -> str:
    b, c = found[MEMORISING]["b"], found[MEMORISING]["c"]
    return (
        "Fresh splits (b) ask the champion about its own training rows: with a learner that "
        f"memorises, {_mean(b.optimism)} points too much are reported (c: {_mean(c.optimism)})."
    )


def _challengers(found: Found) -> str:
    return (
        f"Retraining learns from all history alike: even h ends {_mean(found[SHIFT]['h'].behind)} "
        f"points behind after the shift, {_mean(found[REVERSAL]['h'].behind)} after a reversal."
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
