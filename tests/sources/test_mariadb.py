"""A clinic's MariaDB as a source: its rows, types, names and rights, and what happens while it is
read."""

import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from pima.intake.sources import pulling, source_reading
from tests.sources.mariadb_server import Server
from tests.support.clinic import MMOL, URL, Clinic
from tests.support.databases import PATIENCE_SECONDS, Database
from tests.support.pulls import ODD, counts, no_value, refused


def key_is(clinic: Clinic, kind: str, key_type: str = "text") -> None:
    clinic.execute(f"ALTER TABLE visits MODIFY visit_id {kind}")
    clinic.settings["key_type"] = key_type


def keys_of(database: Database) -> list[str]:
    return [
        key for (key,) in database.execute("SELECT source_key FROM patients ORDER BY source_key")
    ]


def change(clinic: Clinic, key: object, **changed: Any) -> None:
    said = ", ".join(f"{column} = :{column}" for column in changed)
    clinic.execute(f"UPDATE visits SET {said} WHERE visit_id = :key", changed | {"key": key})


@pytest.fixture(params=[2, 10_000], ids=["small blocks", "one block"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "BLOCK_KEYS", request.param)
    monkeypatch.setattr(source_reading, "BLOCK_ROWS", request.param)


@pytest.mark.parametrize("driver", ["mysql+pymysql", "mariadb+pymysql"])
def test_visits_come_change_vanish_and_come_back(
    database: Database, clinic: Clinic, blocks: None, driver: str
) -> None:
    clinic.url = clinic.url.replace("mysql+pymysql", driver)
    keys = sorted(clinic.insert(20))
    assert counts(clinic.pulled(database)) == {"inserted": 20}
    assert keys_of(database) == keys
    assert counts(clinic.pulled(database)) == {"unchanged": 20}
    glucose = dict(clinic.execute("SELECT visit_id, glucose_mmol FROM visits"))
    ours = database.execute("SELECT source_key, glucose FROM patients")
    assert dict(ours) == {key: value * MMOL for key, value in glucose.items()}
    ids = dict(database.execute("SELECT source_key, id FROM patients"))
    change(clinic, keys[0], bmi=31.5)
    change(clinic, keys[1], diabetic="yes")
    [gone] = clinic.execute("SELECT * FROM visits WHERE visit_id = :key", {"key": keys[2]})
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[2]})
    clinic.settings["vanished"] = "delete"
    expected = {"updated": 2, "unchanged": 17, "vanished": 1, "deleted": 1, "outcomes_arrived": 1}
    assert counts(clinic.pulled(database)) == expected
    marks = ", ".join(f":c{n}" for n in range(len(gone)))
    clinic.execute(
        f"INSERT INTO visits VALUES ({marks})", {f"c{n}": value for n, value in enumerate(gone)}
    )
    clinic.settings["most_cleared"] = 1
    change(clinic, keys[1], diabetic=None)
    assert counts(clinic.pulled(database)) == {
        "inserted": 1,
        "updated": 1,
        "unchanged": 18,
        "outcomes_cleared": 1,
    }
    assert dict(database.execute("SELECT source_key, id FROM patients")) == ids


@pytest.mark.parametrize(
    "collation", ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "latin1_swedish_ci"]
)
def test_keys_are_in_order_by_their_bytes_whatever_the_collation(
    database: Database, clinic: Clinic, blocks: None, collation: str
) -> None:
    charset = collation.partition("_")[0]
    key_is(clinic, f"varchar(40) CHARACTER SET {charset} COLLATE {collation}")
    keys = ["b", "A", "Z", "a!", "10", "9", "_x", "Ö", "zz", "o\u00eb", "y z", "-"]
    for n, key in enumerate(keys):
        clinic.insert(1, seed=n, visit_id=key)
    assert counts(clinic.pulled(database)) == {"inserted": len(keys)}
    assert keys_of(database) == sorted(keys, key=str.encode)
    assert counts(clinic.pulled(database)) == {"unchanged": len(keys)}


