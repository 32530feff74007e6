"""The section of docs/measured/gate.md on alarms over settled outcomes; no figure in it is typed by
hand."""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.page import filled, table
from benches.gate.settled import (
    BACK_AFTER,
    BUSY_CLINICS,
    CHANGES,
    CLINICS,
    CLINICS_AT_ONCE,
    DAYS_BEFORE,
    DAYS_OF_A_VERSION,
    INTERCEPT_DEVIATION,
    OUTCOMES_A_DAY,
    RARE,
    SLOPE_DEVIATION,
    Change,
    Clinic,
    calm_years,
    nights_told,
    outcomes_until_told,
)
from pima.core.arrays import Float64Array
from pima.core.outcomes.cusum import BARS

REPORTED = 1_000_000
"""The first seed of what is reported. The bars were chosen by seeds from 0 on."""
CALM_LIMIT = 2.0
"""Of 100 calm clinics a year."""


def alarms_section(pool: Executor, clinics: int) -> str:
    changed = max(clinics // 10, 2 * CLINICS_AT_ONCE)
    calm = {each: _many(pool, calm_years, each, clinics) for each in (*CLINICS, *BUSY_CLINICS)}
    told = {each: _many(pool, outcomes_until_told, each, changed) for each in CHANGES}
    parts = [
        "## Alarms over settled outcomes",
        filled(_HEAD),
        filled(f"{_calm_ones(calm, clinics)} {_TOLD.format(changed=changed)}"),
        table(_COLUMNS, [_told_row(pool, *each) for each in told.items()]),
        filled(_reading(told)),
    ]
    return "\n\n".join(parts) + "\n"


def _many(
    pool: Executor, simulate: Callable[..., Float64Array], what: Clinic | Change, clinics: int
) -> Float64Array:
    """What so many clinics give: (clinics, ...)."""
    seeds = range(REPORTED, REPORTED + -(-clinics // CLINICS_AT_ONCE))
    return np.concatenate(list(pool.map(partial(simulate, what), seeds)))


def _calm_ones(calm: dict[Clinic, Float64Array], clinics: int) -> str:
    false = sorted(map(_false, calm.values()))
    auroc, prevalence = (
        sorted({getattr(each, name) for each in calm}) for name in ("auroc", "prevalence")
    )
    return (
        f"Of 100 calm clinics {false[0]:.1f} to {false[-1]:.1f} have a false alarm in a year, "
        f"{CALM_LIMIT:g} are allowed: {len(calm)} kinds, {100 * prevalence[0]:.0f} to "
        f"{100 * prevalence[-1]:.0f} %, AUROCs of {auroc[0]:.2f} to {auroc[-1]:.2f}, {clinics:,} "
        "clinics each."
    )


def _false(found: Float64Array) -> float:
    """Of 100 clinics those with any alarm."""
    return float(100 * np.isfinite(found).any(axis=1).mean())


_COLUMNS = (
    *("what happens", "outcome 1", "outcomes, median", "nine in ten", "nights told, %"),
    "outcomes until over",
)


def _told_row(pool: Executor, change: Change, found: Float64Array) -> tuple[str, ...]:
    late = np.quantile(found, 0.9, method="higher")
    return (
        change.name,
        f"{100 * change.clinic.prevalence:.0f} %",
        f"{np.median(found):.0f}",
        f"{late:.0f}" if np.isfinite(late) else "later",
        *_while_it_lasts(pool, change, len(found)),
    )


def _while_it_lasts(pool: Executor, change: Change, changed: int) -> tuple[str, ...]:
    if change.within is None:
        return ("", "")
    found = _many(pool, nights_told, change, changed)
    return f"{100 * np.nanmean(found[:, 0]):.1f}", f"{np.nanmedian(found[:, 1]):.0f}"


def _reading(told: dict[Change, Float64Array]) -> str:
    asked = [change for change in told if change.within is not None]
    kept = [change for change in asked if np.median(told[change]) <= (change.within or 0)]
    medians = ", ".join(f"{change.within}" for change in asked)
    return f"Medians of {medians} are allowed: {len(kept)} of {len(asked)} are kept. {_BARS}"


_HEAD = f"""
The alarms (`pima/core/outcomes/cusum.py`) add up evidence as outcomes settle. Made-up clinics have {OUTCOMES_A_DAY} outcomes a
day, where no other number is named. Here and below a version's calibration is wrong as 60 to 80 cases leave it: the intercept by
a standard deviation of {INTERCEPT_DEVIATION}, the slope by {SLOPE_DEVIATION}. No seed served a choice.
"""

_BARS = (
    f"The bars are {BARS[0]:g} for `no_better_than_constant`, {BARS[1]:g} for more and {BARS[2]:g} for "
    "less frequent outcomes."
)

_TOLD = f"""
The table, at an AUROC of {RARE.auroc:g}, has the outcomes that settle until a change is told, {{changed}} clinics a row. Nights told: the change lasts from day
{DAYS_BEFORE} to {BACK_AFTER}, and champions change every {DAYS_OF_A_VERSION} days.
"""
