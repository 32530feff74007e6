"""The section of docs/measured/gate.md on what moves in a clinic; no figure in it is typed by
hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.verdicts.newest_weeks import WEEKS_TO_JUDGE_ON
from tests.bench.gate.decay import FALLS_TO
from tests.bench.gate.drift import (
    FOLLOWED,
    HISTORY,
    HORIZON,
    SEASON,
    Course,
    Moves,
    Way,
    followed,
)
from tests.bench.gate.drift_with_network import lost_by_network
from tests.bench.gate.missing import SHARES, TELLS, Clinics, gained
from tests.bench.gate.page import filled, table
from tests.bench.gate.page_of_decay import CLINICS, named
from tests.bench.gate.settled import FREQUENT, OUTCOMES_A_DAY, RARE, Clinic

BEGINS_DRIFT = "## What moves"
FIRST_SEED = 5_000_000
"""Apart from all that anything was chosen by."""
_STILL = (Moves.CALM, Moves.SEASON)
_OTHERS = tuple(way for way in Way if way is not Way.ALIKE)


def drift_section(pool: Executor, clinics: int) -> str:
    few = max(clinics // 200, 3)
    found = [
        (moves, clinic, _many(pool, clinic, moves, few)) for moves in Moves for clinic in CLINICS
    ]
    parts = [
        BEGINS_DRIFT,
        filled(_HEAD.format(clinics=few, busy=_number(CLINICS[-1], few))),
        table(_COLUMNS, [_row(*each) for each in found]),
        filled(_read(found)),
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


_COLUMNS = (
    "what moves",
    "outcomes",
    "AUROC served at the end, all alike",
    *_OTHERS,
    "AUROC served at the end, newest weeks",
)


def _row(moves: Moves, clinic: Clinic, found: _Lost) -> tuple[str, ...]:
    told = [_told(moves, found[Way.ALIKE].mean(axis=0), found[way].mean(axis=0)) for way in _OTHERS]
    areas = [f"{found[way][:, -1].mean():.3f}" for way in (Way.ALIKE, Way.NEWEST)]
    return moves, named(clinic), areas[0], *told, areas[1]


def _told(moves: Moves, alike: Float64Array, way: Float64Array) -> str:
    if moves in _STILL:
        lost = 1_000 * (way - alike)
        return f"{lost[0]:+.2f} / {lost[1]:+.2f}"
    regained = 100 * (1 - way / alike)
    return f"{regained[0]:.0f} / {regained[1]:.0f} / {regained[3]:.0f}"


def _read(found: Sequence[tuple[Moves, Clinic, _Lost]]) -> str:
    newest = [
        (moves, each[Way.ALIKE].mean(axis=0), each[Way.NEWEST].mean(axis=0))
        for moves, _, each in found
    ]
    cost = max(float((way - alike)[:2].max()) for moves, alike, way in newest if moves in _STILL)
    regained = np.array(
        [
            100 * (1 - way / alike)
            for moves, alike, way in newest
            if moves in (Moves.DECAY, Moves.LONG_DECAY, Moves.BREAK)
        ]
    )
    low, high = regained.min(axis=0), regained.max(axis=0)
    seasons = max(
        float((each[Way.INTERCEPT] - each[Way.ALIKE]).mean(axis=0)[1])
        for moves, _, each in found
        if moves is Moves.SEASON
    )
    return _READ.format(
        cost=1_000 * cost,
        ends=f"{low[3]:.0f} to {high[3]:.0f}",
        means=f"{low[1]:.0f} to {high[1]:.0f}",
        fitted=f"{low[0]:.0f} to {high[0]:.0f}",
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
What an outcome depends on may move. These clinics have {HISTORY[0]} to {HISTORY[1]} weeks of history and a horizon of {HORIZON} days, an AUROC of {RARE.auroc:g} is
always possible, and {FOLLOWED} weekly retrainings are followed; straight lines stand for the network. Coefficients turn, along a line or at once, until a
model of those before has an AUROC of {FALLS_TO:g}; along a line they begin before the weeks followed, and end with them. A change at once comes with
the first of these weeks. Seasons move the log odds by {SEASON:g} up and down. Half-lives and newest weeks are taken only where they are clearly
better on the newest {WEEKS_TO_JUDGE_ON} weeks (`pima/core/verdicts/newest_weeks.py`). Of the log loss that learning from all rows alike costs beside the truth, so
much is regained, in percent: by each week's challenger / by what is served where the gate promotes by `log_loss` / by that at the end. Where
nothing moves for good, the cost stands in thousandths of log loss, of the challengers / as served. By other seeds than those that anything was chosen by;
{{clinics}} clinics a row, {{busy}} of the busy ones:
"""

_READ = """
Learning from the newest weeks where they are clearly better costs at most {cost:.2f} thousandths where nothing moves. Where coefficients move, it
regains {ends} of 100 of what all rows alike lose at the end of the weeks, by which it was chosen to be built. In their mean it is {means}: nobody can learn of a
change for five weeks, and with few rows the test set of 26 weeks promotes late (without the gate {fitted}). A prevalence that doubles is not followed: an intercept
of the newest weeks would, but in clinics with seasons it costs up to {seasons:.1f} thousandths.
"""

_NETWORK = f"""
pima's network, by the code of `retrain`, at the last of these weeks, {OUTCOMES_A_DAY} a day, {{clinics}} clinics each: where coefficients
move in 39 weeks it is {{0}} thousandths behind the truth with {100 * RARE.prevalence:.0f} % and {{1}} with {100 * FREQUENT.prevalence:.0f} %; where nothing moves {{2}} and {{3}}.
"""

_MISSING = f"""
An input for each of three features that says whether it is missing ({", ".join(f"{100 * share:.0f}" for share in SHARES)} %) costs at most {{cost:.2f}} thousandths where that tells nothing, and
gains {{low:.1f}} to {{high:.1f}} where each adds {TELLS:g} to the log odds. It is not built.
"""
