"""How a feature, or the probability, is distributed over rows, in bins that the training rows decide.

A bin has ten of them at least, and ends halfway between two values, so that no row's value can be read off.
"""

from itertools import pairwise

import numpy as np
from msgspec import Struct

from pima.core.arrays import Float32Array, Float64Array
from pima.core.features import Feature

MOST_BINS = 10
"""Deciles, as the population stability index is used since the 1990s."""
FEWEST_ROWS = 10
"""Of the training rows in a bin."""


class Bins(Struct, frozen=True):
    """The training rows of one feature, or their probabilities."""

    counts: tuple[int, ...]
    """Rows in each bin; those without the feature are in none."""
    edges: tuple[float, ...] = ()
    """Of a number: a bin holds its lower edge and what is below the upper one; the outer bins are open."""
    codes: tuple[int, ...] = ()
    """Of a category: each has a bin of its own, and all others share the last one."""
    steps: tuple[float, ...] = ()
    """Of a number: from each bin's mean to the next one's, in standard deviations; empty where all rows are alike."""

    @property
    def known(self) -> int:
        """Rows that have the feature."""
        return sum(self.counts)


def bins_of(feature: Feature, column: Float32Array) -> Bins:
    """Of training rows (n,), NaN where missing."""
    return category_bins(column, tuple(feature.codes)) if feature.kind == "category" else number_bins(column)


def number_bins(column: Float32Array | Float64Array) -> Bins:
    """Of numbers (n,), NaN where missing: `MOST_BINS` of equal size where the values allow it, else fewer."""
    ordered = np.sort(column.astype(np.float64)[~np.isnan(column)])
    edges = _edges(ordered)
    counts = counts_in(Bins((), edges), column)
    return Bins(counts, edges, steps=_steps(ordered, counts))


def category_bins(column: Float32Array, codes: tuple[int, ...]) -> Bins:
    """Of codes (n,), NaN where missing: the rare ones share a bin with what no row has."""
    rows = {code: int(np.count_nonzero(column == code)) for code in sorted(codes)}
    kept = [code for code in rows if rows[code] >= FEWEST_ROWS]
    others = int(np.count_nonzero(~np.isnan(column))) - sum(rows[code] for code in kept)
    if kept and 0 < others < FEWEST_ROWS:
        kept.remove(min(kept, key=rows.__getitem__))
    found = Bins((), codes=tuple(kept))
    return Bins(counts_in(found, column), codes=found.codes)


def counts_in(bins: Bins, column: Float32Array | Float64Array) -> tuple[int, ...]:
    """How many of the values (n,), NaN where missing, each bin holds."""
    known = len(column) - int(np.count_nonzero(np.isnan(column)))
    if bins.codes:
        each = [int(np.count_nonzero(column == code)) for code in bins.codes]
        return (*each, known - sum(each))
    # A comparison a bin is ten times as fast as a search for each value.
    from_edge_on = [known, *(int(np.count_nonzero(column >= least)) for least in _least(bins.edges, column)), 0]
    return tuple(one - next_one for one, next_one in pairwise(from_edge_on))


def _least(edges: tuple[float, ...], column: Float32Array | Float64Array) -> Float32Array | Float64Array:
    """What a value of the column is at least, from each edge on: no edge need be one of its type."""
    exact = np.array(edges, dtype=np.float64)
    if column.dtype == np.float64:
        return exact
    nearest = exact.astype(np.float32)
    return np.where(nearest < exact, np.nextafter(nearest, np.float32(np.inf)), nearest)


def _edges(ordered: Float64Array) -> tuple[float, ...]:
    """Near the quantiles of sorted values (n,), where values differ and leave each bin rows enough."""
    rows, bins = len(ordered), min(MOST_BINS, len(ordered) // FEWEST_ROWS)
    cuts = [0]
    for wanted in (n * rows // bins for n in range(1, bins)):
        cut = _nearest_change(ordered, wanted)
        if cut - cuts[-1] >= FEWEST_ROWS and rows - cut >= FEWEST_ROWS:
            cuts.append(cut)
    return tuple(_between(float(ordered[cut - 1]), float(ordered[cut])) for cut in cuts[1:])


def _nearest_change(ordered: Float64Array, wanted: int) -> int:
    """Before or behind the values that are equal to the wanted one, whichever is nearer."""
    first, behind = (int(np.searchsorted(ordered, ordered[wanted], side)) for side in ("left", "right"))
    return first if wanted - first <= behind - wanted else behind


def _between(lower: float, upper: float) -> float:
    """Halfway, also between neighbours of float32, which features are."""
    middle = lower / 2 + upper / 2
    return middle if lower < middle <= upper else upper


def _steps(ordered: Float64Array, counts: tuple[int, ...]) -> tuple[float, ...]:
    deviation = float(ordered.std()) if len(ordered) else 0.0
    if len(counts) < 2 or not deviation > 0:
        return ()
    starts = np.cumsum((0, *counts[:-1]))
    means = np.add.reduceat(ordered, starts) / np.array(counts)
    return tuple((np.diff(means) / deviation).tolist())
