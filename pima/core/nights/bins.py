"""Bins in which rows are counted, by the training rows of a version.

A bin has at least ten of these, and ends halfway between two values, so that no row's value can be
read off.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct

from pima.core.arrays import Float32Array, Float64Array

MOST_BINS = 10
"""Deciles, as the population stability index is used since the 1990s."""
FEWEST_ROWS_OF_BIN = 10


class Bins(Struct, frozen=True):
    """The training rows of one feature, or their probabilities."""

    counts: tuple[int, ...]
    """Rows in each bin; rows without the feature are in no bin."""
    edges: tuple[float, ...] = ()
    """Edges for a number: a bin includes its lower edge and excludes its upper one; the outer bins
    are open."""
    codes: tuple[int, ...] = ()
    """Codes of a category: each of these has its own bin, and all others share the last one. One
    that no training row has is among these."""
    steps: tuple[float, ...] = ()
    """A number's steps from each bin's mean to the next one's, in standard deviations; empty if all
    rows are alike."""

    @property
    def known(self) -> int:
        """Rows that have the feature."""
        return sum(self.counts)


def number_bins(column: Float32Array | Float64Array) -> Bins:
    """Divide numbers (n,), NaN where missing: `MOST_BINS` of equal size where the values allow it,
    else fewer."""
    ordered = np.sort(column.astype(np.float64)[~np.isnan(column)])
    edges = _edges(ordered)
    counts = counts_in(Bins((), edges), column)
    return Bins(counts, edges, steps=_steps(ordered, counts))


def category_bins(column: Float32Array, codes: tuple[int, ...]) -> Bins:
    """Divide codes (n,), NaN where missing: rare codes share a bin."""
    rows = {code: int(np.count_nonzero(column == code)) for code in sorted(codes)}
    kept = [code for code in rows if rows[code] >= FEWEST_ROWS_OF_BIN]
    others = int(np.count_nonzero(~np.isnan(column))) - sum(rows[code] for code in kept)
    if kept and 0 < others < FEWEST_ROWS_OF_BIN:
        kept.remove(min(kept, key=rows.__getitem__))
    kept = [code for code in rows if code in kept or not rows[code]]
    return Bins(counts_in(Bins((), codes=tuple(kept)), column), codes=tuple(kept))


def counts_in(bins: Bins, column: Float32Array | Float64Array) -> tuple[int, ...]:
    """Count the values (n,), NaN where missing, in each bin."""
    known = len(column) - int(np.count_nonzero(np.isnan(column)))
    if bins.codes:
        each = [int(np.count_nonzero(column == code)) for code in bins.codes]
        return (*each, known - sum(each))
    exact = column.astype(np.float64)
    # One comparison per bin is ten times as fast as a search for each value.
    from_edge_on = [known, *(int(np.count_nonzero(exact >= edge)) for edge in bins.edges), 0]
    return tuple(one - next_one for one, next_one in pairwise(from_edge_on))


def recounted(counts: Sequence[int], bins: Bins, other: Bins) -> tuple[int, ...]:
    """Estimate how many rows lie in each of the other bins, from how many lie in each of these.

    What both have in common, an edge or a code, divides them exactly. Where a bin lies in several
    of the others, its rows are divided as the other's training rows are, so that they seem no
    farther from these than is known.
    """
    if other.codes:
        return _recounted_codes(counts, bins, other)
    if not other.edges:
        return (sum(counts),)
    ends = np.cumsum(other.counts)
    # Each edge as a rank among the other's training rows; one above all of theirs is behind these.
    ranks = np.interp(bins.edges, other.edges, ends[:-1], right=ends[-2] + 0.001)
    below = np.interp(ends, [0, *ranks, ends[-1]], [0, *np.cumsum(counts)])
    return tuple(np.diff(np.rint(below).astype(int), prepend=0).tolist())


def _recounted_codes(counts: Sequence[int], bins: Bins, other: Bins) -> tuple[int, ...]:
    of_code = dict(zip(bins.codes, counts, strict=False))
    kept = [of_code.get(code, 0) for code in other.codes]
    rare_there = sum(of_code.values()) - sum(kept)
    # Rows of codes that were rare here may have one that has a bin of its own there.
    weights = [
        rows * (code not in of_code) for code, rows in zip(other.codes, other.counts, strict=False)
    ]
    ends = np.cumsum([*weights, max(other.counts[-1], 1)])
    below = np.rint(counts[-1] * ends / ends[-1]).astype(int)
    divided = np.diff(below, prepend=0).tolist()
    return tuple(map(sum, zip(divided, [*kept, rare_there], strict=True)))


def _edges(ordered: Float64Array) -> tuple[float, ...]:
    """Find edges near the quantiles of sorted values (n,), where neighbours differ and each bin
    keeps enough rows."""
    rows = len(ordered)
    bins = min(MOST_BINS, rows // FEWEST_ROWS_OF_BIN)
    cuts = [0]
    for wanted in (n * rows // bins for n in range(1, bins)):
        first, behind = (
            int(np.searchsorted(ordered, ordered[wanted], side)) for side in ("left", "right")
        )
        cut = first if wanted - first <= behind - wanted else behind
        if cut - cuts[-1] >= FEWEST_ROWS_OF_BIN and rows - cut >= FEWEST_ROWS_OF_BIN:
            cuts.append(cut)
    return tuple(_between(float(ordered[cut - 1]), float(ordered[cut])) for cut in cuts[1:])


def _between(low: float, high: float) -> float:
    """Halfway, or at the higher value if float64 has nothing in between."""
    middle = low / 2 + high / 2
    return middle if low < middle <= high else high


def _steps(ordered: Float64Array, counts: tuple[int, ...]) -> tuple[float, ...]:
    if len(counts) < 2 or not (deviation := float(ordered.std())) > 0:
        return ()
    starts = np.cumsum((0, *counts[:-1]))
    means = np.add.reduceat(ordered, starts) / np.array(counts)
    return tuple((np.diff(means) / deviation).tolist())
