"""The section of docs/measured/gate.md on slow decay; no figure in it is typed by hand."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.beside import ServedBeside
from benches.gate.decay import (
    FALLS_TO,
    TOLD_BY,
    WEEKS,
    Decay,
    calm_looks,
    weeks_until_told,
)
from benches.gate.page import filled, table
from benches.gate.settled import (
    CLINICS_AT_ONCE,
    DAYS_OF_A_VERSION,
    FREQUENT,
    RARE,
    Clinic,
)
from pima.core.arrays import Float64Array
from pima.core.outcomes.decay import BAR, BEFORE, NEWEST

FIRST_SEED = 4_000_000
"""Apart from all that the bar was chosen by."""
_TRIED = (3.0, BAR, 4.0)
CLINICS = (RARE, FREQUENT, Clinic(0.07, a_day=200), Clinic(0.35, a_day=200))
_SMALLER_FALLS = (0.72, 0.68, 0.64)
"""To which the AUROC falls at once."""


def decay_section(pool: Executor, clinics: int) -> str:
    changed = max(clinics // 10, 2 * CLINICS_AT_ONCE)
    rows = [_row(pool, clinic, clinics, changed) for clinic in CLINICS]
    parts = [
        "## Slow decay",
        filled(_HEAD.format(clinics=clinics, changed=changed)),
        table(_COLUMNS, rows),
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


_BARS = " / ".join(f"{bar:g}" for bar in _TRIED)
_COLUMNS = (
    "outcomes",
    f"false in a year at {_BARS} errors",
    f"told by week {TOLD_BY}",
    *(f"at once to {each:.2f}" for each in _SMALLER_FALLS),
)


def _row(pool: Executor, clinic: Clinic, clinics: int, changed: int) -> tuple[str, ...]:
    false = _many(pool, calm_looks, clinic, clinics, _TRIED)
    told = _many(pool, weeks_until_told, Decay(clinic), changed, _TRIED)
    cells = ([f"{each:.1f}" for each in false], [f"{each:.0f}" for each in told])
    sudden = (Decay(clinic, to, is_sudden=True) for to in _SMALLER_FALLS)
    at_once = (_many(pool, weeks_until_told, each, changed)[0] for each in sudden)
    return (named(clinic), *map(" / ".join, cells), *(f"{each:.0f}" for each in at_once))


def named(clinic: Clinic | ServedBeside) -> str:
    return f"{100 * clinic.prevalence:.0f} %, {clinic.a_day} a day"


_HEAD = f"""
`slow_decay` (`pima/core/outcomes/decay.py`) compares the AUROC of the last {NEWEST} weeks with the {NEWEST} to {BEFORE} before, as
served, and rings at {BAR:g} standard errors of the difference. Champions change every {DAYS_OF_A_VERSION} days. Calm clinics have an
AUROC of {RARE.auroc:g}, {{clinics:,}} a row, for {WEEKS} weeks. In others it falls to {FALLS_TO:g} in {TOLD_BY} weeks, or at once,
{{changed}} a row. Clinics of 100 that are told; after a sudden fall within {NEWEST} weeks:
"""
