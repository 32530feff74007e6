"""PostgreSQL's own ways to change a table, and what the triggers must not be used for."""

import re

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.conftest import Database
from tests.jobs.clinic import Clinic
from tests.store.noted import KEYS as K
from tests.store.noted import attach, fault, noted, with_four_visits


@pytest.fixture
def visits(postgresql: Database, postgresql_own_clinic: Clinic) -> Clinic:
    return with_four_visits(postgresql, postgresql_own_clinic)


def _connect(clinic: Clinic) -> psycopg.Connection:
    return psycopg.connect(make_url(clinic.url).set(drivername="postgresql").render_as_string(hide_password=False))


def _keys(numbers: set[int]) -> set[str | None]:
    return {K[n] for n in numbers}


WRITES: dict[str, tuple[str, set[int]]] = {
    "keys change places": (
        f"""UPDATE visits SET visit_id = CASE WHEN visit_id = '{K[0]}' THEN '{K[6]}'::uuid ELSE '{K[0]}'::uuid END
        WHERE visit_id = '{K[0]}'""",
        {0, 6},
    ),
    "merge": (
        f"""MERGE INTO visits v USING (VALUES ('{K[0]}'::uuid, 1), ('{K[1]}', 2), ('{K[8]}', 3)) n (k, what)
        ON v.visit_id = n.k
        WHEN MATCHED AND what = 1 THEN UPDATE SET age = 66
        WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED THEN INSERT (visit_id, age) VALUES (k, 77)""",
        {0, 1, 8},
    ),
    "statements in one": (
        f"""WITH gone AS (DELETE FROM visits WHERE visit_id = '{K[0]}' RETURNING 1),
            other AS (UPDATE visits SET age = 3 WHERE visit_id = '{K[1]}' RETURNING 1),
            another AS (UPDATE visits SET visit_id = '{K[7]}' WHERE visit_id = '{K[2]}' RETURNING 1)
        INSERT INTO visits (visit_id, age) SELECT '{K[5]}', 4 FROM gone, other, another""",
        {0, 1, 2, 5, 7},
    ),
    "a block": (
        f"""DO $$ BEGIN
            UPDATE visits SET age = 5 WHERE visit_id = '{K[0]}';
            BEGIN
                UPDATE visits SET age = 6 WHERE visit_id = '{K[1]}';
                RAISE EXCEPTION 'not this';
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
            DELETE FROM visits WHERE visit_id = '{K[2]}';
        END $$""",
        {0, 2},
    ),
    "a view": (
        f"""CREATE VIEW seen AS SELECT visit_id AS v, age AS a FROM visits;
        UPDATE seen SET a = 4 WHERE v = '{K[1]}'""",
        {1},
    ),
    "a rule": (
        f"""CREATE TABLE other (v uuid);
        CREATE RULE elsewhere AS ON INSERT TO other DO ALSO DELETE FROM visits WHERE visit_id = NEW.v;
        INSERT INTO other VALUES ('{K[3]}')""",
        {3},
    ),
    "a trigger of the clinic that changes the key": (
        f"""CREATE FUNCTION other_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.visit_id := '{K[9]}'; RETURN NEW; END $$;
        CREATE TRIGGER a_other_key BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION other_key();
        INSERT INTO visits (visit_id) VALUES ('{K[8]}')""",
        {9},
    ),
    "a trigger of the clinic that drops rows": (
        f"""CREATE FUNCTION dropped() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER dropped BEFORE UPDATE ON visits FOR EACH ROW WHEN (OLD.visit_id = '{K[0]}')
            EXECUTE FUNCTION dropped();
        UPDATE visits SET age = 4""",
        {1, 2, 3},
    ),
    "triggers of the clinic that change other rows": (
        f"""CREATE FUNCTION others() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF pg_trigger_depth() = 1 THEN
                UPDATE visits SET age = 80 WHERE visit_id = '{K[2]}';
                DELETE FROM visits WHERE visit_id = '{K[3]}';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER a_row AFTER UPDATE ON visits FOR EACH ROW EXECUTE FUNCTION others();
        UPDATE visits SET age = 4 WHERE visit_id = '{K[0]}'""",
        {0, 2, 3},
    ),
    "a trigger at the end of the transaction": (
        f"""CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            DELETE FROM visits WHERE visit_id = '{K[3]}'; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER later AFTER INSERT ON visits DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION later();
        INSERT INTO visits (visit_id) VALUES ('{K[8]}')""",
        {3, 8},
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_a_write_touches_is_noted(postgresql: Database, visits: Clinic, what: str) -> None:
    statement, expected = WRITES[what]
    with _connect(visits) as connection:
        if what == "merge" and connection.info.server_version < 150_000:
            return
        connection.execute(statement)
    assert noted(postgresql) == _keys(expected)


CASCADES: dict[str, tuple[str, str, set[int]]] = {
    "rows go with their ward": ("ON DELETE CASCADE", "DELETE FROM wards WHERE ward <= 1", {0, 1}),
    "rows lose their ward": ("ON DELETE SET NULL", "DELETE FROM wards WHERE ward IN (1, 2)", {1, 2}),
    "wards are renumbered": ("ON UPDATE CASCADE", "UPDATE wards SET ward = ward + 10 WHERE ward IN (0, 3)", {0, 3}),
}


@pytest.mark.parametrize("what", CASCADES)
def test_what_a_foreign_key_does_is_noted(postgresql: Database, postgresql_own_clinic: Clinic, what: str) -> None:
    does, statement, expected = CASCADES[what]
    clinic = postgresql_own_clinic
    clinic.execute("CREATE TABLE wards (ward integer PRIMARY KEY)")
    clinic.execute("INSERT INTO wards SELECT generate_series(0, 5)")
    with_four_visits(postgresql, clinic)
    clinic.execute(f"ALTER TABLE visits ADD FOREIGN KEY (patient_no) REFERENCES wards {does}")
    clinic.execute(statement)
    assert noted(postgresql) == _keys(expected)


def test_keys_that_are_others_keys_are_noted_as_they_were_and_as_they_become(
    postgresql: Database, postgresql_own_clinic: Clinic
) -> None:
    clinic = postgresql_own_clinic
    clinic.execute("CREATE TABLE stays (stay uuid PRIMARY KEY)")
    clinic.execute(f"INSERT INTO stays VALUES {', '.join(f'({key!r})' for key in K[:4])}")
    clinic.execute("ALTER TABLE visits ADD FOREIGN KEY (visit_id) REFERENCES stays ON UPDATE CASCADE ON DELETE CASCADE")
    with_four_visits(postgresql, clinic)
    clinic.execute(f"UPDATE stays SET stay = '{K[7]}' WHERE stay = '{K[1]}'")
    assert noted(postgresql) == _keys({1, 7})
    clinic.execute("DELETE FROM stays")
    assert noted(postgresql) == _keys({0, 2, 3, 7})


def test_rows_that_go_with_rows_of_their_own_table_are_noted(postgresql: Database, visits: Clinic) -> None:
    visits.execute("ALTER TABLE visits ADD earlier uuid REFERENCES visits ON DELETE CASCADE")
    for n in (1, 2, 3):
        visits.execute(f"UPDATE visits SET earlier = '{K[n - 1]}' WHERE visit_id = '{K[n]}'")
    attach(postgresql, visits)
    noted(postgresql)
    visits.execute(f"DELETE FROM visits WHERE visit_id = '{K[1]}'")
    assert noted(postgresql) == _keys({1, 2, 3})


def test_a_table_that_is_emptied_was_touched_all_over(postgresql: Database, visits: Clinic) -> None:
    visits.execute("TRUNCATE visits")
    assert noted(postgresql) == {None}
    visits.execute("CREATE TABLE wards (ward integer PRIMARY KEY)")
    visits.execute("ALTER TABLE visits ADD FOREIGN KEY (patient_no) REFERENCES wards")
    visits.execute("TRUNCATE wards CASCADE")
    assert noted(postgresql) == {None}


def test_what_is_copied_in_is_noted(postgresql: Database, visits: Clinic) -> None:
    with _connect(visits) as connection, connection.cursor().copy("COPY visits (visit_id, age) FROM STDIN") as copy:
        copy.write(f"{K[5]}\t5\n{K[6]}\t6\n")
    assert noted(postgresql) == _keys({5, 6})
    with (
        pytest.raises(psycopg.errors.UniqueViolation),
        _connect(visits) as connection,
        connection.cursor().copy("COPY visits (visit_id, age) FROM STDIN") as copy,
    ):
        copy.write(f"{K[7]}\t5\n{K[6]}\t6\n")
    assert noted(postgresql) == set()


def test_what_is_not_committed_yet_is_not_noted_yet(postgresql: Database, visits: Clinic) -> None:
    with _connect(visits) as connection:
        connection.execute(f"UPDATE visits SET age = 1 WHERE visit_id = '{K[0]}'")
        assert noted(postgresql) == set()
    assert noted(postgresql) == {K[0]}


def test_what_a_loading_tool_writes_as_a_replica_is_noted(postgresql: Database, visits: Clinic) -> None:
    with visits.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE visits SET age = 1"))
    assert noted(postgresql) == _keys({0, 1, 2, 3})


TYPES = {
    "integer": ("integer", "integer", "7"),
    "bigint": ("integer", "bigint", "9007199254740993"),
    "numeric": ("integer", "numeric(20, 2)", "7.00"),
    "text": ("text", "text", " a\\b\"'\u00e9 "),
    "char": ("text", "char(5)", "ab   "),
    "varchar": ("text", "varchar(9)", "ab "),
    "domain": ("text", "code", "x"),
    "enum": ("text", "kind", "second"),
}


@pytest.mark.parametrize("what", TYPES)
def test_a_key_of_any_type_is_noted_as_the_source_gives_it(
    postgresql: Database, postgresql_own_clinic: Clinic, what: str
) -> None:
    key_type, of_column, value = TYPES[what]
    clinic = postgresql_own_clinic
    clinic.execute("CREATE DOMAIN code AS text CHECK (VALUE <> '')")
    clinic.execute("CREATE TYPE kind AS ENUM ('first', 'second')")
    clinic.execute(f"CREATE TABLE stays (stay {of_column} PRIMARY KEY, age integer)")
    clinic.settings |= {"table": "stays", "key": "stay", "key_type": key_type}
    attach(postgresql, clinic)
    clinic.execute(f"INSERT INTO stays VALUES (CAST(:key AS {of_column}), 1)", {"key": value})
    assert noted(postgresql) == {value}


@pytest.mark.parametrize("key", ["stay", ["stay", "age"]])
def test_an_old_key_is_told_from_a_new_one_by_its_bytes(
    postgresql: Database, postgresql_own_clinic: Clinic, key: str | list[str]
) -> None:
    """Whatever the column's collation, which may take upper case for lower: not each server has one that does."""
    clinic = postgresql_own_clinic
    clinic.execute('CREATE TABLE stays (stay text COLLATE "POSIX", age integer)')
    key_types = {"key_type": "text"} if key == "stay" else {"key_type": ["text", "integer"]}
    clinic.settings |= {"table": "stays", "key": key} | key_types
    attach(postgresql, clinic)
    clinic.execute("INSERT INTO stays VALUES ('a', 1)")
    note = postgresql.value("SELECT prosrc FROM pg_proc WHERE proname = 'note_changes_of_clinic'")
    (noted_as,) = re.findall(r"SELECT 'clinic', (CASE .* END) FROM new_rows r;", note)
    assert clinic.execute(f"SELECT pg_collation_for({noted_as}) FROM stays r") == [('"C"',)]
    if clinic.execute("SELECT 1 FROM pg_collation WHERE collname = 'en-x-icu'"):
        clinic.execute("CREATE COLLATION blunt (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        clinic.execute("ALTER TABLE stays ALTER stay TYPE text COLLATE blunt")
        attach(postgresql, clinic)
        noted(postgresql)
        clinic.execute("UPDATE stays SET stay = 'A'")
        assert len(noted(postgresql)) == 2


def test_who_writes_needs_no_right_on_what_is_pimas(postgresql: Database, visits: Clinic) -> None:
    with _connect(visits) as connection:
        connection.execute("CREATE ROLE pima_test_clinic")
        try:
            connection.execute("GRANT ALL ON visits TO pima_test_clinic")
            connection.execute("SET ROLE pima_test_clinic")
            connection.execute("UPDATE visits SET age = 1")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("SELECT * FROM source_changes")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("""
                    CREATE TEMPORARY TABLE mine (visit_id uuid);
                    CREATE TRIGGER mine AFTER TRUNCATE ON mine EXECUTE FUNCTION public.note_changes_of_clinic()""")
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY pima_test_clinic")
            connection.execute("DROP ROLE pima_test_clinic")
    assert noted(postgresql) == _keys({0, 1, 2, 3})


def test_nothing_of_the_tables_owner_is_called_with_our_rights(postgresql: Database, visits: Clinic) -> None:
    """By a cast, a function that is called like the column, or an operator: each would run as pima's owner."""
    visits.execute("CREATE TABLE caught (who text)")
    visits.execute("CREATE TYPE kind AS ENUM ('a', 'b')")
    caught = "LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES (current_user); RETURN 'b'; END $$"
    visits.execute(f"CREATE FUNCTION as_text(kind) RETURNS text {caught}")
    visits.execute("CREATE CAST (kind AS text) WITH FUNCTION as_text(kind) AS IMPLICIT")
    visits.execute("DELETE FROM visits")
    noted(postgresql)
    visits.execute("ALTER TABLE visits ALTER visit_id TYPE kind USING NULL")
    visits.execute("INSERT INTO visits (visit_id) VALUES ('a')")
    assert noted(postgresql) == {"a"}
    visits.execute("ALTER TABLE visits DROP visit_id")
    visits.execute(f"CREATE FUNCTION visit_id(visits) RETURNS text {caught}")
    visits.execute("INSERT INTO visits (age) VALUES (1)")
    assert visits.execute("SELECT * FROM caught") == []
    assert "has no stored column visit_id" in (fault(postgresql, visits) or "")
