"""The score in use today: how it is declared and comes in, and that it is kept as it stood when a row
was predicted."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from pima.core.declared.features import first_difference
from pima.core.nights.unpredicted import Marks
from pima.core.rows.redeclared import changes, of_another_kind
from pima.errors import WrongConfiguration
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, Start, drain
from pima.settings.reading import SHIPPED, SHIPPED_FILE, read_declaration
from pima.store.engine import clock, reading
from pima.store.models.registry import as_declaration, as_stored, holdout_rule
from pima.store.rows.histories import labelled_history, predicted_in_time
from pima.store.rows.settling import settling
from tests.support.clinic import Clinic
from tests.support.databases import (
    Copied,
    Database,
    call,
    insert_patients,
    let_the_clock_move,
    the_json,
    under_role,
)
from tests.support.declared import configuration
from tests.support.pulls import counts
from tests.support.shipped import FEATURE_NAMES
from tests.support.ward import WARD, WITH_WARD, install_ward, ward_configuration


@pytest.fixture
def ward(copied: Copied, trained: Path) -> Database:
    """A database of either kind with a champion, and the ward's score declared."""
    return copied(install_ward, trained)


def kept(database: Database) -> list[tuple[Any, ...]]:
    """The scores beside predictions."""
    columns = "patient_id, model_version, score, value"
    return database.execute(f"SELECT {columns} FROM prediction_scores ORDER BY 1, 2, 3")


def state(database: Database) -> tuple[Any, Any]:
    """Each row's version, and those that wait with their score."""
    waits = "SELECT patient_id, patient_version, ward FROM scoring_queue ORDER BY 1"
    return database.execute("SELECT id, version FROM patients ORDER BY id"), database.execute(waits)


def with_points(clinic: Clinic, folder: Path) -> None:
    """The clinic's table has the score, as a text."""
    ward_configuration(folder)
    clinic.extra = f'[declaration]\nfile = "{folder / "features.toml"}"\n'
    clinic.execute("ALTER TABLE visits ADD COLUMN points TEXT")
    clinic.columns["ward"] = "points"


def test_a_score_is_kept_as_it_stood_when_its_row_was_predicted(
    ward: Database, tmp_path: Path
) -> None:
    config = ward_configuration(tmp_path)
    first, second, third, fourth = insert_patients(ward, 4, ward=3)
    before = state(ward)
    let_the_clock_move()
    ward.execute(f"UPDATE patients SET ward = 5 WHERE id = {first}")
    ward.execute(f"UPDATE patients SET ward = NULL WHERE id = {second}")
    ward.execute(f"UPDATE patients SET ward = 7, age = age + 1 WHERE id = {third}")
    versions, waiting = state(ward)
    assert [row[2] for row in waiting] == [5, None, 7, 3]
    assert [row for row in versions if row[0] != third] == [
        row for row in before[0] if row[0] != third
    ]
    assert ward.value(f"SELECT updated_at > recorded_at FROM patients WHERE id = {first}")
    assert call(ward, "score", "--config", config).exit_code == 0
    found = [(first, 1, "ward", 5), (third, 1, "ward", 7), (fourth, 1, "ward", 3)]
    assert kept(ward) == found
    assert ward.value("""
        SELECT count(*) FROM prediction_scores s JOIN predictions d
        ON d.patient_id = s.patient_id AND d.scored_at = s.scored_at""") == len(found)
    # What becomes known later is no score of then, whatever comes onto the queue once more.
    ward.execute("UPDATE patients SET ward = 9")
    assert state(ward) == (versions, [])
    columns = ", ".join((*FEATURE_NAMES, "ward"))
    ward.execute(
        f"INSERT INTO scoring_queue (patient_id, patient_version, {columns})"
        f" SELECT id, version, {columns} FROM patients"
    )
    assert the_json(call(ward, "score", "--config", config, "--json"))["already_scored"] == 4
    assert kept(ward) == found


def test_a_row_that_a_shared_run_meets_again_keeps_its_score(ward: Database) -> None:
    (patient,) = insert_patients(ward, 1, ward=3)
    (run,) = ward.execute("""
        INSERT INTO runs (job, trigger, attempt, status, counts, host)
        VALUES ('score', 'manual', 1, 'running', '{}', 'a') RETURNING id""")[0]
    for _ in range(2):
        options = ScoreOptions(1000, scores=("ward",))
        drain(ward.engine, run, Start(1, 1, Marks()), options, StopRequest())
        assert state(ward)[1] == []
        assert kept(ward) == [(patient, 1, "ward", 3)]
        columns = ", ".join((*FEATURE_NAMES, "ward"))
        ward.execute(
            f"INSERT INTO scoring_queue (patient_id, patient_version, {columns})"
            f" SELECT id, version, {columns} FROM patients"
        )


