"""Clinics in which something moves, and others in which nothing does: what a model loses that
learns from all history alike, and what other ways of learning gain. Straight lines stand for the
network. The choice of weeks is the real one (`pima.core.verdicts.newest_weeks`)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

import numpy as np

from benches.gate.decay import FALLS_TO
from benches.gate.settled import Clinic, distribution, mean_for, probability
from pima.core.arrays import Float64Array, Int64Array
from pima.core.verdicts.gate import Window
from pima.core.verdicts.newest_weeks import (
    WEEKS_TO_JUDGE_ON,
    WEEKS_TO_LEARN_FROM,
    weeks_to_learn_from,
)

HISTORY = (52, 104)
"""The weeks before; each clinic has another number of them."""
FOLLOWED = 26
"""Weekly retrainings."""
HORIZON = 30
INPUTS = 8
SEASON = 0.3
"""The most by which the log odds are above or below the mean of the year."""
HALF_LIVES = (52, 26)
NEWEST_OF_INTERCEPT = 8
_RIDGE = 3.0
_FRESH = 4_000
_OF_TEN_HELD_OUT = 3


class Moves(StrEnum):
    """What moves in a clinic."""

    CALM = "nothing"
    SEASON = "seasons of the prevalence"
    DECAY = "coefficients, in 39 weeks"
    LONG_DECAY = "coefficients, in 78 weeks"
    BREAK = "coefficients, at once"
    DOUBLED = "prevalence doubles"


class Way(StrEnum):
    """A way of learning."""

    ALIKE = "all alike"
    INTERCEPT = "intercept of the newest 8 weeks"
    HALF_LIVES = "half-lives of 52, 26 weeks"
    NEWEST = "newest 52, 26, 13 weeks"


@dataclass(frozen=True, slots=True)
class Course:
    """What the patients of each week followed lose beside the truth, in nats of log loss."""

    fitted: Float64Array
    """By the newest challenger, (weeks,)."""
    served: Float64Array
    """By the champion, (weeks,), where the gate promotes what has the lower log loss."""
    auroc: float
    """That of the last champion."""


@dataclass(frozen=True, slots=True)
class Rows:
    """As a line takes them."""

    columns: Float64Array
    """(n, 1 + inputs), the first all 1."""
    outcomes: Float64Array

    def newest(self, rows: int) -> "Rows":
        """The last of them."""
        return Rows(self.columns[-rows:], self.outcomes[-rows:])

    def until(self, rows: int) -> "Rows":
        """The first of them."""
        return Rows(self.columns[:rows], self.outcomes[:rows])


@dataclass(frozen=True, slots=True)
class Truth:
    """The log odds of each week."""

    means: Float64Array
    weights: Float64Array
    """(weeks, inputs)"""

    def log_odds(self, columns: Float64Array, weeks: Int64Array | int) -> Float64Array:
        """Those of rows (n, 1 + inputs), in a week each, or all in one."""
        found: Float64Array = self.means[weeks] + (columns[:, 1:] * self.weights[weeks]).sum(axis=1)
        return found

    def rows(self, a_day: int, draw: np.random.Generator) -> Rows:
        """So many on each day of all weeks."""
        columns = _drawn(len(self.means) * 7 * a_day, draw)
        weeks = np.repeat(np.arange(len(self.means)), 7 * a_day)
        likely = probability(self.log_odds(columns, weeks))
        return Rows(columns, (draw.random(len(columns)) < likely).astype(np.float64))


@dataclass(frozen=True, slots=True)
class Life:
    """One clinic's rows, of all days until the end."""

    truth: Truth
    before: int
    """The weeks before those followed."""
    training: Rows
    held_out: Rows
    a_day: int
    """Training rows."""
    held_out_a_day: int
    fresh: Float64Array
    """Columns of others."""

    def settled(self, week: int) -> tuple[Rows, Rows]:
        """The training rows and held-out rows that have settled at the beginning of a week
        followed."""
        days = 7 * (self.before + week) - HORIZON
        return self.training.until(days * self.a_day), self.held_out.until(
            days * self.held_out_a_day
        )

    def true(self, week: int) -> Float64Array:
        """The log odds of the others, in a week followed."""
        return self.truth.log_odds(self.fresh, self.before + week)


