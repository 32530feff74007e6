"""Which power a skewed number is raised to before the fit, where none is declared for it."""

from collections.abc import Sequence

import numpy as np

from pima.core.arrays import Float32Array, Float64Array

LEAST_GAIN = 0.3
"""By so much the root must make the skewness smaller to be taken."""
LEAST_GAIN_OF_RECIPROCAL = 1.0
"""And the reciprocal, beside what was best before it: it turns the order round and spreads what is near 0."""


def choose_exponents(
    declared: Sequence[float | None], lows: Sequence[float | None], values: Float32Array
) -> Float32Array:
    """The declared exponent of each column (n, numbers), else 1, 1/2 or -1 by the skewness of what is there.

    Roots are for numbers that are never below 0 by their declared range, reciprocals for those that are never 0 either.
    """
    chosen = [
        _less_skewed(column[np.isfinite(column)].astype(np.float64), low) if exponent is None else exponent
        for exponent, low, column in zip(declared, lows, values.T, strict=True)
    ]
    return np.array(chosen, dtype=np.float32)


def _less_skewed(values: Float64Array, low: float | None) -> float:
    candidates = [(0.5, LEAST_GAIN)] if low is not None and low >= 0 else []
    candidates += [(-1.0, LEAST_GAIN_OF_RECIPROCAL)] if low is not None and low > 0 else []
    best, least = 1.0, abs(_skewness(values))
    for exponent, gain in candidates:
        skewness = abs(_skewness(values**exponent))
        if skewness < least - gain:
            best, least = exponent, skewness
    return best


def _skewness(values: Float64Array) -> float:
    """The third standardised moment; 0 where there is no spread."""
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())
