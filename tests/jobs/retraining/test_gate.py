"""A verdict, with real fits: its test set, its lineage, its evidence and card, a person's approval,
fitting again."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pima.core.rows.history import features_of, fingerprint_of
from pima.core.statistics.performance import FIGURES
from pima.core.verdicts.evidence import read_evidence
from pima.model.recipes import recipe_for
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED
from pima.settings.sections import Settings
from pima.store.engine import reading, writing
from pima.store.models import registry
from pima.store.models.lineage import from_parquet
from pima.store.models.registry import compiled_artifact, keras_artifact
from pima.train.fit import Challenger
from pima.train.gate import GateInput, judge
from pima.train.ledger import Decider, make_champion, record, suspend
from pima.train.retraining import decide_and_record, read_history
from tests.support.databases import (
    Database,
    call,
    the_json,
    until_someone_waits_for_a_lock,
    without_triggers,
)
from tests.support.ledger import document
from tests.support.shipped import FEATURE_NAMES, FEATURES
from tests.support.trained import install_models

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")
# What is asked of the database, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


@pytest.fixture
def history(history: Database, trained: Path) -> Database:
    """The shipped rows, all labelled, and the trained versions, the article's being champion."""
    install_models(history, trained, champion=1)
    return history


def _json(database: Database, job: str, *arguments: str, **environ: str) -> dict[str, Any]:
    """A command in this process: its one JSON object, with the exit code in it."""
    ended = call(database, job, *arguments, "--json", **environ)
    return {"exit_code": ended.exit_code, **the_json(ended)}


def _label_times(database: Database, statement: str) -> None:
    """Set labelled_at by hand, as no trigger lets anyone do."""
    with without_triggers(database):
        database.execute(statement)


def test_the_test_set_is_the_recent_window_and_its_members_are_stored(history: Database) -> None:
    # All but the last hundred patients' outcomes are a year old.
    year_ago = {
        "postgresql": "now() - interval '365 days'",
        "sqlite": "'2020-01-01T00:00:00.000Z'",
    }[history.kind]
    _label_times(history, f"UPDATE patients SET labelled_at = {year_ago} WHERE id <= 668")
    narrow = {"PIMA_GATE__WINDOW_MINIMUM_ROWS": "20"}
    result = _json(history, "retrain", **narrow)
    assert result["exit_code"] == 0
    members = document(history, "SELECT patient_ids FROM test_sets")
    assert min(members) > 668
    assert (
        len(members)
        == result["challenger_scores"]["rows"]
        < result["whole_rows"]
        == result["holdout_rows"]
    )
    stored = history.execute("SELECT test_set_fingerprint FROM promotions ORDER BY id DESC LIMIT 1")
    assert stored == history.execute("SELECT fingerprint FROM test_sets")
    # Another question to the same data is another look, on all rows this time.
    everything = _json(history, "retrain", **narrow, PIMA_GATE__WINDOW="all")
    assert everything["judged_before"] is False
    assert everything["challenger_scores"]["rows"] == everything["holdout_rows"]
    assert everything["consultations"] == 2


@pytest.mark.judge
def test_a_test_set_of_one_class_is_judged_anew_once_the_times_are_mended(
    history: Database,
) -> None:
    """As of a source whose column of times was filled for outcome 1 only: the others all became
    known on the day of the pull."""
    few = {"PIMA_GATE__WINDOW_MINIMUM_ROWS": "50", "PIMA_GATE__WINDOW_MAXIMUM_ROWS": "100"}
    year_ago = history.stored(datetime.now(UTC) - timedelta(days=365))
    _label_times(history, f"UPDATE patients SET labelled_at = '{year_ago}' WHERE outcome = 1")
    for _ in range(2):  # it says nothing of the challenger, so it is no verdict that stands
        found = _json(history, "retrain", **few)
        assert (found["reason"], found["judged_before"]) == ("single_class", False)
    _label_times(history, f"UPDATE patients SET labelled_at = '{year_ago}'")
    again = _json(history, "retrain", **few)
    assert (again["judged_before"], again["reason"] != "single_class") == (False, True)
    judged = history.execute("SELECT data_fingerprint FROM promotions ORDER BY id DESC LIMIT 3")
    assert len(set(judged)) == 1


