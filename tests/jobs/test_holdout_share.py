"""A share of the holdout that is changed, with real fits: nobody is judged on rows that they learned from."""

import json
from typing import Any

import numpy as np
import pytest

from pima.core.validation import validate
from pima.store.measurements import as_measurements
from pima.training import recording
from pima.training.championing import Decider, change_holdout_share
from pima.training.snapshot import from_parquet
from tests.conftest import FEATURE_NAMES, FEATURES, SHIPPED, Copied, Database, call, load_shipped, the_json

pytestmark = pytest.mark.usefixtures("equal_fits_once")

MEASURED = "pregnancies, glucose, blood_pressure, skin_thickness, insulin, bmi, diabetes_pedigree, age"
EVERYTHING = {"PIMA_GATE__WINDOW": "all"}
DOUBLED = EVERYTHING | {"PIMA_HOLDOUT__SHARE": "0.6"}
# Of the 768 shipped rows, under the tests' salt.
BELOW_30_PERCENT, BELOW_60_PERCENT = 240, 479


@pytest.fixture
def fitted(copied: Copied) -> Database:
    """The shipped rows, all labelled, and a champion that was fitted with 30 % of them held out."""
    return copied(_fit)


def _fit(database: Database) -> None:
    load_shipped(database)
    assert _json(database, "retrain", **EVERYTHING)["verdict"] == "promoted"


def _json(database: Database, job: str, *arguments: str, **environ: str) -> dict[str, Any]:
    """A command in this process: its one JSON object, with the exit code in it."""
    ended = call(database, job, *arguments, "--json", **environ)
    return {"exit_code": ended.exit_code, **the_json(ended)}


def _change(database: Database, share: str) -> None:
    assert call(database, "models", "holdout", "--share", share, "--reason", "a test").exit_code == 0


def _learned_from(database: Database, number: int) -> set[int]:
    content = database.value(f"SELECT content FROM training_snapshots WHERE model_version = {number}")
    return set(from_parquet(bytes(content), FEATURE_NAMES).patient_ids.tolist())


def _judged_on(database: Database) -> set[int]:
    """The test set of the last verdict."""
    members = database.value("""
        SELECT t.patient_ids FROM promotions p JOIN test_sets t ON t.fingerprint = p.test_set_fingerprint
        ORDER BY p.id DESC LIMIT 1""")
    return set(json.loads(members) if isinstance(members, str) else members)


def _new_patients(database: Database, count: int) -> None:
    """Rows like the first ones, known of from now on, with other measurements than anybody has."""
    database.execute(f"""
        INSERT INTO patients ({MEASURED}, outcome)
        SELECT {MEASURED.replace("bmi", "bmi + 0.0625")}, outcome FROM patients WHERE id <= {count} ORDER BY id""")


def test_after_the_share_was_doubled_no_training_row_of_the_champion_judges_it(fitted: Database) -> None:
    _change(fitted, "0.6")
    result = _json(fitted, "retrain", **DOUBLED)
    assert (result["exit_code"], result["holdout_rows"]) == (0, BELOW_60_PERCENT)
    assert len(_learned_from(fitted, 1)) == 528
    assert _judged_on(fitted) & _learned_from(fitted, 1) == set()
    assert _judged_on(fitted) & _learned_from(fitted, 2) == set()
    # Both on the very same rows, and the ledger says how many were left out.
    figures = _json(fitted, "models", "show", "2")["decisions"][0]["figures"]
    assert figures["seen_rows"] == result["seen_rows"] == BELOW_60_PERCENT - BELOW_30_PERCENT
    assert figures["challenger"]["rows"] == figures["champion"]["rows"] == figures["whole_rows"] == BELOW_30_PERCENT
    assert "left out 239" in result["explanation"]
    assert fitted.execute("SELECT holdout_generation FROM model_versions ORDER BY number") == [(1,), (2,)]


