"""Who people are, told by counts in bins: medians with quartiles, shares of codes, and how many
lack an input. No row's value can be read off, and no group of fewer than ten is told."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from pima.core.arrays import Float32Array
from pima.core.declared.features import Feature, Features
from pima.core.nights.bins import Bins, counts_in
from pima.core.statistics.disclosure import FEWEST_ROWS, shown

OTHERS = "others"


def inputs_of(
    features: Features, learned: Sequence[Bins], rows: Float32Array
) -> Iterator[tuple[str, str]]:
    """Describe rows (n, features), NaN where missing, by name of each feature, in the bins of those
    learned from."""
    columns = np.ascontiguousarray(rows.T)
    for feature, bins, column in zip(features, learned, columns, strict=True):
        yield feature.name, described(feature, bins, counts_in(bins, column), len(rows))


def described(feature: Feature, bins: Bins, counts: Sequence[int], rows: int) -> str:
    """Describe one input of so many rows, of which `counts` lie in its bins."""
    known = sum(counts)
    if known < FEWEST_ROWS:
        return f"fewer than {FEWEST_ROWS} known"
    if feature.kind == "number":
        told = _quartiles(bins.edges, counts, known)
    else:
        told = _shares([*(feature.codes[code] for code in bins.codes), OTHERS], counts, known)
    return f"{told}; missing: {_missing(rows - known, rows)}"


def _quartiles(edges: Sequence[float], counts: Sequence[int], known: int) -> str:
    if not edges:
        return "about the same in all"
    low, middle, high = (_at_rank(edges, counts, part * known) for part in (0.25, 0.5, 0.75))
    return f"{middle} ({low} to {high})"


def _at_rank(edges: Sequence[float], counts: Sequence[int], rank: float) -> str:
    ends = list(accumulate(counts))
    place = bisect_left(ends, rank)
    if place == 0:
        return f"under {edges[0]:.3g}"
    if place == len(edges):
        return f"{edges[-1]:.3g} and over"
    part = (rank - ends[place - 1]) / counts[place]
    return f"{edges[place - 1] + part * (edges[place] - edges[place - 1]):.3g}"


def _shares(names: Sequence[str], counts: Sequence[int], known: int) -> str:
    told = [
        f"{name} {_percent(count, known)}"
        for name, count, is_shown in zip(names, counts, shown(tuple(counts)), strict=True)
        if is_shown
    ]
    if len(told) < sum(map(bool, counts)):
        told.append("the rest not told")
    return ", ".join(told)


def _missing(rows: int, of: int) -> str:
    if not rows:
        return "none"
    return _percent(rows, of) if rows >= FEWEST_ROWS else f"fewer than {FEWEST_ROWS}"


def _percent(rows: int, of: int) -> str:
    return f"{100 * rows / of:.0f} %"
