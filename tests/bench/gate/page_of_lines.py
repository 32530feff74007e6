"""The section of docs/measured/gate.md on straight lines beside champions; no figure in it is typed
by hand."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.verdicts.pairs import CLEAR_P
from pima.train.ledger import VERDICTS_IN_A_ROW
from tests.bench.gate.lines import Overfitted, Told, calm_lines, overfitted
from tests.bench.gate.page import filled, table
from tests.bench.gate.page_of_alarms import CALM_LIMIT, CHOOSING, REPORTED
from tests.bench.gate.settled import (
    CLINICS,
    CLINICS_AT_ONCE,
    FREQUENT,
    OUTCOMES_A_DAY,
    RARE,
    Clinic,
    calm_years,
)
from tests.bench.gate.trials import HOLDOUT_SHARE

ERRORS = (2.0, 2.5, 3.0, 3.5)
TRIED = tuple(0.5 * math.erfc(each / math.sqrt(2)) for each in ERRORS)
OVERFITTED = tuple(
    Overfitted(clinic, 1.2, noise) for clinic in (RARE, FREQUENT) for noise in (0.5, 0.8, 1.1)
)


def lines_section(pool: Executor, clinics: int) -> str:
    calm = {each: _calm(pool, each, clinics, REPORTED) for each in CLINICS}
    told = {each: _many(pool, overfitted, each, clinics // 4, REPORTED) for each in OVERFITTED}
    most = max(100 * added(*each).mean() for each in calm.values())
    parts = [
        "## A straight line beside the champion",
        filled(_HEAD.format(clinics=clinics)),
        table(_COLUMNS, [_calm_row(*each) for each in calm.items()]),
        filled(_ADDED.format(most=most)),
        filled(_TOLD.format(clinics=clinics // 4)),
        table(_COLUMNS_TOLD, [_told_row(*each) for each in told.items()]),
        filled(_CHOICE),
        table(_COLUMNS_OF_CHOICE, list(_choice(pool, clinics))),
    ]
    return "\n\n".join(parts) + "\n"


def added(others: np.ndarray, line: Told) -> np.ndarray:
    """(tried, clinics), whether of all alarms that of a line alone is false in a calm clinic."""
    found: np.ndarray = line.falsely & ~np.isfinite(others).any(axis=-1)
    return found


def _calm(
    pool: Executor,
    clinic: Clinic,
    clinics: int,
    first_seed: int,
    tried: Sequence[float] = (CLEAR_P,),
) -> tuple[np.ndarray, Told]:
    """When the other alarms ring in so many clinics, and what is told of a line in the same
    ones."""
    seeds = range(first_seed, first_seed + -(-clinics // CLINICS_AT_ONCE))
    others = np.concatenate(list(pool.map(partial(calm_years, clinic), seeds)), axis=1)
    return others, _many(pool, calm_lines, clinic, clinics, first_seed, tried)


def _many(
    pool: Executor,
    simulate: Callable[..., Told],
    what: Clinic | Overfitted,
    clinics: int,
    first_seed: int,
    tried: Sequence[float] = (CLEAR_P,),
) -> Told:
    seeds = range(first_seed, first_seed + -(-clinics // CLINICS_AT_ONCE))
    found = list(pool.map(partial(simulate, what, tried=tried), seeds))
    weeks = np.concatenate([each.weeks for each in found], axis=1)
    return Told(weeks, np.concatenate([each.true_gains for each in found]))


_COLUMNS = ("calm clinics", "line no better", "and no other alarm is false", "line truly better")


def _calm_row(clinic: Clinic, found: tuple[np.ndarray, Told]) -> tuple[str, ...]:
    others, line = found
    rightly = np.isfinite(line.weeks) & ~line.falsely
    shares = (line.falsely.mean(), added(others, line).mean(), rightly.mean())
    return (clinic.name, *(f"{100 * share:.1f}" for share in shares))


_COLUMNS_TOLD = ("clinic", "champion's log loss above the line's", "told, of 100", "weeks, median")


def _told_row(what: Overfitted, found: Told) -> tuple[str, ...]:
    weeks = found.weeks[0]
    median = np.median(weeks)
    return (
        what.clinic.name,
        f"{-found.true_gains.mean():.3f}",
        f"{100 * np.isfinite(weeks).mean():.0f}",
        f"{median:.0f}" if np.isfinite(median) else "more than a year",
    )


_COLUMNS_OF_CHOICE = (
    "standard errors",
    *(
        f"{what}, {100 * clinic.prevalence:.0f} %"
        for clinic in (RARE, FREQUENT)
        for what in ("line no better", "line truly better")
    ),
)


def _choice(pool: Executor, clinics: int) -> Iterator[tuple[str, ...]]:
    calm = [_calm(pool, each, clinics, CHOOSING, TRIED) for each in (RARE, FREQUENT)]
    for number, errors in enumerate(ERRORS):
        shares = [
            share[number].mean()
            for _, line in calm
            for share in (line.falsely, np.isfinite(line.weeks) & ~line.falsely)
        ]
        yield (f"{errors:g}", *(f"{100 * share:.1f}" for share in shares))


_HEAD = f"""
Each week's verdict sets the champion beside a straight line. `straight_line_better` asks that {VERDICTS_IN_A_ROW} verdicts in a row
find its log loss lower at a one-sided p of {CLEAR_P:g}, which is three paired standard errors (`pima/core/verdicts/pairs.py`). The clinics are the calm ones above, with
{OUTCOMES_A_DAY} outcomes a day, of which {100 * HOLDOUT_SHARE:.0f} % are held out. Champion and line are wrong independently of each other, as 60 to 80
cases leave a model, so the line is truly better in half of them. Of 100 clinics so many are told in a year that the line is better,
where it is truly no better and where it is, {{clinics:,}} clinics a row:
"""

_ADDED = f"""
Asked are at most {CALM_LIMIT:g} of 100 calm clinics, with the alarms above: this one adds at most {{most:.1f}} to them.
"""

_TOLD = """
Where the champion learned from luck, its log odds being steeper than the true ones and noisy, so many are told within a year, and so
soon, {clinics:,} clinics a row:
"""

_CHOICE = """
### How many standard errors

By other seeds than those above. Verdicts that follow one another share most of their rows, so three in a row say little more than one,
and a year has many of them:
"""
