"""What stands beside a verdict, with real fits on both databases, and what people see of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pima.core.history import features_of
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.settings.sections import Settings
from pima.train.retraining import read_history
from tests.support.databases import Database, call, the_json
from tests.support.ledger import document
from tests.support.shipped import SHIPPED
from tests.support.trained import install_models

pytestmark = pytest.mark.usefixtures("equal_fits_once")


@pytest.fixture
def history(database: Database, trained: Path) -> Database:
    """The shipped rows, all labelled, and the trained versions, the article's being champion."""
    assert database.run("load", str(SHIPPED)).exit_code == 0
    install_models(database, trained, champion=1)
    return database


def _stored(database: Database, challenger: int) -> dict[str, Any] | None:
    found: dict[str, Any] | None = document(
        database, f"SELECT evidence FROM promotions WHERE challenger = {challenger}"
    )
    return found


def test_evidence_of_both_models_on_the_same_rows_stands_beside_the_verdict(history: Database) -> None:
    ended = call(history, "retrain", "--json", PIMA_LOGS__FORMAT="json")
    result = the_json(ended)
    found = _stored(history, result["challenger"])
    assert found["version"] == 1
    assert found["rows"] == result["challenger_scores"]["rows"] == result["champion_scores"]["rows"]
    members = document(history, "SELECT patient_ids FROM test_sets")
    holdout = read_history(history.engine, Settings(), SHIPPED_DECLARATION)[0].holdout
    rows = holdout[holdout.index.isin(members)]
    assert (found["rows"], found["positive"]) == (len(rows), rows["outcome"].sum())
    for name, number in (("challenger", result["challenger"]), ("champion", 1)):
        probabilities = load_scorer(history.engine, number).model.probabilities(features_of(rows))
        at_20 = np.where(probabilities >= 0.2, np.where(rows["outcome"] == 1, 1, -0.25), 0).mean()
        expected = {
            "auroc": roc_auc_score(rows["outcome"], probabilities),
            "log_loss": log_loss(rows["outcome"], probabilities),
            "brier": brier_score_loss(rows["outcome"], probabilities),
        }
        assert {each: found[name][each]["value"] for each in expected} == pytest.approx(expected, rel=1e-4)
        assert found[name]["net_benefit"]["net_benefit"][19] == pytest.approx(at_20, rel=1e-4)
    # Two bits of it for whoever reads the log.
    (said,) = [line for line in map(json.loads, ended.stderr.splitlines()) if line["event"] == "verdict"]
    slope = found["challenger"]["calibration_slope"]["value"]
    for told in (said, result):
        assert told["auroc"] == pytest.approx(result["challenger_scores"]["auc"], abs=5e-4)
        assert told["calibration_slope"] == pytest.approx(slope, abs=1e-3)


def test_a_challenger_that_is_worse_in_a_subgroup_is_kept_out_where_that_is_asked(history: Database) -> None:
    result = the_json(call(history, "retrain", "--json", PIMA_GATE__SUBGROUP_MARGIN="0"))
    assert (result["verdict"], result["reason"]) == ("blocked", "subgroup_worse")
    worst = result["worst_subgroup"]
    assert f"({worst['feature']} {worst['group']}, {worst['rows']} rows: " in result["explanation"]
    assert history.value("SELECT model_version FROM champion") == 1
    shown = " ".join(call(history, "models", "show", str(result["challenger"])).stdout.split())
    assert f"worst subgroup {worst['feature']} {worst['group']}: {worst['gain']:+.4f} on {worst['rows']} rows" in shown
    # Another question to the same data is another look.
    without = the_json(call(history, "retrain", "--json"))
    assert (without["judged_before"], without["verdict"], without["worst_subgroup"]) == (False, "promoted", None)


def test_a_version_is_shown_with_its_evidence_on_eighty_columns(
    scored_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = call(scored_database, "models", "show", "3").stdout.partition("Evidence of its verdict")[2]
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in shown
    found = _stored(scored_database, 3)
    for model in ("challenger", "champion"):
        figure = found[model]["calibration_slope"]
        assert f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})" in shown
    treated = found["treat_all"]["net_benefit"][9]
    (at_10,) = [line for line in lines if line.startswith(" 10 %")]
    assert f"{100 * treated:.1f} (" in at_10
    (age,) = [each for each in found["subgroups"] if (each["feature"], each["group"]) == ("age", "40 and over")]
    (line,) = [line for line in lines if line.startswith("   40 and over")]
    mark = "*" if age["few"] else ""
    assert line.split()[3:5] == [f"{age['rows']}{mark}", str(age["positive"])]
    exact = the_json(call(scored_database, "models", "show", "3", "--json"))
    assert exact["evidence"] == found
    assert all("evidence" not in decision for decision in exact["decisions"])


def test_what_no_figure_could_be_had_of_is_shown_with_the_reason(scored_database: Database) -> None:
    found = _stored(scored_database, 2)
    found["challenger"]["calibration_slope"] = {"value": None, "low": None, "high": None, "reason": "they are alike"}
    found["champion"] = None
    document = {"postgresql": "CAST(:document AS JSONB)", "sqlite": ":document"}[scored_database.kind]
    scored_database.execute(
        f"UPDATE promotions SET evidence = {document} WHERE challenger = 2", {"document": json.dumps(found)}
    )
    shown = call(scored_database, "models", "show", "2").stdout.partition("Evidence")[2]
    assert "none: they are alike" in shown
    assert "champion" not in shown
    nothing = json.dumps(found | {"challenger": None})
    scored_database.execute(f"UPDATE promotions SET evidence = {document} WHERE challenger = 2", {"document": nothing})
    assert "none: its outputs are no finite numbers" in call(scored_database, "models", "show", "2").stdout
