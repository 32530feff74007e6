"""The section of docs/measured/gate.md on alarms over settled outcomes; no figure in it is typed by
hand."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.nights.kinds import OUTCOME_ALARMS, OutcomeAlarm
from pima.core.outcomes.cusum import BAND, BARS, DRAWN_TO, FACTOR, HELD
from tests.bench.gate.page import filled, table
from tests.bench.gate.settled import (
    BACK_AFTER,
    BUSY_CLINICS,
    CHANGES,
    CLINICS,
    CLINICS_AT_ONCE,
    DAYS,
    DAYS_BEFORE,
    DAYS_OF_A_VERSION,
    FREQUENT,
    INTERCEPT_DEVIATION,
    OUTCOMES_A_DAY,
    RARE,
    SLOPE_DEVIATION,
    Bars,
    Change,
    Clinic,
    calm_years,
    nights_told,
    outcomes_until_told,
)

BEGINS = "## Alarms over settled outcomes"
"""The section's heading, where the part of the page before it ends."""
_TRIED = (6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0)
CHOOSING, REPORTED = 0, 1_000_000
"""The first seeds of what a bar is chosen by, and of what is reported of it."""
CALM_LIMIT = 2.0
"""Of 100 calm clinics a year."""


def alarms_section(pool: Executor, clinics: int) -> str:
    changed = max(clinics // 10, 2 * CLINICS_AT_ONCE)
    calm = {
        each: _many(pool, calm_years, each, clinics, REPORTED)[0]
        for each in (*CLINICS, *BUSY_CLINICS)
    }
    told = {each: _many(pool, outcomes_until_told, each, changed, REPORTED)[0] for each in CHANGES}
    parts = [
        BEGINS,
        filled(_HEAD.format(clinics=clinics)),
        table(("calm clinics", *map(_named, OUTCOME_ALARMS), "any of them"), _calm_rows(calm)),
        filled(_TOLD.format(changed=changed)),
        table(_COLUMNS, [_told_row(*each) for each in told.items()]),
        filled(_reading(calm, told)),
        filled(_DEAD.format(changed=changed)),
        table(_COLUMNS_OF_DEAD, [_dead_row(pool, each, changed) for each in CHANGES[:4]]),
        filled(_CHOICE),
        table(_COLUMNS_OF_CHOICE, list(_choice(pool, clinics, changed))),
    ]
    return "\n\n".join(parts) + "\n"


def _many(
    pool: Executor,
    simulate: Callable[..., Float64Array],
    what: Clinic | Change,
    clinics: int,
    first_seed: int,
    tried: Sequence[Bars] = (BARS,),
) -> Float64Array:
    """What so many clinics give: (tried, clinics, ...)."""
    seeds = range(first_seed, first_seed + -(-clinics // CLINICS_AT_ONCE))
    return np.concatenate(list(pool.map(partial(simulate, what, tried=tried), seeds)), axis=1)


def _calm_rows(calm: dict[Clinic, Float64Array]) -> list[tuple[str, ...]]:
    rows = []
    for clinic, found in calm.items():
        alarmed = np.isfinite(found)
        shares = (*alarmed.mean(axis=0), alarmed.any(axis=1).mean())
        rows.append((clinic.name, *(f"{100 * share:.1f}" for share in shares)))
    return rows


_COLUMNS = (
    "what happens",
    "clinic",
    "alarm",
    "outcomes, median",
    "one in ten",
    "nine in ten",
    "asked, median",
)


def _told_row(change: Change, found: Float64Array) -> tuple[str, ...]:
    late = np.quantile(found, 0.9, method="higher")
    asked = "-" if change.within is None else f"{change.within}"
    return (
        change.name,
        change.clinic.name,
        _named(change.fault),
        f"{np.median(found):.0f}",
        f"{np.quantile(found, 0.1, method='lower'):.0f}",
        f"{late:.0f}" if np.isfinite(late) else "later",
        asked,
    )


_COLUMNS_OF_DEAD = (
    "what happens",
    "clinic",
    "nights told",
    "outcomes until it is over, median",
    "nine in ten",
)


def _dead_row(pool: Executor, change: Change, changed: int) -> tuple[str, ...]:
    found = _many(pool, nights_told, change, changed, REPORTED)[0]
    late = np.nanquantile(found[:, 1], 0.9, method="higher")
    told = f"{100 * np.nanmean(found[:, 0]):.1f} %"
    over = f"{np.nanmedian(found[:, 1]):.0f}"
    return change.name, change.clinic.name, told, over, f"{late:.0f}"


_COLUMNS_OF_CHOICE = (
    "bar",
    *(
        f"{what}, {100 * clinic.prevalence:.0f} %"
        for what in ("constant: false", "told after", "prevalence: false", "told after")
        for clinic in (RARE, FREQUENT)
    ),
)


def _choice(pool: Executor, clinics: int, changed: int) -> Iterator[tuple[str, ...]]:
    tried = [(bar,) * len(OUTCOME_ALARMS) for bar in _TRIED]
    calm = [
        np.isfinite(_many(pool, calm_years, each, clinics, CHOOSING, tried))
        for each in (RARE, FREQUENT)
    ]
    told = [
        np.median(_many(pool, outcomes_until_told, each, changed, CHOOSING, tried), axis=1)
        for each in CHANGES[:4]
    ]
    for number, bar in enumerate(_TRIED):
        constant = [f"{100 * found[number, :, 0].mean():.1f}" for found in calm]
        prevalence = [f"{100 * found[number, :, 1:].any(axis=1).mean():.1f}" for found in calm]
        after = [f"{found[number]:.0f}" for found in told]
        yield (f"{bar:g}", *constant, *after[:2], *prevalence, *after[2:])


def _named(fault: OutcomeAlarm) -> str:
    return f"`{fault}`"


def _reading(calm: dict[Clinic, Float64Array], told: dict[Change, Float64Array]) -> str:
    worst = max(100 * np.isfinite(found).any(axis=1).mean() for found in calm.values())
    asked = [change for change in told if change.within is not None]
    kept = [change for change in asked if np.median(told[change]) <= (change.within or 0)]
    return (
        f"Asked are at most {CALM_LIMIT:g} of 100 calm clinics: the most is {worst:.1f}. Of the "
        f"{len(asked)} medians that are asked {len(kept)} are kept."
    )


_HEAD = f"""
The alarms (`pima/core/outcomes/cusum.py`) add up evidence as outcomes settle, and are looked at at each day's end. Made-up
clinics have {OUTCOMES_A_DAY} outcomes a day, where no other number is named, for {DAYS} days. Their champion is wrong as 60 to 80 cases leave it: its
calibration intercept has a standard deviation of {INTERCEPT_DEVIATION}, its slope one of {SLOPE_DEVIATION}, and it stays for
the whole year. Of 100 calm clinics so many have a false alarm in a year, {{clinics:,}} clinics a row:
"""

_TOLD = """
After a change, which comes after calm days, so many outcomes settle until the alarm, {changed} clinics a row:
"""

_DEAD = f"""
Where a change comes on day {DAYS_BEFORE} and is gone on day {BACK_AFTER}, and another version becomes champion every
{DAYS_OF_A_VERSION} days, the alarm is told on this share of the nights between, after the first one. Then this many outcomes
settle until it is over, {{changed}} clinics a row:
"""

_CHOICE = f"""
### How the bars were chosen

By other seeds than those above. Calm clinics of 100 with a false alarm in a year, and outcomes in the median until a dead
model is told (constant), and twice or half as many again (prevalence), by the bar; chosen are {BARS[0]:g},
{BARS[1]:g} for more frequent and {BARS[2]:g} for less frequent. The sum of an alarm is at most {HELD:g}. The sound model's log odds keep {DRAWN_TO:g} of their distance from the constant; the odds of the fault are
multiplied by {FACTOR:g}, those of the sound model by {BAND:g}.
"""
