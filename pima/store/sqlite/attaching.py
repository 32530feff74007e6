"""SQLite's triggers on a source's table: which keys were touched is noted in `source_changes`, for the next pull.

REPLACE takes rows away and fires no trigger for them. So what a row that comes would push out, by whatever is unique in
the table, is noted before it comes; where it pushes out nothing after all, a key is compared once too often.

An error in a trigger is one of the statement that fired it: without `source_changes` nobody could write to the table.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from pima.core.source import KeyType, Source

_NOTE = "INSERT INTO source_changes (source, source_key)"


def quoted(name: str) -> str:
    """A name as a statement has it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def triggers_of(connection: Connection, table: str, source: Source) -> dict[str, str]:
    """What makes each trigger of a source, by its name, as the table is now."""
    name, on = f"pima_{source.name}", quoted(table)
    new, old = (f"SELECT '{source.name}', {_key(source, row)}" for row in ("NEW", "OLD"))
    # By their bytes: to a table that takes upper case for lower they might be the same.
    is_other = " OR ".join(f"NEW.{quoted(k)} IS NOT OLD.{quoted(k)} COLLATE BINARY" for k in source.keys)
    made = {
        f"{name}_inserted": f"AFTER INSERT ON {on} BEGIN {_NOTE} {new}; END",
        f"{name}_updated": f"AFTER UPDATE ON {on} BEGIN {_NOTE} {new}; {_NOTE} {old} WHERE {is_other}; END",
        f"{name}_deleted": f"AFTER DELETE ON {on} BEGIN {_NOTE} {old}; END",
    }
    if pushed_out := _pushed_out(connection, table, source):
        taken = f"{_NOTE} SELECT '{source.name}', {_key(source, 'held')} FROM {on} AS held WHERE ({pushed_out})"
        is_itself = " AND ".join(f"held.{quoted(k)} IS OLD.{quoted(k)} COLLATE BINARY" for k in source.keys)
        made |= {
            f"{name}_pushed_out_by_insert": f"BEFORE INSERT ON {on} BEGIN {taken}; END",
            f"{name}_pushed_out_by_update": f"BEFORE UPDATE ON {on} BEGIN {taken} AND NOT ({is_itself}); END",
        }
    return {trigger: f"CREATE TRIGGER {trigger} {does}" for trigger, does in made.items()}


_STORED_AS: dict[KeyType, str] = {"integer": "integer", "text": "text", "uuid": "text"}
"""What a key of each type is in a cell; anything else is none, and NULL is noted, which stands for all keys."""


def _key(source: Source, row: str) -> str:
    """The key's text; of several columns a JSON array of theirs."""
    columns = [f"{row}.{quoted(column)}" for column in source.keys]
    types = [_STORED_AS[key_type] for key_type in source.key_types]
    is_key = " AND ".join(f"typeof({column}) = '{of}'" for column, of in zip(columns, types, strict=True))
    texts = [f"CAST({column} AS TEXT)" for column in columns]
    whole = texts[0] if len(texts) == 1 else f"json_array({', '.join(texts)})"
    return f"CASE WHEN {is_key} THEN {whole} END"


_UNIQUE = text("""
    SELECT i.name, c.cid, c.name AS "column", c.coll
    FROM pragma_index_list(:name) i JOIN pragma_index_xinfo(i.name) c
    WHERE i."unique" AND c.key ORDER BY i.seq, c.seqno""")


def unique_columns(connection: Connection, table: str) -> list[list[tuple[str | None, str]]]:
    """Of each unique index its columns with their collations; an expression is None."""
    found: dict[str, list[tuple[str | None, str]]] = {}
    for row in connection.execute(_UNIQUE, {"name": table}):
        found.setdefault(row.name, []).append((row.column if row.cid >= 0 else None, row.coll))
    return list(found.values())


def _pushed_out(connection: Connection, table: str, source: Source) -> str:
    """The condition that a row which is there (`held`) can't stay beside the one that comes; empty where only the row
    of the same key can't."""
    conditions = []
    for columns in unique_columns(connection, table):
        exactly = {column for column, collation in columns if collation == "BINARY"}
        if not exactly.issuperset(source.keys):
            conditions.append(
                " AND ".join(f"held.{quoted(c)} = NEW.{quoted(c)} COLLATE {quoted(by)}" for c, by in columns if c)
            )
    conditions += [f"held.{name} = NEW.{name}" for name in _row_number(connection, table, source.keys)]
    return " OR ".join(f"({condition})" for condition in conditions)


def _row_number(connection: Connection, table: str, keys: Sequence[str]) -> Iterator[str]:
    """A name of the number that each row has besides its columns, or as one of them; not where it is the key."""
    columns = connection.execute(text("SELECT name FROM pragma_table_xinfo(:name)"), {"name": table}).scalars().all()
    number = connection.execute(_NUMBERED, {"name": table}).first()
    if number is None or [number.alias] == list(keys):
        return
    taken = {column.lower() for column in columns}
    yield from [name for name in ("rowid", "_rowid_", "oid") if name not in taken][:1]


# A key that has an index of its own is none of the row's number.
_NUMBERED = text("""
    SELECT CASE WHEN (SELECT count(*) FROM pragma_table_info(:name) WHERE pk) = 1
                     AND NOT EXISTS (SELECT 1 FROM pragma_index_list(:name) WHERE origin = 'pk')
           THEN (SELECT name FROM pragma_table_info(:name) WHERE pk) END AS alias
    FROM pragma_table_list WHERE schema = 'main' AND name = :name AND NOT wr""")


def attaching(connection: Connection, table: str, source: Source) -> list[str]:
    """The statements that attach a source, of the table of this name, whatever stands there of an earlier time."""
    return [
        *_dropping(source.name),
        *triggers_of(connection, table, source).values(),
        f"DELETE FROM attached_sources WHERE source = '{source.name}'",
        f"INSERT INTO attached_sources (source) VALUES ('{source.name}')",
    ]


def detaching(_connection: Connection, source: str) -> list[str]:
    """The statements that take away what `attaching` has made, and what it has noted."""
    return [
        *_dropping(source),
        f"DELETE FROM attached_sources WHERE source = '{source}'",
        f"DELETE FROM source_changes WHERE source = '{source}'",
    ]


_NAMES = ("inserted", "updated", "deleted", "pushed_out_by_insert", "pushed_out_by_update")


def _dropping(source: str) -> list[str]:
    return [f"DROP TRIGGER IF EXISTS pima_{source}_{name}" for name in _NAMES]
