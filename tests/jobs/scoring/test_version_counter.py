"""Counters that were set back, by hand or by a restore without them: no version and no id is given
to another row."""

import csv
import io
import re

import pytest
from sqlalchemy import text

from pima.store.engine import reading, writing
from pima.store.rows.queue import require_counter_above_them
from tests.support.clinic import Clinic
from tests.support.databases import (
    Database,
    call,
    insert_patients,
    the_json,
    without_triggers,
)
from tests.support.pulls import counts
from tests.support.rows import COLUMNS, SET_BACK, VALUES
from tests.support.shipped import ROOT


def again(database: Database, patient_id: int, *meanwhile: str) -> None:
    """The patient's row, deleted and inserted with another measurement."""
    database.execute("DELETE FROM patients WHERE id = :id", {"id": patient_id})
    for statement in meanwhile:
        database.execute(statement)
    insert_patients(database, 1, first_id=patient_id, glucose=99)


def predictions(database: Database) -> list[tuple[object, ...]]:
    return database.execute("SELECT * FROM predictions ORDER BY patient_id, patient_version")


def superseded(database: Database, patient_id: int) -> list[tuple[object, ...]]:
    return database.execute(
        "SELECT superseded FROM current_predictions WHERE patient_id = :id", {"id": patient_id}
    )


def mend(database: Database, others: str = "") -> None:
    """What the page on repairs says of it; `others` are ids that were named besides."""
    repairs = (ROOT / "docs" / "do" / "repair-the-database.md").read_text()
    page = repairs.partition("## The counter of versions\n")[2].partition("\n## ")[0]
    on_postgresql, on_sqlite, other_versions = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)[:3]
    with writing(database.engine) as connection:
        connection.exec_driver_sql(on_sqlite if database.kind == "sqlite" else on_postgresql)
        _begin, made, *changes, _commit = other_versions.strip().split(";")[:-1]
        connection.exec_driver_sql(made)
        if others:
            named = (
                "INSERT INTO used SELECT id, version, outcome, labelled_at FROM patients WHERE id"
            )
            assert named in page
            connection.exec_driver_sql(f"{named} IN {others}")
        for change in changes:
            connection.exec_driver_sql(change)


@pytest.mark.judge
def test_a_version_that_a_correction_drew_does_not_come_again(database: Database) -> None:
    """Neither to a row that comes back under its id, nor to that row when it is corrected too."""
    insert_patients(database, 1, first_id=1)
    versions = [database.value("SELECT version FROM patients")]
    for glucose in (150, 160):
        for corrected in range(glucose, glucose + 3):
            database.execute(f"UPDATE patients SET glucose = {corrected}")
            versions.append(database.value("SELECT version FROM patients"))
        with reading(database.engine) as connection:
            require_counter_above_them(connection)
        again(database, 1)
        versions.append(database.value("SELECT version FROM patients"))
    assert versions == sorted(set(versions))


def test_a_correction_goes_on_if_the_counter_was_set_back(database: Database) -> None:
    insert_patients(database, 1, glucose=100)
    for glucose in (110, 120):
        database.execute(f"UPDATE patients SET glucose = {glucose}")
    database.execute(SET_BACK[database.kind])
    for glucose in (130, 140, 150):
        database.execute(f"UPDATE patients SET glucose = {glucose}")
    kept = database.execute("SELECT glucose FROM row_history ORDER BY patient_version")
    assert kept == [(100,), (110,), (120,), (130,), (140,)]
    assert database.execute("SELECT glucose FROM scoring_queue") == [(150,)]


INSERTED = f"INSERT INTO patients (id, {COLUMNS}) VALUES (1, {VALUES})"
REFRESHED = {
    "by its id": ("DELETE FROM patients WHERE id = 1", INSERTED),
    "with all others": ("DELETE FROM patients", INSERTED),
}
IN_ONE_STATEMENT = {
    "in one statement": (
        (
            f"WITH gone AS (DELETE FROM patients RETURNING *) INSERT INTO patients (id, {COLUMNS}) "
            f"SELECT id, {VALUES} FROM gone"
        ),
    ),
    "with its version": (
        "WITH gone AS (DELETE FROM patients RETURNING *) INSERT INTO patients SELECT * FROM gone",
    ),
}


