"""The keys that the triggers on a source's table have noted: read before its rows are, forgotten once they are in.

By their own numbers, never up to one: a transaction that drew a lower number may become visible later.
"""

from array import array
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Connection, text

from pima.store.database import database_of
from pima.store.id_lists import id_lists

_ROWS_AT_ONCE = 10_000
_MOST_ENTRIES = 5_000_000
"""That are read by one pull; what is left the next one reads."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What stands there of a source."""

    ids: Sequence[int]
    """The entries, to be forgotten."""
    texts: frozenset[str | None]
    """The keys as they were noted: one column's text, or a JSON array of the texts of several. None among them stands
    for all keys."""
    are_all: bool
    """Whether all that was noted is among them."""


def noted(connection: Connection, source: str, most_keys: int) -> Noted:
    """All entries, and of their keys somewhat more than so many at most."""
    database = database_of(connection)
    ids, texts, mark = array("q"), set[str | None](), database.words.parameter
    with closing(database.stream(connection)) as cursor:
        cursor.execute(
            f"SELECT id, source_key FROM source_changes WHERE source = {mark} ORDER BY id LIMIT {mark}",
            (source, _MOST_ENTRIES),
        )
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            ids.extend(row[0] for row in rows)
            if len(texts) <= most_keys:
                texts.update(row[1] for row in rows)
    return Noted(ids, frozenset(texts), len(texts) <= most_keys and len(ids) < _MOST_ENTRIES)


def forget(connection: Connection, entries: Sequence[int]) -> None:
    """Take entries away, which are compared and taken in."""
    for listed in id_lists(entries):
        connection.execute(text(f"DELETE FROM source_changes WHERE id IN ({listed})"))
