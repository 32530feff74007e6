"""The section of docs/measured/gate.md on corrections; no figure in it is typed by hand."""

from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.corrections import (
    COMPLETED,
    OF_OTHERS,
    OF_THE_SICKEST,
    HalfYears,
    half_years,
)
from benches.gate.page import filled
from benches.gate.page_of_alarms import REPORTED
from benches.gate.settled import CLINICS_AT_ONCE, FREQUENT, RARE
from pima.core.rows.hindsight import DEVIATIONS, FEWEST_ONES, TIMES

KINDS = {
    "With honest ones": (True, False),
    "With hindsight": (False, True),
    "With both": (True, True),
}


def corrections_section(pool: Executor, clinics: int) -> str:
    found = {name: _many(pool, kind, clinics // 40) for name, kind in KINDS.items()}
    said = " ".join(_said(*each) for each in found.items())
    return "\n\n".join(["## Corrections", filled(f"{_HEAD} {said}")]) + "\n"


def _many(pool: Executor, kind: tuple[bool, bool], clinics: int) -> list[HalfYears]:
    seeds = range(REPORTED, REPORTED + -(-clinics // CLINICS_AT_ONCE))
    tried = (partial(half_years, clinic, *kind) for clinic in (RARE, FREQUENT))
    return [each for one in tried for each in pool.map(one, seeds)]


def _said(name: str, found: list[HalfYears]) -> str:
    told, errors = (
        np.concatenate([getattr(each, figure) for each in found]) for figure in ("told", "errors")
    )
    return (
        f"{name}: {told.sum()} of {len(told)} are told, at most {errors.max():.1f} standard errors."
    )


_HEAD = f"""
`corrected_after_outcome` (`pima/core/rows/hindsight.py`) asks for {FEWEST_ONES} corrected ones, {TIMES} times as often as zeros of the
same fifth of risk and {DEVIATIONS} standard errors above what is expected, each week of half a year. Honest corrections:
{100 * OF_THE_SICKEST:.0f} % of the riskiest tenth and {100 * OF_OTHERS:.0f} % of the others. Hindsight: {100 * COMPLETED:.0f} % of
the ones, a day after their outcome is known.
"""
