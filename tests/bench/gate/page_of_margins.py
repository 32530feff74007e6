"""The section of docs/measured/gate.md on `subgroup_margin`; no figure in it is typed by hand."""

from collections.abc import Sequence

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.verdicts.figures import FEW_ROWS
from pima.core.verdicts.gate import Window
from tests.bench.gate.margins import (
    FRESH_ROWS,
    HARM,
    LARGE,
    MARGINS,
    SETTINGS,
    SMALL,
    SPOILED_FROM_AGE,
    MarginCourse,
    Setting,
)
from tests.bench.gate.page import filled, table
from tests.bench.gate.policies import WEEKS
from tests.bench.gate.summary import standard_error

MarginRuns = Sequence[dict[float | None, MarginCourse]]

_COLUMNS = (
    *(
        "`subgroup_margin`",
        "true accuracy, %",
        "promotions",
        "winners kept out, %",
        "of those falsely, %",
    ),
    *("promotions that harm a subgroup", "spoiled winners promoted"),
)
_NO_DRIFT, _, _SHIFT, _ = (setting.name for setting in SETTINGS)


def margins_section(found: dict[str, MarginRuns]) -> str:
    runs = len(next(iter(found.values())))
    parts = [filled(_HEAD.format(runs=runs))]
    for setting in SETTINGS:
        parts += _setting(setting, found[setting.name])
    parts.append(filled("\n".join(f"- {sentence}" for sentence in _reading(found))))
    return "\n\n".join(parts) + "\n"


def _setting(setting: Setting, runs: MarginRuns) -> list[str]:
    accuracy = max(standard_error(_accuracies(runs, margin)) for margin in MARGINS)
    promotions = max(standard_error(_counts(runs, margin, "promotions")) for margin in MARGINS)
    return [
        f"### {setting.name}",
        table(_COLUMNS, [_row(runs, margin, setting.spoiled_share > 0) for margin in MARGINS]),
        f"Standard errors, at most: true accuracy {accuracy:.2f}, promotions {promotions:.1f}.",
    ]


def _row(runs: MarginRuns, margin: float | None, spoils: bool) -> tuple[str, ...]:
    rejected = _counts(runs, margin, "rejected").sum()
    of_spoiled = [
        _counts(runs, margin, name).sum() for name in ("spoiled_promotions", "spoiled_winners")
    ]
    return (
        _named(margin),
        f"{_accuracies(runs, margin).mean():.2f}",
        f"{_counts(runs, margin, 'promotions').mean():.1f}",
        f"{100 * _kept_out(runs, margin):.0f}",
        f"{100 * _counts(runs, margin, 'falsely').sum() / rejected:.0f}" if rejected else "-",
        f"{_counts(runs, margin, 'harmed').mean():.1f}",
        "{:.0f} of {:.0f}".format(*of_spoiled) if spoils else "-",
    )


def _named(margin: float | None) -> str:
    return "off: the default" if margin is None else f"{margin:g}"


def _accuracies(runs: MarginRuns, margin: float | None) -> Float64Array:
    return np.array([100 * np.mean(run[margin].true_accuracies) for run in runs])


def _counts(runs: MarginRuns, margin: float | None, name: str) -> Float64Array:
    return np.array([getattr(run[margin], name) for run in runs], dtype=float)


def _kept_out(runs: MarginRuns, margin: float | None) -> float:
    """Of the challengers that had won but for the margin."""
    rejected = _counts(runs, margin, "rejected").sum()
    return float(rejected / (rejected + _counts(runs, margin, "promotions").sum()))


def _reading(found: dict[str, MarginRuns]) -> list[str]:
    return [_small(found), _WHEN]


def _small(found: dict[str, MarginRuns]) -> str:
    quiet, shift = found[_NO_DRIFT], found[_SHIFT]
    return (
        f"In the small clinic a margin of 0.05 costs {_cost(quiet, 0.05)} points of true accuracy, "
        f"with the shift {_cost(shift, 0.05)}. One of 0.02 costs {_cost(quiet, 0.02)} and "
        f"{_cost(shift, 0.02)}: of {FEW_ROWS} rows a single one is two points."
    )


_WHEN = (
    "So it is off: on a few hundred test rows a margin that costs little prevents little. It is "
    "for clinics whose test "
    "set has hundreds of rows in each subgroup that counts (`window_maximum_rows`)."
)


def _cost(runs: MarginRuns, margin: float) -> str:
    difference = _accuracies(runs, margin) - _accuracies(runs, None)
    # Rounded first, or a little below 0 would be -0.00.
    return f"{round(difference.mean(), 2) + 0.0:+.2f} ± {standard_error(difference):.2f}"


_HEAD = f"""
## No subgroup much worse

`subgroup_margin` keeps out a challenger that has won, but is worse than the champion by more than a margin in a
subgroup of {FEW_ROWS} test rows or more. Policy e, the steady learner: {SMALL.first_rows} rows at first and
{SMALL.fewest_a_week} to {SMALL.most_a_week} a week (small, with {Window().minimum_rows} test rows), or
{LARGE.first_rows:,} and {LARGE.fewest_a_week} to {LARGE.most_a_week} (large, with about 600). {{runs}} clinics a
setting, the same under all margins, {WEEKS} retrainings. A spoiled challenger learned from labels that were shuffled
among the patients from {SPOILED_FROM_AGE} years on.

- Winners kept out: of the challengers that had won but for the margin. Falsely: of those kept out, how many are truly
  worse in no subgroup by more than the margin, on {FRESH_ROWS:,} fresh patients.
- A promotion harms a subgroup that it makes truly less accurate by more than {100 * HARM:.0f} points.
"""