def life(clinic: Clinic, moves: Moves, seed: int) -> Life:
    """A clinic's, by its seed."""
    draw = np.random.default_rng([seed, 8])
    before = int(draw.integers(HISTORY[0], HISTORY[1] + 1))
    truth = _truth(clinic, moves, before, draw)
    held_out = clinic.a_day * _OF_TEN_HELD_OUT // 10
    a_day = clinic.a_day - held_out
    return Life(
        truth,
        before,
        truth.rows(a_day, draw),
        truth.rows(held_out, draw),
        a_day,
        held_out,
        _drawn(_FRESH, draw),
    )


def followed(clinic: Clinic, moves: Moves, seed: int) -> dict[Way, Course]:
    """One clinic, under each way of learning."""
    lived = life(clinic, moves, seed)
    fitted: dict[Way, list[float]] = {way: [] for way in Way}
    served: dict[Way, list[float]] = {way: [] for way in Way}
    champions: dict[Way, Float64Array] = {}
    memory = _Memory()
    for week in range(FOLLOWED):
        settled, held_out = lived.settled(week)
        true = lived.true(week)
        judged_on = _test_set(held_out, 7 * lived.held_out_a_day)
        for way, line in _ways(settled, 7 * lived.a_day, memory).items():
            champion = champions.get(way)
            if champion is None or _is_promoted(line, champion, judged_on):
                champion = line
            champions[way] = champion
            fitted[way].append(lost(lived.fresh @ line, true))
            served[way].append(lost(lived.fresh @ champion, true))
    return {
        way: Course(
            np.array(fitted[way]),
            np.array(served[way]),
            auroc(lived.fresh @ champions[way], lived.true(FOLLOWED - 1)),
        )
        for way in Way
    }


def _truth(clinic: Clinic, moves: Moves, before: int, draw: np.random.Generator) -> Truth:
    weeks = np.arange(-before, FOLLOWED)
    mean, deviation = distribution(clinic)
    first, other = np.linalg.qr(draw.normal(size=(INPUTS, 2)))[0].T
    means = np.full(len(weeks), mean)
    share = np.zeros(len(weeks))
    phase = draw.integers(52)
    match moves:
        case Moves.SEASON:
            means += SEASON * np.sin(2 * np.pi * (weeks + phase) / 52)
        case Moves.DECAY | Moves.LONG_DECAY:
            takes = 39 if moves is Moves.DECAY else 78
            share = np.clip((weeks + takes - FOLLOWED) / takes, 0, 1)
        case Moves.BREAK:
            share = np.where(weeks >= 0, 1.0, 0.0)
        case Moves.DOUBLED:
            means[weeks >= 0] = mean_for(deviation, 2 * clinic.prevalence)
    turned = share * _angle(clinic)
    directions = np.cos(turned)[:, None] * first + np.sin(turned)[:, None] * other
    return Truth(means, deviation * directions)


@cache
def _angle(clinic: Clinic) -> float:
    """By which the weights turn until a model of those before has an AUROC of `FALLS_TO`."""
    mean, deviation = distribution(clinic)
    here, across = np.random.default_rng(0).normal(size=(2, 200_001))
    low = 0.0
    high = np.pi / 2
    for _ in range(25):
        middle = (low + high) / 2
        old = np.cos(middle) * here + np.sin(middle) * across
        if auroc(old, mean + deviation * here) > FALLS_TO:
            low = middle
        else:
            high = middle
    return low


def _drawn(rows: int, draw: np.random.Generator) -> Float64Array:
    return np.column_stack([np.ones(rows), draw.normal(size=(rows, INPUTS))])


def auroc(said: Float64Array, true: Float64Array) -> float:
    """Of what is said of rows (n,) with these true log odds, the chance in their outcomes averaged
    out."""
    likely = probability(true)[np.argsort(said)]
    cases = likely / likely.sum()
    others = (1 - likely) / (1 - likely).sum()
    return float((cases * (np.cumsum(others) - others / 2)).sum())


def lost(said: Float64Array, true: Float64Array) -> float:
    """How much more log loss these log odds have than the true ones (n,), the chance in the
    outcomes averaged out."""
    likely = probability(true)
    losses = [np.logaddexp(0, each) - likely * each for each in (said, true)]
    return float((losses[0] - losses[1]).mean())


# ---- The ways of learning.


