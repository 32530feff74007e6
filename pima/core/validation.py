"""Which rows can be scored or learned from, and for the others the first rule that they broke.

One code for the scorer, the retraining and `load`: a row is judged alike wherever it comes from.
"""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.features import FEATURE_NAMES, FEATURES

MISSING = "missing"
NOT_FINITE = "not_finite"
OUT_OF_RANGE = "out_of_range"
# In the order of judgement; the position is the code in `broken_rules`, 0 being no rule broken.
REASONS = ("", MISSING, NOT_FINITE, OUT_OF_RANGE)

# (8,) each, in the order of the table.
LOW: Float64Array = np.array([feature.low for feature in FEATURES], dtype=np.float64)
HIGH: Float64Array = np.array([feature.high for feature in FEATURES], dtype=np.float64)
ZERO_MEANS_MISSING: BoolArray = np.array([feature.zero_means_missing for feature in FEATURES])
MAY_BE_MISSING: BoolArray = np.array([feature.may_be_missing for feature in FEATURES])


@dataclass(frozen=True, slots=True)
class Measurements:
    """Rows of the eight measurements as they were read."""

    values: Float64Array
    """(n, 8); what stands where `is_null` is true means nothing."""
    is_null: BoolArray
    """(n, 8): kept apart from the values, since a NaN in a table is an error and a NULL is not."""

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Validated:
    """The same rows, accepted or rejected. Row numbers count from 0 within the batch."""

    features: Float32Array
    """(accepted, 8) for the model: NaN where missing."""
    accepted: Int64Array
    """Row numbers of the accepted rows."""
    rejected: Int64Array
    """Row numbers of the rejected rows."""
    reasons: tuple[str, ...]
    """One reason code a rejected row."""
    fields: tuple[str, ...]
    """The column that broke the rule, one a rejected row."""


def validate(rows: Measurements) -> Validated:
    """Accept or reject each row; the first broken rule counts, by column order and then by the order of `REASONS`."""
    broken = broken_rules(rows)
    is_bad = broken.any(axis=1)
    rejected = np.flatnonzero(is_bad)
    accepted = np.flatnonzero(~is_bad)
    first_field = (broken[rejected] != 0).argmax(axis=1)
    codes = broken[rejected, first_field]
    return Validated(
        features=as_features(rows)[accepted],
        accepted=accepted,
        rejected=rejected,
        reasons=tuple(REASONS[code] for code in codes),
        fields=tuple(FEATURE_NAMES[field] for field in first_field),
    )


def broken_rules(rows: Measurements) -> Int8Array:
    """(n, 8) positions in `REASONS`, 0 where the value is sound."""
    values, is_null = rows.values, rows.is_null
    missing = is_null & ~MAY_BE_MISSING
    not_finite = ~np.isfinite(values) & ~is_null
    stands_for_missing = (values == 0) & ZERO_MEANS_MISSING
    outside = ((values < LOW) | (values > HIGH)) & ~stands_for_missing & ~is_null
    return np.select([missing, not_finite, outside], [1, 2, 3], default=0).astype(np.int8)


def as_features(rows: Measurements) -> Float32Array:
    """(n, 8) float32 as the model takes them: NULL, and 0 where it means missing, become NaN."""
    is_missing = rows.is_null | ((rows.values == 0) & ZERO_MEANS_MISSING)
    with np.errstate(over="ignore"):  # a value too large for float32 belongs to a row that is rejected anyway
        return np.where(is_missing, np.nan, rows.values).astype(np.float32)