def test_what_was_first_seen_since_then_judges_it_too(fitted: Database) -> None:
    _change(fitted, "0.6")
    _new_patients(fitted, 200)
    result = _json(fitted, "retrain", **DOUBLED)
    new = {patient_id for patient_id in _judged_on(fitted) if patient_id > 768}
    assert 100 < len(new) < 140  # 60 % of 200
    assert len(_judged_on(fitted)) == BELOW_30_PERCENT + len(new) == result["challenger_scores"]["rows"]
    assert result["seen_rows"] == BELOW_60_PERCENT - BELOW_30_PERCENT
    assert _judged_on(fitted) & _learned_from(fitted, 1) == set()


@pytest.mark.parametrize("ids", ["the same ids", "other ids"])
def test_rows_that_are_deleted_and_come_in_again_are_nothing_new(fitted: Database, ids: str) -> None:
    _change(fitted, "0.6")
    fitted.execute(f"CREATE TABLE copied AS SELECT id, {MEASURED}, outcome FROM patients")
    fitted.execute("DELETE FROM patients")
    columns = f"id, {MEASURED}" if ids == "the same ids" else MEASURED
    fitted.execute(f"INSERT INTO patients ({columns}, outcome) SELECT {columns}, outcome FROM copied ORDER BY id")
    result = _json(fitted, "retrain", **DOUBLED)
    # The two were compared: that the challenger is surer too is asked of them behind that.
    assert result["verdict"] != "blocked" or result["reason"] == "log_loss_veto"
    learned = f"SELECT count(*) FROM copied c WHERE c.id IN ({_listed(_learned_from(fitted, 1))}) AND EXISTS ("
    learned += f"SELECT 1 FROM patients p WHERE p.id IN ({_listed(_judged_on(fitted))})"
    learned += "".join(f" AND p.{name} = c.{name}" for name in MEASURED.split(", ")) + ")"
    assert fitted.value(learned) == 0


def _listed(ids: set[int]) -> str:
    return ", ".join(map(str, sorted(ids)))


@pytest.mark.parametrize("lost", ["not kept", "damaged"])
def test_where_its_training_rows_are_not_known_only_those_below_both_shares_judge_it(
    fitted: Database, lost: str
) -> None:
    learned_from = _learned_from(fitted, 1)
    zero = "'\\x00'" if fitted.kind == "postgresql" else "x'00'"
    lose = {"not kept": "DELETE FROM training_snapshots", "damaged": f"UPDATE training_snapshots SET content = {zero}"}
    fitted.execute(lose[lost])
    _change(fitted, "0.6")
    _new_patients(fitted, 200)
    result = _json(fitted, "retrain", **DOUBLED)
    new = {patient_id for patient_id in _judged_on(fitted) if patient_id > 768}
    assert 40 < len(new) < 80  # 30 % of 200: nothing proves that it has not learned from the others
    assert len(_judged_on(fitted)) == BELOW_30_PERCENT + len(new) == result["challenger_scores"]["rows"]
    assert _judged_on(fitted) & learned_from == set()


def test_where_too_few_are_left_a_person_decides(fitted: Database) -> None:
    _change(fitted, "0.6")
    many = {"PIMA_RETRAIN__MINIMUM_OF_EACH_CLASS": "90"}
    for challenger in (2, 3):  # asking again is no second look: nothing was compared
        result = _json(fitted, "retrain", **DOUBLED, **many)
        assert (result["exit_code"], result["verdict"], result["reason"]) == (0, "blocked", "too_few_unseen")
        assert result["challenger"] == challenger
        assert (result["champion_scores"], result["challenger_scores"]["rows"]) == (None, BELOW_60_PERCENT)
    assert fitted.value("SELECT model_version FROM champion") == 1
    assert call(fitted, "models", "promote", "3", "--reason", "the board agreed").exit_code == 0
    assert call(fitted, "models", "rollback", "--reason", "and changed its mind").exit_code == 0
    assert fitted.value("SELECT model_version FROM champion") == 1
    # With fewer asked for there are enough.
    assert _json(fitted, "retrain", "--dry-run", **DOUBLED)["champion_scores"]["rows"] == BELOW_30_PERCENT