@dataclass(slots=True)
class _Memory:
    """The last line of each kind, at which its next fit begins."""

    lines: dict[tuple[object, ...], Float64Array] = field(default_factory=dict)

    def fit(
        self, kind: tuple[object, ...], rows: Rows, weights: Float64Array | float = 1.0
    ) -> Float64Array:
        start = self.lines.get(kind, np.zeros(1 + INPUTS))
        self.lines[kind] = fit_line(rows.columns, rows.outcomes, start, weights)
        return self.lines[kind]


def _ways(settled: Rows, a_week: int, memory: _Memory) -> dict[Way, Float64Array]:
    of_all = memory.fit(("all",), settled)
    newest = settled.newest(WEEKS_TO_JUDGE_ON * a_week)
    before = settled.until(len(settled.outcomes) - len(newest.outcomes))
    said = memory.fit(("before",), before)
    found = {Way.ALIKE: of_all, Way.INTERCEPT: _with_intercept(of_all, settled, a_week)}
    kinds: tuple[tuple[Way, tuple[int, ...], Callable[..., Float64Array]], ...] = (
        (Way.NEWEST, WEEKS_TO_LEARN_FROM, _of_newest),
        (Way.HALF_LIVES, HALF_LIVES, _by_half_life),
    )
    for way, tried, fit in kinds:
        others = {weeks: fit(before, weeks, a_week, memory, "before") for weeks in tried}
        chosen = weeks_to_learn_from(
            probability(newest.columns @ said),
            {weeks: probability(newest.columns @ line) for weeks, line in others.items()},
            newest.outcomes.astype(np.int8),
        )
        found[way] = of_all
        if chosen is not None:
            found[way] = fit(settled, chosen, a_week, memory, "all")
    return found


def _of_newest(rows: Rows, weeks: int, a_week: int, memory: _Memory, what: str) -> Float64Array:
    return memory.fit((what, "newest", weeks), rows.newest(weeks * a_week))


def _by_half_life(rows: Rows, weeks: int, a_week: int, memory: _Memory, what: str) -> Float64Array:
    ages = np.arange(len(rows.outcomes))[::-1] // a_week
    return memory.fit((what, "half-life", weeks), rows, 0.5 ** (ages / weeks))


def _with_intercept(line: Float64Array, settled: Rows, a_week: int) -> Float64Array:
    """The shift that the newest weeks ask for, the smaller the less clear it is."""
    newest = settled.newest(NEWEST_OF_INTERCEPT * a_week)
    shift = 0.0
    for _ in range(6):
        likely = probability(newest.columns @ line + shift)
        information = float((likely * (1 - likely)).sum())
        shift += float(np.clip((newest.outcomes - likely).sum() / information, -1, 1))
    sure = max(0.0, 1 - 1 / (information * shift**2))
    shifted = line.copy()
    shifted[0] += sure * shift
    return shifted


def fit_line(
    columns: Float64Array,
    outcomes: Float64Array,
    start: Float64Array | None = None,
    weights: Float64Array | float = 1.0,
) -> Float64Array:
    """Newton's steps of a logistic regression with L2 on all but the first column."""
    penalty = np.full(columns.shape[1], _RIDGE)
    penalty[0] = 1e-6
    line = np.zeros(len(penalty)) if start is None else start
    for _ in range(8):
        likely = probability(columns @ line)
        gradient = columns.T @ (weights * (outcomes - likely)) - penalty * line
        spread = (weights * likely * (1 - likely))[:, None]
        step = np.linalg.solve((spread * columns).T @ columns + np.diag(penalty), gradient)
        line = line + step
        if step @ gradient < 1e-5:
            break
    return line


# ---- The gate, by `log_loss`.


def _test_set(held_out: Rows, a_week: int) -> Rows:
    window = Window()
    rows = max(window.weeks * a_week, window.minimum_rows)
    return held_out.newest(min(rows, window.maximum_rows))


def _is_promoted(line: Float64Array, champion: Float64Array, judged_on: Rows) -> bool:
    prevalence = judged_on.outcomes.mean()
    constant = np.log(prevalence / (1 - prevalence))
    losses = [
        float((np.logaddexp(0, said) - judged_on.outcomes * said).mean())
        for said in (judged_on.columns @ line, judged_on.columns @ champion, constant)
    ]
    return losses[0] < min(losses[1:])
