"""Which subgroups may be shown, and in which one a challenger does worst."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.evidence.bands import Grouping

FEWEST_ROWS = 10
"""A subgroup with fewer is not shown: too few people to be nobody in particular."""
FEW_ROWS = 50
"""One with fewer is marked, since its figures say little, and no rule of the gate asks it."""


def shown(sizes: tuple[int, ...]) -> tuple[bool, ...]:
    """Which groups of one feature may be shown. They add up to the test set, whose rows are known: so what is held back
    is two groups at least, of `FEWEST_ROWS` together at least, the next larger ones with the small ones."""
    ascending = sorted((size, group) for group, size in enumerate(sizes) if size)
    held_back: list[int] = []
    rows = 0
    for size, group in ascending:
        is_enough = not held_back or (len(held_back) > 1 and rows >= FEWEST_ROWS)
        if size >= FEWEST_ROWS and is_enough:
            break
        held_back.append(group)
        rows += size
    return tuple(bool(size) and group not in held_back for group, size in enumerate(sizes))


@dataclass(frozen=True, slots=True)
class WorstSubgroup:
    """Where a challenger does worst beside the champion."""

    feature: str
    group: str
    rows: int
    gain: float
    """On the champion, in the measure's unit; below 0 where the challenger is worse."""


def worst_subgroup(gains: Float64Array, found: tuple[Grouping, ...]) -> WorstSubgroup | None:
    """Of the subgroups with `FEW_ROWS` and more that are shown, by gains (n,); None where there is none."""
    candidates = [each for grouping in found for each in _gains(gains, grouping)]
    return min(candidates, key=lambda each: each.gain, default=None)


def _gains(gains: Float64Array, grouping: Grouping) -> list[WorstSubgroup]:
    sizes = grouping.sizes
    sums = np.bincount(grouping.members, weights=gains, minlength=len(sizes)).tolist()
    return [
        WorstSubgroup(grouping.feature, group, size, total / size)
        for group, size, total, is_shown in zip(grouping.groups, sizes, sums, shown(sizes), strict=True)
        if is_shown and size >= FEW_ROWS
    ]
