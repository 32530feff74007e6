"""Reading a source, or a part of it, from one snapshot, a block at a time."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, Engine

from pima.core.declared.features import Features, names_of
from pima.core.declared.identifiers import FORGOTTEN, Forgotten, canonical_keys
from pima.core.declared.source import Source
from pima.core.rows.cells import objects_of
from pima.core.rows.mapping import Block, SourceMapping, SourceTally, mapped, mark
from pima.errors import SourceUnusable
from pima.intake.moments import moments
from pima.intake.raw_rows import BLOCK_ROWS
from pima.intake.sources import source_query
from pima.intake.sources.extent import ChangedSince, Extent, Mark, Whole, change_mark
from pima.intake.sources.source_engine import reading_source
from pima.store.tables import TABLES


def mapping_of(source: Source, features: Features) -> SourceMapping:
    """Make the mapping of a source's columns, with the features that it has. Raises
    SourceUnusable."""
    _require_features(source, features)
    named = tuple(feature for feature in features if feature.name in source.columns)
    columns = tuple(source.mapped_columns[feature.name] for feature in named)
    has_outcome = bool(source.outcome)
    return SourceMapping(
        source.key_types, source.person_types, has_outcome, source.outcome_words, named, columns
    )


def _require_features(source: Source, features: Features) -> None:
    declared = names_of(features)
    for name in source.columns:
        if name not in declared:
            what = f"columns has {name}, which is no declared feature, score or group"
            expected = f"one of: {', '.join(declared)}"
            raise SourceUnusable(source=source.name, what=what, expected=expected)
    for feature in features:
        if feature.name not in source.columns and not feature.may_be_missing:
            what = f"columns lacks {feature.name}, without which no row can be scored"
            raise SourceUnusable(source=source.name, what=what, expected="a column for it")


def latest_change(engine: Engine, source: Source) -> Mark | None:
    """The source's highest time of change; None if it has none. Raises SourceAway,
    SourceUnusable."""
    if not source.changed_since:
        return None
    with _naming_columns(engine, source, (*source.keys, source.changed_since)):
        value = source_query.highest_change(engine, source)
    mark = change_mark(value)
    if mark is None and value is not None:
        what = (
            f"its column {source.changed_since} (changed_since) holds values of the type "
            f"{type(value).__name__}"
        )
        expected = (
            "times or days, as the database's own type or as texts that begin with YYYY-MM-DD"
        )
        raise SourceUnusable(source=source.name, what=what, expected=expected)
    return mark


@dataclass(frozen=True, slots=True)
class SourceReader:
    """A source as one pull reads it."""

    source: Source
    mapping: SourceMapping
    now: datetime
    """The time when the pull began."""
    tally: SourceTally
    """Counts of the rows that were read."""
    forgotten: Forgotten
    """People whose rows are rejected."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The source's columns in the order of the mapping, and then those of its times."""
        source = self.source
        outcome = (source.outcome,) if source.outcome else ()
        features = (each.column for each in self.mapping.columns)
        return (*source.keys, *source.persons, *outcome, *features, *source.times.values())

    @contextmanager
    def reading(
        self, engine: Engine, extent: Extent
    ) -> Iterator[tuple[Iterator[Block], Iterator[list[str]]]]:
        """Yield the rows of the extent, mapped and judged, and the keys of all rows.

        There are keys only if the extent is a part: they tell which rows have vanished. Both come
        from one snapshot of the source, the rows first. Raises SourceAway, SourceUnusable.
        """
        with (
            _naming_columns(engine, self.source, self.columns),
            reading_source(engine, self.source.name) as connection,
            closing(self._blocks(connection, extent)) as blocks,
            closing(self._keys(connection, extent)) as keys,
        ):
            yield blocks, keys

    def _blocks(self, connection: Connection, extent: Extent) -> Generator[Block]:
        condition = ""
        if isinstance(extent, ChangedSince):
            condition = source_query.is_changed_since(connection.dialect, self.source, extent.bound)
        statement = source_query.select(connection.dialect, self.source, self.columns, condition)
        exact = len(self.source.keys) + len(self.source.persons)
        with closing(
            source_query.columns_of_blocks(connection, statement, BLOCK_ROWS, exact)
        ) as blocks:
            zone = ZoneInfo(self.source.time_zone)
            times = self.source.times
            others = len(self.columns) - len(times)
            for read in blocks:
                found = {
                    name: moments(objects_of(column), zone, self.now)
                    for name, column in zip(times, read[others:], strict=True)
                }
                block = mapped(self.mapping, read[:others], self.tally, found)
                _reject_forgotten(self.source.name, block, self.forgotten, self.tally)
                yield block

    def _keys(self, connection: Connection, extent: Extent) -> Generator[list[str]]:
        if isinstance(extent, Whole):
            return
        statement = source_query.select(connection.dialect, self.source, self.source.keys)
        with closing(source_query.blocks_of(connection, statement, BLOCK_ROWS)) as blocks:
            for read in blocks:
                # zip would make an iterator for each row, which starts the garbage collector again
                # and again.
                columns = [[row[n] for row in read] for n in range(len(self.source.keys))]
                keys = canonical_keys(columns, self.source.key_types)
                yield [key for key in keys if key is not None]


