"""Samples: probabilities beside the outcomes that came, and how good each answer is.

Functions of a sample take each row's own loss or worth, so that two models can be compared row by
row: on most rows both are right or both are wrong, and such rows do not show which is better.
"""

from dataclasses import dataclass, fields

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.statistics.estimates import Estimate, Persons, proportion, widening

# A probability of exactly 0 or 1 that turns out wrong would cost infinitely much; this caps it at
# 16 nats.
_SMALLEST_PROBABILITY = 1e-7
NO_CASES = "no rows with outcome 1"
NO_OTHERS = "no rows with outcome 0"


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows (n,) with what a model said of them, and what came true."""

    probabilities: Float64Array
    cases: BoolArray
    """Whether the outcome is 1."""
    thresholds: Float64Array
    """From which probability on each row was predicted 1."""
    persons: Int64Array
    """The numbers of their persons."""

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def ranked(self) -> "Sample":
        """The same rows in ascending order of their probabilities."""
        order = np.argsort(self.probabilities, kind="stable")
        return Sample(*(getattr(self, each.name)[order] for each in fields(self)))

    @property
    def positive(self) -> int:
        """How many have outcome 1."""
        return int(self.cases.sum())

    @property
    def called(self) -> BoolArray:
        """The rows, (n,), that were predicted 1."""
        return self.probabilities >= self.thresholds

    @property
    def correct(self) -> BoolArray:
        """The rows, (n,), whose predicted class is the outcome."""
        return self.called == self.cases

    @property
    def log_odds(self) -> Float64Array:
        """Log odds of the probabilities, (n,), bounded as for the log loss."""
        return log_odds(self.probabilities)

    @property
    def log_losses(self) -> Float64Array:
        """The loss of each row, (n,)."""
        return log_losses(self.probabilities, self.cases)

    @property
    def squared_errors(self) -> Float64Array:
        """Square how far each probability is from the outcome, (n,); the mean is the Brier
        score."""
        return (self.probabilities - self.cases) ** 2

    def net_benefits(self, threshold: Float64Array | float) -> Float64Array:
        """Value each row, (n,), for someone who acts at this probability or above: 1 for a found
        case, minus the threshold's odds for a false alarm, else 0. The mean is the net benefit."""
        worths = np.where(self.cases, 1.0, -odds(threshold))
        return np.where(self.probabilities >= threshold, worths, 0.0)

    def proportion(self, chosen: BoolArray, among: BoolArray, nothing: str) -> Estimate:
        """The proportion of the rows `among` others that are `chosen`, both (n,), of as many rows
        as say as much."""
        is_chosen = chosen[among].astype(np.float64)
        effect = widening(is_chosen, self.persons[among]) ** 2
        return proportion(float(is_chosen.sum()) / effect, len(is_chosen) / effect, nothing)

    @property
    def lacks_a_class(self) -> Estimate | None:
        """Why nothing can be said of how cases and others differ; None if both are there."""
        if 0 < self.positive < len(self):
            return None
        return Estimate(None, reason=NO_OTHERS if self.positive else NO_CASES)


def sample_of(
    probabilities: Float64Array,
    outcomes: Int8Array,
    threshold: Float64Array | float = 0.5,
    persons: Persons = None,
) -> Sample:
    """Put probabilities beside outcomes, both (n,), and the rows' persons, (n,); the threshold is
    one for all, or (n,). Without persons each row is one's only one."""
    if persons is None:
        persons = np.arange(len(outcomes))
    thresholds = np.broadcast_to(threshold, outcomes.shape)
    return Sample(probabilities, outcomes == 1, thresholds, persons)


def log_odds(probabilities: Float64Array) -> Float64Array:
    """Turn probabilities (n,) into log odds, which are finite."""
    within = _bounded(probabilities)
    return np.log(within) - np.log1p(-within)


def log_losses(probabilities: Float64Array, outcomes: Int8Array | BoolArray) -> Float64Array:
    """The negative log likelihood of each outcome, (n,)."""
    within = _bounded(probabilities)
    return -np.log(np.where(outcomes == 1, within, 1 - within))


def _bounded(probabilities: Float64Array) -> Float64Array:
    return np.clip(probabilities, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)


def odds(threshold: Float64Array | float) -> Float64Array | float:
    """The cost of a false alarm, in found cases, for someone who acts at this probability or above:
    t / (1 - t)."""
    within = np.minimum(threshold, 1 - _SMALLEST_PROBABILITY)
    return within / (1 - within)
