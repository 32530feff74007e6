"""The section of docs/measured/gate.md on first champions beside a score in use; no figure in it is
typed by hand."""

from concurrent.futures import Executor
from functools import partial
from itertools import product

import numpy as np

from benches.gate.looks import ALIKE, AUROC_OF_SCORE, CLINICS_AT_ONCE, Beside, first_looks
from benches.gate.page import filled, table
from pima.core.arrays import Float64Array
from pima.core.verdicts.reasons import FIRST_LOOK_P, LATER_LOOK_P
from pima.core.verdicts.verdict import Measure

FIRST_SEED = 2_000_000
"""Apart from all that anything was chosen by."""
QUIET, BUSY = 6, 42
BETTER = (0.0, -0.015, 0.03)
TEST_SETS = [(prevalence, a_week) for prevalence in (0.35, 0.07) for a_week in (QUIET, BUSY)]
BY_LOG_LOSS = [Beside(*each, better) for better in BETTER for each in TEST_SETS]
BY_OTHERS = [
    Beside(0.35, QUIET, better, measure, 0.35 if measure is Measure.NET_BENEFIT else 0.5)
    for better, measure in product((0.0, 0.03), (Measure.ACCURACY, Measure.NET_BENEFIT))
]


def looks_section(pool: Executor, clinics: int) -> str:
    some = clinics // 10
    found = {each: _many(pool, each, some) for each in (*BY_LOG_LOSS, *BY_OTHERS)}
    parts = [
        "## A first champion beside a score in use",
        filled(_HEAD.format(clinics=some)),
        table(_COLUMNS, _rows(found)),
        filled(_reading(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _many(pool: Executor, what: Beside, clinics: int) -> Float64Array:
    seeds = range(FIRST_SEED, FIRST_SEED + -(-clinics // CLINICS_AT_ONCE))
    return np.concatenate(list(pool.map(partial(first_looks, what), seeds)))


_COLUMNS = (
    *("the model's AUROC", "`gate.measure`"),
    *(
        f"{each.test_set:,} rows, {100 * each.prevalence:.0f} %"
        for each in BY_LOG_LOSS[: len(TEST_SETS)]
    ),
)


def _rows(found: dict[Beside, Float64Array]) -> list[tuple[str, ...]]:
    """One for each model and measure, with a cell for each test set that is tried."""
    rows: dict[tuple[str, str], list[str]] = {}
    for what, looks in found.items():
        name = f"{what.better:+.3f}" if what.better else "the same"
        first = 100 * (looks[:, 0] == 1).mean()
        cell = f"{first:.0f} / {100 * _share(looks[:, 0]):.0f}"
        rows.setdefault((name, f"`{what.measure}`"), []).append(cell)
    return [(*name, *cells, *[""] * (len(TEST_SETS) - len(cells))) for name, cells in rows.items()]


def _share(looks: Float64Array) -> float:
    return float(np.isfinite(looks).mean())


def _reading(found: dict[Beside, Float64Array]) -> str:
    equal = [each for what, each in found.items() if what.better == 0]
    better = [each for what, each in found.items() if what.better > 0]
    return (
        f"Of models exactly as good {_range(equal, 0)} of 100 get past within a year; with p < "
        f"{FIRST_LOOK_P} at each look it would be {_range(equal, 1)}. Of those better by "
        f"{BETTER[-1]:g}, {_range([each[each[:, 0] == 1] for each in better], 0, better)} "
        f"get past at the first look, {_range(better, 0)} within a year."
    )


def _range(found: list[Float64Array], rule: int, of: list[Float64Array] | None = None) -> str:
    """The least and the most of 100."""
    shares = [
        100 * np.isfinite(each[:, rule]).sum() / len(whole)
        for each, whole in zip(found, of or found, strict=True)
    ]
    return f"{min(shares):.0f} to {max(shares):.0f}"


_HEAD = f"""
With `gate.first_must_beat` a first champion must beat the score in use at a one-sided p below {FIRST_LOOK_P} at the first look at
the holdout, {LATER_LOOK_P:g} at later ones (`pima/core/verdicts/reasons.py`). A model is looked at each week for a year. The
score's AUROC is {AUROC_OF_SCORE:g}; both correlate by {ALIKE:g} among patients with the same outcome. Clinics of 100 that get a
first champion at the first look / within a year, {{clinics:,}} a cell:
"""