def test_a_score_comes_by_files(ward: Database, tmp_path: Path) -> None:
    config = ward_configuration(tmp_path)
    row = "1,148,72,35,0,33.6,0.6,50"
    file = tmp_path / "rows.csv"
    file.write_text(f"id,{','.join(FEATURE_NAMES)},Ward\n7,{row},4.5\n8,{row},\n9,{row},not done\n")
    ended = call(ward, "load", "--config", config, str(file), "--json")
    assert the_json(ended)["unknown_taken"] == {"ward": 1}
    assert [row[2] for row in state(ward)[1]] == [4.5, None, None]
    versions = state(ward)[0]
    table = pa.table({"id": [7, 8], "ward": [None, 6]})
    pq.write_table(table, tmp_path / "scores.parquet")
    parquet = str(tmp_path / "scores.parquet")
    assert call(ward, "load", "--config", config, parquet).exit_code == 0
    assert state(ward)[0] == versions
    assert [row[2] for row in state(ward)[1]] == [None, 6, None]
    limited = (tmp_path / "features.toml").read_text() + "low = 0\nhigh = 20\n"
    (tmp_path / "features.toml").write_text(limited)
    redeclared = ("migrate", "--config", config, "--features", "--reason", "999 is not assessed")
    assert call(ward, *redeclared).exit_code == 0
    file.write_text("id,ward\n7,20\n8,999\n9,-1\n")
    ended = call(ward, "load", "--config", config, str(file), "--json")
    assert the_json(ended)["unknown_taken"] == {"ward": 2}
    assert [row[2] for row in state(ward)[1]] == [20, None, None]
    file.write_text("id,ward\n7,1e999\n8,nan\n")
    ended = call(ward, "load", "--config", config, str(file), "--json")
    assert the_json(ended)["unknown_taken"] == {"ward": 2}
    # A file of rows that are not there yet may lack it, and one without a header has none.
    file.write_text(f"{row},\n" * 2)
    assert call(ward, "load", "--config", config, str(file)).exit_code == 0


def test_a_score_comes_from_a_source(ward: Database, clinic: Clinic, tmp_path: Path) -> None:
    with_points(clinic, tmp_path)
    first, second = clinic.insert(2, points="4")
    assert counts(clinic.pulled(ward)) == {"inserted": 2}
    before = state(ward)
    assert [row[2] for row in before[1]] == [4, 4]
    change = "UPDATE visits SET points = :points WHERE visit_id = :key"
    clinic.execute(change, {"points": "11", "key": first})
    clinic.execute(change, {"points": "not done", "key": second})
    assert counts(clinic.pulled(ward)) == {"updated": 2}
    versions, waiting = state(ward)
    assert versions == before[0]
    assert sorted((row[2] for row in waiting), key=str) == [11, None]
    assert counts(clinic.pulled(ward)) == {"unchanged": 2}


@pytest.mark.parametrize("said", [None, "not done"])
def test_a_score_that_the_clinic_gives_up_stops_no_pull(
    copied: Copied, trained: Path, sqlite_clinic: Clinic, tmp_path: Path, said: str | None
) -> None:
    database, clinic = copied(install_ward, trained), sqlite_clinic
    with_points(clinic, tmp_path)
    clinic.insert(10, points="4")
    assert counts(clinic.pulled(database)) == {"inserted": 10}
    clinic.execute("UPDATE visits SET points = :said", {"said": said})
    clinic.insert(5, seed=2, points=said)
    assert counts(clinic.pulled(database)) == {"inserted": 5, "updated": 10}


def test_a_score_is_declared_given_up_and_declared_again(ward: Database, tmp_path: Path) -> None:
    config = ward_configuration(tmp_path)
    (patient,) = insert_patients(ward, 1, ward=3)
    asked = ("migrate", "--config", config, "--features", "--reason", "a test", "--json")
    configuration(tmp_path, SHIPPED_FILE.read_text())
    ended = call(ward, "score", "--config", config)
    assert (ended.exit_code, "the score ward" in ended.stderr) == (2, True)
    assert the_json(call(ward, *asked))["retired"] == ["ward"]
    assert call(ward, "score", "--config", config).exit_code == 0
    assert kept(ward) == []
    ward.execute("UPDATE patients SET ward = 4, age = age + 1")
    ward_configuration(tmp_path)
    assert the_json(call(ward, *asked))["revived"] == ["ward"]
    assert call(ward, "score", "--config", config).exit_code == 0
    assert kept(ward) == [(patient, 1, "ward", 4)]
    # A column holds one kind of values.
    text = SHIPPED_FILE.read_text().replace('name = "glucose"', 'name = "ward"')
    configuration(tmp_path, text)
    ended = call(ward, *asked)
    assert (ended.exit_code, "ward can't become a number" in ended.stderr) == (2, True)


