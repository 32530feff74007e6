"""A source: a table, view or query outside `patients` that rows come from, as the settings declare it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

from pima.core.features import Fault

KeyType = Literal["text", "integer", "uuid"]
Share = Annotated[float, Meta(ge=0, le=1)]

PLAIN_NAME = r"[a-z][a-z0-9_]{0,29}"


class MappedColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """The column of a source that a feature comes from."""

    column: str
    """Of the source, by its exact name."""
    factor: float = 1.0
    """What a number is multiplied by to be in the declared unit."""
    offset: float = 0.0
    """What is added to it then."""
    words: dict[str, float] = {}
    """Texts, case aside, and what each means in the declared unit or code."""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """One [[source]]. Names of tables and columns are the database's own, each letter as it is there."""

    name: str
    """What the source is called in tables, logs and variables."""
    key: str | tuple[str, ...]
    columns: dict[str, str | MappedColumn]
    table: str = ""
    """A table or view; with its schema before a dot, unless `schema` is given."""
    schema: str | None = None
    """Of the table, where its name or the schema's holds a dot; empty where the database knows none."""
    query: str = ""
    """A SELECT in place of a table."""
    key_type: KeyType | tuple[KeyType, ...] = "text"
    """What the key is; of several columns one each."""
    person: str | tuple[str, ...] = ()
    """The column, or columns, by which a person is known, where a row is a visit."""
    person_type: KeyType | tuple[KeyType, ...] = "text"
    """As of the key."""
    outcome: str = ""
    """The column of the outcome; none where other ways bring it."""
    outcome_words: dict[str, Literal[0, 1]] = {}
    """Texts, case aside, and the outcome that each means."""
    outcome_at: str = ""
    """The column of the time, or day, at which the outcome became known; where it says none, the time of the pull is
    that."""
    time_zone: str = "UTC"
    """Of `outcome_at`, where that has no zone or is a day."""
    changed_since: str = ""
    """The column of the time at which a row was changed last, so that only what has changed is read, and all of it once
    a week; none where all of it is read each time."""
    vanished: Literal["keep", "delete"] = "keep"
    """What becomes of rows that are no longer in the source."""
    minimum_rows: Annotated[int, Meta(ge=1)] = 1
    """Fewer in the source are taken for a fault."""
    most_vanished: Share = 0.2
    """A larger share of the known rows that is no longer in the source is taken for a fault."""
    most_missing: Share = 0.5
    """A feature that suddenly can't be had in a larger share of the rows is taken for a fault."""
    most_rejected: Share = 0.5
    """A larger share of rows that break a rule, whichever, is taken for a fault."""
    most_cleared: Share = 0.2
    """A larger share of the known outcomes that the source has no more is taken for a fault."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return _each(self.key)

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        """One for each of them."""
        return _each(self.key_type)

    @property
    def persons(self) -> tuple[str, ...]:
        """The columns of the person's key; none where rows have no person."""
        return _each(self.person)

    @property
    def person_types(self) -> tuple[KeyType, ...]:
        """One for each of them."""
        return _each(self.person_type) if self.persons else ()

    @property
    def table_parts(self) -> tuple[str, ...]:
        """Schema and table, or the table alone."""
        if self.schema is not None:
            return tuple(part for part in (self.schema, self.table) if part)
        return tuple(self.table.split(".", 1))

    @property
    def mapped_columns(self) -> Mapping[str, MappedColumn]:
        """Each mapped feature with its column."""
        return {name: how if isinstance(how, MappedColumn) else MappedColumn(how) for name, how in self.columns.items()}


_Text = TypeVar("_Text", bound=str)


def _each(one_or_more: _Text | tuple[_Text, ...]) -> tuple[_Text, ...]:
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)


def first_faulty_source(sources: Sequence[Source]) -> tuple[Source, Fault] | None:
    """Find the first source that can't be used as it is declared; None where all can."""
    names: list[str] = []
    for source in sources:
        if source.name in names:
            return source, Fault("name", "is that of another source as well", "a name for each")
        names.append(source.name)
        for fault in _faults(source):
            return source, fault
    return None


def _faults(source: Source) -> Iterator[Fault]:
    if not re.fullmatch(PLAIN_NAME, source.name):
        expected = "a lower-case letter, then lower-case letters, digits and underscores, 30 in all"
        yield Fault("name", "is no plain name", expected)
    if bool(source.table) == bool(source.query):
        yield Fault("table", "and query are both there, or neither", "one of the two")
    if source.query and source.schema is not None:
        yield Fault("schema", "belongs to a table", "a table, or no schema")
    if ";" in source.query.strip().rstrip(";"):
        yield Fault("query", "is more than one statement, or holds a semicolon", "one SELECT; or a view made of it")
    yield from _faults_of_key("key", source.keys, "key_type", _each(source.key_type))
    if source.persons:
        yield from _faults_of_key("person", source.persons, "person_type", _each(source.person_type))
    yield from _faults_of_columns(source)


def _faults_of_key(key: str, columns: tuple[str, ...], of_type: str, types: tuple[str, ...]) -> Iterator[Fault]:
    if not columns or "" in columns:
        yield Fault(key, "names no column", "a column's name, or a list of names")
    if len(columns) != len(types):
        yield Fault(of_type, f"has {len(types)} for {len(columns)} columns", "a type for each column")


def _faults_of_columns(source: Source) -> Iterator[Fault]:
    if not source.columns:
        yield Fault("columns", "is empty", "for each feature its column")
    for key in ("outcome_words", "outcome_at"):
        if getattr(source, key) and not source.outcome:
            yield Fault(key, "stands there without outcome", "the outcome's column too")
    yield from _faults_of_words("outcome_words", source.outcome_words)
    for feature, how in source.mapped_columns.items():
        place = f"columns.{feature}"
        if not how.column:
            yield Fault(place, "names no column", "a column's name")
        if how.factor == 0 or not math.isfinite(how.factor) or not math.isfinite(how.offset):
            yield Fault(f"{place}.factor", "or offset makes no number of a number", "finite numbers, a factor not 0")
        yield from _faults_of_words(f"{place}.words", how.words)


def _faults_of_words(place: str, words: Mapping[str, Any]) -> Iterator[Fault]:
    if len({word.strip().casefold() for word in words}) < len(words):
        yield Fault(place, "has a word twice, case aside", "each word once")