def test_a_smaller_share_and_the_first_one_again_leave_nobody_out(fitted: Database) -> None:
    _change(fitted, "0.2")
    smaller = _json(fitted, "retrain", PIMA_HOLDOUT__SHARE="0.2", **EVERYTHING)
    assert (smaller["seen_rows"], smaller["challenger_scores"]["rows"]) == (0, smaller["holdout_rows"])
    for number in (1, 2):
        assert _judged_on(fitted) & _learned_from(fitted, number) == set()
    fitted.execute("UPDATE champion SET model_version = 1, sequence = sequence + 1")
    _change(fitted, "0.3")
    again = _json(fitted, "retrain", "--dry-run", **EVERYTHING)
    assert (again["seen_rows"], again["holdout_rows"]) == (0, BELOW_30_PERCENT)
    # The second version has learned from a third of these.
    fitted.execute("UPDATE champion SET model_version = 2, sequence = sequence + 1")
    against_it = _json(fitted, "retrain", "--dry-run", **EVERYTHING)
    learned_since = _learned_from(fitted, 2) - _learned_from(fitted, 1)
    assert against_it["seen_rows"] == len(learned_since) > 50


def test_a_retraining_that_began_before_a_change_records_the_generation_that_it_read(
    fitted: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.execute("UPDATE patients SET glucose = glucose + 1 WHERE id <= 20 AND glucose > 0")
    judge = recording.judge

    def judge_while_someone_changes_the_share(engine, case):
        change_holdout_share(engine, 0.6, Decider("someone else", "at the same moment"))
        _new_patients(fitted, 100)
        return judge(engine, case)

    with monkeypatch.context() as during:
        during.setattr(recording, "judge", judge_while_someone_changes_the_share)
        late = _json(fitted, "retrain", **EVERYTHING)
    assert (late["exit_code"], late["challenger"], late["holdout_rows"]) == (0, 2, BELOW_30_PERCENT)
    assert fitted.value("SELECT holdout_generation FROM model_versions WHERE number = 2") == 1
    refused = _json(fitted, "retrain", **EVERYTHING)
    assert (refused["exit_code"], refused["error"]) == (2, "wrong_configuration")
    # Made champion after the change, it is judged as what it is: a model of the generation before.
    fitted.execute("UPDATE champion SET model_version = 2, sequence = sequence + 1")
    result = _json(fitted, "retrain", **DOUBLED)
    assert result["seen_rows"] > 0
    assert _judged_on(fitted) & _learned_from(fitted, 2) == set()
    assert {patient_id for patient_id in _judged_on(fitted) if patient_id > 768}


def test_patients_who_are_entered_again_do_not_judge_the_champion_that_learned_from_them(fitted: Database) -> None:
    """Under the same share, but with other ids, by which the hash puts some of them on the other side."""
    fitted.execute("DELETE FROM patients")
    assert call(fitted, "load", "--again", str(SHIPPED)).exit_code == 0
    result = _json(fitted, "retrain", **EVERYTHING)
    content = bytes(fitted.value("SELECT content FROM training_snapshots WHERE model_version = 1"))
    learned = {tuple(row) for row in np.nan_to_num(from_parquet(content, FEATURE_NAMES).features, nan=-1).tolist()}
    judged = ", ".join(map(str, _judged_on(fitted)))
    rows = fitted.execute(f"SELECT {MEASURED} FROM patients WHERE id IN ({judged})")
    features = validate(as_measurements(list(zip(*rows, strict=True)), len(rows)), FEATURES).features
    assert len(features) == result["challenger_scores"]["rows"] > 30
    assert not learned & {tuple(row) for row in np.nan_to_num(features, nan=-1).tolist()}
    assert result["seen_rows"] > 100