def test_a_query_is_a_source(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(10, age=50)
    clinic.insert(5, seed=2, age=30)
    del clinic.settings["table"]
    clinic.settings["query"] = (
        "SELECT v.*, ':x' AS `100 %` FROM visits v WHERE age > 40 AND sex LIKE '%' # grown-up"
    )
    assert counts(clinic.pulled(sqlite)) == {"inserted": 10}
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 10}


# ---- names and rights


def test_a_table_and_columns_may_be_called_anything(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(4)
    odd = ODD.replace("\\", "").replace(".", "")  # a table is a file, and so is its name
    quoted = "`" + odd.replace("`", "``") + "`"
    with clinic.engine.begin() as connection:
        for statement in (
            f"RENAME TABLE visits TO {quoted}",
            f"ALTER TABLE {quoted} RENAME COLUMN age TO {quoted}",
        ):
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    clinic.settings |= {"table": odd, "schema": ""}
    clinic.columns |= {"age": odd}
    assert counts(clinic.pulled(sqlite)) == {"inserted": 4}
    clinic.settings["schema"] = "clinic"
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 4}


def test_select_is_enough_and_what_we_may_not_read_is_told(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.insert(3)
    url = make_url(clinic.url).set(username="reader")
    environ = {URL: url.render_as_string(hide_password=False)}
    refused(sqlite, clinic, 2, "source clinic", "1044", **environ)
    clinic.execute(
        "GRANT SELECT (visit_id, patient_no, diabetic, pregnancies, glucose_mmol) ON visits TO "
        "reader@'%'"
    )
    refused(
        sqlite,
        clinic,
        2,
        "it has no column diastolic, skin, insulin, bmi, pedigree, age",
        **environ,
    )
    clinic.execute("GRANT SELECT ON visits TO reader@'%'")
    assert clinic.pull(sqlite, **environ).exit_code == 0
    assert sqlite.value("SELECT count(*) FROM patients") == 3
    clinic.execute("REVOKE SELECT ON visits FROM reader@'%'")
    clinic.execute("CREATE SQL SECURITY INVOKER VIEW shown AS SELECT * FROM visits")
    clinic.execute("GRANT SELECT ON shown TO reader@'%'")
    clinic.settings["table"] = "shown"
    refused(sqlite, clinic, 2, "source clinic", "1356", **environ)


@pytest.mark.parametrize(
    ("changed", "number"),
    [({"password": "Canary-Smith"}, "1045"), ({"database": "nowhere"}, "1049")],
)
def test_a_way_in_that_is_none_is_a_mistake_and_not_for_later(
    sqlite: Database, clinic: Clinic, changed: dict[str, str], number: str
) -> None:
    url = make_url(clinic.url).set(**changed)
    refused(
        sqlite,
        clinic,
        2,
        "source clinic",
        number,
        **{URL: url.render_as_string(hide_password=False)},
    )


def test_no_value_of_a_patient_is_shown(sqlite: Database, clinic: Clinic) -> None:
    key_is(clinic, "varchar(40)")
    clinic.execute(
        "ALTER TABLE visits MODIFY glucose_mmol varchar(40), MODIFY diabetic varchar(40)"
    )
    clinic.insert(4)
    clinic.insert(1, seed=2, visit_id="Canary-Smith", glucose_mmol="Canary-Smith")
    clinic.insert(1, seed=3, diabetic="Canary-Smith")
    found = clinic.pulled(sqlite)
    assert found["rejected_by_reason"] == {"not_a_number": 1, "bad_outcome": 1}
    no_value(clinic.pull(sqlite))


# ---- types


@pytest.mark.parametrize(
    "kind", ["decimal(6,3)", "float", "varchar(20)", "int", "smallint unsigned"]
)
def test_a_number_is_one_in_whatever_type_it_stands(
    sqlite: Database, clinic: Clinic, kind: str
) -> None:
    clinic.execute(f"ALTER TABLE visits MODIFY glucose_mmol {kind}")
    clinic.insert(5, glucose_mmol=7)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 5}
    assert sqlite.execute("SELECT DISTINCT glucose FROM patients") == [(7 * MMOL,)]
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 5}


