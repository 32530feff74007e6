"""Which power a skewed number is raised to before the fit, where none is declared for it."""

from collections.abc import Sequence

import numpy as np

from pima.core.arrays import Float32Array, Float64Array

LEAST_GAINS = {0.5: 0.3, -1.0: 1.0}
"""By so much a power must make the skewness smaller than what was best before it; the reciprocal by more, since it
turns the order round and spreads what is near 0."""


def powers_to_choose_from(low: float | None) -> tuple[float, ...]:
    """Besides 1: the root of what is never below 0 by its declared range, the reciprocal of what is never 0 either."""
    if low is None or low < 0:
        return ()
    return (0.5, -1.0) if low > 0 else (0.5,)


def choose_exponents(
    declared: Sequence[float | None], lows: Sequence[float | None], values: Float32Array
) -> Float32Array:
    """The declared exponent of each column (n, numbers), else 1, 1/2 or -1 by the skewness of what is there."""
    chosen = [
        _less_skewed(column[np.isfinite(column)].astype(np.float64), low) if exponent is None else exponent
        for exponent, low, column in zip(declared, lows, values.T, strict=True)
    ]
    return np.array(chosen, dtype=np.float32)


def _less_skewed(values: Float64Array, low: float | None) -> float:
    best, least = 1.0, abs(_skewness(values))
    for exponent in powers_to_choose_from(low):
        skewness = abs(_skewness(values**exponent))
        if skewness < least - LEAST_GAINS[exponent]:
            best, least = exponent, skewness
    return best


def _skewness(values: Float64Array) -> float:
    """The third standardised moment; 0 where there is no spread."""
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())
