"""Patients from a clinic's own table: what is pulled, what of it is scored, and what a second pull
leaves alone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.support.clinic import MMOL, Clinic
from tests.support.databases import Database, call, insert_patients, under_role
from tests.support.pulls import counts
from tests.support.shipped import FEATURE_NAMES
from tests.support.trained import install_models


def test_visits_of_another_database_are_pulled_and_scored(
    database: Database, clinic: Clinic, trained: Path
) -> None:
    install_models(database, trained)
    keys = clinic.insert(300)
    found = clinic.pulled(database)
    assert (found["source"], found["compared"], found["rows"], found["status"]) == (
        "clinic",
        "all",
        300,
        "succeeded",
    )
    assert counts(found) == {"inserted": 300}
    ours = database.execute(
        f"SELECT source_key, person_key, {', '.join(FEATURE_NAMES)} FROM patients ORDER BY "
        "source_key"
    )
    columns = (
        "visit_id, patient_no, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi, "
        "pedigree, age"
    )
    theirs = {str(row[0]): row for row in clinic.execute(f"SELECT {columns} FROM visits")}
    assert [row[0] for row in ours] == sorted(keys)
    for key, person, *measured in ours:
        row = theirs[key]
        expected = [None if value is None else float(value) for value in row[2:]]
        expected[1] = row[3] * MMOL
        assert (person, measured) == (str(row[1]), expected)
    assert database.value("SELECT count(*) FROM patients WHERE source = 'clinic'") == 300
    assert call(database, "score").exit_code == 0
    scored = database.execute(
        "SELECT source, source_key FROM current_predictions ORDER BY source_key"
    )
    assert scored == [("clinic", key) for key in sorted(keys)]
    # What has not changed is not touched, and so not scored again.
    assert counts(clinic.pulled(database)) == {"unchanged": 300}
    assert database.value("SELECT count(*) FROM scoring_queue") == 0


def test_a_time_that_is_empty_for_one_of_both_outcomes_is_told(
    database: Database, sqlite_clinic: Clinic
) -> None:
    clinic = sqlite_clinic
    clinic.execute("ALTER TABLE visits ADD known_at TEXT")
    clinic.settings |= {"outcome_at": "known_at", "index_at": "known_at"}
    clinic.insert(45, diabetic="yes", known_at="2026-01-05 10:00:00")
    clinic.insert(1, seed=2, diabetic="yes", known_at=None)
    clinic.insert(50, seed=3, diabetic="no", known_at=None)
    clinic.insert(9, seed=4, known_at=None)
    said = "empty in 50 of 50 rows with outcome 0"
    found = clinic.pulled(database, "--dry-run")["one_sided_times"]
    assert found == dict.fromkeys(("outcome_at", "index_at"), said)
    assert f"  outcome_at is {said}. Fill it for both" in clinic.pull(database).stdout
    clinic.execute("UPDATE visits SET known_at = '2026-01-06 10:00:00' WHERE diabetic = 'no'")
    assert clinic.pulled(database)["one_sided_times"] == {}


def test_rows_that_came_before_their_person_was_declared_are_told_once(
    database: Database, clinic: Clinic
) -> None:
    clinic.insert(6)
    person = clinic.settings.pop("person")
    assert "side_undecided" not in clinic.pull(database).stdout
    clinic.settings["person"] = person
    clinic.insert(2, seed=2)
    for options in (["--dry-run"], []):
        told = clinic.pull(database, *options).stdout
        assert "came before their person was known, or as another's: 6. " in told
    assert "side_undecided" not in clinic.pull(database).stdout


def test_only_what_has_changed_is_touched(database: Database, clinic: Clinic) -> None:
    first, second, third, *_ = sorted(clinic.insert(50))
    clinic.pulled(database)
    database.execute("DELETE FROM scoring_queue")
    before = dict(database.execute("SELECT source_key, updated_at FROM patients"))
    clinic.execute("UPDATE visits SET glucose_mmol = 9.9 WHERE visit_id = :key", {"key": first})
    clinic.execute("UPDATE visits SET insulin = 33 WHERE visit_id = :key", {"key": second})
    clinic.execute(
        "UPDATE visits SET sex = 'F', patient_no = 17 WHERE visit_id = :key", {"key": third}
    )
    (new,) = clinic.insert(1, seed=2)
    assert counts(clinic.pulled(database)) == {"inserted": 1, "updated": 3, "unchanged": 47}
    after = dict(database.execute("SELECT source_key, updated_at FROM patients"))
    assert {key for key in after if after[key] != before.get(key)} - {third} == {first, second, new}
    assert (
        database.value("SELECT person_key FROM patients WHERE source_key = :key", {"key": third})
        == "17"
    )
    glucose = database.value("SELECT glucose FROM patients WHERE source_key = :key", {"key": first})
    assert glucose == 9.9 * MMOL
    # A person that changes is no other measurement.
    queued = (
        "SELECT p.source_key FROM scoring_queue q JOIN patients p ON p.id = q.patient_id ORDER BY 1"
    )
    assert [key for (key,) in database.execute(queued)] == sorted([first, second, new])
    assert counts(clinic.pulled(database)) == {"unchanged": 51}


def test_without_an_outcome_of_its_own_a_source_leaves_outcomes_alone(
    database: Database, clinic: Clinic
) -> None:
    clinic.insert(5)
    del clinic.settings["outcome"], clinic.settings["outcome_words"]
    clinic.pulled(database)
    database.execute("UPDATE patients SET outcome = 1")
    clinic.execute("UPDATE visits SET age = age + 1")
    assert counts(clinic.pulled(database)) == {"updated": 5}
    assert database.value("SELECT sum(outcome) FROM patients") == 5


def test_what_has_vanished_is_kept_or_deleted_and_comes_back_under_its_old_id(
    database: Database, clinic: Clinic
) -> None:
    keys = sorted(clinic.insert(10))
    clinic.pulled(database)
    another = "INSERT INTO patients (age, source, source_key) VALUES (50, 'other', :key)"
    database.execute(another, {"key": keys[3]})
    ids = dict(database.execute("SELECT source_key, id FROM patients WHERE source = 'clinic'"))
    rows = clinic.execute("SELECT * FROM visits WHERE visit_id = :key", {"key": keys[3]})
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[3]})
    assert counts(clinic.pulled(database)) == {"unchanged": 9, "vanished": 1}
    clinic.settings["vanished"] = "delete"
    assert counts(clinic.pulled(database)) == {"unchanged": 9, "vanished": 1, "deleted": 1}
    assert database.value("SELECT count(*) FROM patients WHERE source = 'clinic'") == 9
    assert database.value("SELECT count(*) FROM patients WHERE source = 'other'") == 1
    assert counts(clinic.pulled(database)) == {"unchanged": 9}
    marks = ", ".join(f":c{n}" for n in range(len(rows[0])))
    clinic.execute(
        f"INSERT INTO visits VALUES ({marks})", {f"c{n}": value for n, value in enumerate(rows[0])}
    )
    clinic.insert(1, seed=5)
    assert counts(clinic.pulled(database)) == {"inserted": 2, "unchanged": 9}
    known = dict(database.execute("SELECT source_key, id FROM patients WHERE source = 'clinic'"))
    assert known.items() >= ids.items()


def test_a_vanished_row_that_a_foreign_key_keeps_stays_and_the_rest_comes_in(
    database: Database, sqlite_clinic: Clinic
) -> None:
    """Under the loader's role, which may read none of these tables."""
    clinic, keys = sqlite_clinic, sorted(sqlite_clinic.insert(60))
    clinic.settings |= {"vanished": "delete", "most_vanished": 1.0}
    clinic.pulled(database)
    reference = "BIGINT REFERENCES patients (id)"
    odd = '"a clinic\'s ""bills"""'
    for made in (
        f"CREATE TABLE {odd} (note TEXT, patient {reference})",
        f"CREATE TABLE letters (patient {reference} DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE stays (id BIGINT PRIMARY KEY REFERENCES patients ON DELETE CASCADE)",
    ):
        database.execute(made)
    rows = "SELECT id FROM patients WHERE source_key"
    database.execute(f"INSERT INTO {odd} (patient) {rows} < '{keys[20]}'")
    database.execute(f"INSERT INTO letters {rows} = '{keys[25]}'")
    database.execute(f"INSERT INTO stays {rows} >= '{keys[28]}'")
    loader, kept = database, 21
    if database.kind == "postgresql":
        assert call(database, "migrate", "--roles").exit_code == 0
        loader = under_role(database, "pima_loader")
        # A stay that would go with its patient is referred to itself.
        database.execute("CREATE TABLE meals (stay BIGINT REFERENCES stays)")
        database.execute(f"INSERT INTO meals {rows} = '{keys[30]}'")
        keep = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        database.execute(keep)
        this = f"WHEN (old.source_key = '{keys[35]}') EXECUTE FUNCTION keep()"
        database.execute(f"CREATE TRIGGER keep BEFORE DELETE ON patients FOR EACH ROW {this}")
        kept = 23
    clinic.execute("DELETE FROM visits WHERE visit_id < :key", {"key": keys[40]})
    clinic.execute("UPDATE visits SET age = 90")
    clinic.insert(1, seed=2)
    expected = {
        "inserted": 1,
        "updated": 20,
        "vanished": 40,
        "deleted": 40 - kept,
        "undeletable": kept,
    }
    assert counts(clinic.pulled(loader)) == expected
    assert database.value("SELECT count(*) FROM patients") == 21 + kept
    database.execute("DELETE FROM letters")
    told = clinic.pull(loader).stdout
    assert ("1 deleted" in told, f"{kept - 1} vanished rows kept by a foreign key" in told) == (
        True,
        True,
    )


