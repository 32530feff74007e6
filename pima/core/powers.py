"""Which power a skewed number is raised to before the fit, where none is declared for it."""

from collections.abc import Sequence

import numpy as np

from pima.core.arrays import Float32Array, Float64Array

LEAST_GAIN = 0.3
"""By so much the skewness must become smaller for a number to be changed."""


def choose_exponents(
    declared: Sequence[float | None], lows: Sequence[float | None], values: Float32Array
) -> Float32Array:
    """The declared exponent of each column (n, numbers), else the one with the least skewness of what is there.

    Roots are for numbers that are never below 0 by their declared range, reciprocals for those that are never 0 either.
    """
    chosen = [
        _least_skewed(column[np.isfinite(column)].astype(np.float64), low) if exponent is None else exponent
        for exponent, low, column in zip(declared, lows, values.T, strict=True)
    ]
    return np.array(chosen, dtype=np.float32)


def _least_skewed(values: Float64Array, low: float | None) -> float:
    candidates = [0.5] if low is not None and low >= 0 else []
    candidates += [-1.0] if low is not None and low > 0 else []
    best, least = 1.0, abs(_skewness(values)) - LEAST_GAIN
    for exponent in candidates:
        skewness = abs(_skewness(values**exponent))
        if skewness < least:
            best, least = exponent, skewness
    return best


def _skewness(values: Float64Array) -> float:
    """The third standardised moment; 0 where there is no spread."""
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())
