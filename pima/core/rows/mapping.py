"""Mapping a block of rows to a DataFrame under the declared names, judging it, and counting what
can't be taken.

A row is rejected for the first rule that it breaks, in the order of the features; the value at
fault is never shown. A missing measurement is no reason to reject: scoring judges that.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.declared.columns import kind_of
from pima.core.declared.features import Features
from pima.core.declared.identifiers import canonical_keys
from pima.core.declared.source import KeyType, MappedColumn
from pima.core.rows.cells import (
    Column,
    measured,
    objects_of,
    outcomes,
    takes_truth_values,
    wrong_type,
)
from pima.core.rows.validation import (
    CODES,
    MISSING,
    NOT_A_NUMBER,
    as_features,
    broken_rule,
    by_feature,
)

BAD_OUTCOME = "bad_outcome"


@dataclass(frozen=True, slots=True)
class Moments:
    """Times or days of n rows."""

    milliseconds: pd.Series
    """(n,) Int64: since 1970, UTC; NA if the row has no moment."""
    unreadable: BoolArray
    """(n,): whether the moment can't be read, or lies before 1900."""
    to_come: BoolArray
    """(n,): whether the moment, or all of the day, lies in the future."""
    is_today: BoolArray
    """(n,): whether it is a day that is not over yet."""
    wrong_type: str | None = None
    """The name of a type in the column that is neither time nor day nor text; None if there is
    none."""


NO_TIMES: Mapping[str, Moments] = MappingProxyType({})

Block: TypeAlias = pd.DataFrame
"""Rows between two steps of the intake: the features (float64, NaN is NULL), `person_key`,
`outcome` (Int64, NA if unknown), `labelled_at` and moments (Int64, milliseconds since 1970, UTC),
if the rows have them, and `reason` and `field`, empty texts if a row is sound. A row with
`labelled_at` and no outcome is one whose outcome is held back. The index is the key of a row of a
source, or the line of a row of a file."""


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """The way to read the columns of a source. They come in this order: key, person, outcome,
    features."""

    key_types: tuple[KeyType, ...]
    """One for each column of the key."""
    person_types: tuple[KeyType, ...]
    """One for each column of the person's key; empty if rows have no person."""
    has_outcome: bool
    outcome_words: Mapping[str, int]
    """Texts, ignoring case, and the outcome that each means; empty if the column has 0 or 1."""
    features: Features
    """The source's features, in the declaration's order."""
    columns: tuple[MappedColumn, ...]
    """One for each feature."""


@dataclass(slots=True)
class SourceTally:
    """Counts made while a source was read."""

    rows: int = 0
    without_key: int = 0
    """Rows whose key is NULL, too long, or not of its declared type."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by reason and column."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Rows whose value can't be taken, by feature."""
    missing: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    """Rows whose value was not recognised and was read as the feature's `unknown` says, by
    feature."""
    held_back: int = 0
    timeless: dict[str, Int64Array] = field(default_factory=dict)
    """By `outcome_at` or `index_at`: `empty_by_outcome`."""
    wrong_types: dict[str, str] = field(default_factory=dict)
    """Types that can't be read, by the feature, `outcome`, `outcome_at` or moment whose column has
    them."""


def mapped(
    mapping: SourceMapping,
    columns: Sequence[Column],
    tally: SourceTally,
    times: Mapping[str, Moments] = NO_TIMES,
) -> Block:
    """Map and judge the rows of a source that have a key, and count what can't be taken. `times`
    are those of `outcome_at` and of moments, if the source has them."""
    read = iter(columns)
    key_columns = [objects_of(next(read)) for _ in mapping.key_types]
    person_columns = [objects_of(next(read)) for _ in mapping.person_types]
    keys = canonical_keys(key_columns, mapping.key_types)
    tally.rows += len(keys)
    tally.without_key += keys.count(None)
    persons, bad_person = _persons(mapping, person_columns, len(keys))
    found, bad_outcome = _outcomes(mapping, read, len(keys), tally)
    tally.wrong_types |= {name: each.wrong_type for name, each in times.items() if each.wrong_type}
    for name, each in times.items():
        # Those at risk are acted on, so most rows with outcome 0 may rightly have no acted_at.
        if name != "acted_at":
            empty = empty_by_outcome(found, each.milliseconds.isna().to_numpy())
            tally.timeless[name] = tally.timeless.get(name, 0) + empty
    is_known = ~np.isnan(found)
    labelled_at = _labelled_at(found, times.get("outcome_at"), tally)
    values, faults = measurements(mapping.features, mapping.columns, list(read), len(keys), tally)
    is_lacking = np.isnan(as_features(by_feature(values), mapping.features))
    for n, feature in enumerate(mapping.features):
        tally.unusable[feature.name] += int(np.count_nonzero(faults[:, n]))
        tally.missing[feature.name] += int(np.count_nonzero(is_lacking[:, n] & (faults[:, n] == 0)))
    block = pd.DataFrame(values, columns=[feature.name for feature in mapping.features])
    block["person_key"] = pd.Series(persons, dtype=object)
    block["outcome"] = pd.Series(found).astype("Int64")
    block["labelled_at"] = labelled_at
    for name, each in times.items():
        if kind_of(name) == "moment":
            block[name] = each.milliseconds
    block["reason"], block["field"] = first_faults(faults, mapping.features)
    mark(block, bad_outcome, BAD_OUTCOME, "outcome")
    mark(block, bad_person, "bad_person", "person_key")
    for name, each in times.items():
        # Without an outcome the row is to be scored all the same.
        mark(block, each.unreadable & is_known, f"bad_{name}", name)
    tally.rejected += Counter(
        block.loc[block["reason"] != "", ["reason", "field"]].itertuples(index=False, name=None)
    )
    block.index = pd.Index(keys, dtype=object)
    return block[block.index.notna()] if None in keys else block


