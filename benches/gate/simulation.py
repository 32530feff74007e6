"""104 weeks of one clinic, retrained every week, under several ways to decide about promotion.

All policies of a run see the same rows in the same week, and those that split and fit alike see the
same challenger.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benches.gate.fast_learner import fit_ensemble, fit_nearest_neighbour
from benches.gate.policies import WEEKS, Policy, Rule, Scenario, Split
from benches.gate.population import Clinic, FreshPatients, Model, Stream, Truth, fresh_patients
from benches.gate.trials import HOLDOUT_SHARE, contest
from pima.core.rows import history
from pima.core.rows.history import features_of
from pima.core.verdicts.gate import Verdict, decide
from pima.core.verdicts.reasons import Decision
from pima.settings.reading import SHIPPED

FRESH_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Course:
    """What became of one policy in one run; a list holds one figure a week, of the champion after
    the verdict."""

    true_accuracies: list[float] = field(default_factory=list)
    reported_accuracies: list[float] = field(default_factory=list)
    harm: list[bool] = field(default_factory=list)
    """One a promotion: whether the new champion was truly less accurate than the old one at that
    moment"""


@dataclass(frozen=True, slots=True)
class Drift:
    """True accuracies after a drift, of the same recipe."""

    of_old_fit: float
    """the last challenger from before it"""
    of_fresh_fit: float
    """fitted at the end, on the training rows since the drift only"""


@dataclass(frozen=True, slots=True)
class Run:
    """One clinic, all policies."""

    courses: dict[str, Course]
    """by the policy's letter"""
    drift: Drift | None


def simulate(scenario: Scenario, seed: int) -> Run:
    """Week 0's challenger is the first champion; then 104 retrainings."""
    stream = Stream(Clinic(after_drift=scenario.after_drift), seed)
    retraining = _Retraining(scenario, seed)
    week = retraining.of(stream)
    standings = [_first(policy, week) for policy in scenario.policies]
    of_old_fit = 0.0
    for _ in range(WEEKS):
        stream.advance()
        week, last = retraining.of(stream), week
        if week.fresh is not last.fresh:
            of_old_fit = week.fresh.true_accuracy(last.challengers[_FIVE_SEEDS])
            for standing in standings:
                standing.true_accuracy = week.fresh.true_accuracy(standing.champion)
        for standing in standings:
            _judge(standing, week)
    drift = (
        Drift(of_old_fit, retraining.true_accuracy_of_fresh_fit(stream, week))
        if scenario.drifts
        else None
    )
    return Run({standing.policy.letter: standing.course for standing in standings}, drift)


_FIVE_SEEDS = (Split.HASH, 5)


@dataclass(frozen=True, slots=True)
class _Week:
    """What a retraining brings before the gate."""

    now: pd.Timestamp
    fresh: FreshPatients
    sides: dict[Split, tuple[pd.DataFrame, pd.DataFrame]]
    """training and test"""
    challengers: dict[tuple[Split, int], Model]
    """by split and members"""
    true_accuracies: dict[tuple[Split, int], float] = field(default_factory=dict)
    """worked out when first asked for"""

    def true_accuracy(self, challenger: tuple[Split, int]) -> float:
        if challenger not in self.true_accuracies:
            self.true_accuracies[challenger] = self.fresh.true_accuracy(
                self.challengers[challenger]
            )
        return self.true_accuracies[challenger]


class _Retraining:
    """Makes each week's challengers, the same for all policies that split and fit alike."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._salt = f"salt {seed}"
        self._draw = np.random.default_rng([seed, 3])
        self._fresh = {
            truth: fresh_patients(np.random.default_rng([seed, 4]), FRESH_ROWS, truth)
            for truth in (Truth.USUAL, scenario.after_drift)
        }

    def of(self, stream: Stream) -> _Week:
        one = history.split(stream.history(self._salt, HOLDOUT_SHARE), SHIPPED.features)
        sides = {
            Split.HASH: (one.training, one.holdout),
            Split.FRESH: _fresh_split(one, self._draw),
        }
        seed = int(self._draw.integers(2**32))
        is_spoiled = stream.week > 0 and self._draw.random() < self._scenario.spoiled_share
        wanted = sorted({(policy.split, policy.members) for policy in self._scenario.policies})
        training = {
            split: _spoiled(side, seed) if is_spoiled else side
            for split, (side, _) in sides.items()
        }
        challengers = {
            (split, members): self._fit(training[split], seed, members) for split, members in wanted
        }
        return _Week(stream.now, self._fresh[stream.truth], sides, challengers)

    def true_accuracy_of_fresh_fit(self, stream: Stream, last: _Week) -> float:
        training, _ = last.sides[Split.HASH]
        since_drift = training[training["labelled_at"] >= stream.drift_at]
        return last.fresh.true_accuracy(self._fit(since_drift, 0, 5))

    def _fit(self, training: pd.DataFrame, seed: int, members: int) -> Model:
        if self._scenario.luck is None:
            return fit_nearest_neighbour(features_of(training), training["outcome"].to_numpy())
        return fit_ensemble(
            features_of(training),
            training["outcome"].to_numpy(),
            seed,
            members,
            self._scenario.luck,
        )


def _fresh_split(
    one: history.Split, draw: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    every = pd.concat([one.training, one.holdout])
    in_test = draw.random(len(every)) < HOLDOUT_SHARE
    return every[~in_test], every[in_test]


def _spoiled(training: pd.DataFrame, seed: int) -> pd.DataFrame:
    shuffled = np.random.default_rng(seed).permutation(training["outcome"].to_numpy())
    return training.assign(outcome=shuffled)


@dataclass(slots=True)
class _Standing:
    """Where one policy stands."""

    policy: Policy
    champion: Model
    stored_accuracy: float
    """on the test set of its promotion"""
    true_accuracy: float
    """on fresh patients as they are now"""
    course: Course = field(default_factory=Course)

    @property
    def wanted(self) -> tuple[Split, int]:
        return self.policy.split, self.policy.members


def _verdict(policy: Policy, week: _Week, champion: Model | None) -> Verdict:
    challenger = week.challengers[policy.split, policy.members]
    _, test = week.sides[policy.split]
    return decide(contest(test, challenger, champion, policy.window, week.now), policy.options)


def _first(policy: Policy, week: _Week) -> _Standing:
    key = policy.split, policy.members
    verdict = _verdict(policy, week, None)
    return _Standing(
        policy,
        week.challengers[key],
        verdict.figures.challenger_scores.accuracy,
        week.true_accuracy(key),
    )


def _judge(standing: _Standing, week: _Week) -> None:
    policy, course = standing.policy, standing.course
    verdict = _verdict(policy, week, standing.champion)
    reported = (
        standing.stored_accuracy
        if policy.rule is Rule.STORED
        else verdict.figures.champion_scores.accuracy
    )
    if _promotes(standing, verdict):
        true_accuracy = week.true_accuracy(standing.wanted)
        course.harm.append(true_accuracy < standing.true_accuracy)
        standing.champion, standing.true_accuracy = week.challengers[standing.wanted], true_accuracy
        reported = standing.stored_accuracy = verdict.figures.challenger_scores.accuracy
    course.true_accuracies.append(standing.true_accuracy)
    course.reported_accuracies.append(reported)


def _promotes(standing: _Standing, verdict: Verdict) -> bool:
    return {
        Rule.STORED: verdict.figures.challenger_scores.accuracy > standing.stored_accuracy,
        Rule.DECIDE: verdict.decision is Decision.PROMOTED,
        Rule.ALWAYS: True,
        Rule.NEVER: False,
    }[standing.policy.rule]
