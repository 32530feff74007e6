"""What many runs of a scenario come to, policy by policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benches.gate.policies import Policy, Scenario
from benches.gate.population import Clinic
from benches.gate.simulation import Run
from pima.core.arrays import Float64Array

_DRIFT = Clinic().drift_week - 1
"""The position of the drift's week in a course, which starts with week 1."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One policy; arrays are (runs,), accuracies, optimism and `behind` in points.

    After a drift, a run has recovered once its champion is truly nearer to a fit on the rows since
    the drift than to the last fit from before it.
    """

    policy: Policy
    true_accuracy: Float64Array
    """mean over the weeks"""
    promotions: Float64Array
    harmful: Float64Array
    optimism: Float64Array
    """the standing champion's accuracy as the policy reports it less its true one, mean over the
    weeks"""
    recovered_share: float
    """of the runs; NaN without drift, as the next two"""
    median_weeks: float
    """of the runs that recover; NaN where none does"""
    behind: Float64Array
    """how far the last champion is below the fit on the rows since the drift"""


def summaries(scenario: Scenario, runs: Sequence[Run]) -> dict[str, Summary]:
    """By the policy's letter."""
    return {policy.letter: _summary(policy, runs) for policy in scenario.policies}


def _summary(policy: Policy, runs: Sequence[Run]) -> Summary:
    courses = [run.courses[policy.letter] for run in runs]
    true = 100 * np.array([course.true_accuracies for course in courses])
    reported = 100 * np.array([course.reported_accuracies for course in courses])
    promotions = np.array([len(course.harm) for course in courses], dtype=np.float64)
    harmful = np.array([sum(course.harm) for course in courses], dtype=np.float64)
    optimism = (reported - true).mean(axis=1)
    return Summary(policy, true.mean(axis=1), promotions, harmful, optimism, *_recovery(runs, true))


def _recovery(runs: Sequence[Run], true: Float64Array) -> tuple[float, float, Float64Array]:
    drifts = [(run.drift.of_old_fit, run.drift.of_fresh_fit) for run in runs if run.drift]
    if not drifts:
        return np.nan, np.nan, np.full(len(runs), np.nan)
    old, fresh = 100 * np.array(drifts).T
    nearer_to_fresh = true[:, _DRIFT:] >= (old + fresh)[:, None] / 2
    recovered = nearer_to_fresh.any(axis=1)
    weeks = nearer_to_fresh.argmax(axis=1)[recovered]
    return (
        float(recovered.mean()),
        float(np.median(weeks)) if len(weeks) else np.nan,
        fresh - true[:, -1],
    )


def standard_error(values: Float64Array) -> float:
    """Of the mean of (runs,)."""
    return float(values.std(ddof=1) / len(values) ** 0.5)
