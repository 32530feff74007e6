"""The section of docs/measured/gate.md on acting on predictions; no figure in it is typed by
hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.acted import (
    A_WEEK,
    CLINICS,
    HISTORY,
    HORIZON,
    KINDS,
    PREVENTED,
    REACHED,
    WEEKS,
    IfActed,
    Learned,
    lives,
)
from benches.gate.page import filled, table
from pima.core.arrays import Float64Array

FIRST_SEED = 6_000_000
"""Apart from all other simulations."""
_NAMED: dict[IfActed, str] = {
    "nobody acts": "nobody acts",
    "counts": "acts, `counts`",
    "unknown": "acts, `unknown`",
}
_COLUMNS = (
    *("outcome 1", "the clinic", "mean risk", "true", "predicted 1, %", "observed/expected"),
    "predicted 1 that count, %",
)
_FIGURES = ("risk", "true_risk", "called", "observed_expected", "alone")


def acted_section(pool: Executor, clinics: int) -> str:
    runs = max(4, clinics // 40)
    seeds = range(FIRST_SEED, FIRST_SEED + runs)
    found = {
        name: list(pool.map(partial(lives, clinic), seeds)) for name, clinic in CLINICS.items()
    }
    rows = [row for name, some in found.items() for row in _rows(name, some)]
    parts = [
        "## Acting on predictions",
        filled(_HEAD.format(clinics=runs)),
        table(_COLUMNS, rows),
        filled(_reading(found)),
    ]
    return "\n\n".join(parts) + "\n"


_Lives = Sequence[dict[IfActed, Learned]]


def _rows(name: str, found: _Lives) -> list[tuple[str, ...]]:
    rows = []
    for kind in KINDS:
        risk, true, called, ratio, alone = (_of(found, kind, each).mean() for each in _FIGURES)
        rows.append(
            (
                name,
                _NAMED[kind],
                f"{risk:.3f}",
                f"{true:.3f}",
                f"{100 * called:.1f}",
                f"{ratio:.3f}",
                f"{100 * alone:.0f}",
            )
        )
    return rows


def _reading(found: dict[str, _Lives]) -> str:
    lowest, highest = (
        [each(_more_than_never(some, figure) for some in found.values()) for figure in _COMPARED]
        for each in (min, max)
    )
    risk, called, ratio = zip(lowest, highest, strict=True)
    return (
        f"With `unknown` clinics differ from those that never act by {risk[0]:+.4f} to {risk[1]:+.4f} in "
        f"mean risk, {100 * called[0]:+.1f} to {100 * called[1]:+.1f} points predicted 1, {ratio[0]:+.3f} to "
        f"{ratio[1]:+.3f} observed/expected."
    )


_COMPARED = ("risk", "called", "observed_expected")


def _more_than_never(found: _Lives, figure: str) -> float:
    return float((_of(found, "unknown", figure) - _of(found, "nobody acts", figure)).mean())


def _of(found: _Lives, kind: IfActed, figure: str) -> Float64Array:
    return np.array([getattr(each[kind], figure) for each in found])


_FREQUENT, _RARE, _LATE = CLINICS.values()
_HEAD = f"""
Patients who stay well because they were treated teach the next model that they were at no risk. {HISTORY:,} visits are followed by {A_WEEK} a week for {WEEKS} weeks. The clinic reaches {100 * REACHED:.0f} % of those predicted 1 within {_RARE.acts_within:.0f} days,
{_LATE.acts_within:.0f} where it is late, and prevents {100 * PREVENTED:.0f} % of their events of {HORIZON:.0f} days. The threshold is
{_FREQUENT.threshold:g} at 35 %, {_RARE.threshold:g} at 15 %. A logistic line learns weekly from the visits that count by
[`if_acted`](../do/acted-upon.md); mean risk is the last one's, {{clinics}} clinics a row:
"""
