"""What a clinic's MariaDB keeps numbers, outcomes, keys and times as."""

from datetime import UTC, datetime

import pytest

from tests.sources.visits import change, key_is, keys_of
from tests.support.clinic import MMOL, Clinic
from tests.support.databases import Database
from tests.support.pulls import counts, refused

# ---- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["decimal(6,3)", "float", "varchar(20)", "int", "smallint unsigned"])
def test_a_number_is_one_in_whatever_type_it_stands(sqlite: Database, clinic: Clinic, kind: str) -> None:
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
    sqlite: Database, clinic: Clinic, kind: str, words: dict[str, int] | None, yes: object, no: object
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


@pytest.mark.parametrize(("column", "kind"), [("diabetic", "bit(1)"), ("age", "date"), ("age", "binary(2)")])
def test_a_type_that_is_no_number_is_named(sqlite: Database, clinic: Clinic, column: str, kind: str) -> None:
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
        ("uuid", "uuid", "123E4567-E89B-12D3-A456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ("varchar(40)", "uuid", "123E4567E89B12D3A456426614174000", "123e4567-e89b-12d3-a456-426614174000"),
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


@pytest.mark.parametrize(("kind", "key_type"), [("binary(16)", "uuid"), ("double", "integer"), ("float", "text")])
def test_bytes_and_floats_are_nokeys_of(sqlite: Database, clinic: Clinic, kind: str, key_type: str) -> None:
    key_is(clinic, kind, key_type)
    clinic.insert(1, visit_id=b"x" * 16 if kind == "binary(16)" else 17.25)
    refused(sqlite, clinic, 2, "in 1 row the key (visit_id)")


def test_trailing_spaces_and_case_are_those_of_the_key_as_it_is_stored(sqlite: Database, clinic: Clinic) -> None:
    """To MariaDB 'a-17', 'A-17' and 'a-17 ' are the same where the collation says so; a key here keeps its case."""
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


def test_keys_that_only_mariadb_takes_for_two_are_refused(sqlite: Database, clinic: Clinic) -> None:
    key_is(clinic, "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    for n, key in enumerate(["a", "A", "a "]):
        clinic.insert(1, seed=n, visit_id=key)
    refused(sqlite, clinic, 2, "in 1 row the key (visit_id) is that of another row")


# ---- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["datetime", "datetime(6)", "date", "varchar(30)"])
def test_a_time_without_a_zone_is_of_the_one_that_is_named(database: Database, clinic: Clinic, kind: str) -> None:
    clinic.execute(f"ALTER TABLE visits ADD known_at {kind}")
    clinic.settings |= {"outcome_at": "known_at", "time_zone": "Europe/Zurich"}
    said = "2026-01-05" if kind == "date" else "2026-01-05 00:00:00"
    clinic.insert(1, diabetic="yes", known_at=said)
    assert counts(clinic.pulled(database)) == {"inserted": 1}
    known = database.stored(datetime(2026, 1, 4, 23, tzinfo=UTC))
    assert database.execute("SELECT count(*) FROM patients WHERE labelled_at = :known", {"known": known}) == [(1,)]
    assert counts(clinic.pulled(database)) == {"unchanged": 1}


def test_a_day_that_is_none_is_counted(sqlite: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD known_at datetime")
    clinic.settings["outcome_at"] = "known_at"
    clinic.insert(2, diabetic="yes", known_at="2026-01-05 00:00:00")
    clinic.insert(1, seed=2, diabetic="yes", known_at="2026-01-05 00:00:00")
    clinic.execute("UPDATE visits SET known_at = '0000-00-00' ORDER BY visit_id LIMIT 1")
    found = clinic.pulled(sqlite)
    assert (found["inserted"], found["rejected_by_reason"]) == (2, {"bad_outcome_at": 1})


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
