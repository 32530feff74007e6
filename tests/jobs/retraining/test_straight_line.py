"""A straight line beside the network: in each verdict, on card and report, and as an alarm where it
clearly beats the champion."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from pima.core.rows.history import features_of
from pima.core.statistics.logistic_regression import STRENGTHS
from pima.settings.reading import SHIPPED
from pima.settings.sections import Settings
from pima.store.engine import clock, reading, writing
from pima.store.models.ledger import record_move
from pima.store.models.registry import Champion
from pima.store.service.monitoring import newest_figures
from pima.train.ledger import leave_gain_on_line
from pima.train.retraining import read_history
from pima.watch.model_alarms import model_alarms
from tests.support.alert_receiver import AlertReceiver
from tests.support.databases import Database, call, the_json
from tests.support.ledger import document, insert_run
from tests.support.trained import install_models

on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
ALARM = "straight_line_better"


@pytest.mark.usefixtures("equal_fits_once", "without_reports")
def test_a_line_of_the_same_rows_stands_beside_both_in_a_verdict(
    history: Database, trained: Path
) -> None:
    install_models(history, trained, champion=1)
    ended = call(history, "retrain", "--json", PIMA_GATE__APPROVE="true")
    challenger = the_json(ended)["challenger"]
    kept = document(history, f"SELECT evidence FROM promotions WHERE challenger = {challenger}")
    divided = read_history(history.engine, Settings(), SHIPPED)[0]
    members = document(history, "SELECT patient_ids FROM test_sets")
    test_set = divided.holdout[divided.holdout.index.isin(members)]
    assert [(each["role"], each["beside"], each["rows"]) for each in kept["pairs"]] == [
        ("straight_line", "challenger", len(test_set)),
        ("straight_line", "champion", len(test_set)),
    ]
    powers = np.array([feature.power for feature in SHIPPED.features])
    scales = np.array([feature.scale for feature in SHIPPED.features])
    learned, asked = (
        features_of(each).astype(float) ** powers for each in (divided.training, test_set)
    )
    mean, deviation = np.nanmean(learned, axis=0), np.nanstd(learned, axis=0)
    inputs = [np.nan_to_num((each - mean) / deviation * scales) for each in (learned, asked)]
    found = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-10)
        model.fit(inputs[0], divided.training["outcome"])
        told = model.predict_proba(inputs[1])[:, 1]
        outcomes = test_set["outcome"]
        found.append((log_loss(outcomes, told), roc_auc_score(outcomes, told)))
    line = kept["pairs"][0]
    assert pytest.approx((line["log_loss"]["value"], line["auroc"]["value"]), abs=1e-4) in found
    gain = kept["pairs"][1]["log_loss_gain"]["value"]
    scores = the_json(ended)["champion_scores"]
    assert gain == pytest.approx(line["log_loss"]["value"] - scores["log_loss"], abs=1e-4)
    left = history.execute(
        "SELECT model_version, value, rows, state FROM monitoring "
        "WHERE figure = 'gain_on_straight_line'"
    )
    assert left == [(1, gain, len(test_set), "usual")]


def _verdict(database: Database, *, clearly: bool, against: int = 1) -> None:
    """A verdict in which a line is better than the champion, and what its retraining leaves."""
    kept = document(database, "SELECT evidence FROM promotions WHERE challenger = 2")
    for pair in kept["pairs"]:
        pair["clearly_better"] = clearly
        pair["log_loss_gain"] = {"value": -0.05, "low": -0.0751, "high": -0.0249}
    with writing(database.engine) as connection:
        record_move(
            connection,
            Champion(against, 0, pinned=False),
            against,
            verdict="not_better",
            reason="not_more_correct",
            explanation="it is not",
            decided_by="retrain",
            challenger=2,
            evidence=kept,
        )
    insert_run(database, "retrain", "succeeded")
    leave_gain_on_line(database.engine, database.value("SELECT max(id) FROM runs"))


def _alarms(database: Database) -> list[str]:
    with reading(database.engine) as connection:
        figures = newest_figures(connection, clock(connection))
        return [each.name for each in model_alarms(figures, None)]


def test_an_alarm_needs_three_verdicts_in_a_row_and_ends_with_the_next_or_the_champion(
    scored_database: Database,
) -> None:
    insert_run(scored_database, "score", "succeeded", model_version=1, counts='{"predicted": 900}')
    for clearly, alarms in (
        (True, []),
        (True, []),
        (False, []),
        (True, []),
        (True, []),
        (True, [ALARM]),
        (True, [ALARM]),
        (False, []),
    ):
        _verdict(scored_database, clearly=clearly)
        assert _alarms(scored_database) == alarms
    for _ in range(3):
        _verdict(scored_database, clearly=True)
    assert _alarms(scored_database) == [ALARM]
    scored_database.execute("UPDATE champion SET model_version = 2")
    assert _alarms(scored_database) == []
    _verdict(scored_database, clearly=True, against=2)
    assert _alarms(scored_database) == []


@on_sqlite
def test_people_are_told_what_to_do_where_a_line_is_better(
    scored_database: Database, listener: AlertReceiver, tmp_path: Path
) -> None:
    insert_run(scored_database, "score", "succeeded", model_version=1, counts='{"predicted": 900}')
    for _ in range(3):
        _verdict(scored_database, clearly=True)
    said = (
        "in three verdicts in a row a straight line (logistic regression) had a clearly lower log "
        "loss than version 1, whose gain on it was -0.0500 (-0.0751 to -0.0249) in the newest, on "
    )
    status = " ".join(call(scored_database, "status", COLUMNS="300").stdout.split())
    assert f"ALERT: {ALARM}: {said}" in status
    assert "promote a challenger that is better than the line, or " in status
    path = tmp_path / "report.html"
    assert call(scored_database, "report", "--out", str(path)).exit_code == 0
    page = path.read_text()
    assert said.removeprefix("in ") in page
    assert f"python -m jobs.health --why {ALARM}" in page
    told = r" is .* than a straight line \(logistic regression\).* in AUROC over \d+ rows\."
    assert re.search(f">Version 1{told}", page)
    card = call(scored_database, "models", "card", "2").stdout
    assert re.search(f"\nVersion 2{told}", card)
    assert call(scored_database, "alert", PIMA_ALERTS__URLS=listener.url).exit_code == 0
    (told,) = [each["message"] for each in listener.got if ALARM in each["title"]]
    assert said.removeprefix("in") in told
    assert "What to do: See whether the newest challenger is better than the line" in told