def _comes_again_with_a_version_of_its_own(
    database: Database, below: int, statements: tuple[str, ...]
) -> None:
    insert_patients(database, 1, first_id=1)
    for glucose in (150, 160):
        database.execute(f"UPDATE patients SET glucose = {glucose}")
    (version,) = database.execute("SELECT version FROM patients")[0]
    database.execute(SET_BACK[database.kind])
    insert_patients(database, below, first_id=2)  # each draws a version
    with writing(database.engine) as connection:
        for statement in statements:
            connection.execute(text(statement))
    drawn = database.value("SELECT version FROM patients WHERE id = 1")
    assert drawn > version
    database.execute("UPDATE patients SET glucose = 170 WHERE id = 1")
    kept = database.execute("SELECT patient_version FROM row_history WHERE patient_id = 1")
    assert (drawn,) in kept
    assert len(kept) == 4


@pytest.mark.judge
@pytest.mark.parametrize("below", range(4))
@pytest.mark.parametrize("how", REFRESHED)
def test_a_row_that_comes_again_after_the_counter_was_set_back_has_a_version_of_its_own(
    database: Database, how: str, below: int
) -> None:
    _comes_again_with_a_version_of_its_own(database, below, REFRESHED[how])


@pytest.mark.parametrize("below", range(4))
@pytest.mark.parametrize("how", IN_ONE_STATEMENT)
def test_so_has_one_that_the_same_statement_deletes(
    postgresql: Database, how: str, below: int
) -> None:
    _comes_again_with_a_version_of_its_own(postgresql, below, IN_ONE_STATEMENT[how])


@pytest.mark.parametrize("ended_as", ["predictions", "rejections", "scoring_queue", "row_history"])
def test_a_counter_below_the_versions_that_there_are_is_told_and_mended(
    scored_database: Database, ended_as: str
) -> None:
    insert_patients(scored_database, 3, first_id=1, age=None if ended_as == "rejections" else 50)
    if ended_as != "scoring_queue":
        assert call(scored_database, "score").exit_code == 0
    again(scored_database, 1, SET_BACK[scored_database.kind])
    if ended_as == "row_history":
        scored_database.execute(
            "INSERT INTO row_history (patient_id, patient_version) VALUES (3, 1000)"
        )
    before = predictions(scored_database)
    for option in ([], ["--dry-run"]):
        refused = call(scored_database, "score", "--json", *option)
        assert (refused.exit_code, the_json(refused)["error"]) == (2, "version_counter_behind")
        assert "The counter of versions" in refused.stderr
    assert predictions(scored_database) == before
    mend(scored_database)
    again(scored_database, 1)
    scored = the_json(call(scored_database, "score", "--json"))
    assert scored["predicted"] == (3 if ended_as == "scoring_queue" else 1)
    assert superseded(scored_database, 1) in ([(False,)], [(0,)])


def test_a_prediction_of_the_row_before_is_not_taken_for_the_new_row_s(
    scored_database: Database,
) -> None:
    """Whose counter has passed the old versions by the time that anybody looks."""
    insert_patients(scored_database, 3, first_id=1)
    assert call(scored_database, "score").exit_code == 0
    one = 1
    again(scored_database, one, SET_BACK[scored_database.kind])
    insert_patients(scored_database, 5, first_id=4)
    before = predictions(scored_database)
    refused = call(scored_database, "score", "--json")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "version_used_twice")
    assert f"(1 row, by id: {one})" in refused.stderr
    # From there no id could be erased.
    line = scored_database.value("SELECT error_line FROM runs WHERE status = 'failed'")
    assert "by id" not in line
    assert line.startswith("error: Waiting rows have the id and version of rows")
    assert predictions(scored_database) == before
    # The other five wait under versions that nobody has predicted.
    version = scored_database.value("SELECT max(version) FROM patients WHERE id > 3")
    mend(scored_database, f"({one})")
    assert (
        scored_database.value("SELECT version FROM patients WHERE id = :id", {"id": one}) > version
    )
    assert scored_database.value("SELECT max(version) FROM patients WHERE id > 3") == version
    assert (
        scored_database.value(
            "SELECT count(*) FROM patients WHERE glucose = 99 AND labelled_at IS NULL"
        )
        == 1
    )
    assert the_json(call(scored_database, "score", "--json"))["predicted"] == 6
    assert superseded(scored_database, one) in ([(False,)], [(0,)])


