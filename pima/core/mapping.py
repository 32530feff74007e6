"""Mapping a source's own columns to key, person, outcome and features, and counting what can't be taken.

A row that breaks a rule is rejected, for the first reason in the order of the features; what stood there is told to
nobody. A measurement that is lacking is no reason, as in a file: scoring judges that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType

import numpy as np

from pima.core.arrays import BoolArray, Int8Array, Int64Array
from pima.core.cells import (
    CODES,
    NO_OUTCOME,
    NOT_A_NUMBER,
    Column,
    measured,
    objects_of,
    outcomes,
    takes_truth_values,
    with_comma,
    wrong_type,
)
from pima.core.features import Features
from pima.core.identifiers import canonical_keys
from pima.core.source import KeyType, MappedColumn
from pima.core.validation import MISSING, REASONS, Measurements, broken_rules, zero_is_missing

BAD_OUTCOME = "bad_outcome"
BAD_PERSON = "bad_person"
BAD_MOMENT = "bad_outcome_at"
MOMENT_TO_COME = "outcome_at_to_come"
NO_MOMENT = -(2**63)
"""In the place of a time that is not known."""

Columns = Sequence[Column]
"""A block of rows, column by column."""


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """How the columns of a source are read. They come in this order: key, person, outcome, features."""

    key_types: tuple[KeyType, ...]
    """One for each column of the key."""
    person_types: tuple[KeyType, ...]
    """One for each column of the person's key; none where rows have no person."""
    has_outcome: bool
    """Whether there is a column for it."""
    outcome_words: Mapping[str, int]
    """Texts, case aside, and the outcome that each means; empty where it is 0 or 1 already."""
    features: Features
    """Those that the source has, in the declaration's order."""
    columns: tuple[MappedColumn, ...]
    """One for each of them."""


@dataclass(frozen=True, slots=True)
class Moments:
    """When the outcomes of n rows became known, as far as that is said."""

    milliseconds: Int64Array
    """(n,): since 1970, UTC; NO_MOMENT where it is not known"""
    unreadable: BoolArray
    """(n,)"""
    to_come: BoolArray
    """(n,): which lie in the future"""
    wrong_type: str | None = None
    """The name of a type that is neither time nor day nor text; None where there is none."""


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of a source, as `patients` has them or would have them."""

    keys: list[str]
    """n canonical keys"""
    persons: list[str | None]
    """n canonical keys of persons; all None where the source has none"""
    outcomes: Int8Array
    """(n,): 0, 1, or NO_OUTCOME"""
    labelled_at: Int64Array
    """(n,): when they became known, as `Moments` has it"""
    measurements: Measurements
    """n rows of the mapped features"""
    rejected: BoolArray
    """(n,): which broke a rule, so that what stands in the other fields means nothing"""

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, which: Int64Array) -> "SourceRows":
        """Some of the rows, in this order."""
        if len(which) == len(self) and np.array_equal(which, np.arange(len(self))):
            return self
        positions = which.tolist()
        return SourceRows(
            [self.keys[n] for n in positions],
            [self.persons[n] for n in positions],
            self.outcomes[which],
            self.labelled_at[which],
            self.measurements.rows(which),
            self.rejected[which],
        )

    def only(self, positions: Sequence[int]) -> "SourceRows":
        """Some of the rows, by a list."""
        return self.rows(np.array(positions, dtype=np.int64))

    def part(self, first: int, end: int) -> "SourceRows":
        """The rows between two positions, as far as there are any."""
        cut = slice(first, end)
        measurements = Measurements(self.measurements.values[cut], self.measurements.is_null[cut])
        outcomes, labelled_at = self.outcomes[cut], self.labelled_at[cut]
        return SourceRows(self.keys[cut], self.persons[cut], outcomes, labelled_at, measurements, self.rejected[cut])

    @staticmethod
    def none(features: int) -> "SourceRows":
        """No rows of so many features."""
        measurements = Measurements(np.empty((0, features)), np.empty((0, features), bool))
        return SourceRows([], [], np.empty(0, np.int8), np.empty(0, np.int64), measurements, np.empty(0, bool))

    @staticmethod
    def joined(blocks: "Sequence[SourceRows]") -> "SourceRows":
        """One block of several; there is one at least."""
        measurements = Measurements(
            np.concatenate([block.measurements.values for block in blocks]),
            np.concatenate([block.measurements.is_null for block in blocks]),
        )
        return SourceRows(
            [key for block in blocks for key in block.keys],
            [person for block in blocks for person in block.persons],
            np.concatenate([block.outcomes for block in blocks]),
            np.concatenate([block.labelled_at for block in blocks]),
            measurements,
            np.concatenate([block.rejected for block in blocks]),
        )


@dataclass(slots=True)
class SourceTally:
    """Counts of what was seen while a source was read."""

    rows: int = 0
    without_key: int = 0
    """Rows whose key is NULL, too long, or not of its declared type."""
    key_types: set[str] = field(default_factory=set)
    """What the keys of these rows are to the driver: names of types, NULL aside."""
    repeated_keys: int = 0
    """Rows whose key stands in another row already."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by reason and column."""
    rejected_unlabelled: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of them those whose outcome is not known, people who were forgotten left out, and what the pull before has read,
    too."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Rows by feature whose value can't be taken."""
    missing: Counter[str] = field(default_factory=Counter)
    """Rows by feature that lack it."""
    with_comma: Counter[str] = field(default_factory=Counter)
    """Rows by feature whose value is a text of digits and a comma."""
    wrong_types: dict[str, str] = field(default_factory=dict)
    """Features, the outcome and its time, with the type that can't be read and stands in their column."""