@pytest.mark.judge
def test_a_verdict_stands_until_times_change_the_order_of_its_holdout(history: Database) -> None:
    narrow = {"PIMA_GATE__WINDOW_MINIMUM_ROWS": "100", "PIMA_GATE__MINIMUM_GAIN": "0.9"}
    first = _json(history, "retrain", **narrow)
    assert (first["verdict"], first["judged_before"]) == ("not_better", False)
    earlier = history.stored(datetime.now(UTC) - timedelta(days=200))
    _label_times(history, f"UPDATE patients SET labelled_at = '{earlier}'")
    assert _json(history, "retrain", **narrow)["judged_before"] is True
    assert _json(history, "retrain", **narrow, PIMA_GATE__WINDOW="all")["judged_before"] is False
    much_earlier = history.stored(datetime.now(UTC) - timedelta(days=400))
    _label_times(history, f"UPDATE patients SET labelled_at = '{much_earlier}' WHERE id > 400")
    anew = _json(history, "retrain", **narrow)
    assert (anew["judged_before"], anew["verdict"]) == (False, "not_better")
    assert _json(history, "retrain", **narrow)["judged_before"] is True
    # Where all held-out rows are the test set, their order decides nothing.
    assert _json(history, "retrain", **narrow, PIMA_GATE__WINDOW="all")["judged_before"] is True


@pytest.mark.judge
def test_a_dry_run_has_asked_the_holdout_too(history: Database) -> None:
    assert _json(history, "retrain", "--dry-run")["consultations"] == 1
    assert _json(history, "retrain")["consultations"] == 2


@on_sqlite
def test_a_winner_waits_for_approval_and_a_person_gives_it(history: Database) -> None:
    waiting = _json(history, "retrain", PIMA_GATE__APPROVE="true")
    assert (waiting["exit_code"], waiting["verdict"], waiting["reason"]) == (
        0,
        "blocked",
        "awaits_approval",
    )
    assert history.value("SELECT model_version FROM champion") == 1
    assert _json(history, "retrain", PIMA_GATE__APPROVE="true")["judged_before"] is True
    # A verdict that is repeated is no other look at the holdout.
    assert _json(history, "retrain", "--dry-run")["consultations"] == 2
    assert (
        call(
            history, "models", "promote", str(waiting["challenger"]), "--reason", "the board agreed"
        ).exit_code
        == 0
    )
    assert history.value("SELECT model_version FROM champion") == waiting["challenger"]


@on_sqlite
def test_a_version_is_fitted_again_from_its_snapshot(history: Database) -> None:
    first = _json(history, "retrain")["challenger"]
    content, digest, rows = history.execute("SELECT content, sha256, rows FROM training_snapshots")[
        0
    ]
    assert hashlib.sha256(content).hexdigest() == digest
    settings = Settings()
    divided, *_ = read_history(history.engine, settings, SHIPPED)
    assert fingerprint_of(from_parquet(bytes(content), FEATURE_NAMES)) == fingerprint_of(
        divided.training
    )
    assert len(divided.training) == rows
    # The history goes on; the version stays reproducible.
    history.execute("UPDATE patients SET glucose = glucose + 1 WHERE id <= 300")
    found = _json(history, "models", "reproduce", str(first))
    assert (found["exit_code"], found["reproduced"]) == (0, True)
    assert found["largest_difference"] <= 1e-6
    missing = _json(history, "models", "reproduce", "1")
    assert (missing["exit_code"], missing["error"]) == (1, "snapshot_not_kept")
    assert str(first) in missing["message"]
    assert _json(history, "models", "reproduce", "99")["error"] == "no_such_version"
    # Another fit is not passed off as it, and a snapshot that is not what was written is not
    # parsed.
    history.execute(f"UPDATE model_versions SET seed = seed + 1 WHERE number = {first}")
    assert _json(history, "models", "reproduce", str(first))["error"] == "not_reproduced"
    history.execute("UPDATE training_snapshots SET content = x'00'")
    assert _json(history, "models", "reproduce", str(first))["error"] == "snapshot_damaged"


@on_sqlite
def test_no_champion_is_judged_whose_training_rows_are_not_known(history: Database) -> None:
    history.execute(
        "UPDATE model_versions SET training_ids = substr(training_ids, 2) WHERE number = 1"
    )
    ended = _json(history, "retrain")
    assert (ended["exit_code"], ended["error"]) == (1, "training_ids_damaged")
    assert "model version 1 " in ended["message"]
    assert history.execute("SELECT model_version FROM champion") == [(1,)]


@on_sqlite
def test_lineage_can_be_switched_off_and_old_bytes_are_pruned(history: Database) -> None:
    off = _json(history, "retrain", PIMA_LINEAGE__SNAPSHOTS="off", PIMA_LINEAGE__MODEL_BYTES="1")
    assert off["verdict"] == "promoted"
    assert history.value("SELECT count(*) FROM training_snapshots") == 0
    left = history.execute(
        "SELECT number FROM model_versions WHERE compiled_artifact IS NOT NULL ORDER BY number"
    )
    assert left == [(1,), (4,)]  # the new champion and the one before it
    assert call(history, "models", "rollback", "--reason", "a test").exit_code == 0
    pruned = _json(history, "models", "promote", "2", "--reason", "its bytes are gone")
    assert (pruned["exit_code"], pruned["error"]) == (1, "artifact_damaged")
    assert call(history, "models", "show", "2").exit_code == 0


