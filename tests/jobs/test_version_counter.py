"""A version counter that was set back, by hand or by a restore without it: no prediction is taken for another row's."""

import pytest

from tests.conftest import Database, call, insert_patients, the_json

SET_BACK = {
    "sqlite": "UPDATE patient_version_counter SET last = 0",
    "postgresql": "SELECT setval('patient_version', 1, false)",
}


def again(database: Database, patient_id: int) -> None:
    """The patient's row, deleted and inserted with another measurement."""
    database.execute("DELETE FROM patients WHERE id = :id", {"id": patient_id})
    insert_patients(database, 1, first_id=patient_id, glucose=99)


def predictions(database: Database) -> list[tuple[object, ...]]:
    return database.execute("SELECT * FROM predictions ORDER BY patient_id, patient_version")


def superseded(database: Database, patient_id: int) -> list[tuple[object, ...]]:
    return database.execute("SELECT superseded FROM current_predictions WHERE patient_id = :id", {"id": patient_id})


@pytest.mark.judge
def test_a_version_that_a_correction_drew_does_not_come_again(database: Database) -> None:
    """Neither to a row that comes back under its id, nor to that row when it is corrected too."""
    insert_patients(database, 1, first_id=1)
    versions = [database.value("SELECT version FROM patients")]
    for glucose in (150, 151):
        database.execute(f"UPDATE patients SET glucose = {glucose}")
        versions.append(database.value("SELECT version FROM patients"))
        again(database, 1)
        versions.append(database.value("SELECT version FROM patients"))
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("ended_as", ["predictions", "rejections", "scoring_queue"])
def test_a_counter_below_the_versions_that_there_are_is_told_and_mended(
    scored_database: Database, ended_as: str
) -> None:
    insert_patients(scored_database, 3, first_id=1, age=None if ended_as == "rejections" else 50)
    if ended_as != "scoring_queue":
        assert call(scored_database, "score").exit_code == 0
    scored_database.execute(SET_BACK[scored_database.kind])
    again(scored_database, 1)
    before = predictions(scored_database)
    for option in ([], ["--dry-run"]):
        refused = call(scored_database, "score", "--json", *option)
        assert (refused.exit_code, the_json(refused)["error"]) == (2, "version_counter_behind")
        assert "python -m jobs.requeue" in refused.stderr
    assert predictions(scored_database) == before
    assert call(scored_database, "requeue").exit_code == 0
    again(scored_database, 1)
    scored = the_json(call(scored_database, "score", "--json"))
    assert scored["predicted"] == (3 if ended_as == "scoring_queue" else 1)
    assert superseded(scored_database, 1) in ([(False,)], [(0,)])


def test_a_prediction_of_the_row_before_is_not_taken_for_the_new_row_s(scored_database: Database) -> None:
    """Whose counter has passed the old versions by the time that anybody looks."""
    insert_patients(scored_database, 3, first_id=1)
    assert call(scored_database, "score").exit_code == 0
    scored_database.execute(SET_BACK[scored_database.kind])
    again(scored_database, 1)
    insert_patients(scored_database, 5, first_id=4)
    before = predictions(scored_database)
    refused = call(scored_database, "score", "--json")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "version_used_twice")
    assert "(1 in this batch, by patient_id: 1)" in refused.stderr
    assert predictions(scored_database) == before
    assert "python -m jobs.requeue --new-versions" in refused.stderr
    # The other five wait under versions that nobody has predicted.
    version = scored_database.value("SELECT max(version) FROM patients WHERE id > 1")
    assert the_json(call(scored_database, "requeue", "--new-versions", "--json"))["requeued"] == 1
    assert scored_database.value("SELECT version FROM patients WHERE id = 1") > version
    assert scored_database.value("SELECT max(version) FROM patients WHERE id > 1") == version
    assert scored_database.value("SELECT count(*) FROM patients WHERE glucose = 99 AND labelled_at IS NULL") == 1
    assert the_json(call(scored_database, "score", "--json"))["predicted"] == 6
    assert superseded(scored_database, 1) in ([(False,)], [(0,)])


