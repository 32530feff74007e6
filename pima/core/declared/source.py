"""A source: a table, view or query outside `patients` that rows come from, as the settings declare
it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from pima.core.declared.columns import TIMES
from pima.core.declared.faults import Fault

KeyType = Literal["text", "integer", "uuid"]
ShareOfRows = Annotated[float, Meta(ge=0, le=1)]

PLAIN_NAME = r"[a-z][a-z0-9_]{0,29}"


class MappedColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """The column of a source that a feature comes from."""

    column: str
    """The exact name in the source."""
    factor: float = 1.0
    """Multiplies a number to bring it to the declared unit."""
    offset: float = 0.0
    """Is added after that."""
    words: dict[str, float] = {}
    """Texts, ignoring case, and the value of each in the declared unit or codes."""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """One [[source]]. Names of tables and columns are spelled exactly as in the source's
    database."""

    name: str
    """The source's name in tables, logs and variables."""
    key: str | tuple[str, ...]
    columns: dict[str, str | MappedColumn]
    table: str = ""
    """A table or view; with its schema before a dot, unless `schema` is given."""
    schema: str | None = None
    """The table's schema, needed if either name holds a dot; empty if the database has no
    schemas."""
    query: str = ""
    """A SELECT instead of a table."""
    key_type: KeyType | tuple[KeyType, ...] = "text"
    """The type of the key, or one type for each of its columns."""
    person: str | tuple[str, ...] = ()
    """The column, or columns, of the person's key, if a row is a visit."""
    person_type: KeyType | tuple[KeyType, ...] = "text"
    """The type of the person's key, or one type for each of its columns."""
    outcome: str = ""
    """The column of the outcome; empty if outcomes come in another way."""
    outcome_words: dict[str, Literal[0, 1]] = {}
    """Texts, ignoring case, and the outcome that each means."""
    outcome_at: str = ""
    """The column of the time, or day, at which the outcome became known; if a row has none, the
    time of the pull is used."""
    index_at: str = ""
    """The column of the time, or day, from which on the outcome is waited for."""
    acted_at: str = ""
    """The column of the time, or day, at which somebody acted on the row's prediction."""
    time_zone: str = "UTC"
    """The zone of `outcome_at`, `index_at` and `acted_at`, if these have none or are days."""
    changed_since: str = ""
    """The column of the time of a row's last change: only changed rows are read, and all rows once
    a week. If empty, all rows are read each time."""
    vanished: Literal["keep", "delete"] = "keep"
    """The treatment of rows that are no longer in the source."""
    minimum_rows: Annotated[int, Meta(ge=1)] = 1
    """The source is refused if it has fewer rows."""
    most_vanished: ShareOfRows = 0.2
    """The source is refused if a larger share of the known rows is no longer in it."""
    most_missing: ShareOfRows = 0.5
    """The source is refused if a feature is unusable, or suddenly missing, in a larger share of the
    rows."""
    most_rejected: ShareOfRows = 0.5
    """The source is refused if a larger share of the rows breaks any rule."""
    most_cleared: ShareOfRows = 0.2
    """The source is refused if a larger share of the known outcomes is gone from it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return _each(self.key)

    @property
    def key_types(self) -> tuple[KeyType, ...]:
        """The types of the key's columns, one each."""
        return _each(self.key_type)

    @property
    def persons(self) -> tuple[str, ...]:
        """The columns of the person's key; none if rows have no person."""
        return _each(self.person)

    @property
    def person_types(self) -> tuple[KeyType, ...]:
        """The types of these columns, one each."""
        return _each(self.person_type) if self.persons else ()

    @property
    def times(self) -> Mapping[str, str]:
        """The columns of times of a row, each by its key here."""
        named = {key: getattr(self, key) for key in TIMES.values()}
        return {key: column for key, column in named.items() if column}

    @property
    def table_parts(self) -> tuple[str, ...]:
        """Schema and table, or the table alone."""
        if self.schema is not None:
            return tuple(part for part in (self.schema, self.table) if part)
        return tuple(self.table.split(".", 1))

    @property
    def mapped_columns(self) -> Mapping[str, MappedColumn]:
        """Each mapped feature with its column."""
        return {
            name: how if isinstance(how, MappedColumn) else MappedColumn(how)
            for name, how in self.columns.items()
        }


_Text = TypeVar("_Text", bound=str)


def _each(one_or_more: _Text | tuple[_Text, ...]) -> tuple[_Text, ...]:
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)


def first_faulty_source(sources: Sequence[Source]) -> tuple[Source, Fault] | None:
    """Find the first source that can't be used as it is declared; None if all can."""
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
        yield Fault(
            "query",
            "is more than one statement, or holds a semicolon",
            "one SELECT; or a view made of it",
        )
    yield from _faults_of_key("key", source.keys, "key_type", _each(source.key_type))
    if source.persons:
        yield from _faults_of_key(
            "person", source.persons, "person_type", _each(source.person_type)
        )
    yield from _faults_of_columns(source)


def _faults_of_key(
    key: str, columns: tuple[str, ...], of_type: str, types: tuple[str, ...]
) -> Iterator[Fault]:
    if not columns or "" in columns:
        yield Fault(key, "names no column", "a column's name, or a list of names")
    if len(columns) != len(types):
        yield Fault(
            of_type, f"has {len(types)} for {len(columns)} columns", "a type for each column"
        )


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
            yield Fault(
                f"{place}.factor",
                "is 0, or it or offset is not finite",
                "finite numbers, a factor not 0",
            )
        yield from _faults_of_words(f"{place}.words", how.words)


def _faults_of_words(place: str, words: Mapping[str, object]) -> Iterator[Fault]:
    if len({word.strip().casefold() for word in words}) < len(words):
        yield Fault(place, "has a word twice, case aside", "each word once")
