"""The section of docs/measured/gate.md on what moves in a clinic; no figure in it is typed by
hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.decay import FALLS_TO
from benches.gate.drift import (
    FOLLOWED,
    HALF_LIVES,
    HISTORY,
    HORIZON,
    Course,
    Moves,
    Way,
    followed,
)
from benches.gate.drift_with_network import lost_by_network
from benches.gate.missing import SHARES, TELLS, Clinics, gained
from benches.gate.page import filled, table
from benches.gate.page_of_decay import CLINICS
from benches.gate.settled import FREQUENT, OUTCOMES_A_DAY, RARE, Clinic
from pima.core.arrays import Float64Array
from pima.core.verdicts.newest_weeks import WEEKS_TO_JUDGE_ON

FIRST_SEED = 5_000_000
"""Apart from all that anything was chosen by."""
_STILL = (Moves.CALM, Moves.SEASON)
_COEFFICIENTS = (Moves.DECAY, Moves.LONG_DECAY, Moves.BREAK)


def drift_section(pool: Executor, clinics: int) -> str:
    few = max(clinics // 200, 3)
    found = [
        (moves, clinic, _many(pool, clinic, moves, few)) for moves in Moves for clinic in CLINICS
    ]
    parts = [
        "## What moves",
        filled(_HEAD.format(clinics=few)),
        table(_COLUMNS, [_row(*each) for each in found if _is_shown(*each[:2])]),
        filled(_read(found, _number(CLINICS[-1], few))),
        filled(_of_network(pool, max(few // 5, 2))),
        filled(_of_missing(pool, few)),
    ]
    return "\n\n".join(parts) + "\n"


def _number(clinic: Clinic, clinics: int) -> int:
    """A busy one takes ten times as long, and tells as much."""
    return clinics if clinic.a_day == OUTCOMES_A_DAY else max(clinics // 3, 3)


_Lost = dict[Way, Float64Array]
"""Of each clinic (clinics, 5): the loss as fitted and as served, in the mean of the weeks, then
both at their end, and the AUROC at the end."""


def _many(pool: Executor, clinic: Clinic, moves: Moves, clinics: int) -> _Lost:
    seeds = range(FIRST_SEED, FIRST_SEED + _number(clinic, clinics))
    lived = list(pool.map(partial(followed, clinic, moves), seeds))
    return {way: np.array([_summary(each[way]) for each in lived]) for way in Way}


def _summary(course: Course) -> tuple[float, ...]:
    losses = (course.fitted, course.served)
    means = (float(each.mean()) for each in losses)
    return *means, *(float(each[-1]) for each in losses), course.auroc


_COLUMNS = ("what moves", "outcome 1", "AUROC: all rows", "newest weeks", "regained, %")


def _is_shown(moves: Moves, clinic: Clinic) -> bool:
    return moves in _COEFFICIENTS and clinic in (RARE, FREQUENT)


def _row(moves: Moves, clinic: Clinic, found: _Lost) -> tuple[str, ...]:
    alike, newest = (found[way].mean(axis=0) for way in (Way.ALIKE, Way.NEWEST))
    regained = 100 * (1 - newest / alike)
    return (
        moves,
        f"{100 * clinic.prevalence:.0f} %",
        f"{alike[-1]:.3f}",
        f"{newest[-1]:.3f}",
        f"{regained[1]:.0f} / {regained[3]:.0f}",
    )


def _read(found: Sequence[tuple[Moves, Clinic, _Lost]], busy: int) -> str:
    alike, newest, halves = (
        np.array([each[way].mean(axis=0) for _, _, each in found])
        for way in (Way.ALIKE, Way.NEWEST, Way.HALF_LIVES)
    )
    still, turns = (
        np.array([moves in some for moves, _, _ in found]) for some in (_STILL, _COEFFICIENTS)
    )
    cost = (newest - alike)[still, :2].max()
    regained, by_halves = (100 * (1 - (each / alike)[turns]) for each in (newest, halves))
    seasons = max(
        float((each[Way.INTERCEPT] - each[Way.ALIKE]).mean(axis=0)[1])
        for moves, _, each in found
        if moves is Moves.SEASON
    )
    ranges = [f"{each.min():.0f} to {each.max():.0f}" for each in regained.T]
    ended = by_halves[:, 3]
    doubled = [
        100 * (1 - (each[Way.INTERCEPT].mean(axis=0) / each[Way.ALIKE].mean(axis=0))[3])
        for moves, _, each in found
        if moves is Moves.DOUBLED
    ]
    return _READ.format(
        busy=busy,
        cost=1_000 * cost,
        ends=ranges[3],
        means=ranges[1],
        fitted=ranges[0],
        half_lives=" and ".join(map(str, HALF_LIVES)),
        halves=f"{ended.min():.0f} to {ended.max():.0f}",
        doubled=f"{min(doubled):.0f} to {max(doubled):.0f}",
        seasons=1_000 * seasons,
    )


def _of_network(pool: Executor, clinics: int) -> str:
    told = [
        "{:.1f} in place of {:.1f}".format(*_by_network(pool, clinic, moves, clinics))
        for moves in (Moves.DECAY, Moves.CALM)
        for clinic in (RARE, FREQUENT)
    ]
    return _NETWORK.format(*told, clinics=clinics)


def _by_network(pool: Executor, clinic: Clinic, moves: Moves, clinics: int) -> list[float]:
    """In thousandths, of the newest weeks and of all rows."""
    seeds = range(FIRST_SEED, FIRST_SEED + clinics)
    found = list(pool.map(partial(lost_by_network, clinic, moves), seeds))
    of_all, as_chosen = (1_000 * np.mean(found, axis=0)).tolist()
    return [as_chosen, of_all]


def _of_missing(pool: Executor, clinics: int) -> str:
    nothing, something = (
        [_mean_gain(pool, Clinics(each, tells), clinics) for each in CLINICS]
        for tells in (0.0, TELLS)
    )
    return _MISSING.format(cost=-min(nothing), low=min(something), high=max(something))


def _mean_gain(pool: Executor, clinics: Clinics, number: int) -> float:
    seeds = range(FIRST_SEED, FIRST_SEED + _number(clinics.clinic, number))
    return 1_000 * float(np.mean(list(pool.map(partial(gained, clinics), seeds))))


_HEAD = f"""
Clinics with {HISTORY[0]} to {HISTORY[1]} weeks of history and a horizon of {HORIZON} days, {FOLLOWED} weekly retrainings, straight
lines for the network. Coefficients turn until an old model has an AUROC of {FALLS_TO:g}, where {RARE.auroc:g} stays possible. The
newest 52, 26 or 13 weeks are taken where they are clearly better on the newest {WEEKS_TO_JUDGE_ON}
(`pima/core/verdicts/newest_weeks.py`). Regained: of the log loss that all rows cost, in the mean / at the end. AUROCs are at the end. {OUTCOMES_A_DAY} outcomes a day, {{clinics}} clinics a row:
"""

_READ = """
With clinics of 200 a day, too ({busy} a row), newest weeks regain {ends} of 100 at the end, {means} in the mean: changes are known
after five weeks, and with few rows the gate promotes late (without it {fitted}). Where nothing moves they cost at most {cost:.2f}
thousandths of log loss. Not built: half-lives of {half_lives} weeks regain {halves} at the end; an intercept of the newest weeks
regains {doubled} at the end where the prevalence doubles, but with seasons costs up to {seasons:.1f}.
"""

_NETWORK = f"""
pima's own network at the end, {{clinics}} clinics each: where coefficients move in 39 weeks it is {{0}} thousandths behind the truth
with {100 * RARE.prevalence:.0f} %, {{1}} with {100 * FREQUENT.prevalence:.0f} %; where nothing moves {{2}} and {{3}}.
"""

_MISSING = f"""
Not built: inputs that say that a value is missing ({", ".join(f"{100 * share:.0f}" for share in SHARES)} %) cost at most
{{cost:.2f}} where that tells nothing, and gain {{low:.1f}} to {{high:.1f}} where each adds {TELLS:g} to the log odds.
"""