@pytest.mark.parametrize("mended_by", ["requeue", "migrate"])
@pytest.mark.parametrize("is_scored_first", [False, True])
def test_rows_whose_version_lies_below_a_predicted_one_get_another(
    scored_database: Database, is_scored_first: bool, mended_by: str
) -> None:
    """As where predictions were restored, and the rows were loaded anew."""
    database = scored_database
    insert_patients(database, 3, first_id=1)
    database.execute("UPDATE patients SET glucose = 98")
    assert call(database, "score").exit_code == 0
    highest = database.value("SELECT max(patient_version) FROM predictions")
    database.execute(SET_BACK[database.kind])
    again(database, 1)
    again(database, 2)
    mended = call(database, mended_by)
    assert "2 waiting rows with a version below one that was predicted for the same id" in mended.stdout
    if is_scored_first:
        assert call(database, "score").exit_code == 0
    assert the_json(call(database, "requeue", "--new-versions", "--json"))["requeued"] == 2
    assert database.value("SELECT min(version) FROM patients WHERE id < 3") > highest
    assert the_json(call(database, "score", "--json"))["predicted"] == 2
    for patient in (1, 2, 3):
        assert superseded(database, patient) in ([(False,)], [(0,)])
    assert the_json(call(database, "requeue", "--json"))["below_predicted"] == 0


KEEPS_OUTCOMES = {
    "sqlite": (
        """CREATE TRIGGER keeps AFTER UPDATE OF outcome ON patients WHEN NEW.outcome IS NULL AND OLD.outcome IS NOT NULL
        BEGIN UPDATE patients SET outcome = OLD.outcome WHERE id = NEW.id; END""",
    ),
    "postgresql": (
        """CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.outcome := coalesce(NEW.outcome, OLD.outcome); RETURN NEW; END $$""",
        "CREATE TRIGGER keeps BEFORE UPDATE ON patients FOR EACH ROW EXECUTE FUNCTION keeps()",
    ),
}


def test_where_a_clinic_s_trigger_keeps_outcomes_none_is_invented(scored_database: Database) -> None:
    insert_patients(scored_database, 3, first_id=1)
    assert call(scored_database, "score").exit_code == 0
    scored_database.execute(SET_BACK[scored_database.kind])
    again(scored_database, 1)
    for statement in KEEPS_OUTCOMES[scored_database.kind]:
        scored_database.execute(statement)
    assert call(scored_database, "migrate").exit_code == 0
    refused = call(scored_database, "requeue", "--new-versions", "--json")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "version_not_drawn")
    assert scored_database.value("SELECT count(*) FROM patients WHERE outcome IS NOT NULL") == 0
    scored_database.execute("DROP TRIGGER keeps" + (" ON patients" if scored_database.kind == "postgresql" else ""))
    assert the_json(call(scored_database, "requeue", "--new-versions", "--json"))["requeued"] == 1


RUN_OUT = {
    "sqlite": f"UPDATE patient_version_counter SET last = {2**63 - 1}",
    "postgresql": f"SELECT setval('patient_version', {2**63 - 1})",
}


def test_a_counter_that_was_set_to_its_end_is_told_and_mended(scored_database: Database) -> None:
    insert_patients(scored_database, 2, first_id=1)
    scored_database.execute(RUN_OUT[scored_database.kind])
    refused = call(scored_database, "score")
    assert refused.exit_code == 2
    assert "the counter of row versions was set near its end" in refused.stderr
    assert call(scored_database, "migrate").exit_code == 0
    insert_patients(scored_database, 1, first_id=3)
    assert the_json(call(scored_database, "score", "--json"))["predicted"] == 3


def test_a_missing_counter_is_told_and_mended(sqlite: Database) -> None:
    insert_patients(sqlite, 2, first_id=1)
    sqlite.execute("DELETE FROM patient_version_counter")
    refused = call(sqlite, "score")
    assert refused.exit_code == 2
    assert "patient_version_counter has no row" in refused.stderr
    assert call(sqlite, "migrate").exit_code == 0
    again(sqlite, 1)
    assert sqlite.value("SELECT version FROM patients WHERE id = 1") == 3
