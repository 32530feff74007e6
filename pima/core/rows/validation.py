"""Validation of rows: accepted to be scored or learned from, or rejected for the first rule that
they broke.

The scorer, the retraining and `load` use the same code: a row is judged alike wherever it comes
from.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.declared.features import Feature, Features

MISSING = "missing"
NOT_FINITE = "not_finite"
OUT_OF_RANGE = "out_of_range"
UNKNOWN_CODE = "unknown_code"
NOT_A_NUMBER = "not_a_number"
NOT_UTF8 = "not_utf8"
NUL_BYTE = "nul_byte"
FIELD_TOO_LONG = "field_too_long"
REASONS = ("", MISSING, NOT_FINITE, OUT_OF_RANGE, UNKNOWN_CODE)
CODES = (*REASONS, NOT_A_NUMBER, NOT_UTF8, NUL_BYTE, FIELD_TOO_LONG)
"""All reasons, with those that only a cell can have: a table's columns hold numbers. A value is
marked with a position in this tuple; 0 is no reason."""
_CODES = {reason: np.int8(position) for position, reason in enumerate(REASONS)}
MEANINGS = {
    MISSING: "A feature has no value, and its declaration does not say `may_be_missing`.",
    NOT_FINITE: "The value is NaN or infinite.",
    OUT_OF_RANGE: "The value is below `low` or above `high`: often it is in another unit.",
    UNKNOWN_CODE: (
        "The value is none of the category's `codes`, or a code that the champion has never seen, "
        "of a feature that may not be missing."
    ),
    "not_a_number": "The value is no number.",
    "bad_outcome": "The outcome is neither 0 nor 1, nor one of the words of `outcome_words`.",
    "bad_outcome_at": (
        "The time at which the outcome became known can't be read, or lies before 1900."
    ),
    "bad_index_at": "The moment `index_at` can't be read, or lies before 1900.",
    "bad_acted_at": "The moment `acted_at` can't be read, or lies before 1900.",
    "bad_person": "The key of the person can't be read as `person_type` says.",
    "forgotten": "The row is one of a person who was erased by `python -m jobs.forget`.",
    "side_undecided": (
        "The person became known after the row came, or has rows on both sides of the holdout, so "
        "the row is used on neither. A new database with `person` from the start decides it."
    ),
    "no_index_at": "The outcome is waited for from `index_at` on, and the row has none.",
    "index_at_to_come": "The row's `index_at` lies in the future.",
    "index_at_after_outcome": "The row's `index_at` lies after its outcome.",
    "horizon_not_over": "The outcome is known, but counts only once its horizon is over.",
    "acted_upon": (
        "Somebody acted after the row's first prediction and before its outcome, and `if_acted` is "
        '"unknown".'
    ),
    "twin_of_holdout": (
        "The row has exactly the features of a row that is held out, so no model may learn from it."
    ),
    "older_rows": (
        "What the outcome depends on has moved, so the model learned from the newest weeks alone: "
        "they tell patients apart better now."
    ),
}
"""Reasons why a row is not predicted, not taken in or not learned from: each code with a sentence
for people."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Rows of measurements as they were read, one column for each feature."""

    values: Float64Array
    """(n, features); values where `is_null` is true mean nothing."""
    is_null: BoolArray
    """(n, features), kept apart from the values: a NaN in a table is an error and a NULL is not."""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def by_feature(self) -> "list[FeatureValues]":
        """The columns, one for each feature, in their order."""
        return [
            FeatureValues(*column) for column in zip(self.values.T, self.is_null.T, strict=True)
        ]

    def rows(self, which: BoolArray | Int64Array) -> "Measurements":
        """Select rows."""
        return Measurements(self.values[which], self.is_null[which])

    def widened(self, names: tuple[str, ...], columns: tuple[str, ...]) -> "Measurements":
        """Place these columns, called `names`, among all `columns`, in their order; the others
        become NULL."""
        values = np.zeros((len(self), len(columns)))
        is_null = np.ones((len(self), len(columns)), dtype=bool)
        positions = [columns.index(name) for name in names]
        values[:, positions] = self.values
        is_null[:, positions] = self.is_null
        return Measurements(values, is_null)

    def divided(self, features: int) -> tuple["Measurements", "Measurements"]:
        """Split off the first `features` columns from the others."""
        first = Measurements(self.values[:, :features], self.is_null[:, :features])
        return first, Measurements(self.values[:, features:], self.is_null[:, features:])