def test_a_dry_run_says_what_would_become_and_writes_its_run_alone(
    database: Database, clinic: Clinic
) -> None:
    first, *_ = clinic.insert(20)
    clinic.settings["vanished"] = "delete"
    assert counts(clinic.pulled(database, "--dry-run")) == {"inserted": 20}
    assert database.value("SELECT count(*) FROM patients") == 0
    clinic.pulled(database)
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": first})
    clinic.execute("UPDATE visits SET diabetic = 'yes'")
    expected = {"updated": 19, "vanished": 1, "deleted": 1, "outcomes_arrived": 19}
    assert counts(clinic.pulled(database, "--dry-run")) == expected
    assert database.value("SELECT count(outcome) FROM patients") == 0
    assert counts(clinic.pulled(database)) == expected
    assert database.execute("SELECT job, trigger, status FROM runs ORDER BY id") == [
        ("pull", "dry_run", "succeeded"),
        ("pull", "manual", "succeeded"),
        ("pull", "dry_run", "succeeded"),
        ("pull", "manual", "succeeded"),
    ]
    assert database.execute("SELECT name, fence FROM leases") == [("pull clinic", 2)]


@pytest.fixture
def plans() -> Iterator[list[str]]:
    """Of each statement that meets the staged rows, as it is about to run."""
    found: list[str] = []

    def explain(
        connection: Any,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        _executemany: bool,
    ) -> None:
        if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b.*pima_staging", statement, re.DOTALL):
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {statement}", parameters)
                found.append("\n".join(line for (line,) in cursor))

    event.listen(Engine, "before_cursor_execute", explain)
    yield found
    event.remove(Engine, "before_cursor_execute", explain)


