"""Subgroups: the groups into which a feature, or a group that no model sees, divides patients, and
the worst of them.

Bands are declared, or else the rounded quartiles of the first training rows by id. These rows stay
the first ones, and their number only doubles; so bands move only a few times in all, and verdicts
stay comparable.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Float64Array
from pima.core.declared.features import Feature, Features
from pima.core.statistics.disclosure import FEW_ROWS, few_together, shown
from pima.core.verdicts.verdict import WorstSubgroup

NO_VALUE = "missing"
MOST_ROWS_OF_BANDS = 4_096
"""The most training rows whose quartiles make the bands."""


def groupings(features: Features, rows: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Divide rows by each feature or group into named categories; the last one is for rows without
    it. If no bands are declared, the training rows determine them."""
    divided = {
        each.name: _grouping(each, rows[each.name], training[each.name]) for each in features
    }
    return pd.DataFrame(divided, index=rows.index)


def _grouping(feature: Feature, column: pd.Series, training: pd.Series) -> pd.Categorical:
    # Of a group it has all digits, and a value on an edge would lie beside it.
    with np.errstate(over="ignore"):
        values, learned = (each.to_numpy(np.float32) for each in (column, training))
    if feature.kind == "category":
        groups = tuple(feature.codes[code] for code in sorted(feature.codes))
        # Of a group any number may stand in its column, written by SQL.
        names = [feature.codes.get(value, NO_VALUE) for value in values.tolist()]
    else:
        # A power of two of rows, so that bands move only when the number of rows has doubled.
        first = learned[: min(2 ** max(len(learned).bit_length() - 1, 0), MOST_ROWS_OF_BANDS)]
        edges = feature.bands or quartile_bands(first.astype(np.float64))
        groups = _in_words(edges)
        # Edges are rounded to float32 like the values: a value on an edge is in the band above it.
        place = np.searchsorted(np.array(edges, dtype=np.float32), values, side="right")
        place[~np.isfinite(values)] = len(groups)
        names = np.array([*groups, NO_VALUE])[place].tolist()
    # A code may be called like rows without a value.
    return pd.Categorical(names, list(dict.fromkeys((*groups, NO_VALUE))))


@dataclass(frozen=True, slots=True)
class Division:
    """One of the groups into which a feature divides rows."""

    feature: str
    group: str
    rows: BoolArray
    """The rows, (n,), that are in it."""
    is_shown: bool


def divided(
    groups: pd.DataFrame, declared: Collection[str], *counted: BoolArray
) -> Iterator[list[Division]]:
    """Divide rows by each feature into the groups that have some. Small groups of a `declared` one
    are together, as `few_together` counts them."""
    for feature, column in groups.items():
        joined = column
        if feature in declared:
            joined = few_together(column, *counted)
        names = joined.cat.categories
        sizes = tuple(joined.value_counts(sort=False).tolist())
        yield [
            Division(feature, group, (joined == group).to_numpy(), is_shown)
            for group, size, is_shown in zip(names, sizes, shown(sizes), strict=True)
            if size
        ]


def quartile_bands(values: Float64Array) -> tuple[float, ...]:
    """The quartiles of values (n,), NaN where missing, rounded to the largest of 1, 2 or 5 times a
    power of ten that is no more than a third of the distance between the outer two. Edges with no
    value below them are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return ()
    quartiles = np.quantile(known, (0.25, 0.5, 0.75), method="inverted_cdf").tolist()
    third = (quartiles[2] - quartiles[0]) / 3
    if third <= 0:
        return ()
    digits = math.floor(math.log10(third))
    unit = 10.0**digits
    step = max(times for times in (1, 2, 5) if times <= third / unit * (1 + 1e-9)) * unit
    edges = {round(round(quartile / step) * step, max(0, -digits)) for quartile in quartiles}
    return tuple(edge for edge in sorted(edges) if edge > known.min())


def _in_words(edges: tuple[float, ...]) -> tuple[str, ...]:
    if not edges:
        return ("measured",)
    words = [f"{edge:.10g}" for edge in edges]
    between = (f"{low} to under {high}" for low, high in pairwise(words))
    return (f"under {words[0]}", *between, f"{words[-1]} and over")


def worst_subgroup(
    gains: Float64Array, groups: pd.DataFrame, declared_groups: tuple[str, ...] = ()
) -> WorstSubgroup | None:
    """Find the worst of the shown subgroups with `FEW_ROWS` or more, by the rows' gains (n,); None
    if there is none. Small groups that are declared count together."""
    candidates = []
    for part in chain(*divided(groups, declared_groups)):
        gained = gains[part.rows]
        if part.is_shown and len(gained) >= FEW_ROWS:
            mean = float(gained.mean())
            candidates.append(WorstSubgroup(part.feature, part.group, len(gained), mean))
    return min(candidates, key=lambda subgroup: subgroup.gain, default=None)