def test_what_a_score_said_stays_with_a_labelled_row_and_goes_with_others(
    ward: Database, tmp_path: Path
) -> None:
    config = ward_configuration(tmp_path)
    corrected, labelled, deleted, waiting = insert_patients(ward, 4, ward=3)
    assert call(ward, "score", "--config", config).exit_code == 0
    exported = call(ward, "export", "scores", "--config", config).stdout.splitlines()
    assert [line.split(",")[0] for line in exported[1:]] == [
        str(each) for each in (corrected, labelled, deleted, waiting)
    ]
    long_ago = {"old": ward.stored(datetime(2020, 1, 1, tzinfo=UTC))}
    for table in ("predictions", "prediction_scores"):
        ward.execute(f"UPDATE {table} SET scored_at = :old", long_ago)
    ward.execute(f"UPDATE patients SET age = age + 1 WHERE id = {corrected}")
    ward.execute(f"UPDATE patients SET outcome = 1 WHERE id = {labelled}")
    ward.execute(f"DELETE FROM patients WHERE id = {deleted}")
    found = the_json(call(ward, "retain", "--config", config, "--older-than", "365", "--json"))
    # Those that count for a row that is there stay.
    assert (found["predictions"], found["prediction_scores"]) == (1, 1)
    assert [row[0] for row in kept(ward)] == [corrected, labelled, waiting]
    # With --values it stays with the version that waits for its outcome.
    asked = ("--older-than", "365", "--values", "--json")
    assert the_json(call(ward, "retain", "--config", config, *asked))["prediction_scores"] == 2
    assert [row[0] for row in kept(ward)] == [waiting]


def test_a_history_has_scores_as_they_stood_when_their_rows_were_predicted(
    ward: Database, tmp_path: Path
) -> None:
    config = ward_configuration(tmp_path)
    told, corrected, silent = insert_patients(ward, 3, ward=3)
    ward.execute(f"UPDATE patients SET ward = NULL WHERE id = {silent}")
    assert call(ward, "score", "--config", config).exit_code == 0
    ward.execute("UPDATE patients SET ward = 9, outcome = 1")
    ward.execute(f"UPDATE patients SET age = age + 1 WHERE id = {corrected}")
    (never_predicted,) = insert_patients(ward, 1, ward=4, outcome=0)

    def history() -> tuple[dict[int, float], dict[int, float]]:
        with reading(ward.engine) as connection:
            settled = settling(connection, WITH_WARD.outcome, clock(connection))
            rule = holdout_rule(connection)
            read, *_ = labelled_history(connection, WITH_WARD, rule, settled)
            in_time = predicted_in_time(connection, WITH_WARD.outcome, clock(connection))
        unclaimed = {each: each not in in_time.index for each in read.index}
        return read["ward"].dropna().to_dict(), unclaimed

    known = {told: 3, corrected: 3, never_predicted: 4}
    unclaimed = {told: 0, corrected: 0, silent: 0, never_predicted: 1}
    assert history() == (known, unclaimed)
    # Nor does a row that was predicted without a score look as if nobody had predicted it later.
    long_ago = {"old": ward.stored(datetime(2020, 1, 1, tzinfo=UTC))}
    for table in ("predictions", "prediction_scores"):
        ward.execute(f"UPDATE {table} SET scored_at = :old", long_ago)
    assert call(ward, "retain", "--config", config, "--older-than", "365").exit_code == 0
    left = "SELECT patient_id FROM predictions ORDER BY patient_id"
    assert ward.execute(left) == [(told,), (corrected,), (silent,)]
    assert history() == (known, unclaimed)


