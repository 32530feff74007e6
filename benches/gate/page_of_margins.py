"""The section of docs/measured/gate.md on `subgroup_margin`; no figure in it is typed by hand."""

from collections.abc import Sequence

import numpy as np

from benches.gate.margins import (
    SETTINGS,
    MarginCourse,
)
from benches.gate.page import filled, table
from benches.gate.summary import standard_error
from pima.core.arrays import Float64Array
from pima.core.statistics.disclosure import FEW_ROWS
from pima.core.verdicts.gate import Window

MarginRuns = Sequence[dict[float | None, MarginCourse]]

_COLUMNS = (
    *("clinic", "`subgroup_margin`", "kept out, %", "falsely, %"),
    "spoiled promoted",
)
_SHOWN = (None, 0.05, 0.02)
"""Of the margins that are tried: with 0.1 nobody is kept out, and with 0 nearly all are."""
_NO_DRIFT, _, _SHIFT, _ = (setting.name for setting in SETTINGS)


def margins_section(found: dict[str, MarginRuns]) -> str:
    runs = len(found[_SHIFT])
    rows = [
        (setting.name, *_row(found[setting.name], margin, setting.spoiled_share > 0))
        for setting in SETTINGS
        for margin in _SHOWN
    ]
    read = filled(f"{_small(found)} {_WHEN}")
    return "\n\n".join([filled(_HEAD.format(runs=runs)), table(_COLUMNS, rows), read]) + "\n"


def _row(runs: MarginRuns, margin: float | None, spoils: bool) -> tuple[str, ...]:
    rejected = _counts(runs, margin, "rejected").sum()
    of_spoiled = [
        _counts(runs, margin, name).sum() for name in ("spoiled_promotions", "spoiled_winners")
    ]
    return (
        _named(margin),
        f"{100 * _kept_out(runs, margin):.0f}",
        f"{100 * _counts(runs, margin, 'falsely').sum() / rejected:.0f}" if rejected else "-",
        "{:.0f} of {:.0f}".format(*of_spoiled) if spoils else "-",
    )


def _named(margin: float | None) -> str:
    return "off" if margin is None else f"{margin:g}"


def _accuracies(runs: MarginRuns, margin: float | None) -> Float64Array:
    return np.array([100 * np.mean(run[margin].true_accuracies) for run in runs])


def _counts(runs: MarginRuns, margin: float | None, name: str) -> Float64Array:
    return np.array([getattr(run[margin], name) for run in runs], dtype=float)


def _kept_out(runs: MarginRuns, margin: float | None) -> float:
    """Of the challengers that had won but for the margin."""
    rejected = _counts(runs, margin, "rejected").sum()
    return float(rejected / (rejected + _counts(runs, margin, "promotions").sum()))


def _small(found: dict[str, MarginRuns]) -> str:
    quiet, shift = found[_NO_DRIFT], found[_SHIFT]
    return (
        f"In the small clinic 0.05 costs {_cost(quiet, 0.05)} points of true accuracy, with the shift "
        f"{_cost(shift, 0.05)}; 0.02 costs {_cost(quiet, 0.02)} and {_cost(shift, 0.02)}."
    )


_WHEN = (
    "So it is off: on few rows a margin that costs little prevents little. It is for hundreds of "
    "test rows a subgroup."
)


def _cost(runs: MarginRuns, margin: float) -> str:
    difference = _accuracies(runs, margin) - _accuracies(runs, None)
    # Rounded first, or a little below 0 would be -0.00.
    return f"{round(difference.mean(), 2) + 0.0:+.2f} ± {standard_error(difference):.2f}"


_HEAD = f"""
## No subgroup much worse

`subgroup_margin` keeps out a winner that is worse than the champion by more than a margin in a subgroup of {FEW_ROWS} test rows.
Policy e, {{runs}} clinics a row: small ones have {Window().minimum_rows} test rows, large ones about 600. With the shift one
challenger in ten is spoiled. Falsely: of those kept out, the ones truly worse in no subgroup by more than the margin.
"""