@pytest.mark.parametrize(
    ("kind", "words", "yes", "no"),
    [
        ("tinyint(1)", None, 1, 0),
        ("decimal(3,1)", None, 1, 0),
        ("enum('No','Yes')", {"yes": 1, "no": 0}, "Yes", "No"),
        ("set('No','Yes')", {"yes": 1, "no": 0}, "Yes", "No"),
        ("char(8)", {"yes": 1, "no": 0}, "yes", "no "),
    ],
)
def test_an_outcome_is_one_in_whatever_type_it_stands(
    sqlite: Database,
    clinic: Clinic,
    kind: str,
    words: dict[str, int] | None,
    yes: object,
    no: object,
) -> None:
    clinic.execute(f"ALTER TABLE visits MODIFY diabetic {kind}")
    if words is None:
        del clinic.settings["outcome_words"]
    for seed, said in enumerate([yes, no, None]):
        clinic.insert(2, seed=seed, diabetic=said)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 6}
    assert sqlite.value("SELECT sum(outcome) FROM patients") == 2
    assert sqlite.value("SELECT count(*) FROM patients WHERE outcome IS NULL") == 2
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 6}


@pytest.mark.parametrize(
    ("column", "kind"), [("diabetic", "bit(1)"), ("age", "date"), ("age", "binary(2)")]
)
def test_a_type_that_is_no_number_is_named(
    sqlite: Database, clinic: Clinic, column: str, kind: str
) -> None:
    clinic.execute(f"ALTER TABLE visits DROP {column}, ADD {column} {kind}")
    value = {"bit(1)": 1, "date": "2026-01-05", "binary(2)": "xy"}[kind]
    clinic.insert(2, **{column: value})
    refused(sqlite, clinic, 2, f"its column {column}", "numbers")


@pytest.mark.parametrize(
    ("kind", "key_type", "given", "kept"),
    [
        ("int unsigned zerofill", "integer", 17, "17"),
        ("bigint unsigned", "integer", 2**64 - 1, str(2**64 - 1)),
        ("decimal(20,0)", "integer", 10**19, str(10**19)),
        (
            "uuid",
            "uuid",
            "123E4567-E89B-12D3-A456-426614174000",
            "123e4567-e89b-12d3-a456-426614174000",
        ),
        (
            "varchar(40)",
            "uuid",
            "123E4567E89B12D3A456426614174000",
            "123e4567-e89b-12d3-a456-426614174000",
        ),
        ("char(20)", "text", "a 17", "a 17"),
        ("enum('a','B')", "text", "B", "B"),
    ],
)
def test_a_key_is_one_text_whatever_its_type(
    sqlite: Database, clinic: Clinic, kind: str, key_type: str, given: object, kept: str
) -> None:
    key_is(clinic, kind, key_type)
    clinic.insert(1, visit_id=given)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 1}
    assert keys_of(sqlite) == [kept]
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 1}


@pytest.mark.parametrize(("kind", "key_type"), [("double", "integer"), ("float", "text")])
def test_floats_are_no_keys(sqlite: Database, clinic: Clinic, kind: str, key_type: str) -> None:
    key_is(clinic, kind, key_type)
    clinic.insert(1, visit_id=17.25)
    refused(sqlite, clinic, 2, "in 1 row the key (visit_id)")


@pytest.mark.parametrize(
    ("name", "column", "exit_code", "told"),
    [
        ("key", "visit_id", 2, "in 1 row the key (visit_id) is NULL, too long, or no uuid"),
        ("person", "patient_no", 3, "bad_person of person_key: 1 row"),
    ],
)
def test_bytes_are_no_keys_and_hex_makes_texts_of_them(
    database: Database, clinic: Clinic, name: str, column: str, exit_code: int, told: str
) -> None:
    theirs = uuid.UUID(int=17)
    clinic.execute("ALTER TABLE visits MODIFY patient_no varchar(40)")
    clinic.execute(f"ALTER TABLE visits MODIFY {column} binary(16)")
    clinic.settings |= {"key_type": "uuid", "person_type": "uuid"}
    keys = {"visit_id": str(theirs), "patient_no": str(theirs)}
    clinic.insert(1, **keys | {column: theirs.bytes})
    refused(database, clinic, exit_code, told, "HEX() in a view")
    clinic.execute(f"CREATE VIEW readable AS SELECT v.*, HEX({column}) AS theirs FROM visits v")
    clinic.settings |= {"table": "readable", name: "theirs"}
    assert counts(clinic.pulled(database)) == {"inserted": 1}
    kept = database.execute("SELECT source_key, person_key FROM patients")
    assert kept == [(str(theirs), str(theirs))]