def measurements(
    features: Features,
    how: Sequence[MappedColumn],
    columns: Sequence[Column],
    rows: int,
    tally: SourceTally,
) -> tuple[Float64Array, Int8Array]:
    """Read and judge (n, features) measurements, NaN where missing, and their faults, positions in
    `CODES`."""
    values = np.full((rows, len(features)), np.nan)
    faults = np.zeros((rows, len(features)), np.int8)
    for n, (feature, mapped_column, column) in enumerate(zip(features, how, columns, strict=True)):
        if (other := wrong_type(column, takes_truth_values(feature, mapped_column))) is not None:
            tally.wrong_types[feature.name] = other
            faults[:, n] = CODES.index(NOT_A_NUMBER)
            continue
        cells = measured(feature, mapped_column, column)
        broken = broken_rule(cells.to_judge, feature)
        broken[broken == CODES.index(MISSING)] = 0
        values[:, n] = cells.values
        faults[:, n] = broken
        tally.unknown[feature.name] += cells.unknown
    return values, faults


_REASONS = np.array(CODES, dtype=object)


def first_faults(faults: Int8Array, features: Features) -> tuple[Any, Any]:
    """Find the first fault of each row in (n, features) positions in `CODES`: reasons and features,
    (n,) texts."""
    names = np.array(["", *(feature.name for feature in features)], dtype=object)
    # Without features there is none, and argmax takes no empty rows.
    if not features:
        nothing = np.full(len(faults), "", object)
        return nothing, nothing.copy()
    at = (faults != 0).argmax(axis=1)
    first = faults[np.arange(len(faults)), at]
    return _REASONS[first], names[np.where(first != 0, at + 1, 0)]


def mark(block: Block, which: BoolArray, reason: str, column: str) -> None:
    """Reject those of the rows `which`, (n,), that have broken no other rule."""
    if which.any():
        broken = which & (block["reason"] == "").to_numpy()
        block.loc[broken, ["reason", "field"]] = reason, column


def _persons(
    mapping: SourceMapping, columns: Sequence[list[object]], rows: int
) -> tuple[Sequence[str | None], BoolArray]:
    if not mapping.person_types:
        return [None] * rows, np.zeros(rows, bool)
    persons = canonical_keys(columns, mapping.person_types)
    is_bad = np.zeros(rows, bool)
    # A row whose person's key is NULL has no person; a key that can't be read is a fault.
    for row in [n for n, person in enumerate(persons) if person is None]:
        is_bad[row] = any(column[row] is not None for column in columns)
    return persons, is_bad


def _outcomes(
    mapping: SourceMapping, columns: Iterator[Column], rows: int, tally: SourceTally
) -> tuple[Float64Array, BoolArray]:
    if not mapping.has_outcome:
        return np.full(rows, np.nan), np.zeros(rows, bool)
    column = next(columns)
    if (other := wrong_type(column)) is not None:
        tally.wrong_types["outcome"] = other
        return np.full(rows, np.nan), np.ones(rows, bool)
    cells = outcomes(mapping.outcome_words, column)
    return cells.values, cells.faults != 0


def empty_by_outcome(outcomes: Float64Array, is_empty: BoolArray) -> Int64Array:
    """Count rows by outcome, (2, 2): those with a value in some column, and those without."""
    cells = (2 * outcomes + is_empty)[~np.isnan(outcomes)]
    return np.bincount(cells.astype(int), minlength=4).reshape(2, 2)


_FEWEST_TO_COMPARE = 40
"""Rows of each outcome, below which nothing is said of the rows that lack a time."""


def one_sided(empty: Int64Array) -> str | None:
    """Say that a time is empty for one outcome alone, by `empty_by_outcome`: then what is recent
    has one class. None if it is not."""
    rows = empty.sum(axis=1)
    shares = empty[:, 1] / rows.clip(1)
    if rows.min() < _FEWEST_TO_COMPARE or np.ptp(shares) < 0.5:
        return None
    n = int(shares.argmax())
    return f"empty in {empty[n, 1]:,} of {rows[n]:,} rows with outcome {n}"


def _labelled_at(found: Float64Array, moments: Moments | None, tally: SourceTally) -> Any:
    """The times at which the outcomes became known. An outcome whose time is to come is held back:
    `found` loses it, and only its time is left. Of a day that is not over the time isn't known
    yet."""
    if moments is None:
        return pd.array([pd.NA] * len(found), dtype="Int64")
    is_known = ~np.isnan(found)
    to_come = moments.to_come & is_known
    tally.held_back += int(np.count_nonzero(to_come))
    found[to_come] = np.nan
    return moments.milliseconds.mask(~is_known | moments.is_today)
