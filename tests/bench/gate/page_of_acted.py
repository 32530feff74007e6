"""The section of docs/measured/gate.md on acting on predictions; no figure in it is typed by
hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.arrays import Float64Array
from tests.bench.gate.acted import (
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
from tests.bench.gate.page import filled, table

BEGINS_ACTED = "## Acting on predictions"
FIRST_SEED = 6_000_000
"""Apart from all other simulations."""
_NAMED: dict[IfActed, str] = {
    "nobody acts": "nobody acts",
    "counts": "acts, `counts`",
    "unknown": "acts, `unknown`",
}
_COLUMNS = (
    "outcome 1",
    "the clinic",
    "mean risk",
    "true",
    "predicted 1, %",
    "observed/expected",
    "of those predicted 1 count, %",
)
_FIGURES = ("risk", "true_risk", "called", "observed_expected", "alone")


def acted_section(pool: Executor, clinics: int) -> str:
    runs = max(4, clinics // 40)
    seeds = range(FIRST_SEED, FIRST_SEED + runs)
    found = {
        name: list(pool.map(partial(lives, clinic), seeds)) for name, clinic in CLINICS.items()
    }
    rows = [row for name, some in found.items() for row in _rows(name, some)]
    said = " ".join(_differences(name, some) for name, some in found.items())
    parts = [BEGINS_ACTED, filled(_HEAD.format(clinics=runs)), table(_COLUMNS, rows), filled(said)]
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


def _differences(name: str, found: _Lives) -> str:
    told = []
    for kind in KINDS[1:]:
        risk, called, ratio = (
            (_of(found, kind, each) - _of(found, "nobody acts", each)).mean()
            for each in ("risk", "called", "observed_expected")
        )
        told.append(
            f"with `{kind}` by {risk:+.4f} in mean risk, {100 * called:+.1f} points in those "
            f"predicted 1 and {ratio:+.3f} in observed/expected"
        )
    differ = "; ".join(told)
    late = " and people act late" if "late" in name else ""
    return f"Where {name.replace(', late', '')} have outcome 1{late}, clinics that act differ from those that never do: {differ}."


def _of(found: _Lives, kind: IfActed, figure: str) -> Float64Array:
    return np.array([getattr(each[kind], figure) for each in found])


_FREQUENT, _RARE, _LATE = CLINICS.values()
_HEAD = f"""
Whom a clinic treats since they were predicted 1, and who stay well, teach its next model that they were at no risk. Here {A_WEEK} visits a week come
for {WEEKS} weeks, after a history of {HISTORY:,}. The clinic reaches {100 * REACHED:.0f} % of those predicted 1, within {_RARE.acts_within:.0f} days, or {_LATE.acts_within:.0f} where it is late, and prevents {100 * PREVENTED:.0f} % of the events that are to come
within the horizon of {HORIZON:.0f} days. What came before the clinic acted is no matter of it. The threshold is {_FREQUENT.threshold:g} where 35 % have outcome 1, and {_RARE.threshold:g} where 15 % have. Each week a logistic line
learns from all settled visits that count, and becomes the champion. [`if_acted`](../do/acted-upon.md) says which count. Mean risk and those predicted
1 are of the last model, on fresh visits, beside the true risk where nobody acts; observed/expected is that of all predictions that count, as they were served.
The same visits live under each row: {{clinics}} clinics each.
"""
