"""Disclosure control: which counts may be shown, so that nobody can be singled out.

Small cells are suppressed or joined, and so are larger ones from which these could be worked out.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pima.core.arrays import BoolArray, Int64Array

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 10
"""A subgroup with fewer is not shown: its people could be singled out."""
FEW_ROWS = 50
"""A subgroup with fewer is marked, since its figures say little, and no rule of the gate uses
it."""


def shown(sizes: tuple[int, ...]) -> tuple[bool, ...]:
    """Choose the groups of one feature that may be shown.

    All groups add up to the test set, whose size is known, so a single hidden group could be
    calculated. If any group is held back, the next larger ones are too, until two groups and
    `FEWEST_ROWS` rows are.
    """
    filled = [group for group, size in enumerate(sizes) if size]
    few = _few(np.array([[sizes[group] for group in filled]]))
    held_back = {filled[place] for place in few}
    return tuple(bool(size) and group not in held_back for group, size in enumerate(sizes))


def few_together(groups: "pd.Series", *counted: BoolArray) -> "pd.Series":
    """Join the smallest categories into one, until each has `FEWEST_ROWS` rows, or of each kind of
    rows that is counted, (n,). All add up to what is known, so what joined ones have together could
    be worked out anyway."""
    groups = groups.cat.remove_unused_categories()
    names = groups.cat.categories
    kinds = counted or (np.ones(len(groups), dtype=bool),)
    few = _few(np.array([groups[kind].value_counts(sort=False) for kind in kinds]))
    parts = names[np.sort(few)]
    name = ", ".join(parts)
    # A declared label may be this name: then all of these are told together.
    joined = groups.cat.set_categories(dict.fromkeys([*names, name]))
    return joined.mask(groups.isin(parts), name).cat.remove_unused_categories()


def _few(sizes: Int64Array) -> Int64Array:
    """Find the smallest groups, by their rows of each kind, (kinds, groups): all that have fewer
    than `FEWEST_ROWS`, and the next larger ones until there are two, and so many rows together."""
    order = sizes.min(axis=0).argsort(kind="stable")
    few = 0
    while few < len(order) and (
        few == 1
        or sizes[:, order[few]].min() < FEWEST_ROWS
        or (few and sizes[:, order[:few]].sum(axis=1).min() < FEWEST_ROWS)
    ):
        few += 1
    return order[:few]


def shown_sizes(groups: "pd.Series") -> dict[str, int | None]:
    """The rows of each category, small ones together; None of a single one that is small."""
    sizes = few_together(groups).value_counts(sort=False)
    return dict(sizes.astype(object).where(sizes >= FEWEST_ROWS, None).items())


def merged(bounds: Sequence[float], above: Mapping[float, int], fewest: int) -> list[float]:
    """Leave out bounds, but for the first and the last, so that `fewest` rows lie between each two.
    `above` has the rows at each bound or above."""
    first, *inner, last = bounds
    kept = [first]
    for bound in inner:
        if min(above[kept[-1]] - above[bound], above[bound] - above[last]) >= fewest:
            kept.append(bound)
    return [*kept, last]
