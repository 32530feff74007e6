"""From what a score in use says to probabilities, so that it can be compared with a model.

A probability is taken as it is. Points become one by a logistic regression on training rows: two
numbers, so that it makes hardly any difference by whose outcomes they were found.
"""

import math
from dataclasses import replace

import numpy as np
from msgspec import Struct

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.declared.present_score import FEWEST_OF_EACH_OUTCOME, PresentScore
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.logistic_regression import fit_penalised, logistic
from pima.core.verdicts.contest import Contestant, Role

_STRENGTH = 1e-6
"""As weak a penalty as keeps the fit finite where points separate the outcomes."""


class ScoreScale(Struct, frozen=True):
    """How a score's values become probabilities of outcome 1."""

    intercept: float | None = None
    slope: float | None = None
    """Log odds for each point; both None: the values are probabilities."""

    def probabilities(self, values: Float64Array) -> Float64Array:
        """(n,) -> (n,)"""
        if self.intercept is None or self.slope is None:
            return values
        return logistic(self.intercept + self.slope * values)

    def threshold(self, score: PresentScore) -> float:
        """The probability from which on people act by the score; infinite if it is used without a
        threshold."""
        if score.threshold is None:
            return math.inf
        return float(self.probabilities(np.array([score.threshold]))[0])

    def stands_beside(
        self, model: Contestant, score: PresentScore, values: Float64Array, known: BoolArray
    ) -> Contestant:
        """The score as a contestant beside the model, on the rows of which it is `known`; `values`
        (n,) are what it says of the model's rows."""
        return replace(
            model,
            name=score.called,
            declared=score.name,
            role=Role.PRESENT_SCORE,
            decides=False,
            threshold=self.threshold(score),
            probabilities=self.probabilities(values),
            scorable=known,
        )


def is_known(score: PresentScore, values: Float64Array) -> BoolArray:
    """Find the rows, (n,), of which the score says anything that it can say."""
    low, high = score.limits
    return np.isfinite(values) & (values >= low) & (values <= high)


def without_few(known: BoolArray, among: BoolArray) -> BoolArray:
    """The rows of `among` that are `known`, both (n,).

    If only a few are unknown, some of the known ones are left out, too: the figures of all rows,
    beside the figures of all but a few, would give those few away.
    """
    unknown = int((among & ~known).sum())
    told = among & known
    if 0 < unknown < FEWEST_ROWS:
        told[np.flatnonzero(told)[: FEWEST_ROWS - unknown]] = False
    return told


def scale_of(score: PresentScore, values: Float64Array, outcomes: Int8Array) -> ScoreScale | None:
    """Find the scale on training rows (n,) of which the score is known; None if there are too few.

    The risk never moves against the declared direction: a score that points the wrong way here
    tells nobody apart.
    """
    if score.kind == "probability":
        return ScoreScale()
    cases = int((outcomes == 1).sum())
    if min(cases, len(outcomes) - cases) < FEWEST_OF_EACH_OUTCOME:
        return None
    mean = float(values.mean())
    spread = float(values.std()) or 1.0
    inputs = ((values - mean) / spread).astype(np.float32)[:, None]
    intercept, weight = fit_penalised(inputs, outcomes, _STRENGTH).tolist()
    slope = weight / spread
    if (slope > 0) == (score.direction == "falling"):
        return ScoreScale(math.log(cases / (len(outcomes) - cases)), 0.0)
    return ScoreScale(intercept - slope * mean, slope)