@dataclass(frozen=True, slots=True)
class FeatureValues:
    """The values of one feature in many rows, as they were read."""

    values: Float64Array
    """(n,); values where `is_null` is true mean nothing."""
    is_null: BoolArray | None = None
    """(n,); None if no value is NULL."""
    unread: Int8Array | None = None
    """(n,): why a cell could not be read as a value, as positions in `CODES`; None if all could."""

    @property
    def is_known(self) -> BoolArray:
        """(n,): whether there is a finite number."""
        found: BoolArray = np.isfinite(self.values)
        if self.is_null is not None:
            found &= ~self.is_null
        return found


@dataclass(frozen=True, slots=True)
class Validated:
    """Rows that were accepted or rejected. Row numbers count from 0 within the batch."""

    features: Float32Array
    """(accepted, features) for the model: NaN where missing."""
    accepted: Int64Array
    """Row numbers of the accepted rows."""
    rejected: Int64Array
    """Row numbers of the rejected rows."""
    reasons: tuple[str, ...]
    fields: tuple[str, ...]
    """The column that broke the rule, one for each rejected row."""


def validate(columns: Sequence[FeatureValues], features: Features) -> Validated:
    """Accept or reject rows, given as columns in the features' order; the first column that breaks
    a rule counts."""
    codes = np.zeros(len(columns[0].values), dtype=np.int8)
    fields = np.zeros(len(codes), dtype=np.int64)
    for position, (column, feature) in enumerate(zip(columns, features, strict=True)):
        broken = broken_rule(column, feature)
        if broken.any():
            is_first = (broken != 0) & (codes == 0)
            codes[is_first] = broken[is_first]
            fields[is_first] = position
    taken = as_features(columns, features)
    rejected = np.flatnonzero(codes)
    if not len(rejected):
        return Validated(taken, np.arange(len(taken)), rejected, (), ())
    accepted = np.flatnonzero(codes == 0)
    reasons = (CODES[code] for code in codes[rejected])
    names = (features[n].name for n in fields[rejected])
    return Validated(taken[accepted], accepted, rejected, tuple(reasons), tuple(names))


def by_feature(values: Float64Array) -> list[FeatureValues]:
    """Split (n, features) values into columns; a NaN is a missing value."""
    return [FeatureValues(column, np.isnan(column)) for column in values.T]


def counted_reasons(found: Validated) -> dict[str, int]:
    """Count rejected rows by the reason's code, a space, and the column."""
    return dict(Counter(map(" ".join, zip(found.reasons, found.fields, strict=True))))


def broken_rule(column: FeatureValues, feature: Feature) -> Int8Array:
    """Judge the values of a feature: (n,) positions in `CODES`, 0 where a value is sound."""
    # Values from the queue lie in memory row by row; a contiguous column is read three times as
    # fast.
    values = np.ascontiguousarray(column.values)
    reason = OUT_OF_RANGE
    if feature.kind == "category":
        reason = UNKNOWN_CODE
        is_unsound = ~np.isin(values, list(feature.codes))
    else:
        low = -np.inf if feature.low is None else feature.low
        high = np.inf if feature.high is None else feature.high
        is_unsound = (values < low) | (values > high)
    if feature.zero_is_missing:
        is_unsound &= values != 0
    broken = is_unsound.astype(np.int8) * _CODES[reason]
    broken[~np.isfinite(values)] = _CODES[NOT_FINITE]
    if column.is_null is not None:
        broken[column.is_null] = 0 if feature.may_be_missing else _CODES[MISSING]
    if column.unread is not None:
        np.copyto(broken, column.unread, where=column.unread != 0)
    return broken


def as_features(columns: Sequence[FeatureValues], features: Features) -> Float32Array:
    """Convert columns to (n, features) float32 as the model takes them: NULL, and 0 where it means
    missing, become NaN."""
    taken = np.empty((len(columns[0].values), len(features)), dtype=np.float32)
    for position, (column, feature) in enumerate(zip(columns, features, strict=True)):
        # No warning of values beyond float32: their rows are rejected.
        with np.errstate(over="ignore", invalid="ignore"):
            taken[:, position] = column.values
        if feature.zero_is_missing:
            taken[column.values == 0, position] = np.nan
        if column.is_null is not None:
            taken[column.is_null, position] = np.nan
    return taken
