"""Learners that fit in milliseconds, for statements about the gate that need thousands of fits.

The ensemble stands in for small networks: each member is a logistic regression on random silu
units. How much its predictions owe to the seed is set by `luck`, so that it can be as lucky as the
tutorial's network or as the service's own; `benches.gate` measures both beside Keras. The
nearest neighbour is the worst case of a model that memorises.
"""

from dataclasses import dataclass, field

import numpy as np

from pima.core.arrays import Float32Array, Float64Array, Int8Array

TUTORIAL_LUCK = 1.0
"""Two single seeds disagree about as often as two fits of the tutorial's network."""
SERVICE_LUCK = 0.05
"""Two single seeds disagree about as often as two networks of the service's recipe: its prior
leaves little to luck."""

_UNITS = 24
_PRIOR = 3.0
"""L2 on the read-out, as in the service's recipe: 3 / rows beside a mean loss."""
_NEWTON_STEPS = 5
_COMMON_DIRECTIONS = np.random.default_rng(1).normal(size=(9, _UNITS))


@dataclass(frozen=True, slots=True)
class _Scale:
    mean: Float32Array
    deviation: Float32Array

    def standardise(self, features: Float32Array) -> Float32Array:
        """What is missing becomes the mean."""
        scaled = (features - self.mean) / self.deviation
        return np.where(np.isnan(scaled), np.float32(0), scaled)


def _scale_of(features: Float32Array) -> _Scale:
    return _Scale(np.nanmean(features, axis=0), np.nanstd(features, axis=0) + np.float32(1e-6))


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members with their logits averaged, folded into one."""

    scale: _Scale
    directions: Float32Array
    """(9, members * units), the last row the biases"""
    read_out: Float32Array
    """(members * units + 1,), the last one the bias"""
    said: dict[int, tuple[Float32Array, Float64Array]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Its answers by the identity of the rows, which stand beside them: several policies ask of the
    same ones."""

    def probabilities(self, features: Float32Array) -> Float64Array:
        if id(features) not in self.said:
            self.said[id(features)] = (features, self._asked(features))
        return self.said[id(features)][1]

    def _asked(self, features: Float32Array) -> Float64Array:
        units = _units(self.scale.standardise(features), self.directions)
        found = _logistic(units @ self.read_out[:-1] + self.read_out[-1]).astype(np.float64)
        found.flags.writeable = False
        return found


def fit_ensemble(
    features: Float32Array, outcomes: Int8Array, seed: int, members: int, luck: float
) -> Ensemble:
    """(n, 8) and (n,); the same seed gives the same model."""
    scale = _scale_of(features)
    standardised = scale.standardise(features)
    directions = [
        _directions(np.random.default_rng([seed, member]), luck) for member in range(members)
    ]
    read_outs = np.array(
        [_read_out(_units(standardised, member), outcomes) for member in directions]
    )
    kernel, bias = read_outs[:, :-1].ravel() / members, read_outs[:, -1].mean(keepdims=True)
    return Ensemble(scale, np.concatenate(directions, axis=1), np.concatenate([kernel, bias]))


def _directions(draw: np.random.Generator, luck: float) -> Float32Array:
    own = draw.normal(size=(9, _UNITS))
    return ((np.sqrt(1 - luck**2) * _COMMON_DIRECTIONS + luck * own) / np.sqrt(8)).astype(
        np.float32
    )


def _units(standardised: Float32Array, directions: Float32Array) -> Float32Array:
    inner = standardised @ directions[:-1] + directions[-1]
    return inner * _logistic(inner)


def _logistic(inner: Float32Array) -> Float32Array:
    return 1 / (1 + np.exp(-inner))


def _read_out(units: Float32Array, outcomes: Int8Array) -> Float32Array:
    """Newton's steps of a logistic regression with L2 on all but the bias."""
    inputs = np.concatenate([units, np.ones((len(units), 1), np.float32)], axis=1)
    prior = np.append(np.full(units.shape[1], _PRIOR), 1e-3).astype(np.float32)
    weights = np.zeros_like(prior)
    for _ in range(_NEWTON_STEPS):
        probabilities = _logistic(inputs @ weights)
        gradient = inputs.T @ (probabilities - outcomes) + prior * weights
        curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs + np.diag(
            prior
        )
        weights = weights - np.linalg.solve(curvature, gradient)
    return weights


@dataclass(frozen=True, slots=True)
class NearestNeighbour:
    """Answers with the outcome of the most similar training row, so it is right on all rows that it
    was trained on."""

    scale: _Scale
    standardised: Float32Array
    outcomes: Int8Array

    def probabilities(self, features: Float32Array) -> Float64Array:
        rows = self.scale.standardise(features)
        distances = (self.standardised**2).sum(axis=1) - 2 * rows @ self.standardised.T
        return np.where(self.outcomes[distances.argmin(axis=1)] == 1, 0.95, 0.05)


def fit_nearest_neighbour(features: Float32Array, outcomes: Int8Array) -> NearestNeighbour:
    """(n, 8) and (n,)"""
    scale = _scale_of(features)
    return NearestNeighbour(scale, scale.standardise(features), outcomes)
