"""Clinics that act on those predicted 1, and some stay well: what half a year of weekly retraining
makes of their models, by what the rows count for on whom somebody acted.

The learner is a logistic line, and each challenger becomes the champion, so that nothing hides what
is learned. Rows are left out by the rule of `pima.store.rows.settling`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pima.core.arrays import BoolArray, Float64Array

WEEKS = 26
A_WEEK = 140
HISTORY = 1_000
"""Rows before the first model, on which nobody acted."""
HORIZON = 30.0
REACHED = 0.7
PREVENTED = 0.6
_SETTLED_AFTER = 5
"""Weeks, the horizon included."""
_FRESH = 20_000
_FEATURES = 8
_SPREAD = 1.25
"""The standard deviation of the true log odds."""
_RIDGE = 1.0

IfActed = Literal["nobody acts", "counts", "unknown"]
KINDS: tuple[IfActed, ...] = ("nobody acts", "counts", "unknown")


@dataclass(frozen=True, slots=True)
class ActingClinic:
    """A clinic by the share with outcome 1 where nobody acts, and by the probability from which
    on it acts."""

    intercept: float
    threshold: float
    acts_within: float = HORIZON / 10
    """Days after the prediction, at any time of which it acts alike."""


CLINICS = {
    "35 %": ActingClinic(-0.81, 0.5),
    "15 %": ActingClinic(-2.2, 0.25),
    "15 %, late": ActingClinic(-2.2, 0.25, HORIZON / 3),
}


@dataclass(frozen=True, slots=True)
class Learned:
    """What the last model says of fresh visits, and what was served."""

    risk: float
    """The mean probability."""
    true_risk: float
    called: float
    """The share that is predicted 1."""
    observed_expected: float
    """Of all predictions that count."""
    alone: float
    """Of those predicted 1, the share that counts."""


@dataclass(slots=True)
class _Rows:
    """Visits (n,) as they come week by week."""

    inputs: Float64Array
    outcomes: Float64Array
    counts: BoolArray

    def learned_by(self, week: int) -> "_Rows":
        """Those that have settled before a week."""
        until = HISTORY + A_WEEK * max(0, week - _SETTLED_AFTER)
        return _Rows(self.inputs[:until], self.outcomes[:until], self.counts[:until])


def lives(clinic: ActingClinic, seed: int) -> dict[IfActed, Learned]:
    """The same visits under each way to act, and to count."""
    return {kind: _half_year(clinic, kind, seed) for kind in KINDS}


def _half_year(clinic: ActingClinic, kind: IfActed, seed: int) -> Learned:
    draw = np.random.default_rng([seed, 9])
    rows = HISTORY + WEEKS * A_WEEK
    inputs = _with_constant(draw.normal(size=(rows, _FEATURES)))
    truth = np.concatenate([[clinic.intercept], _direction(draw)])
    outcomes = (draw.random(rows) < _logistic(inputs @ truth)).astype(np.float64)
    comes = draw.uniform(0, HORIZON, rows)
    acts = draw.uniform(0, clinic.acts_within, rows)
    is_reached = draw.random(rows) < REACHED * (kind != "nobody acts")
    helps = draw.random(rows) < PREVENTED
    found = _Rows(inputs, outcomes, np.ones(rows, dtype=bool))
    said = np.zeros(rows)
    for week in range(WEEKS):
        line = _fitted(found.learned_by(week))
        now = slice(HISTORY + A_WEEK * week, HISTORY + A_WEEK * (week + 1))
        said[now] = _logistic(inputs[now] @ line)
        # An event that came first is no matter of the action any more.
        is_acted = (said[now] >= clinic.threshold) & is_reached[now]
        is_acted &= (outcomes[now] == 0) | (acts[now] < comes[now])
        found.outcomes[now] *= ~(is_acted & helps[now])
        if kind == "unknown":
            found.counts[now] = ~is_acted
    served = slice(HISTORY, None)
    counts = found.counts[served]
    is_called = said[served] >= clinic.threshold
    fresh = _with_constant(draw.normal(size=(_FRESH, _FEATURES)))
    says = _logistic(fresh @ _fitted(found.learned_by(WEEKS)))
    return Learned(
        risk=float(says.mean()),
        true_risk=float(_logistic(fresh @ truth).mean()),
        called=float((says >= clinic.threshold).mean()),
        observed_expected=float(found.outcomes[served][counts].sum() / said[served][counts].sum()),
        alone=float(counts[is_called].mean()),
    )


def _direction(draw: np.random.Generator) -> Float64Array:
    found = draw.normal(size=_FEATURES)
    return np.asarray(_SPREAD * found / np.linalg.norm(found))


def _with_constant(inputs: Float64Array) -> Float64Array:
    return np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)


def _logistic(log_odds: Float64Array) -> Float64Array:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _fitted(rows: _Rows) -> Float64Array:
    """A logistic regression of the rows that count, by Newton's method."""
    inputs = rows.inputs[rows.counts]
    outcomes = rows.outcomes[rows.counts]
    penalty = _RIDGE * np.eye(inputs.shape[1])
    penalty[0, 0] = 0.0
    line = np.zeros(inputs.shape[1])
    for _ in range(8):
        said = _logistic(inputs @ line)
        slopes = inputs.T @ (said - outcomes) + penalty @ line
        curve = (inputs * (said * (1 - said))[:, np.newaxis]).T @ inputs + penalty
        line = line - np.linalg.solve(curve, slopes)
    return line
