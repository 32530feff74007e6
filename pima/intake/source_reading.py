"""Reading a source: whole, in one statement and so of one state, in the order of its keys, a block at a time."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager

from sqlalchemy import Connection, Engine

from pima.core.features import Features
from pima.core.mapping import SourceMapping, SourceRows, Tally, mapped
from pima.core.source import Source
from pima.errors import SourceUnusable
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


@contextmanager
def source_rows(
    engine: Engine, source: Source, mapping: SourceMapping, tally: Tally, ordered: bool
) -> Iterator[Iterator[SourceRows]]:
    """The rows in blocks, each key once, in order; those of a key that came before are counted in the tally.

    With `ordered` the source's own order is relied on, and OutOfOrder raised where it is another. Raises SourceAway,
    SourceUnusable.
    """
    columns = source_query.columns_of(source, [feature.name for feature in mapping.features])
    try:
        with reading_source(engine, source.name) as connection:
            ordered = ordered and source_query.can_order(engine.dialect, source)
            statement = source_query.select(engine.dialect, source, columns, ordered)
            with closing(_blocks(connection, statement, mapping, tally)) as blocks:
                in_order = _ascending(blocks) if ordered else sorted_rows(blocks, BLOCK_ROWS)
                yield _each_key_once(in_order, tally)
    except SourceUnusable as error:
        raise _named(error, engine, source, columns) from None


def _blocks(connection: Connection, statement: str, mapping: SourceMapping, tally: Tally) -> Generator[SourceRows]:
    with closing(source_query.blocks_of(connection, statement, BLOCK_ROWS)) as blocks:
        for rows in blocks:
            yield mapped(mapping, list(zip(*rows, strict=True)), tally)


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


def _named(error: SourceUnusable, engine: Engine, source: Source, columns: tuple[str, ...]) -> SourceUnusable:
    """The same with the columns that are at fault, where some are and others are not."""
    unreadable = source_query.unreadable_columns(engine, source, columns)
    if not unreadable or set(unreadable) == set(columns):
        return error
    what = f"it has no column {', '.join(unreadable)} that can be read ({error.facts['what']})"
    return SourceUnusable(source=source.name, what=what, expected="the names as the source has them, each letter alike")