def test_rows_are_looked_up_by_key_where_statistics_know_of_no_source(
    postgresql: Database, sqlite_clinic: Clinic, plans: list[str]
) -> None:
    """As after files, before autovacuum has come by: compared each with each, 30,000 rows took 29 s
    and not 1."""
    clinic = sqlite_clinic
    insert_patients(postgresql, 3_000)
    postgresql.execute("ANALYZE patients")
    clinic.insert(500)
    assert clinic.pulled(postgresql)["inserted"] == 500
    clinic.execute("UPDATE visits SET age = age + 1")
    assert clinic.pulled(postgresql, "--full")["updated"] == 500
    clinic.settings["vanished"] = "delete"
    clinic.execute(
        "DELETE FROM visits WHERE visit_id IN (SELECT visit_id FROM visits ORDER BY visit_id "
        "LIMIT 20)"
    )
    assert clinic.pulled(postgresql, "--full")["deleted"] == 20
    met = [line.strip() for plan in plans for line in plan.splitlines() if "source_key = " in line]
    assert len(met) >= 5
    # Each with each would be a nested loop with the keys in its filter.
    filters = [
        line
        for line in met
        if line.startswith(("Join Filter: ", "Filter: ")) and "hashed SubPlan" not in line
    ]
    assert filters == []
    writing = [plan for plan in plans if re.match(r"(Insert|Update) on patients", plan)]
    assert len(writing) >= 2
    assert [plan for plan in writing if "Seq Scan on patients" in plan] == []