def test_a_score_that_the_clinic_s_own_trigger_sets_is_that_of_the_row(
    postgresql: Database, trained: Path
) -> None:
    install_ward(postgresql, trained)
    postgresql.execute("""
        CREATE FUNCTION of_the_clinic() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.ward < 100 THEN
                UPDATE patients SET ward = NEW.ward + 100 WHERE id = NEW.id;
            END IF;
            RETURN NULL;
        END $$""")
    postgresql.execute("""
        CREATE TRIGGER of_the_clinic AFTER INSERT OR UPDATE ON patients
        FOR EACH ROW EXECUTE FUNCTION of_the_clinic()""")
    (patient,) = insert_patients(postgresql, 1, ward=1)
    assert state(postgresql)[1] == [(patient, 1, 101)]
    postgresql.execute("UPDATE patients SET ward = 2")
    assert state(postgresql)[1] == [(patient, 1, 102)]
    postgresql.execute("UPDATE patients SET ward = 3, age = age + 1")
    assert [row[2] for row in state(postgresql)[1]] == [103]


def test_scores_are_written_under_the_roles(
    postgresql: Database, trained: Path, tmp_path: Path
) -> None:
    config = ward_configuration(tmp_path)
    install_ward(postgresql, trained)
    assert call(postgresql, "migrate", "--config", config, "--roles").exit_code == 0
    writer = under_role(postgresql, "pima_writer")
    (patient,) = insert_patients(writer, 1, ward=2)
    writer.execute("UPDATE patients SET ward = 6")
    scorer = under_role(postgresql, "pima_scorer")
    assert call(scorer, "score", "--config", config).exit_code == 0
    reader = under_role(postgresql, "pima_reader")
    assert kept(reader) == [(patient, 1, "ward", 6)]
    eraser = under_role(postgresql, "pima_eraser")
    forget = ("forget", str(patient), "--config", config, "--reason", "a test", "--json")
    assert the_json(call(eraser, *forget))["prediction_scores"] == 1
    assert kept(postgresql) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('name = "age"', "name is that of feature 8"),
        ('name = "Ward"', "name is no plain name"),
        ('name = "outcome"', "a column of the service's own"),
        ('name = "a"\nthreshold = inf', "threshold is none that the score can reach"),
        (
            'name = "a"\nkind = "probability"\nthreshold = 20',
            "threshold is none that the score can reach",
        ),
        ('name = "a"\nkind = "probability"\ndirection = "falling"', "direction is falling"),
        ('name = "a"\nlabel = "a\\u0007"', "label holds invisible characters"),
        ('name = "a"\nkind = "percent"', "kind has a wrong value"),
        ('name = "a"\nbands = [0]', "takes no key bands"),
        ('name = "a"\nlow = 20\nhigh = 0', "low and high are no range"),
        ('name = "a"\nhigh = inf', "low and high are no range"),
        ('name = "a"\nhigh = 20\nthreshold = 21', "threshold is none that the score can reach"),
        ('name = "a"\nkind = "probability"\nlow = 2', "low and high are no range"),
    ],
)
def test_a_score_that_can_t_be_used_is_told(tmp_path: Path, said: str, told: str) -> None:
    path = tmp_path / "features.toml"
    path.write_text(f"{SHIPPED_FILE.read_text()}\n[[present_score]]\n{said}\n")
    with pytest.raises(WrongConfiguration, match=re.escape(told)):
        read_declaration(path)


def test_two_scores_may_have_one_label(tmp_path: Path) -> None:
    path = tmp_path / "features.toml"
    scores = (f'[[present_score]]\nname = "{name}"\nlabel = "NEWS2"\n' for name in "ab")
    path.write_text(f"{SHIPPED_FILE.read_text()}\n{''.join(scores)}")
    assert [each.called for each in read_declaration(path).present_scores] == ["NEWS2", "NEWS2"]


def test_a_score_s_threshold_may_be_its_highest_value() -> None:
    assert not list(replace(WARD, low=0, high=3, threshold=3).faults())


def test_a_score_is_read_stored_and_compared(tmp_path: Path) -> None:
    ward_configuration(tmp_path)
    found = read_declaration(tmp_path / "features.toml")
    assert found == WITH_WARD
    assert as_declaration(as_stored(found)) == found
    # Earlier releases read what declares none.
    assert {"present_score", "retired_scores"}.isdisjoint(as_stored(SHIPPED))
    assert first_difference(SHIPPED, found) == (
        "nothing stands in the settings where this database has the score ward"
    )
    after, told = changes(found, SHIPPED)
    assert (after.retired_scores, told.retired, told.any) == ((WARD,), ("ward",), True)
    again, told = changes(after, found)
    assert (again, told.revived, told.added) == (found, ("ward",), ())
    assert of_another_kind(after, found) is None
