"""What SQLite's catalogue says of keys, conditions and indexes, and of what views read."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from sqlalchemy import Connection, text

from pima.store import constraints as called

_COLUMNS = text("""
    SELECT m.name, c.name, c.pk, c."notnull", instr(upper(m.sql), 'AUTOINCREMENT') > 0
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' ORDER BY m.name, c.pk""")
_INDEXES = text("""
    SELECT m.name, i.name, i."unique" FROM sqlite_master m JOIN pragma_index_list(m.name) i
    WHERE m.type = 'table' AND i.origin = 'c'""")
_UNIQUE = text("""
    SELECT m.name, i.name, c.name FROM sqlite_master m JOIN pragma_index_list(m.name) i
        JOIN pragma_index_info(i.name) c
    WHERE m.type = 'table' AND i.origin = 'u' ORDER BY m.name, i.name, c.seqno""")
_TEXTS = text("SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')")
# Tools that rebuild a table put names in quotes.
_CHECK = re.compile(r"""\bCONSTRAINT\s+["'`[]?(\w+)["'`\]]?\s+CHECK\b""", re.IGNORECASE)


def constraints(connection: Connection, names: Sequence[str]) -> set[tuple[str, str]]:
    """What each of these tables and views has, in the words of `pima.store.constraints`, and maybe more."""
    return {*_of_columns(connection), *_of_indexes(connection), *_of_texts(connection, names)}


def _of_columns(connection: Connection) -> Iterator[tuple[str, str]]:
    for table, columns in groupby(connection.execute(_COLUMNS).all(), key=lambda row: row[0]):
        found = list(columns)
        yield table, called.primary_key([row[1] for row in found if row[2]])
        yield from ((table, called.not_null(row[1])) for row in found if row[3])
        # Only a key of one column can have it.
        yield from ((table, called.identity(row[1])) for row in found if row[2] and row[4])


def _of_indexes(connection: Connection) -> Iterator[tuple[str, str]]:
    for table, name, is_unique in connection.execute(_INDEXES):
        yield table, called.index(name, bool(is_unique))
    for (table, _), columns in groupby(connection.execute(_UNIQUE).all(), key=lambda row: tuple(row[:2])):
        yield table, called.unique([name for _, _, name in columns])


def _of_texts(connection: Connection, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, kind, made in connection.execute(_TEXTS):
        if kind == "view":
            yield name, called.VIEW
            # Views read tables by their names, and a name that is also a word of the text does no harm.
            yield from ((name, called.rows_of(word)) for word in re.findall(r"\w+", made) if word in names)
        yield from ((name, called.check(check)) for check in _CHECK.findall(made))
