"""Reading a source, or a part of it: of one state, in the order of its keys, a block at a time."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.cells import objects_of
from pima.core.features import Features
from pima.core.identifiers import Forgotten
from pima.core.mapping import SourceMapping, SourceRows, Tally, mapped
from pima.core.source import Source
from pima.errors import SourceUnusable
from pima.intake.changed_since import Mark, mark_of, reached_before
from pima.intake.extent import ChangedSince, Extent
from pima.intake.forgotten_rows import rejecting_forgotten
from pima.intake.outcome_times import moments
from pima.intake.sorting import sorted_rows
from pima.store import source_query
from pima.store.source_engine import reading_source

BLOCK_ROWS = 10_000


class OutOfOrder(Exception):
    """The source does not give its rows in the order of their canonical keys."""


def mapping_of(source: Source, features: Features) -> SourceMapping:
    """How a source's columns are read; of the features those that it maps. Raises SourceUnusable."""
    _require_features(source, features)
    named = tuple(feature for feature in features if feature.name in source.columns)
    columns = tuple(source.mapped_columns[feature.name] for feature in named)
    has_outcome = bool(source.outcome)
    return SourceMapping(source.key_types, source.person_types, has_outcome, source.outcome_words, named, columns)


def _require_features(source: Source, features: Features) -> None:
    declared = [feature.name for feature in features]
    for name in source.columns:
        if name not in declared:
            what, expected = f"columns has {name}, which is no declared feature", f"one of: {', '.join(declared)}"
            raise SourceUnusable(source=source.name, what=what, expected=expected)
    for feature in features:
        if feature.name not in source.columns and not feature.may_be_missing:
            what = f"columns lacks {feature.name}, without which no row can be scored"
            raise SourceUnusable(source=source.name, what=what, expected="a column for it")


def latest_change(engine: Engine, source: Source) -> Mark | None:
    """The source's highest time of change; None where it has none. Raises SourceAway, SourceUnusable."""
    with _naming_columns(engine, source, (*source.keys, source.changed_since)):
        value = _latest_value(engine, source)
    mark = mark_of(value)
    if mark is None and value is not None:
        what = f"its column {source.changed_since} (changed_since) holds values of the type {type(value).__name__}"
        expected = "times or days, as the database's own type or as texts that begin with YYYY-MM-DD"
        raise SourceUnusable(source=source.name, what=what, expected=expected)
    return mark


def _latest_value(engine: Engine, source: Source) -> object:
    """The highest one; any other, whose type then tells why, where the database has no highest of its type."""
    try:
        return source_query.latest_change(engine, source)
    except SourceUnusable:
        value = source_query.any_change(engine, source)
        if value is None or mark_of(value) is not None:
            raise
        return value


@dataclass(frozen=True, slots=True)
class SourceReader:
    """A source as one pull reads it."""

    source: Source
    mapping: SourceMapping
    now: datetime
    """When the pull began."""
    tally: Tally
    """What was seen of the rows."""
    forgotten: Forgotten
    """People whose rows are rejected."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The source's own, in the order of the mapping, and then the outcome's time, where it has one."""
        columns = source_query.columns_of(self.source, [feature.name for feature in self.mapping.features])
        return (*columns, self.source.outcome_at) if self.source.outcome_at else columns

    @contextmanager
    def rows(self, engine: Engine, extent: Extent, ordered: bool) -> Iterator[tuple[Connection, Iterator[SourceRows]]]:
        """The rows in blocks, each key once, in order; those of a key that came before are counted in the tally.

        With them comes the connection on whose transaction they are read.

        With `ordered` the source's own order is relied on, and OutOfOrder raised where it is another. Raises
        SourceAway, SourceUnusable.
        """
        with (
            _naming_columns(engine, self.source, self.columns),
            reading_source(engine, self.source.name) as connection,
            closing(self._in_order(connection, extent, ordered)) as blocks,
        ):
            yield connection, _each_key_once(blocks, self.tally)

    def _in_order(self, connection: Connection, extent: Extent, ordered: bool) -> Generator[SourceRows]:
        """All rows of the extent, by one statement."""
        dialect, condition, is_new = connection.dialect, "", ""
        if isinstance(extent, ChangedSince):
            condition = source_query.is_changed_since(dialect, self.source, extent.bound)
            is_new = source_query.is_changed_after(dialect, self.source, reached_before(extent.bound))
        ordered = ordered and source_query.can_order(dialect, self.source)
        with closing(self._blocks(connection, condition, ordered, is_new)) as blocks:
            yield from _ascending(blocks) if ordered else sorted_rows(blocks, BLOCK_ROWS)

    def _blocks(self, connection: Connection, condition: str, ordered: bool, is_new: str = "") -> Generator[SourceRows]:
        """By `is_new` rows are told from those that the pull before has read, too; all are new without it."""
        statement = source_query.select(connection.dialect, self.source, self.columns, ordered, condition, is_new)
        with closing(source_query.columns_of_blocks(connection, statement, BLOCK_ROWS)) as blocks:
            for read in blocks:
                columns, told = (read[:-1], objects_of(read[-1])) if is_new else (read, None)
                new = None if told is None else np.array(told, dtype=bool)
                known = moments(objects_of(columns[-1]), self._zone, self.now) if self.source.outcome_at else None
                columns = columns[:-1] if self.source.outcome_at else columns
                rows = mapped(self.mapping, columns, self.tally, known, new)
                yield rejecting_forgotten(self.source.name, rows, self.forgotten, self.tally)

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.source.time_zone)


def _ascending(blocks: Iterable[SourceRows]) -> Iterator[SourceRows]:
    last = ""
    for block in blocks:
        if block.keys != sorted(block.keys) or (block.keys and block.keys[0] < last):
            raise OutOfOrder
        last = block.keys[-1] if block.keys else last
        yield block


def _each_key_once(blocks: Iterable[SourceRows], tally: Tally) -> Iterator[SourceRows]:
    last = ""
    for block in blocks:
        keys = [last, *block.keys]
        last = keys[-1]
        if len(set(keys)) == len(keys):
            yield block
            continue
        firsts = [n for n, key in enumerate(block.keys) if key != keys[n]]
        tally.repeated_keys += len(block) - len(firsts)
        yield block.only(firsts)


@contextmanager
def _naming_columns(engine: Engine, source: Source, columns: tuple[str, ...]) -> Iterator[None]:
    """Let an error name the columns that are at fault, where some are and others are not."""
    try:
        yield
    except SourceUnusable as error:
        unreadable = source_query.unreadable_columns(engine, source, columns)
        if not unreadable:
            raise
        if set(unreadable) == set(columns):
            what = f"{_place(engine, source)} can't be read ({error.facts['what']})"
            raise SourceUnusable(source=source.name, what=what, expected=error.facts["expected"]) from None
        what = f"it has no column {', '.join(unreadable)} that can be read ({error.facts['what']})"
        expected = "the names as the source has them, each letter alike, and the right to read each"
        raise SourceUnusable(source=source.name, what=what, expected=expected) from None


def _place(engine: Engine, source: Source) -> str:
    """As the settings have it, which hold no patient's value."""
    if not source.query:
        return f"its table {'.'.join(source.table_parts)}"
    at = source_query.fault_in_query(engine, source)
    return "its query" if at is None else f"its query (line {at[0]}, character {at[1]})"
