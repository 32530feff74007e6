"""The section of docs/measured/gate.md on what stands on top; no figure in it is typed by hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.outcomes.realised import ON_TOP
from tests.bench.gate.page import filled, table
from tests.bench.gate.page_of_decay import CLINICS, named
from tests.bench.gate.served import THRESHOLDS, WEEKS, WINDOWS, Looks, looks_at
from tests.bench.gate.settled import CLINICS_AT_ONCE, INTERCEPT_DEVIATION, SLOPE_DEVIATION, Clinic

BEGINS_SERVED = "## What stands on top"
FIRST_SEED = 5_000_000
"""Apart from all other simulations."""
_COLUMNS = (
    "outcomes",
    "the last weeks",
    "mean observed/expected",
    "true",
    *(f"{name}: missed" for name in ON_TOP.values()),
)


def served_section(pool: Executor, clinics: int) -> str:
    runs = -(-clinics // 20 // CLINICS_AT_ONCE)
    seeds = range(FIRST_SEED, FIRST_SEED + runs)
    found = [list(pool.map(partial(looks_at, clinic), seeds)) for clinic in CLINICS]
    missed = np.concatenate([_missed(some) for some in found])
    ratios = np.concatenate([_means([each.ratios for each in some]) for some in found])
    rows = [row for each in zip(CLINICS, found, strict=True) for row in _rows(*each)]
    said = (
        f"So {missed.min():.1f} to {missed.max():.1f} of 100 intervals miss what is true, and the "
        f"mean observed/expected is {ratios.min():.2f} to {ratios.max():.2f}."
    )
    text = filled(_HEAD.format(clinics=runs * CLINICS_AT_ONCE))
    return "\n\n".join([BEGINS_SERVED, text, table(_COLUMNS, rows), filled(said)]) + "\n"


def _rows(clinic: Clinic, found: Sequence[Looks]) -> list[tuple[str, ...]]:
    shown = _means([each.ratios for each in found])
    true = _means([each.true_ratios for each in found])
    missed = _missed(found)
    return [
        (
            named(clinic),
            str(weeks),
            f"{shown[place]:.3f}",
            f"{true[place]:.3f}",
            *(f"{each:.1f}" for each in missed[place]),
        )
        for place, weeks in enumerate(WINDOWS)
    ]


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
On top of report, card and `status` stand the figures of all predictions as they were served (`pima/core/outcomes/served.py`), over the last
{WINDOWS[0]} whole weeks, and beside them those of the last {WINDOWS[1]}. Here another version becomes champion each week. Its calibration is wrong: the intercept by a
standard deviation of {INTERCEPT_DEVIATION}, the slope by {SLOPE_DEVIATION}. The threshold is {" ".join(f"{threshold:g} at {100 * share:.0f} %," for share, threshold in THRESHOLDS.items())} the AUROC of the true probabilities {CLINICS[0].auroc:g}. Each clinic is
looked at {WEEKS} times, at the end of each week of a year. True is what the versions of the same weeks have on all patients. At 7 % it is below 1 for
observed/expected, since such errors raise the mean of small probabilities. Of 100 intervals so many miss what is true, where 5 are meant to,
{{clinics}} clinics a row:
"""
