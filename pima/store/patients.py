"""The patients: taking in files through a staging table."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, insert, select, text

from pima.store.columns import any_differs, assigned, column, listed
from pima.store.contested import hold
from pima.store.database import Id, Key, Real, database_of
from pima.store.tables import loads


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file's rows became."""

    inserted: int
    updated: int
    unchanged: int


def only_one_load(connection: Connection) -> None:
    """Wait for another load to end: each must see what the other brought."""
    database_of(connection).wait_for_other_loads(connection)


def _staging(connection: Connection) -> str:
    """The table by its schema, so that no other of this name, wherever it is found first, is filled or dropped."""
    return f"{database_of(connection).temporary_schema}.pima_staging"


def make_staging(connection: Connection, names: Sequence[str], keys: Sequence[str] = ()) -> None:
    """An empty table of this connection's own, gone with the transaction or once its rows are taken in."""
    staging = _staging(connection)
    number, real, key = (kind.compile(connection.dialect) for kind in (Id(), Real(), Key()))
    called = "".join(f"{name} {key}, " for name in keys)
    measured = ", ".join(f"{column(name)} {real}" for name in names)
    connection.execute(text(f"DROP TABLE IF EXISTS {staging}"))
    # No constraints: what breaks them is found by the queries below, with its line number.
    connection.execute(
        text(f"CREATE TEMPORARY TABLE {staging} ({called}line {number}, id {number}, {measured}, outcome {number})")
    )


def stage(
    connection: Connection, names: Sequence[str], rows: Sequence[tuple[object, ...]], keys: Sequence[str] = ()
) -> None:
    """Add rows (line, id, measurements, outcome, and these keys) to the staging table; None is NULL."""
    columns = (*keys, "line", "id", *map(column, names), "outcome")
    ordered = [(*row[-len(keys) :], *row[: -len(keys)]) for row in rows] if keys else rows
    database_of(connection).append_rows(connection, _staging(connection), columns, ordered, len(keys))


def give_ids(connection: Connection) -> None:
    """Look up by source and key whose the lines are: patients who are known, or were once."""
    # A row that was written while the triggers were switched off is in patients alone.
    for table, found in (("row_keys", "patient_id"), ("patients", "id")):
        connection.execute(
            text(f"""
                UPDATE {_staging(connection)} AS s SET id = k.{found} FROM {table} k
                WHERE s.id IS NULL AND k.source = s.source AND k.source_key = s.source_key""")
        )


def persons_of_sources(connection: Connection, sources: Sequence[str]) -> list[tuple[int, str, str]]:
    """Line, source and person of those that say a person and whose row is known, or was once, by one of these."""
    statement = text(f"""
        SELECT s.line, coalesce(p.source, k.source) AS source, s.person_key
        FROM {_staging(connection)} s LEFT JOIN patients p ON p.id = s.id LEFT JOIN row_keys k ON k.patient_id = s.id
        WHERE s.person_key IS NOT NULL AND coalesce(p.source, k.source) IN :sources ORDER BY s.line""")
    found = connection.execute(statement.bindparams(bindparam("sources", expanding=True)), {"sources": list(sources)})
    return [(row.line, row.source, row.person_key) for row in found]


def name_persons(connection: Connection, persons: Mapping[int, str]) -> None:
    """Let lines say these persons."""
    if persons:
        statement = text(f"UPDATE {_staging(connection)} SET person_key = :person WHERE line = :line")
        connection.execute(statement, [{"line": line, "person": person} for line, person in persons.items()])


def keep_known(connection: Connection) -> None:
    """From now on the known patients of the file are there until the transaction ends. Raises RowsContested."""
    hold(connection, f"patients p JOIN {_staging(connection)} s ON s.id = p.id", "KEY SHARE")


def repeated(connection: Connection, column: str) -> list[int]:
    """Lines whose id, or source and key, stand on an earlier line of the file already."""
    called = "source, source_key" if column == "source_key" else "id"
    statement = text(f"""
        SELECT line FROM (SELECT line, row_number() OVER (PARTITION BY {called} ORDER BY line) AS nth
                          FROM {_staging(connection)} WHERE {column} IS NOT NULL) AS numbered
        WHERE nth > 1 ORDER BY line""")
    return list(connection.execute(statement).scalars())


def lines_without_id(connection: Connection) -> list[int]:
    """Lines of a file with ids that lack theirs."""
    statement = text(f"SELECT line FROM {_staging(connection)} WHERE id IS NULL ORDER BY line")
    return list(connection.execute(statement).scalars())


