"""The section of docs/measured/gate.md on what stands on top; no figure in it is typed by hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.page import filled
from benches.gate.page_of_decay import CLINICS
from benches.gate.served import THRESHOLDS, WEEKS, WINDOWS, Looks, looks_at
from benches.gate.settled import CLINICS_AT_ONCE
from pima.core.arrays import Float64Array
from pima.core.outcomes.realised import ON_TOP

FIRST_SEED = 5_000_000
"""Apart from all other simulations."""


def served_section(pool: Executor, clinics: int) -> str:
    runs = -(-clinics // 20 // CLINICS_AT_ONCE)
    seeds = range(FIRST_SEED, FIRST_SEED + runs)
    found = [list(pool.map(partial(looks_at, clinic), seeds)) for clinic in CLINICS]
    missed = np.concatenate([_missed(some) for some in found])
    shown, true = (
        np.concatenate([_means([getattr(each, name) for each in some]) for some in found])
        for name in ("ratios", "true_ratios")
    )
    said = (
        f"Of 100 intervals {missed.min():.1f} to {missed.max():.1f} miss the truth, where 5 are meant "
        f"to. The mean observed/expected is {shown.min():.3f} to {shown.max():.3f}, for a true "
        f"{true.min():.3f} to {true.max():.3f}."
    )
    text = filled(_HEAD.format(clinics=runs * CLINICS_AT_ONCE))
    return "\n\n".join(["## What stands on top", text, filled(said)]) + "\n"


def _means(figures: Sequence[Float64Array]) -> Float64Array:
    """By window."""
    means: Float64Array = np.nanmean(np.concatenate(figures), axis=(0, 1))
    return means


def _missed(found: Sequence[Looks]) -> Float64Array:
    """Of 100 intervals, by window and figure."""
    misses, there = (
        np.sum([getattr(each, name).sum(axis=(0, 1)) for each in found], axis=0)
        for name in ("misses", "has_interval")
    )
    of_100: Float64Array = 100 * misses / there
    return of_100


_HEAD = f"""
Report, card and `status` show all predictions as they were served (`pima/core/outcomes/served.py`) over the last {WINDOWS[0]} and
the last {WINDOWS[1]} whole weeks. Champions change, and are looked at, each week for {WEEKS} weeks,
{" or ".join(f"{100 * each:.0f}" for each in THRESHOLDS)} % with outcome 1, 20 or 200 outcomes a day, {{clinics}} clinics each. The
figures: {", ".join(ON_TOP.values())}.
"""
