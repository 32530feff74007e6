"""How far a night's rows lie from the training rows, and how far they may.

Both distances are sizes of an effect, not significances, which any large night would have. What so few rows show by
luck alone is allowed besides: a limit is the larger of the two.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

from pima.core.drift.bins import Bins

PSI_ALLOWED = 0.25
"""Above it a population is taken to have shifted (Siddiqi, Credit Risk Scorecards, 2006); to 0.1 it has not."""
WASSERSTEIN_ALLOWED = 0.2
"""Standard deviations: what Cohen (1988) calls a small effect, of a mean that moves."""
CHANCE = 1e-5
"""How often luck alone may take one figure of one night beyond its limit: a year has some 15,000 of them."""
_Z = 4.417173
"""Standard deviations that are exceeded so often, to both sides."""
_SPREADS = 3.0
"""Of Wasserstein's distance: by simulation this many spreads are exceeded less often than `CHANCE`."""


def population_stability_index(counts: Sequence[int], bins: Bins) -> float:
    """Of rows by bin, one at least: the sum of (p - q) ln(p / q) over the bins' shares p and q.

    Each bin counts half a row more on both sides, so that an empty one is finite.
    """
    ours, theirs = _shares(counts), _shares(bins.counts)
    return sum((p - q) * math.log(p / q) for p, q in zip(ours, theirs, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def psi_allowed(rows: int, bins: Bins) -> float:
    """Of so many rows: the same distribution gives (1/n + 1/m) times chi squared (Yurdakul and Naranjo, Journal of Risk
    Model Validation 2020, 14:3), n and m being the rows of the two sides."""
    freedom = len(bins.counts) - 1
    return max(PSI_ALLOWED, (1 / rows + 1 / bins.known) * _chi_squared(freedom)) if freedom else PSI_ALLOWED


def _chi_squared(freedom: int) -> float:
    """Exceeded with the probability `CHANCE`; by Wilson and Hilferty (1931)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + _Z * math.sqrt(part)) ** 3)


def wasserstein(counts: Sequence[int], bins: Bins) -> float:
    """Of rows by bin, one at least: how far they would have to move, on the mean, in the training rows' standard
    deviations, each bin standing where the mean of its training rows is. Nothing lies beyond the outer bins' means, so
    that a large shift looks smaller than it is."""
    ours, theirs = _cumulative(counts), _cumulative(bins.counts)
    return sum(step * abs(p - q) for step, p, q in zip(bins.steps, ours, theirs, strict=False))


def _cumulative(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in accumulate(counts)]


def wasserstein_allowed(rows: int, bins: Bins) -> float:
    """Of so many rows: each cumulative share has the standard deviation sqrt(q (1 - q) (1/n + 1/m))."""
    spread = sum(step * math.sqrt(q * (1 - q)) for step, q in zip(bins.steps, _cumulative(bins.counts), strict=False))
    return max(WASSERSTEIN_ALLOWED, _SPREADS * spread * math.sqrt(1 / rows + 1 / bins.known))


def share_allowed(floor: float, counted: int, of: int, reference: int, of_reference: int) -> float:
    """How far two shares may lie apart: the floor, or what luck does to shares of so many rows."""
    pooled = (counted + reference + 1) / (of + of_reference + 2)
    return max(floor, _Z * math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_reference)))
