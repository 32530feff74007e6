"""The weekly job, with real fits: verdicts, races, and being stopped."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pima.errors.extras import install_line
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.settings.sections import Settings
from pima.train import retraining
from pima.train.ledger import Decider, roll_back
from pima.train.retraining import read_history
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    insert_patients,
    the_json,
)
from tests.support.shipped import FEATURES, ROOT, SHIPPED
from tests.support.trained import install_models

pytestmark = pytest.mark.usefixtures("each_fit_once", "without_reports")
# A judge runs on both, and what tells one database from the other does.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


def _retrain(database: Database, *arguments: str, **environ: str) -> dict[str, Any]:
    """The job's JSON result, with the exit code in it."""
    ended = call(database, "retrain", "--json", *arguments, **environ)
    return {"exit_code": ended.exit_code, **the_json(ended)}


def _models(database: Database, *arguments: str) -> int:
    return call(database, "models", *arguments).exit_code


def _row_counts(database: Database) -> dict[str, int]:
    tables = ("patients", "model_versions", "promotions", "predictions", "rejections", "runs")
    return {table: database.value(f"SELECT count(*) FROM {table}") for table in tables}


def test_the_first_model_is_promoted_and_the_same_data_get_the_same_answer(
    history: Database,
) -> None:
    first = _retrain(history)
    assert (first["exit_code"], first["verdict"], first["reason"]) == (
        0,
        "promoted",
        "first_champion",
    )
    assert first["training_rows"] + first["holdout_rows"] == 768
    assert first["challenger_scores"]["accuracy"] > 0.70
    assert history.execute("SELECT model_version, sequence FROM champion") == [(1, 1)]
    second = _retrain(history)
    assert (second["exit_code"], second["verdict"], second["judged_before"]) == (
        0,
        "not_better",
        False,
    )
    # The second challenger is the first model again: equal in every stored figure, so the tie keeps
    # the champion.
    seeds = history.execute(
        "SELECT seed, data_fingerprint, compiled_sha256 FROM model_versions ORDER BY number"
    )
    assert seeds[0][:2] == seeds[1][:2]
    assert second["challenger_scores"] == second["champion_scores"] == first["challenger_scores"]


@pytest.mark.judge
def test_each_retraining_holds_the_same_rows_out_whatever_has_come_since(history: Database) -> None:
    first, *_ = read_history(history.engine, Settings(), SHIPPED_DECLARATION)
    new = insert_patients(history, 60, outcome=1)
    later, *_ = read_history(history.engine, Settings(), SHIPPED_DECLARATION)
    came = set(later.holdout.index) & set(new)
    assert set(later.holdout.index) - came == set(first.holdout.index)
    assert 0 < len(came) < len(new)


@on_sqlite
def test_a_better_challenger_replaces_the_articles_model_and_a_person_has_the_last_word(
    history: Database, trained: Path
) -> None:
    install_models(history, trained, champion=1)
    assert _models(history, "pin", "--reason", "audit week") == 0
    pinned = _retrain(history)
    assert (pinned["exit_code"], pinned["verdict"], pinned["reason"]) == (0, "blocked", "pinned")
    assert history.execute("SELECT model_version, pinned FROM champion") == [(1, 1)]
    settings = history.execute(
        f"SELECT settings FROM model_versions WHERE number IN (1, {pinned['challenger']})"
    )
    assert [json.loads(each)["network"] for (each,) in settings] == ["article", "five_seeds"]
    assert _models(history, "suspend", "--reason", "the ward is worried") == 0
    suspended = _retrain(history)
    assert (suspended["exit_code"], suspended["verdict"]) == (0, "blocked")
    assert (suspended["reason"], suspended["judged_before"]) == ("suspended", False)
    assert _models(history, "promote", "1", "--reason", "it was sound") == 0
    assert history.execute("SELECT model_version, suspended_at FROM champion") == [(1, None)]
    assert _models(history, "unpin") == 0
    won = _retrain(history)
    assert (won["verdict"], won["reason"], won["champion_before"]) == (
        "promoted",
        "more_correct",
        1,
    )
    assert won["challenger_scores"]["correct"] > won["champion_scores"]["correct"]
    assert history.value("SELECT model_version FROM champion") == won["challenger"]
    assert _models(history, "rollback", "--reason", "the ward disagrees") == 0
    again = _retrain(history)
    assert (again["exit_code"], again["verdict"], again["reason"]) == (
        0,
        "blocked",
        "rolled_back_before",
    )
    assert history.value("SELECT model_version FROM champion") == 1
    assert _retrain(history)["judged_before"] is True
    # Other data may win again.
    history.execute("UPDATE patients SET bmi = bmi + 0.5 WHERE id <= 20")
    assert _retrain(history)["verdict"] == "promoted"


