"""The section of docs/measured/gate.md on first champions beside a score in use; no figure in it is
typed by hand."""

from concurrent.futures import Executor
from functools import partial
from itertools import product

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.verdicts.reasons import FIRST_LOOK_P, LATER_LOOK_P
from pima.core.verdicts.verdict import Measure
from tests.bench.gate.looks import ALIKE, AUROC_OF_SCORE, CLINICS_AT_ONCE, Beside, first_looks
from tests.bench.gate.page import filled, table
from tests.bench.gate.trials import HOLDOUT_SHARE

BEGINS_LOOKS = "## A first champion beside a score in use"
FIRST_SEED = 2_000_000
"""Apart from all that anything was chosen by."""
QUIET, BUSY = 6, 42
BETTER = (0.0, -0.015, 0.03)
BY_LOG_LOSS = [
    Beside(prevalence, a_week, better)
    for better, prevalence, a_week in product(BETTER, (0.35, 0.07), (QUIET, BUSY))
]
BY_OTHERS = [
    Beside(0.35, QUIET, better, measure, 0.35 if measure is Measure.NET_BENEFIT else 0.5)
    for better, measure in product((0.0, 0.03), (Measure.ACCURACY, Measure.NET_BENEFIT))
]


def looks_section(pool: Executor, clinics: int) -> str:
    found = {each: _many(pool, each, clinics) for each in (*BY_LOG_LOSS, *BY_OTHERS)}
    parts = [
        BEGINS_LOOKS,
        filled(_HEAD.format(clinics=clinics)),
        table(_COLUMNS, [_row(*each) for each in found.items()]),
        filled(_reading(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _many(pool: Executor, what: Beside, clinics: int) -> Float64Array:
    seeds = range(FIRST_SEED, FIRST_SEED + -(-clinics // CLINICS_AT_ONCE))
    return np.concatenate(list(pool.map(partial(first_looks, what), seeds)))


_COLUMNS = (
    "the model's AUROC",
    "rows of a verdict",
    "`gate.measure`",
    "at the first look",
    "within a year",
    "weeks, median",
    f"if p < {FIRST_LOOK_P} were asked at each look",
)


def _row(what: Beside, found: Float64Array) -> tuple[str, ...]:
    by_rule, as_first = found.T
    return (
        f"{what.better:+.3f}" if what.better else "the same",
        f"{what.test_set:,}, {100 * what.prevalence:.0f} % with outcome 1",
        f"`{what.measure}`",
        f"{100 * (by_rule == 1).mean():.0f}",
        f"{100 * _share(by_rule):.0f}",
        _weeks(by_rule),
        f"{100 * _share(as_first):.0f}",
    )


def _weeks(looks: Float64Array) -> str:
    median = np.median(looks)
    return f"{median - 1:.0f}" if np.isfinite(median) else "more than a year"


def _share(looks: Float64Array) -> float:
    return float(np.isfinite(looks).mean())


def _reading(found: dict[Beside, Float64Array]) -> str:
    equal = [each for what, each in found.items() if what.better == 0]
    better = [each for what, each in found.items() if what.better > 0]
    return (
        f"Of models that are exactly as good {_range(equal, 0)} of 100 get past within a year; "
        f"with p < {FIRST_LOOK_P} at each look it would be {_range(equal, 1)}. Of those that are "
        f"better by {BETTER[-1]:g}, {_range([each[each[:, 0] == 1] for each in better], 0, better)} "
        f"get past at the first look, and {_range(better, 0)} within a year."
    )


def _range(found: list[Float64Array], rule: int, of: list[Float64Array] | None = None) -> str:
    """The least and the most of 100."""
    shares = [
        100 * np.isfinite(each[:, rule]).sum() / len(whole)
        for each, whole in zip(found, of or found, strict=True)
    ]
    return f"{min(shares):.0f} to {max(shares):.0f}"


_HEAD = f"""
With `gate.first_must_beat` a first champion must beat the score in use at a one-sided p below {FIRST_LOOK_P} at the first look at the holdout,
below {LATER_LOOK_P:g} at each later one (`pima/core/verdicts/reasons.py`). The model stays the same for a year, and is looked at each week. It and the score
are well calibrated; the score's AUROC is {AUROC_OF_SCORE:g}, and among patients with the same outcome both have a correlation of {ALIKE:g}.
A quiet clinic has {QUIET / HOLDOUT_SHARE:.0f} outcomes a week, a busy one {BUSY / HOLDOUT_SHARE:.0f}, of which {100 * HOLDOUT_SHARE:.0f} % are held out; the score is known of all. Beside
`accuracy` and `net_benefit` there is the veto by log loss. By other seeds than those that the rule was chosen by. Of 100 clinics so many get
a first champion, {{clinics:,}} clinics a row:
"""