def mapped(
    mapping: SourceMapping,
    columns: Columns,
    tally: SourceTally,
    moments: Moments | None = None,
    is_new: BoolArray | None = None,
) -> SourceRows:
    """The rows that have a key; what can't be taken is counted. Without `moments` no outcome's time is known. `is_new`,
    (n,), says which rows no pull has read before as they are; without it all count as such."""
    persons_at = len(mapping.key_types)
    outcome_at = persons_at + len(mapping.person_types)
    features_at = outcome_at + int(mapping.has_outcome)
    key_columns = columns[:persons_at]
    keys = canonical_keys(list(map(objects_of, key_columns)), mapping.key_types)
    measurements, unreadable = _measurements(mapping, columns[features_at:], len(keys), tally)
    found, bad_outcome = _outcomes(mapping, columns[outcome_at:features_at], len(keys), tally)
    labelled_at, bad_moments = _labelled_at(found, moments, tally)
    persons, bad_person = _persons(mapping, columns[persons_at:outcome_at], len(keys))
    rules = broken_rules(measurements, mapping.features)
    rules[rules == REASONS.index(MISSING)] = 0
    broken = np.where(unreadable != 0, unreadable, rules)
    tally.rows += len(keys)
    if None in keys:
        tally.without_key += keys.count(None)
        rows_without = [row for row, key in enumerate(keys) if key is None]
        held = {type(column[row]) for column in map(objects_of, key_columns) for row in rows_without}
        tally.key_types |= {kind.__name__ for kind in held - {NoneType}}
    others = {(BAD_OUTCOME, "outcome"): bad_outcome, (BAD_PERSON, "person_key"): bad_person} | bad_moments
    waits = (found == NO_OUTCOME) if is_new is None else (found == NO_OUTCOME) & is_new
    _count_rejected(tally, mapping.features, broken, others, waits)
    _add(tally.unusable, mapping.features, broken != 0)
    _add(tally.missing, mapping.features, is_missing(measurements, mapping.features) & (unreadable == 0))
    rejected = np.logical_or.reduce([broken.any(axis=1), *others.values()])
    rows = SourceRows(keys, persons, found, labelled_at, measurements, rejected)  # type: ignore[arg-type]
    return rows.rows(np.flatnonzero([key is not None for key in keys])) if None in keys else rows


def is_missing(measurements: Measurements, features: Features) -> BoolArray:
    """(n, features): NULL, or the 0 that the data have in its place."""
    found: BoolArray = measurements.is_null | ((measurements.values == 0) & zero_is_missing(features))
    return found


