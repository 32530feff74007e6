"""Subgroups: the groups into which a feature, or a group that no model sees, divides patients, and
the worst of them.

Bands are declared, or else the rounded quartiles of the first training rows by id. These rows stay
the first ones, and their number only doubles; so bands move only a few times in all, and verdicts
stay comparable.
"""

import math
from itertools import pairwise

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Float32Array, Float64Array
from pima.core.declared.features import Feature, Features
from pima.core.verdicts.figures import FEW_ROWS, FEWEST_ROWS, shown
from pima.core.verdicts.verdict import WorstSubgroup

NO_VALUE = "missing"
MOST_ROWS_OF_BANDS = 4_096
"""The most training rows whose quartiles make the bands."""


def groupings(features: Features, rows: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Divide rows by each feature or group into named categories; the last one is for rows without
    it. If no bands are declared, the training rows determine them."""
    divided = {
        each.name: _grouping(each, *(_values_of(side[each.name]) for side in (rows, training)))
        for each in features
    }
    return pd.DataFrame(divided, index=rows.index)


def _values_of(column: pd.Series) -> Float32Array:
    # Of a group it has all digits, and a value on an edge would lie beside it.
    with np.errstate(over="ignore"):
        values: Float32Array = column.to_numpy(np.float32)
    return values


def _grouping(feature: Feature, values: Float32Array, training: Float32Array) -> pd.Categorical:
    # Of a group any number may stand in its column, written by SQL.
    is_known = np.isfinite(values)
    if feature.kind == "category":
        is_known = np.isin(values, list(feature.codes))
        codes = sorted(feature.codes)
        groups = tuple(feature.codes[code] for code in codes)
        found = np.searchsorted(np.array(codes, dtype=np.float32), values)
    else:
        # A power of two of rows, so that bands move only when the number of rows has doubled.
        first = training[: min(2 ** max(len(training).bit_length() - 1, 0), MOST_ROWS_OF_BANDS)]
        edges = feature.bands or quartile_bands(first.astype(np.float64))
        groups = _in_words(edges)
        # Edges are rounded to float32 like the values: a value on an edge is in the band above it.
        found = np.searchsorted(np.array(edges, dtype=np.float32), values, side="right")
    names = list(dict.fromkeys((*groups, NO_VALUE)))  # a code may have this label, too
    return pd.Categorical.from_codes(np.where(is_known, found, names.index(NO_VALUE)), names)


def sizes_of(groups: pd.Series) -> tuple[int, ...]:
    """Count the rows of each category."""
    return tuple(groups.value_counts(sort=False).tolist())


def few_together(groups: pd.Series, *counted: BoolArray) -> pd.Series:
    """Join the smallest categories into one, until each has `FEWEST_ROWS` rows, or of each kind of
    rows that is counted, (n,). All add up to what is known, so what joined ones have together could
    be worked out anyway."""
    groups = groups.cat.remove_unused_categories()
    kinds = counted or (np.ones(len(groups), dtype=bool),)
    counts = pd.DataFrame([groups[each].value_counts(sort=False) for each in kinds]).T
    by_rarest = counts.min(axis=1).sort_values(kind="stable")
    few = int((by_rarest < FEWEST_ROWS).sum())
    if not few or len(counts) == 1:
        return groups
    few = max(few, 2)
    while few < len(counts) and counts.loc[by_rarest.index[:few]].sum().min() < FEWEST_ROWS:
        few += 1
    parts = [each for each in groups.cat.categories if each in by_rarest.index[:few]]
    name = ", ".join(parts)
    # A declared label may be this name: then all of these are told together.
    joined = groups.cat.set_categories(dict.fromkeys([*groups.cat.categories, name]))
    return joined.mask(groups.isin(parts), name).cat.remove_unused_categories()


def told_sizes(groups: pd.Series) -> dict[str, int | None]:
    """The rows of each category, small ones together; None of a single one that is small."""
    sizes = few_together(groups).value_counts(sort=False)
    return dict(sizes.astype(object).where(sizes >= FEWEST_ROWS, None).items())


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
    step = (
        next(times for times in (5, 2, 1) if times <= third / 10.0**digits * (1 + 1e-9))
        * 10.0**digits
    )
    edges = {round(round(quartile / step) * step, max(0, -digits)) for quartile in quartiles}
    return tuple(edge for edge in sorted(edges) if edge > known.min())


def _in_words(edges: tuple[float, ...]) -> tuple[str, ...]:
    if not edges:
        return ("measured",)
    words = [f"{edge:.10g}" for edge in edges]
    between = (f"{low} to under {high}" for low, high in pairwise(words))
    return (f"under {words[0]}", *between, f"{words[-1]} and over")


def worst_subgroup(
    gains: Float64Array, rows: pd.DataFrame, declared_groups: tuple[str, ...] = ()
) -> WorstSubgroup | None:
    """Find the worst of the shown subgroups with `FEW_ROWS` or more, by the rows' gains (n,); None
    if there is none. Small groups that are declared count together."""
    candidates = []
    rows = rows.select_dtypes("category")
    rows = rows.assign(**{name: few_together(rows[name]) for name in declared_groups})
    for feature, column in rows.items():
        sizes = sizes_of(column)
        sums = np.bincount(column.cat.codes, weights=gains, minlength=len(sizes)).tolist()
        candidates += [
            WorstSubgroup(feature, group, size, total / size)
            for group, size, total, is_shown in zip(
                column.cat.categories, sizes, sums, shown(sizes), strict=True
            )
            if is_shown and size >= FEW_ROWS
        ]
    return min(candidates, key=lambda each: each.gain, default=None)
