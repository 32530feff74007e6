"""SQLite's own ways to change a table: what REPLACE takes away, and what a statement may leave behind."""

import random
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tests.conftest import Database
from tests.jobs.clinic import Clinic
from tests.store.noted import KEYS as K
from tests.store.noted import attach, fault, noted, touched, with_four_visits


@pytest.fixture
def visits(sqlite: Database, sqlite_own_clinic: Clinic) -> Clinic:
    return with_four_visits(sqlite, sqlite_own_clinic)


def _made(sqlite: Database, clinic: Clinic, table: str, **settings: Any) -> None:
    """Attach another table, `stays`."""
    for statement in table.split(";"):
        clinic.execute(statement)
    clinic.settings |= {"table": "stays", "key": "stay", "key_type": "text"} | settings
    attach(sqlite, clinic)


def test_what_replaces_the_row_of_its_key_is_noted(sqlite: Database, visits: Clinic) -> None:
    visits.execute(f"REPLACE INTO visits (visit_id, age) VALUES ('{K[1]}', 3), ('{K[7]}', 4)")
    assert noted(sqlite) == {K[1], K[7]}
    visits.execute(f"UPDATE OR REPLACE visits SET visit_id = '{K[0]}' WHERE visit_id = '{K[2]}'")
    assert noted(sqlite) == {K[0], K[2]}


TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "another unique column": ("CREATE TABLE stays (stay TEXT PRIMARY KEY, bed INTEGER UNIQUE, note TEXT)", {}),
    "a number of its own": ("CREATE TABLE stays (bed INTEGER PRIMARY KEY, stay TEXT UNIQUE, note TEXT)", {}),
    "a number that nobody sees": ("CREATE TABLE stays (stay TEXT PRIMARY KEY, bed INTEGER, note TEXT)", {}),
    "no number": ("CREATE TABLE stays (stay TEXT PRIMARY KEY, bed INTEGER UNIQUE, note TEXT) WITHOUT ROWID", {}),
    "case aside": ("CREATE TABLE stays (stay TEXT COLLATE NOCASE PRIMARY KEY, bed INTEGER, note TEXT)", {}),
    "a column called rowid": ("CREATE TABLE stays (stay TEXT UNIQUE, rowid INTEGER, bed INTEGER, note TEXT)", {}),
    "a partial index": (
        """CREATE TABLE stays (stay TEXT PRIMARY KEY, bed INTEGER, note TEXT);
        CREATE UNIQUE INDEX beds ON stays (bed) WHERE note <> 'left'""",
        {},
    ),
    "several columns": ("CREATE TABLE stays (stay TEXT UNIQUE, bed INTEGER, note TEXT, UNIQUE (bed, note))", {}),
    "a constraint that replaces": (
        "CREATE TABLE stays (stay TEXT PRIMARY KEY, bed INTEGER UNIQUE ON CONFLICT REPLACE, note TEXT)",
        {},
    ),
    "an integer key": (
        "CREATE TABLE stays (stay INTEGER PRIMARY KEY, bed INTEGER UNIQUE, note TEXT)",
        {"key_type": "integer"},
    ),
    "a key of two": (
        "CREATE TABLE stays (stay TEXT, bed INTEGER, note TEXT, UNIQUE (stay, bed), UNIQUE (note))",
        {"key": ["stay", "bed"], "key_type": ["text", "integer"]},
    ),
}


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize("what", TABLES)
def test_whatever_is_pushed_out_is_noted(
    sqlite: Database, sqlite_own_clinic: Clinic, what: str, recursive: str
) -> None:
    """Any statements on a small table: what differs afterwards was noted."""
    table, settings = TABLES[what]
    _made(sqlite, sqlite_own_clinic, table, **settings)
    key = "json_array(stay, CAST(bed AS TEXT))" if isinstance(settings.get("key"), list) else "stay"
    draw, changed = random.Random(what), 0  # noqa: S311
    with closing(sqlite3.connect(make_url(sqlite.url).database or "", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA recursive_triggers = {recursive}")
        for _ in range(300):
            before, seen = _rows(connection, key), _last(connection)
            with suppress(sqlite3.IntegrityError):
                connection.execute(_any_statement(draw, what))
            now = touched(before, _rows(connection, key))
            rows = connection.execute("SELECT source_key FROM source_changes WHERE id > ?", (seen,))
            told = {key for (key,) in rows}
            assert now <= told or None in told
            changed += bool(now)
    assert changed > 100


def _last(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM source_changes").fetchone()
    return int(last)


def _rows(connection: sqlite3.Connection, key: str) -> dict[str, Counter[Any]]:
    rows: dict[str, Counter[Any]] = {}
    for found in connection.execute(f"SELECT {key}, s.* FROM stays s"):
        rows.setdefault("" if found[0] is None else str(found[0]), Counter())[found[1:]] += 1
    return rows


def _any_statement(draw: random.Random, what: str) -> str:
    is_integer = what == "an integer key"

    def stay() -> str:
        return str(draw.randrange(5)) if is_integer else repr(draw.choice("aAbBc"))

    bed, note, number = draw.randrange(4), draw.choice(["'x'", "'left'", "NULL"]), draw.randrange(1, 5)
    rowid = "_rowid_" if what == "a column called rowid" else "rowid"
    into = "INTO stays (stay, bed, note) VALUES"
    statements = [
        f"INSERT OR REPLACE {into} ({stay()}, {bed}, {note})",
        f"INSERT OR IGNORE {into} ({stay()}, {bed}, {note}), ({stay()}, {bed + 1}, {note})",
        f"INSERT OR FAIL {into} ({stay()}, {bed}, {note}), ({stay()}, {bed}, {note})",
        f"INSERT {into} ({stay()}, {bed}, {note})",
        f"INSERT {into} ({stay()}, {bed}, {note}) ON CONFLICT DO UPDATE SET note = {note}",
        f"UPDATE OR REPLACE stays SET bed = {bed} WHERE stay = {stay()}",
        f"UPDATE OR REPLACE stays SET stay = {stay()}, note = {note} WHERE bed = {bed}",
        f"UPDATE OR FAIL stays SET bed = {bed}",
        f"UPDATE OR IGNORE stays SET bed = {bed}, note = {note}",
        f"DELETE FROM stays WHERE stay = {stay()} AND bed < 3",
    ]
    if not is_integer and what != "no number":
        statements += [
            f"INSERT OR REPLACE INTO stays ({rowid}, stay, note) VALUES ({number}, {stay()}, {note})",
            f"UPDATE OR REPLACE stays SET {rowid} = {number} WHERE stay = {stay()}",
        ]
    return draw.choice(statements)


def test_a_table_that_can_push_out_no_other_key_pays_for_no_look(sqlite: Database, sqlite_own_clinic: Clinic) -> None:
    _made(sqlite, sqlite_own_clinic, "CREATE TABLE stays (stay INTEGER PRIMARY KEY, bed INTEGER)", key_type="integer")
    names = {name for (name,) in sqlite.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'stays'")}
    assert names == {"stays", "pima_clinic_inserted", "pima_clinic_updated", "pima_clinic_deleted"}


def test_what_a_foreign_key_does_is_noted(sqlite: Database, sqlite_own_clinic: Clinic) -> None:
    sqlite_own_clinic.execute("CREATE TABLE wards (ward INTEGER PRIMARY KEY)")
    sqlite_own_clinic.execute("INSERT INTO wards VALUES (1), (2), (3)")
    _made(
        sqlite,
        sqlite_own_clinic,
        """CREATE TABLE stays (stay TEXT PRIMARY KEY, ward INTEGER REFERENCES wards ON DELETE CASCADE ON UPDATE CASCADE,
        earlier TEXT REFERENCES stays ON DELETE CASCADE)""",
    )
    with closing(sqlite3.connect(make_url(sqlite.url).database or "", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("INSERT INTO stays VALUES ('a', 1, NULL), ('b', 2, 'a'), ('c', 3, 'b'), ('d', 3, NULL)")
        noted(sqlite)
        connection.execute("UPDATE wards SET ward = 7 WHERE ward = 3")
        assert noted(sqlite) == {"c", "d"}
        connection.execute("DELETE FROM wards WHERE ward = 1")
        assert noted(sqlite) == {"a", "b", "c"}


def test_what_a_trigger_of_the_clinic_changes_is_noted(sqlite: Database, visits: Clinic) -> None:
    visits.execute(f"""
        CREATE TRIGGER others AFTER UPDATE ON visits WHEN NEW.visit_id = '{K[0]}' BEGIN
            UPDATE visits SET age = 1 WHERE visit_id = '{K[1]}';
            DELETE FROM visits WHERE visit_id = '{K[2]}';
            INSERT INTO visits (visit_id) VALUES ('{K[8]}');
        END""")
    visits.execute(f"UPDATE visits SET age = 7 WHERE visit_id = '{K[0]}'")
    assert noted(sqlite) == {K[0], K[1], K[2], K[8]}


KEEPS_FROM_RUNNING = {
    "IGNORE": "CREATE TRIGGER t AFTER UPDATE ON visits BEGIN SELECT RAISE(IGNORE); END",
    "FAIL": "CREATE TRIGGER t AFTER INSERT ON visits WHEN NEW.age > 100 BEGIN SELECT RAISE(FAIL, 'no'); END",
    "FAIL elsewhere": """CREATE TABLE log (n INTEGER);
        CREATE TRIGGER u AFTER INSERT ON log BEGIN SELECT RAISE(FAIL, 'no'); END;
        CREATE TRIGGER t AFTER DELETE ON visits BEGIN INSERT INTO log VALUES (1); END""",
    "FAIL by a key": """CREATE TABLE log (n INTEGER PRIMARY KEY ON CONFLICT FAIL);
        CREATE TRIGGER t AFTER UPDATE ON visits BEGIN INSERT INTO log VALUES (1); END""",
}


@pytest.mark.parametrize("what", KEEPS_FROM_RUNNING)
def test_a_trigger_that_may_keep_ours_from_running_is_told(sqlite: Database, visits: Clinic, what: str) -> None:
    with closing(sqlite3.connect(make_url(sqlite.url).database or "")) as connection:
        connection.executescript(KEEPS_FROM_RUNNING[what])
    assert "may keep others from running" in (fault(sqlite, visits) or "")
    refused = visits.attach(sqlite, "clinic")
    assert (refused.exit_code, "may keep others from running" in refused.stderr) == (2, True)


def test_triggers_that_refuse_or_drop_a_row_before_it_is_written_are_no_fault(sqlite: Database, visits: Clinic) -> None:
    visits.execute("CREATE TRIGGER t BEFORE UPDATE ON visits WHEN NEW.age < 0 BEGIN SELECT RAISE(IGNORE); END")
    visits.execute("CREATE TRIGGER u AFTER INSERT ON visits WHEN NEW.age < 0 BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert fault(sqlite, visits) is None
    visits.execute("UPDATE visits SET age = -1")
    assert noted(sqlite) == set()


def test_without_its_table_the_clinic_s_own_write_fails_until_detached(sqlite: Database, visits: Clinic) -> None:
    """What the page says: SQLite catches no error in a trigger."""
    sqlite.execute("ALTER TABLE source_changes RENAME TO elsewhere")
    # SQLite writes the new name into the triggers.
    visits.execute("UPDATE visits SET age = 1")
    assert sqlite.value("SELECT count(*) FROM elsewhere") == 4
    sqlite.execute("ALTER TABLE elsewhere RENAME TO source_changes")
    sqlite.execute("DROP TABLE source_changes")
    with pytest.raises(OperationalError, match=r"no such table: main\.source_changes"):
        visits.execute("UPDATE visits SET age = 1")
