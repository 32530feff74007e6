"""Validation of rows: accepted to be scored or learned from, or rejected for the first rule that they broke.

One code for the scorer, the retraining and `load`: a row is judged alike wherever it comes from.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.features import Feature, Features

MISSING = "missing"
NOT_FINITE = "not_finite"
OUT_OF_RANGE = "out_of_range"
UNKNOWN_CODE = "unknown_code"
# In the order of judgement; the position is the code in `broken_rules`, 0 being no rule broken.
REASONS = ("", MISSING, NOT_FINITE, OUT_OF_RANGE, UNKNOWN_CODE)
MEANINGS = {
    MISSING: "A feature has no value, and its declaration does not say `may_be_missing`.",
    NOT_FINITE: "The value is NaN or infinite.",
    OUT_OF_RANGE: "The value is below `low` or above `high`: often it is in another unit.",
    UNKNOWN_CODE: "The value is none of the category's `codes`, or a code that the champion has never seen, of a "
    "feature that may not be missing.",
    "not_a_number": "The value is no number.",
    "bad_outcome": "The outcome is neither 0 nor 1, nor one of the words of `outcome_words`.",
    "bad_outcome_at": "The time at which the outcome became known can't be read.",
    "bad_person": "The key of the person can't be read as `person_type` says.",
    "forgotten": "The row is one of a person who was erased by `python -m jobs.forget`.",
    "side_undecided": "It is not decided whether the person is held out, so no model may learn from the row.",
    "twin_of_holdout": "The row has exactly the features of a row that is held out, so no model may learn from it.",
}
"""Why a row is not predicted, not brought in or not learned from: each code in a sentence for people."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Rows of measurements as they were read, a column a feature."""

    values: Float64Array
    """(n, features); what stands where `is_null` is true means nothing."""
    is_null: BoolArray
    """(n, features): kept apart from the values, since a NaN in a table is an error and a NULL is not."""

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, which: BoolArray | Int64Array) -> "Measurements":
        """Some of the rows."""
        return Measurements(self.values[which], self.is_null[which])

    def widened(self, names: tuple[str, ...], columns: tuple[str, ...]) -> "Measurements":
        """Put the columns, which are `names`, among these, in their order; the others are NULL."""
        values, is_null = np.zeros((len(self), len(columns))), np.ones((len(self), len(columns)), dtype=bool)
        positions = [columns.index(name) for name in names]
        values[:, positions], is_null[:, positions] = self.values, self.is_null
        return Measurements(values, is_null)

    def divided(self, features: int) -> tuple["Measurements", "Measurements | None"]:
        """The first so many features, and the others; None where there are none."""
        first = Measurements(self.values[:, :features], self.is_null[:, :features])
        if features == self.values.shape[1]:
            return self, None
        return first, Measurements(self.values[:, features:], self.is_null[:, features:])


@dataclass(frozen=True, slots=True)
class Column:
    """One measurement of many rows, as it was read."""

    values: Float64Array
    """(n,); what stands where `is_null` is true means nothing."""
    is_null: BoolArray | None
    """(n,); None where nothing is."""


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
    """The column that broke the rule, one a rejected row."""


def validate(rows: Measurements, features: Features) -> Validated:
    """Accept or reject each row; the first broken rule counts, by column order and then by the order of `REASONS`."""
    columns = zip(rows.values.T, rows.is_null.T, strict=True)
    return validate_columns([Column(*column) for column in columns], features)


def counted_reasons(found: Validated) -> dict[str, int]:
    """Count rejected rows by the reason's code, a space, and the column."""
    return dict(Counter(map(" ".join, zip(found.reasons, found.fields, strict=True))))