def _measurements(
    mapping: SourceMapping, columns: Columns, rows: int, tally: SourceTally
) -> tuple[Measurements, Int8Array]:
    """Read measurements, and (n, features) positions in `CODES` where one can't be read."""
    shape = (rows, len(columns))
    values, is_null, unreadable = np.zeros(shape), np.ones(shape, dtype=bool), np.zeros(shape, dtype=np.int8)
    for n, (feature, how, column) in enumerate(zip(mapping.features, mapping.columns, columns, strict=True)):
        if (other := wrong_type(column, takes_truth_values(feature, how))) is not None:
            tally.wrong_types[feature.name] = other
            unreadable[:, n] = CODES.index(NOT_A_NUMBER)
            continue
        values[:, n], is_null[:, n], unreadable[:, n] = measured(feature, how, column)
        if (of_none := unreadable[:, n] == CODES.index(NOT_A_NUMBER)).any():
            tally.with_comma[feature.name] += with_comma(objects_of(column), of_none)
    values[is_null] = 0.0
    return Measurements(values, is_null), unreadable


def _outcomes(mapping: SourceMapping, columns: Columns, rows: int, tally: SourceTally) -> tuple[Int8Array, BoolArray]:
    if not mapping.has_outcome:
        return np.full(rows, NO_OUTCOME, np.int8), np.zeros(rows, bool)
    if (other := wrong_type(columns[0])) is not None:
        tally.wrong_types["outcome"] = other
        return np.full(rows, NO_OUTCOME, np.int8), np.ones(rows, bool)
    return outcomes(mapping.outcome_words, objects_of(columns[0]))


def _labelled_at(
    found: Int8Array, moments: Moments | None, tally: SourceTally
) -> tuple[Int64Array, dict[tuple[str, str], BoolArray]]:
    """Times, (n,), of the outcomes that are known; and by reason those that can't be taken."""
    nothing = np.full(len(found), NO_MOMENT)
    if moments is None:
        return nothing, {}
    if moments.wrong_type is not None:
        tally.wrong_types["outcome_at"] = moments.wrong_type
    is_known = found != NO_OUTCOME
    bad = {BAD_MOMENT: moments.unreadable & is_known, MOMENT_TO_COME: moments.to_come & is_known}
    return np.where(is_known, moments.milliseconds, nothing), {(why, "outcome_at"): rows for why, rows in bad.items()}


def _persons(mapping: SourceMapping, read: Columns, rows: int) -> tuple[list[str | None], BoolArray]:
    if not mapping.person_types:
        return [None] * rows, np.zeros(rows, bool)
    columns = list(map(objects_of, read))
    persons = canonical_keys(columns, mapping.person_types)
    is_bad = np.zeros(rows, bool)
    # A person that is not known is none; one that can't be told from others is a fault.
    for row in [n for n, person in enumerate(persons) if person is None]:
        is_bad[row] = any(column[row] is not None for column in columns)
    return persons, is_bad


def _count_rejected(
    tally: SourceTally,
    features: Features,
    broken: Int8Array,
    others: Mapping[tuple[str, str], BoolArray],
    waits: BoolArray,
) -> None:
    """Count each row once, by the first rule that it broke; `waits`, (n,), says which are unlabelled and new."""
    is_counted = broken.any(axis=1)
    first = (broken != 0).argmax(axis=1)
    for row in np.flatnonzero(is_counted).tolist():
        why = CODES[broken[row, first[row]]], features[first[row]].name
        tally.rejected[why] += 1
        tally.rejected_unlabelled[why] += int(waits[row])
    for why, bad in others.items():
        tally.rejected[why] += int(np.count_nonzero(bad & ~is_counted))
        tally.rejected_unlabelled[why] += int(np.count_nonzero(bad & waits & ~is_counted))
        is_counted = is_counted | bad


def _add(counts: Counter[str], features: Features, which: BoolArray) -> None:
    for feature, count in zip(features, np.count_nonzero(which, axis=0).tolist(), strict=True):
        counts[feature.name] += count
