"""The section of docs/measured/gate.md on corrections; no figure in it is typed by hand."""

from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.rows.hindsight import DEVIATIONS, FEWEST_ONES, FIFTHS, TIMES
from tests.bench.gate.corrections import (
    COMPLETED,
    OF_OTHERS,
    OF_THE_SICKEST,
    HalfYears,
    half_years,
)
from tests.bench.gate.page import filled, table
from tests.bench.gate.page_of_alarms import CHOOSING, REPORTED
from tests.bench.gate.settled import CLINICS_AT_ONCE, FREQUENT, OUTCOMES_A_DAY, RARE, Clinic

KINDS = {
    "honest corrections": (True, False),
    "hindsight": (False, True),
    "both": (True, True),
}


def corrections_section(pool: Executor, clinics: int) -> str:
    rows = [
        _row(name, clinic, [_many(pool, clinic, kind, clinics, first) for first in _SEEDS])
        for name, kind in KINDS.items()
        for clinic in (RARE, FREQUENT)
    ]
    return "\n\n".join(["## Corrections", filled(_HEAD), table(_COLUMNS, rows)]) + "\n"


_SEEDS = (REPORTED, CHOOSING)
_COLUMNS = (
    "what is corrected",
    "clinic",
    "told, of so many half years",
    "standard errors, the most",
    "told, by the seeds of the choice",
)


def _many(
    pool: Executor, clinic: Clinic, kind: tuple[bool, bool], clinics: int, first_seed: int
) -> list[HalfYears]:
    seeds = range(first_seed, first_seed + -(-clinics // CLINICS_AT_ONCE))
    return list(pool.map(partial(half_years, clinic, *kind), seeds))


def _row(name: str, clinic: Clinic, found: list[list[HalfYears]]) -> tuple[str, ...]:
    reported, choosing = (np.concatenate([each.told for each in those]) for those in found)
    errors = np.concatenate([each.errors for each in found[0]])
    return (
        name,
        clinic.name,
        f"{reported.sum()} of {len(reported)}",
        f"{errors.max():.1f}",
        f"{choosing.sum()} of {len(choosing)}",
    )


_HEAD = f"""
`corrected_after_outcome` (`pima/core/rows/hindsight.py`) compares corrections of ones with those of zeros of the same fifth of
predicted risk, as many days after the prediction: a log-rank test in {FIFTHS} strata. It tells of {FEWEST_ONES} ones or
more, corrected {TIMES} times as often as zeros alike and {DEVIATIONS} standard errors above what is expected. The clinics
and champions are those above, with {OUTCOMES_A_DAY} visits a day, an outcome 1 that is known on any of 30 days, and a 0
after them. Each week for half a year a retraining looks. Honest corrections are of the sickest: of
{100 * OF_THE_SICKEST:.0f} % of the riskiest tenth and {100 * OF_OTHERS:.0f} % of the others, on any of 30 days after the
prediction. With hindsight {100 * COMPLETED:.0f} % of the ones are corrected a day after their outcome is known. A half
year that is told is looked at no further.
"""