def ids_kept_and_taken(connection: Connection, source: str, keys: Sequence[str]) -> list[int]:
    """Ids that some of these keys of a source had and that are other rows' by now."""
    database = database_of(connection)
    differs = any_differs(("source", "source_key"), "p", database.differs, "k")
    with closing(database.cursor(connection)) as cursor:
        cursor.execute(
            f"""SELECT p.id FROM row_keys k JOIN patients p ON p.id = k.patient_id
            WHERE k.source = {database.parameter} AND k.source_key {database.is_one_of} AND ({differs})
            ORDER BY p.id""",
            (source, database.list_of_texts(keys)),
        )
        return [row[0] for row in cursor.fetchall()]


def unknown_lines(connection: Connection) -> list[int]:
    """Lines whose patient is not in the database."""
    # For files that lack measurements, where such a line can't be a new patient.
    statement = text(f"""
        SELECT line FROM {_staging(connection)} s
        WHERE NOT EXISTS (SELECT 1 FROM patients p WHERE p.id = s.id) ORDER BY line""")
    return list(connection.execute(statement).scalars())


def drop_staged(connection: Connection, lines: list[int]) -> None:
    """Leave lines out."""
    if lines:
        # A line that was never staged is no error.
        statement = text(f"DELETE FROM {_staging(connection)} WHERE line = :line")
        connection.execute(statement, [{"line": line} for line in lines])


def take_staged(connection: Connection, columns: tuple[str, ...]) -> Loaded:
    """Update the patients whose id is known, in the file's columns only, and insert the others; the table is gone then,
    since behind a pool of connections others use this session. Raises RowsContested where somebody else holds one."""
    staging, known = _staging(connection), "EXISTS (SELECT 1 FROM patients p WHERE p.id = s.id)"
    matched = connection.execute(text(f"SELECT count(*) FROM {staging} s WHERE {known}")).scalar_one()
    updated = _update_known(connection, columns) if matched else 0
    names, staged = listed(columns), listed(columns, "s")
    # A file of outcomes or corrections alone has no new patients.
    inserted = _insert(
        connection,
        f"(id, {names}) SELECT s.id, {staged} FROM {staging} s WHERE s.id IS NOT NULL AND NOT {known} ORDER BY s.id",
    )
    lack_ids = connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM {staging} WHERE id IS NULL)")).scalar_one()
    if inserted or lack_ids:
        draw_ids_above_given(connection)
    # Numbered in the file's order.
    inserted += _insert(connection, f"({names}) SELECT {staged} FROM {staging} s WHERE s.id IS NULL ORDER BY s.line")
    connection.execute(text(f"DROP TABLE {staging}"))
    return Loaded(inserted, updated, matched - updated)


def _insert(connection: Connection, rows: str) -> int:
    with database_of(connection).waiting_a_moment(connection):
        return connection.execute(text(f"INSERT INTO patients {rows}")).rowcount


def draw_ids_above_given(connection: Connection) -> None:
    """From now on: an id that a row has, or had by its key, is no other row's."""
    database_of(connection).draw_ids_above_given(connection)


def _update_known(connection: Connection, columns: tuple[str, ...]) -> int:
    if not columns:
        return 0
    differ = any_differs(columns, "patients", database_of(connection).differs, "s")
    # Rows that would not change are left alone, so that their `updated_at` stays true.
    staging = _staging(connection)
    differ_now = any_differs(columns, "p", database_of(connection).differs, "s")
    hold(connection, f"patients p JOIN {staging} s ON s.id = p.id WHERE {differ_now}", "NO KEY UPDATE")
    statement = f"UPDATE patients SET {assigned(columns, 's')} FROM {staging} s WHERE s.id = patients.id AND ({differ})"
    return connection.execute(text(statement)).rowcount


def earlier_load(connection: Connection, sha256: str) -> datetime | None:
    """When rows of a file with these bytes were loaded first; None if never."""
    with_rows = (loads.c.sha256 == sha256) & (loads.c.rows > 0)
    return connection.execute(select(func.min(loads.c.loaded_at)).where(with_rows)).scalar()


def record_load(connection: Connection, sha256: str, file_name: str, rows: int) -> None:
    """Remember a file."""
    connection.execute(insert(loads).values(sha256=sha256, file_name=file_name, rows=rows))