def validate_columns(columns: Sequence[Column], features: Features) -> Validated:
    """Accept or reject rows that come as columns, in the features' order."""
    is_sound = np.ones(len(columns[0].values), dtype=bool)
    taken = np.empty((len(is_sound), len(features)), dtype=np.float32)
    for position, (column, feature) in enumerate(zip(columns, features, strict=True)):
        is_missing = column.is_null
        if feature.zero_is_missing:
            is_missing = (column.values == 0) if is_missing is None else (column.values == 0) | is_missing
        of_feature, values = _is_in_range(column.values, feature), column.values
        if is_missing is not None:
            of_feature |= is_missing
            values = np.where(is_missing, np.nan, values)
        if column.is_null is not None and not feature.may_be_missing:
            of_feature &= ~column.is_null
        is_sound &= of_feature
        with np.errstate(over="ignore", invalid="ignore"):  # as in `as_features`
            taken[:, position] = values
    rejected = np.flatnonzero(~is_sound)
    if not len(rejected):
        return Validated(taken, np.arange(len(taken)), rejected, (), ())
    nothing = np.zeros(len(rejected), dtype=bool)
    is_null = [nothing if column.is_null is None else column.is_null[rejected] for column in columns]
    values = np.column_stack([column.values[rejected] for column in columns])
    # The broken rule is looked for in these alone.
    broken = broken_rules(Measurements(values, np.column_stack(is_null)), features)
    first_field = (broken != 0).argmax(axis=1)
    codes = broken[np.arange(len(broken)), first_field]
    accepted = np.flatnonzero(is_sound)
    reasons = tuple(REASONS[code] for code in codes)
    return Validated(taken[accepted], accepted, rejected, reasons, tuple(features[n].name for n in first_field))


def _is_in_range(values: Float64Array, feature: Feature) -> BoolArray:
    """Whether values (n,) are in the feature's range; a NaN is in none."""
    if feature.kind == "category":
        return np.isin(values, list(feature.codes))
    low, high = limits((feature,))
    is_sound: BoolArray = values >= low
    is_sound &= values <= high
    return is_sound if np.isfinite(high - low).all() else is_sound & np.isfinite(values)


def broken_rules(rows: Measurements, features: Features) -> Int8Array:
    """Judge each value: (n, features) positions in `REASONS`, 0 where it is sound."""
    values, is_null = rows.values, rows.is_null
    missing = is_null & ~may_be_missing(features)
    not_finite = ~np.isfinite(values) & ~is_null
    judged = ~is_null & ~((values == 0) & zero_is_missing(features))
    low, high = limits(features)
    outside = ((values < low) | (values > high)) & judged
    broken = np.select([missing, not_finite, outside], [1, 2, 3], default=0).astype(np.int8)
    for position, feature in enumerate(features):
        if feature.kind == "category":
            unknown = judged[:, position] & ~np.isin(values[:, position], list(feature.codes))
            broken[unknown & ~not_finite[:, position], position] = REASONS.index(UNKNOWN_CODE)
    return broken


def as_features(rows: Measurements, features: Features) -> Float32Array:
    """Convert rows to (n, features) float32 as the model takes them: NULL, and 0 where it means missing, become NaN."""
    is_missing = rows.is_null | ((rows.values == 0) & zero_is_missing(features))
    with np.errstate(over="ignore"):  # a value too large for float32 belongs to a row that is rejected anyway
        return np.where(is_missing, np.nan, rows.values).astype(np.float32)


def limits(features: Features) -> tuple[Float64Array, Float64Array]:
    """The lowest and the highest value that is taken, (features,) each; infinite for a category."""
    low = [-np.inf if feature.low is None else feature.low for feature in features]
    high = [np.inf if feature.high is None else feature.high for feature in features]
    return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)


def zero_is_missing(features: Features) -> BoolArray:
    """Features, (features,), of which a 0 is read as missing."""
    return np.array([feature.zero_is_missing for feature in features], dtype=bool)


def may_be_missing(features: Features) -> BoolArray:
    """Features, (features,), whose lack keeps no row out."""
    return np.array([feature.may_be_missing for feature in features], dtype=bool)
