"""The section of docs/measured/gate.md on straight lines beside champions; no figure in it is typed
by hand."""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.lines import Overfitted, Told, calm_lines, overfitted
from benches.gate.page import filled, table
from benches.gate.page_of_alarms import REPORTED
from benches.gate.settled import (
    CLINICS,
    CLINICS_AT_ONCE,
    FREQUENT,
    OUTCOMES_A_DAY,
    RARE,
    Clinic,
    calm_years,
)
from benches.gate.trials import HOLDOUT_SHARE
from pima.core.verdicts.pairs import CLEAR_P
from pima.train.ledger import VERDICTS_IN_A_ROW

OVERFITTED = tuple(
    Overfitted(clinic, 1.2, noise) for clinic in (RARE, FREQUENT) for noise in (0.5, 0.8, 1.1)
)


def lines_section(pool: Executor, clinics: int) -> str:
    some, few = clinics // 10, clinics // 40
    calm = {each: _calm(pool, each, some) for each in CLINICS}
    told = {each: _many(pool, overfitted, each, few) for each in OVERFITTED}
    most = max(100 * added(*each).mean() for each in calm.values())
    parts = [
        "## A straight line beside the champion",
        filled(f"{_HEAD} {_calm_ones(calm, some)} {_TOLD.format(most=most, clinics=few)}"),
        table(_COLUMNS_TOLD, [_told_row(*each) for each in told.items()]),
    ]
    return "\n\n".join(parts) + "\n"


def added(others: np.ndarray, line: Told) -> np.ndarray:
    """(clinics,), whether of all alarms that of a line alone is false in a calm clinic."""
    found: np.ndarray = line.falsely & ~np.isfinite(others).any(axis=-1)
    return found


def _calm(pool: Executor, clinic: Clinic, clinics: int) -> tuple[np.ndarray, Told]:
    """When the other alarms ring in so many clinics, and what is told of a line in the same
    ones."""
    others = pool.map(partial(calm_years, clinic), _seeds(clinics))
    return np.concatenate(list(others)), _many(pool, calm_lines, clinic, clinics)


def _many(
    pool: Executor, simulate: Callable[..., Told], what: Clinic | Overfitted, clinics: int
) -> Told:
    found = list(pool.map(partial(simulate, what), _seeds(clinics)))
    weeks = np.concatenate([each.weeks for each in found])
    return Told(weeks, np.concatenate([each.true_gains for each in found]))


def _seeds(clinics: int) -> range:
    return range(REPORTED, REPORTED + -(-clinics // CLINICS_AT_ONCE))


def _calm_ones(calm: dict[Clinic, tuple[np.ndarray, Told]], clinics: int) -> str:
    lines = [line for _, line in calm.values()]
    falsely = sorted(100 * line.falsely.mean() for line in lines)
    rightly = sorted(100 * (np.isfinite(line.weeks) & ~line.falsely).mean() for line in lines)
    return (
        f"Of 100 calm clinics {falsely[0]:.1f} to {falsely[-1]:.1f} are told in a year where the "
        f"line is no better, and {rightly[0]:.1f} to {rightly[-1]:.1f} where it is: {len(lines)} "
        f"kinds, {clinics:,} clinics each."
    )


_COLUMNS_TOLD = ("outcome 1", "log loss above the line's", "told, of 100", "weeks, median")


def _told_row(what: Overfitted, found: Told) -> tuple[str, ...]:
    median = np.median(found.weeks)
    return (
        f"{100 * what.clinic.prevalence:.0f} %",
        f"{-found.true_gains.mean():.3f}",
        f"{100 * np.isfinite(found.weeks).mean():.0f}",
        f"{median:.0f}" if np.isfinite(median) else "more than a year",
    )


_HEAD = f"""
`straight_line_better` asks that {VERDICTS_IN_A_ROW} weekly verdicts in a row find a straight line's log loss lower than the
champion's by three paired standard errors, p {CLEAR_P:g} (`pima/core/verdicts/pairs.py`). {OUTCOMES_A_DAY} outcomes a day,
{100 * HOLDOUT_SHARE:.0f} % held out. Champion and line are wrong independently, so the line is truly better in half of the clinics.
"""

_TOLD = """
To the false alarms above it adds at most {most:.1f}. Where the champion's log odds are too steep and noisy, {clinics:,} clinics a
row:
"""