@contextmanager
def _naming_columns(engine: Engine, source: Source, columns: tuple[str, ...]) -> Iterator[None]:
    """Let an error name the columns at fault, if some are and others are not."""
    try:
        yield
    except SourceUnusable as error:
        unreadable = source_query.unreadable_columns(engine, source, columns)
        if not unreadable:
            raise
        if set(unreadable) == set(columns):
            place = "its query" if source.query else f"its table {'.'.join(source.table_parts)}"
            what = f"{place} can't be read ({error.facts['what']})"
            raise SourceUnusable(
                source=source.name, what=what, expected=error.facts["expected"]
            ) from None
        what = f"it has no column {', '.join(unreadable)} that can be read ({error.facts['what']})"
        expected = "the names as the source has them, each letter alike, and the right to read each"
        raise SourceUnusable(source=source.name, what=what, expected=expected) from None


def _reject_forgotten(source: str, block: Block, known: Forgotten, tally: SourceTally) -> None:
    """Reject the rows of people who were forgotten, and count them."""
    if known:
        theirs = np.array(known.among(source, block.index, block["person_key"]), dtype=bool)
        tally.rejected[FORGOTTEN, "key"] += int(
            np.count_nonzero(theirs & (block["reason"] == "").to_numpy())
        )
        mark(block, theirs, FORGOTTEN, "key")
        # Other faults of such a row must not be reported any more.
        block.loc[theirs, "reason"] = FORGOTTEN


_COLUMNS = {table.name: frozenset(table.columns.keys()) for table in TABLES}
_COLUMNS["current_predictions"] = frozenset(
    {"patient_id", "patient_version", "model_version", "superseded"}
)


def looks_like_ours(source: Source, columns: Sequence[str]) -> bool:
    """Whether a table is one of pima's own, in any database: it has the name, and all columns, of
    one of ours."""
    ours = _COLUMNS.get(source.table_parts[-1].lower()) if source.table_parts else None
    return ours is not None and ours.issubset(columns)


def require_not_ours(source: Source, source_engine: Engine) -> None:
    """Refuse a table or view of pima's own: each of its rows would come in as another patient with
    every pull.

    The tables behind a query or another view can't be known. Raises SourceUnusable, SourceAway.
    """
    if source.query or source.table_parts[-1].lower() not in _COLUMNS:
        return
    with reading_source(source_engine, source.name) as connection:
        names = source_query.column_names(connection, source)
    if looks_like_ours(source, names):
        what = (
            f"its table {source.table_parts[-1]} is pima's own, so its rows would come in again "
            "with each pull"
        )
        expected = (
            "a table or view of the clinic's; rows that other software writes to patients need no "
            "[[source]]"
        )
        raise SourceUnusable(source=source.name, what=what, expected=expected)