@on_sqlite
def test_a_dry_run_decides_and_writes_its_run_only(history: Database) -> None:
    before = _row_counts(history)
    result = _retrain(history, "--dry-run")
    assert (result["exit_code"], result["verdict"], result["challenger"]) == (0, "promoted", None)
    assert _row_counts(history) == before | {"runs": before["runs"] + 1}
    assert history.execute("SELECT model_version, sequence FROM champion") == [(None, 0)]
    assert history.execute("SELECT * FROM leases") == []


@pytest.mark.judge
def test_a_rollback_in_the_middle_is_seen_and_the_verdict_given_anew(
    history: Database, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_models(history, trained, champion=1)
    assert _models(history, "promote", "2", "--reason", "to have something to roll back") == 0
    judge = retraining.judge
    judged_against = []

    def judge_while_someone_rolls_back(engine, case):
        judgement = judge(engine, case)
        if not judged_against:
            roll_back(engine, Decider("someone else", "at the same moment"))
        judged_against.append(judgement.champion.model_version)
        return judgement

    monkeypatch.setattr(retraining, "judge", judge_while_someone_rolls_back)
    result = _retrain(history)
    assert judged_against == [2, 1]
    assert result["champion_before"] == 1
    last = history.execute(
        "SELECT verdict, from_version, champion_sequence FROM promotions ORDER BY id DESC LIMIT 1"
    )
    assert last == [(result["verdict"], 1, 3)]


@pytest.mark.judge
def test_a_champion_that_moves_each_time_ends_the_run_without_a_trace(
    history: Database, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_models(history, trained, champion=1)
    judge = retraining.judge

    def judge_while_the_champion_moves(*arguments):
        verdict = judge(*arguments)
        history.execute("UPDATE champion SET sequence = sequence + 1")
        return verdict

    monkeypatch.setattr(retraining, "judge", judge_while_the_champion_moves)
    before = _row_counts(history)
    result = _retrain(history)
    assert (result["exit_code"], result["error"]) == (75, "champion_keeps_moving")
    assert _row_counts(history) == before | {"runs": before["runs"] + 1}


@pytest.mark.judge
def test_a_retraining_that_outlived_its_lease_writes_nothing(
    history: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = retraining.judge

    def judge_while_the_lease_changes_hands(*arguments):
        history.execute("UPDATE leases SET owner = 'a successor', fence = fence + 1")
        return judge(*arguments)

    monkeypatch.setattr(retraining, "judge", judge_while_the_lease_changes_hands)
    result = _retrain(history)
    assert (result["exit_code"], result["error"]) == (75, "lease_held")
    assert history.value("SELECT count(*) FROM model_versions") == 0
    assert history.value("SELECT status FROM runs") == "try_again_later"


@on_sqlite
def test_exported_keras_bytes_say_what_the_database_says(
    history: Database, trained: Path, tmp_path: Path
) -> None:
    import numpy as np

    from pima.core.rows.validation import as_features, by_feature
    from pima.model.network import keras_probabilities

    install_models(history, trained, champion=3)
    history.execute("UPDATE patients SET outcome = NULL")
    assert call(history, "score").exit_code == 0
    path = tmp_path / "model.keras"
    assert _models(history, "export", "3", str(path)) == 0
    rows = np.loadtxt(SHIPPED, delimiter=",")[:, :8]
    by_keras = keras_probabilities(path.read_bytes(), as_features(by_feature(rows), FEATURES))
    stored = history.execute("SELECT probability FROM current_predictions ORDER BY patient_id")
    assert np.abs(by_keras - np.array(stored)[:, 0]).max() <= 1e-6
    assert _models(history, "export", "3", str(path)) == 2  # an existing file is not written over
    assert _models(history, "export", "9", str(tmp_path / "other.keras")) == 2


# ---- as child processes


def _wait_for_fit(process: subprocess.Popen[str]) -> None:
    """Read log lines until the fit has begun."""
    assert process.stderr is not None
    for line in process.stderr:
        if "fit started" in line:
            time.sleep(0.2)
            return
    pytest.fail("the fit never began")


@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_sigterm_during_the_fit_leaves_the_run_and_nothing_else(history: Database) -> None:
    before = _row_counts(history)
    # The article's recipe takes a few seconds: the signal falls into the fit.
    process = history.start("retrain", "--json", PIMA_RETRAIN__NETWORK="article")
    _wait_for_fit(process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 143, stderr
    assert json.loads(stdout)["error"] == "interrupted"
    assert "Traceback" not in stderr
    assert _row_counts(history) == before | {"runs": before["runs"] + 1}
    assert history.execute("SELECT status, error_code FROM runs") == [
        ("interrupted", "interrupted")
    ]
    # The lease is free again at once.
    assert call(history, "retrain").exit_code == 0


@pytest.mark.judge
def test_of_two_at_once_one_comes_back_later_and_a_killed_one_keeps_its_lease_for_a_while(
    history: Database,
) -> None:
    # Longer than the others may take to start; below it is let run out.
    process = history.start(
        "retrain", PIMA_RETRAIN__NETWORK="article", PIMA_RETRAIN__LEASE_SECONDS="3600"
    )
    _wait_for_fit(process)
    for is_alive in (True, False):
        if not is_alive:
            process.kill()
            process.communicate(timeout=PATIENCE_SECONDS)
        held = call(history, "retrain", "--json")
        assert (held.exit_code, the_json(held)["error"]) == (75, "lease_held")
    history.execute(
        "UPDATE leases SET expires_at = recorded FROM (SELECT min(started_at) AS recorded FROM "
        "runs) AS r"
    )
    assert call(history, "retrain").exit_code == 0
    assert history.value("SELECT count(*) FROM model_versions") == 1
    assert history.execute("SELECT model_version, sequence FROM champion") == [(1, 1)]


def test_without_the_training_extra_the_message_says_how_to_get_it(sqlite: Database) -> None:
    assert call(sqlite, "load", str(SHIPPED)).exit_code == 0
    without = "import os, sys; sys.modules['tensorflow'] = None"
    program = f"{without}; from jobs.retrain import main; sys.exit(main([], os.environ))"
    environ = clean_environ() | {"DATABASE_URL": sqlite.url}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert install_line("train") in ended.stderr
    assert sqlite.execute("SELECT status, error_code FROM runs") == [("failed", "extra_missing")]


def test_a_fit_depends_neither_on_what_somebody_has_told_keras_nor_on_other_libraries(
    sqlite: Database, tmp_path: Path
) -> None:
    """Keras would take in matplotlib and scikit-learn, where they are, for other uses. The report
    would draw with matplotlib, so the child has no report extra; a retraining goes on without."""
    (tmp_path / ".keras").mkdir()
    told = {
        "floatx": "float16",
        "epsilon": 0.01,
        "backend": "tensorflow",
        "image_data_format": "channels_first",
    }
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(told))
    assert call(sqlite, "load", str(SHIPPED)).exit_code == 0
    threads = {
        "TF_NUM_INTRAOP_THREADS": "4",
        "TF_NUM_INTEROP_THREADS": "2",
    }  # this process has one of each
    program = """
import os, sys
sys.modules["jinja2"] = None
from jobs.retrain import main
code = main(["--json"], os.environ)
print(code, sorted({"matplotlib", "sklearn"} & set(sys.modules)))
"""
    environ = {
        "DATABASE_URL": sqlite.url,
        "HOME": str(tmp_path),
        "KERAS_BACKEND": "torch",
        **threads,
    }
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, cwd=ROOT, env=clean_environ() | environ, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "0 []"
    assert "extra_missing" in ended.stderr
    refitted = the_json(call(sqlite, "models", "reproduce", "1", "--json"))
    assert (refitted["reproduced"], refitted["largest_difference"]) == (True, 0)