def test_trailing_spaces_and_case_are_those_of_the_key_as_it_is_stored(
    sqlite: Database, clinic: Clinic
) -> None:
    """To MariaDB 'a-17', 'A-17' and 'a-17 ' are the same where the collation says so; a key here
    keeps its case."""
    key_is(clinic, "varchar(40)")
    clinic.insert(1, visit_id="a-17 ")
    clinic.insert(3, seed=2)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 4}
    assert "a-17" in keys_of(sqlite)
    change(clinic, "A-17", visit_id="a-17")
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 4}
    clinic.settings["most_vanished"] = 1
    change(clinic, "a-17", visit_id="A-17")
    assert counts(clinic.pulled(sqlite)) == {"inserted": 1, "unchanged": 3, "vanished": 1}


# ---- times


@pytest.mark.parametrize("kind", ["datetime", "datetime(6)", "date", "varchar(30)"])
def test_a_time_without_a_zone_is_of_the_one_that_is_named(
    database: Database, clinic: Clinic, kind: str
) -> None:
    clinic.execute(f"ALTER TABLE visits ADD known_at {kind}")
    clinic.settings |= {"outcome_at": "known_at", "time_zone": "Europe/Zurich"}
    said = "2026-01-05" if kind == "date" else "2026-01-05 00:00:00"
    clinic.insert(1, diabetic="yes", known_at=said)
    assert counts(clinic.pulled(database)) == {"inserted": 1}
    moment = datetime(2026, 1, 4, 23, tzinfo=UTC)
    if kind == "date":  # a day counts to its end
        moment = datetime(2026, 1, 5, 22, 59, 59, 999_000, tzinfo=UTC)
    known = database.stored(moment)
    assert database.execute(
        "SELECT count(*) FROM patients WHERE labelled_at = :known", {"known": known}
    ) == [(1,)]
    assert counts(clinic.pulled(database)) == {"unchanged": 1}


@pytest.mark.parametrize("kind", ["datetime", "datetime(6)", "date", "timestamp", "varchar(30)"])
def test_a_zero_date_is_a_time_that_is_not_known(
    database: Database, clinic: Clinic, kind: str
) -> None:
    """Most rows of a clinic's table had one: its columns were made NOT NULL."""
    clinic.execute(f"ALTER TABLE visits ADD known_at {kind} NOT NULL DEFAULT '0000-00-00 00:00:00'")
    clinic.settings |= {"outcome_at": "known_at", "index_at": "known_at"}
    clinic.insert(3, diabetic="yes", known_at="2026-01-05 00:00:00")
    clinic.insert(20, seed=2, diabetic="no")
    found = clinic.pulled(database)
    assert (counts(found), found["rejected_by_reason"]) == ({"inserted": 23}, {})
    assert database.value("SELECT count(*) FROM patients WHERE labelled_at < '2026-02-01'") == 3
    assert database.value("SELECT count(index_at) FROM patients") == 3
    assert counts(clinic.pulled(database)) == {"unchanged": 23}