# ---- races


def _case(database: Database, number: int) -> GateInput:
    """Version `number` as a challenger that was fitted a moment ago."""
    from pima.model.network import Artifacts, Parity

    settings = Settings()
    divided, rule, read_at = read_history(database.engine, settings, SHIPPED)
    with reading(database.engine) as connection:
        keras, compiled = keras_artifact(connection, number), compiled_artifact(connection, number)
    assert keras is not None
    assert compiled is not None
    scorer = load_scorer(database.engine, number)
    artifacts = Artifacts(bytes(keras.content or b""), bytes(compiled.content or b""))
    line = np.full(len(divided.holdout), 0.35)
    challenger = Challenger(artifacts, Parity(0.0, 0), scorer, 7, line)
    recipe = recipe_for(settings.retrain.network, FEATURES)
    return GateInput(divided, rule, read_at, SHIPPED, recipe, challenger, settings)


@pytest.mark.judge
@pytest.mark.campaign
def test_of_two_promotions_at_once_one_wins_in_each_race(
    history: Database, at_length: bool
) -> None:
    """The second one judges again, against the first one, and ties."""
    races = 250 if at_length else 10
    cases = [_case(history, 3), _case(history, 3)]
    run_id = history.value("SELECT max(id) FROM runs") or 1

    def decide(case: GateInput) -> str:
        return decide_and_record(history.engine, case, run_id, lambda _: None).verdict

    with ThreadPoolExecutor(2) as threads:
        for race in range(races):
            before = history.value("SELECT sequence FROM champion")
            verdicts = sorted(threads.map(decide, cases))
            assert verdicts == ["not_better", "promoted"], race
            assert history.value("SELECT sequence FROM champion") == before + 1
            winner = history.execute(
                "SELECT to_version FROM promotions WHERE verdict = 'promoted' ORDER BY id DESC"
            )
            assert history.value("SELECT model_version FROM champion") == winner[0][0]
            history.execute("UPDATE champion SET model_version = 1, sequence = sequence + 1")
    assert (
        history.value(
            f"SELECT count(*) FROM promotions WHERE reason = 'more_correct' AND run_id = {run_id}"
        )
        == races
    )


@pytest.mark.judge
def test_a_verdict_that_a_stop_overtook_is_given_again_and_blocked(history: Database) -> None:
    case = _case(history, 3)
    judged = judge(history.engine, case)
    assert judged.verdict.decision == "promoted"
    assert call(history, "models", "suspend", "--reason", "a test").exit_code == 0
    run_id = history.value("SELECT max(id) FROM runs") or 1
    assert record(history.engine, case, judged, run_id, lambda _: None) is None
    again = decide_and_record(history.engine, case, run_id, lambda _: None)
    assert (again.verdict, again.reason) == ("blocked", "suspended")
    assert history.value("SELECT model_version FROM champion") == 1
    # A night that begins now scores nothing.
    assert the_json(call(history, "score", "--json"))["suspended"]["since"] is not None


@pytest.mark.judge
@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_a_stop_beside_a_promotion_stops_whatever_was_promoted(history: Database) -> None:
    """It waits for the promotion, and tells the ledger which version it stopped."""
    with ThreadPoolExecutor(1) as threads:
        with writing(history.engine) as connection:
            before = registry.lock_champion(connection)
            make_champion(connection, before, 2)
            stopped = threads.submit(suspend, history.engine, Decider("a person", "a test"))
            until_someone_waits_for_a_lock(history)
        assert stopped.result().model_version == 2
    newest = "SELECT verdict, from_version, to_version, champion_sequence FROM promotions"
    assert history.execute(f"{newest} ORDER BY id DESC LIMIT 1") == [
        ("suspended", 2, 2, before.sequence + 1)
    ]


def _stored(database: Database, challenger: int) -> dict[str, Any] | None:
    found: dict[str, Any] | None = document(
        database, f"SELECT evidence FROM promotions WHERE challenger = {challenger}"
    )
    return found


