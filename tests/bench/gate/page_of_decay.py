"""The section of docs/measured/gate.md on slow decay; no figure in it is typed by hand."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.outcomes.decay import BAR, BEFORE, NEWEST
from tests.bench.gate.decay import (
    FALLS_TO,
    FIRST_LOOK,
    TOLD_BY,
    WEEKS,
    Decay,
    calm_looks,
    weeks_until_told,
)
from tests.bench.gate.page import filled, table
from tests.bench.gate.settled import (
    CLINICS_AT_ONCE,
    DAYS_OF_A_VERSION,
    FREQUENT,
    INTERCEPT_DEVIATION,
    RARE,
    SLOPE_DEVIATION,
    Clinic,
)

BEGINS_DECAY = "## Slow decay"
FIRST_SEED = 4_000_000
"""Apart from all that the bar was chosen by."""
_TRIED = (3.0, BAR, 4.0)
CLINICS = (RARE, FREQUENT, Clinic(0.07, a_day=200), Clinic(0.35, a_day=200))
_SMALLER_FALLS = (0.72, 0.70, 0.68, 0.66, 0.64, FALLS_TO)
"""To which the AUROC falls at once."""


def decay_section(pool: Executor, clinics: int) -> str:
    changed = max(clinics // 10, 2 * CLINICS_AT_ONCE)
    rows = [_row(pool, clinic, clinics, changed) for clinic in CLINICS]
    falls = [_of_falls(pool, clinic, changed) for clinic in CLINICS]
    parts = [
        BEGINS_DECAY,
        filled(_HEAD.format(clinics=clinics, changed=changed)),
        table(_COLUMNS, rows),
        filled(_FALLS.format(changed=changed)),
        table(_COLUMNS_OF_FALLS, falls),
    ]
    return "\n\n".join(parts) + "\n"


def _many(
    pool: Executor,
    simulate: Callable[..., Float64Array],
    what: Clinic | Decay,
    clinics: int,
    tried: Sequence[float] = (BAR,),
) -> Float64Array:
    """Of 100 clinics those that are told, by bar: (tried,)."""
    seeds = range(FIRST_SEED, FIRST_SEED + -(-clinics // CLINICS_AT_ONCE))
    found = list(pool.map(partial(simulate, what, tried=tried), seeds))
    told: Float64Array = 100 * np.isfinite(np.concatenate(found, axis=1)).mean(axis=1)
    return told


_COLUMNS = (
    "outcomes",
    *(f"false in a year at {bar:g} errors" for bar in _TRIED),
    *(f"told by week {TOLD_BY} at {bar:g} errors" for bar in _TRIED),
)


def _row(pool: Executor, clinic: Clinic, clinics: int, changed: int) -> tuple[str, ...]:
    false = _many(pool, calm_looks, clinic, clinics, _TRIED)
    told = _many(pool, weeks_until_told, Decay(clinic), changed, _TRIED)
    return (named(clinic), *(f"{each:.1f}" for each in false), *(f"{each:.0f}" for each in told))


_COLUMNS_OF_FALLS = ("outcomes", *(f"to {each:.2f}" for each in _SMALLER_FALLS))


def _of_falls(pool: Executor, clinic: Clinic, changed: int) -> tuple[str, ...]:
    sudden = (Decay(clinic, to, is_sudden=True) for to in _SMALLER_FALLS)
    told = (_many(pool, weeks_until_told, each, changed)[0] for each in sudden)
    return (named(clinic), *(f"{each:.0f}" for each in told))


def named(clinic: Clinic) -> str:
    return f"{clinic.a_day} a day, {100 * clinic.prevalence:.0f} % with outcome 1"


_HEAD = f"""
The alarm `slow_decay` (`pima/core/outcomes/decay.py`) compares the AUROC of the last {NEWEST} whole weeks with that of the {NEWEST} to {BEFORE} weeks before,
all predictions as they were served. It rings at {BAR:g} standard errors of the difference. Here another version becomes champion every {DAYS_OF_A_VERSION} days,
its calibration intercept wrong by a standard deviation of {INTERCEPT_DEVIATION}, its slope by {SLOPE_DEVIATION}. Calm clinics have an AUROC of {RARE.auroc:g} and are looked at each
week for {WEEKS} weeks, from week {FIRST_LOOK} on: {{clinics:,}} clinics a row. In the others the AUROC falls along a line to {FALLS_TO:g} in {TOLD_BY} weeks: {{changed}} clinics a row. Of
100 clinics so many are told, by the bar:
"""

_FALLS = f"""
Where the AUROC falls at once, {NEWEST} weeks before it is looked at for the last time, from {RARE.auroc:g} to the one named, of 100 clinics so many are told by
then, {{changed}} clinics a row:
"""