def test_a_day_that_is_none_is_counted(sqlite: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD known_at datetime")
    clinic.settings["outcome_at"] = "known_at"
    clinic.insert(2, diabetic="yes", known_at="2026-01-05 00:00:00")
    clinic.insert(1, seed=2, diabetic="yes", known_at="2026-01-05 00:00:00")
    clinic.execute("UPDATE visits SET known_at = '2026-01-00' ORDER BY visit_id LIMIT 1")
    found = clinic.pulled(sqlite)
    assert (found["inserted"], found["rejected_by_reason"]) == (2, {"bad_outcome_at": 1})
    clinic.execute("UPDATE visits SET known_at = '2026-01-00'")
    refused(sqlite, clinic, 3, "bad_outcome_at of outcome_at: 3 rows", "perhaps since outcome_at,")


@pytest.mark.parametrize("kind", ["datetime(6)", "datetime", "timestamp NULL", "date"])
def test_only_what_has_changed_is_read(database: Database, clinic: Clinic, kind: str) -> None:
    clinic.execute(f"ALTER TABLE visits ADD updated_at {kind}")
    clinic.settings["changed_since"] = "updated_at"
    keys = sorted(clinic.insert(20, updated_at="2026-01-05 10:00:00"))
    change(clinic, keys[1], updated_at=None)
    change(clinic, keys[2], updated_at="0000-00-00 00:00:00")
    clinic.pulled(database)
    change(clinic, keys[3], age=44)  # without its time
    change(clinic, keys[0], age=44, updated_at="2026-01-15 10:00:00")
    found = clinic.pulled(database)
    assert (found["compared"], found["rows"], found["updated"]) == ("changed", 20, 2)
    change(clinic, keys[4], age=45, updated_at="2026-01-15 10:30:00")
    change(clinic, keys[2], age=45)
    found = clinic.pulled(database)
    assert (found["compared"], found["rows"], found["updated"]) == ("changed", 4, 2)


# ---- while it is read


def test_a_server_that_is_down_is_for_later(
    sqlite: Database, clinic: Clinic, mariadb: Server
) -> None:
    clinic.insert(3)
    clinic.engine.dispose()
    mariadb.stop()
    try:
        refused(sqlite, clinic, 75, "can't be reached", "2003")
    finally:
        mariadb.start()
    assert counts(clinic.pulled(sqlite)) == {"inserted": 3}


@pytest.fixture
def slow(clinic: Clinic) -> Clinic:
    """Its rows come no faster than one a second."""
    clinic.insert(30)
    clinic.execute("CREATE VIEW slow AS SELECT * FROM visits WHERE sleep(1 + 0 * age) = 0")
    clinic.settings["table"] = "slow"
    return clinic


@pytest.mark.parametrize("ended", ["KILL CONNECTION", "KILL QUERY"])
def test_a_source_that_goes_away_while_it_is_read_is_for_later(
    sqlite: Database, slow: Clinic, ended: str
) -> None:
    thread = threading.Thread(target=lambda: slow.execute(f"{ended} {_reader_of(slow)}"))
    thread.start()
    refused(sqlite, slow, 75, "can't be reached or stopped answering")
    thread.join()
    assert sqlite.execute("SELECT status, error_code FROM runs") == [
        ("try_again_later", "source_away")
    ]
    slow.settings["table"] = "visits"
    assert counts(slow.pulled(sqlite)) == {"inserted": 30}


def _reader_of(clinic: Clinic) -> int:
    """Who reads the slow view, once somebody does."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (
        found := clinic.execute(
            "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'"
        )
    ):
        assert time.monotonic() < until
        time.sleep(0.05)
    reader: int = found[0][0]
    return reader


def test_a_source_that_changes_while_it_is_read_is_read_as_it_was(
    sqlite: Database, clinic: Clinic
) -> None:
    keys = sorted(clinic.insert(6))
    clinic.pulled(sqlite)
    clinic.execute("CREATE VIEW slow AS SELECT * FROM visits WHERE sleep(0.3 + 0 * age) = 0")
    clinic.settings["table"] = "slow"
    done = threading.Event()

    def change_the_last() -> None:
        _reader_of(clinic)
        change(clinic, keys[-1], age=77)
        done.set()

    thread = threading.Thread(target=change_the_last)
    thread.start()
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 6}
    assert done.is_set()
    thread.join()
    assert counts(clinic.pulled(sqlite)) == {"updated": 1, "unchanged": 5}