def test_values_that_no_prediction_was_made_from_are_shown_of_none(
    scored_database: Database,
) -> None:
    """Those that were written while the triggers were off, once the page's remedy was taken."""
    insert_patients(scored_database, 3, first_id=1)
    assert call(scored_database, "score").exit_code == 0
    scored_database.execute("UPDATE patients SET outcome = 1 WHERE id = 2")
    known = scored_database.value("SELECT labelled_at FROM patients WHERE id = 2")
    with without_triggers(scored_database):
        scored_database.execute("UPDATE patients SET glucose = 99 WHERE id < 3")
    mend(scored_database, "(1, 2)")
    told = call(scored_database, "export", "predictions", "--values").stdout
    shown = [
        (row["patient_id"], row["value_of_glucose"]) for row in csv.DictReader(io.StringIO(told))
    ]
    assert shown == [("1", ""), ("2", ""), ("3", "148.0")]
    found = scored_database.execute("SELECT id, labelled_at FROM patients WHERE outcome = 1")
    assert found == [(2, known)]
    assert the_json(call(scored_database, "score", "--json"))["predicted"] == 1


COUNTER_OF_IDS_SET_BACK = {
    "sqlite": "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'patients'",
    "postgresql": "SELECT setval(pg_get_serial_sequence('patients', 'id'), 1)",
}


def ids(database: Database) -> dict[str, int]:
    """By the source's key."""
    return dict(
        database.execute("SELECT source_key, id FROM patients WHERE source_key IS NOT NULL")
    )


def test_a_kept_id_is_given_to_no_other_row(database: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    keys = clinic.insert(3)
    clinic.pulled(database)
    before = ids(database)
    database.execute("DELETE FROM patients")
    database.execute(COUNTER_OF_IDS_SET_BACK[database.kind])
    clinic.execute("UPDATE visits SET visit_id = 'gone ' || visit_id")
    clinic.settings |= {"key_type": "text"}
    (other,) = clinic.insert(1, seed=2)
    clinic.execute("DELETE FROM visits WHERE visit_id LIKE 'gone%'")
    assert counts(clinic.pulled(database)) == {"inserted": 1}
    assert max(before.values()) < ids(database)[other]
    clinic.insert(3)
    assert counts(clinic.pulled(database)) == {"inserted": 3, "unchanged": 1}
    assert {key: ids(database)[key] for key in keys} == before


@pytest.mark.judge
def test_a_kept_id_that_another_row_has_by_now_is_told(
    database: Database, sqlite_clinic: Clinic
) -> None:
    clinic = sqlite_clinic
    keys = clinic.insert(2)
    clinic.pulled(database)
    kept = ids(database)
    database.execute("DELETE FROM patients")
    insert_patients(database, 1, first_id=kept[keys[0]], glucose=99)
    ended = clinic.pull(database)
    assert (ended.exit_code, f"(1 row, by id: {kept[keys[0]]})" in ended.stderr) == (2, True), (
        ended.stderr
    )
    told = database.value("SELECT error_line FROM runs ORDER BY id DESC LIMIT 1")
    assert "by id" not in told
    assert "(1 row; the log has their ids)" in told
    assert database.execute("SELECT glucose, source_key FROM patients") == [(99, None)]
    database.execute("DELETE FROM patients")
    assert insert_patients(database, 1, glucose=99) == [max(kept.values()) + 1]
    assert counts(clinic.pulled(database)) == {"inserted": 2}
    assert {key: ids(database)[key] for key in keys} == kept