def test_evidence_of_both_models_on_the_same_rows_stands_beside_the_verdict(
    history: Database,
) -> None:
    ended = call(history, "retrain", "--json", PIMA_LOGS__FORMAT="json")
    result = the_json(ended)
    found = _stored(history, result["challenger"])
    assert found["version"] == 2
    assert found["rows"] == result["challenger_scores"]["rows"] == result["champion_scores"]["rows"]
    members = document(history, "SELECT patient_ids FROM test_sets")
    holdout = read_history(history.engine, Settings(), SHIPPED)[0].holdout
    rows = holdout[holdout.index.isin(members)]
    assert (found["rows"], found["positive"]) == (len(rows), rows["outcome"].sum())
    versions = {"challenger": result["challenger"], "champion": 1}
    assert [each["role"] for each in found["contestants"]] == list(versions)
    for each, number in zip(found["contestants"], versions.values(), strict=True):
        probabilities = load_scorer(history.engine, number).model.probabilities(features_of(rows))
        assert each["auroc"]["value"] == pytest.approx(
            roc_auc_score(rows["outcome"], probabilities), rel=1e-4
        )
    # Two bits of it for whoever reads the log.
    (said,) = [
        line for line in map(json.loads, ended.stderr.splitlines()) if line["event"] == "verdict"
    ]
    slope = found["contestants"][0]["calibration_slope"]["value"]
    for told in (said, result):
        assert told["auroc"] == pytest.approx(result["challenger_scores"]["auc"], abs=5e-4)
        assert told["calibration_slope"] == pytest.approx(slope, abs=1e-3)


@on_sqlite
def test_a_challenger_that_is_worse_in_a_subgroup_is_kept_out_where_that_is_asked(
    history: Database,
) -> None:
    result = the_json(call(history, "retrain", "--json", PIMA_GATE__SUBGROUP_MARGIN="0"))
    assert (result["verdict"], result["reason"]) == ("blocked", "subgroup_worse")
    worst = result["worst_subgroup"]
    assert f"({worst['feature']} {worst['group']}, {worst['rows']} rows: " in result["explanation"]
    assert history.value("SELECT model_version FROM champion") == 1
    shown = " ".join(call(history, "models", "show", str(result["challenger"])).stdout.split())
    assert f"worst subgroup feature {worst['feature']}" in shown
    assert f"group {worst['group']}, rows {worst['rows']}" in shown


def test_a_card_has_the_figures_that_stand_beside_the_verdict(scored_database: Database) -> None:
    shown = the_json(call(scored_database, "models", "show", "2", "--json"))
    card = the_json(call(scored_database, "models", "card", "2", "--json"))
    document, version = shown["evidence"], shown["version"]
    # Few of a subgroup are not told.
    assert read_evidence(document) == read_evidence(_stored(scored_database, 2))
    assert all("evidence" not in decision for decision in shown["decisions"])
    assert (card["version"], card["champion"], card["judged"]["against"]) == (2, False, 1)
    assert card["data"]["holdout_rows"] == version["holdout_rows"]
    assert (card["evidence"]["rows"], card["evidence"]["positive"]) == (
        document["rows"],
        document["positive"],
    )
    for name, found in zip(FIGURES, card["evidence"]["figures"], strict=True):
        for each, key in zip(document["contestants"], ("figure", "before"), strict=True):
            assert found[key] == {"reason": None} | each[name]
    assert any(change.startswith("training rows: ") for change in card["changes"])
    told = call(scored_database, "models", "card", "2").stdout
    assert told.startswith("# Model card: version 2\n\nNot the champion on ")
    auroc = document["contestants"][0]["auroc"]
    assert (
        f"| area under ROC | {auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f}) |"
        in told
    )


@on_sqlite
def test_a_first_version_changed_nothing_and_a_version_without_evidence_has_a_card(
    scored_database: Database,
) -> None:
    assert "It is the first" in call(scored_database, "models", "card", "1").stdout
    scored_database.execute("UPDATE promotions SET evidence = NULL")
    card = the_json(call(scored_database, "models", "card", "1", "--json"))
    assert (card["champion"], card["evidence"], card["changes"]) == (True, None, [])
    assert "None are kept for this version." in call(scored_database, "models", "card", "1").stdout
    assert (
        the_json(call(scored_database, "models", "card", "9", "--json"))["error"]
        == "no_such_version"
    )


def test_why_a_person_decided_is_kept_whatever_bytes_were_typed(
    scored_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"m\xfcller"))
    typed = os.fsdecode(b"a \xff\n\tb \x1b[31m gr\xc3\xb6\xc3\x9fer ")
    for decision, verdict in (
        (("pin",), "pinned"),
        (("unpin",), "unpinned"),
        (("promote", "2"), "promoted_by_hand"),
    ):
        assert call(scored_database, "models", *decision, "--reason", typed).exit_code == 0
        kept = scored_database.execute(
            f"SELECT decided_by, explanation FROM promotions WHERE verdict = '{verdict}'"
        )
        assert kept == [("m\ufffdller", "a \ufffd b \ufffd[31m größer")]
