"""What one more figure of what came true needs, and one more alarm: a line of a table each."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pima.core.nights.kinds import ALARMS, ONES_CORRECTED, Kind, State, Watched
from pima.core.outcomes.realised import ON_TOP
from pima.core.rows.hindsight import Corrections
from pima.store.engine import writing
from pima.store.service.monitoring import keep_figures
from pima.watch.realised import leave_realised
from tests.support.databases import Database, call, insert_many, the_json
from tests.support.ledger import insert_run
from tests.support.scrapes import alarms, scrape

FIGURE = "realised_brier"


def _report(database: Database, folder: Path) -> str:
    path = folder / "report.html"
    assert call(database, "report", "--out", str(path)).exit_code == 0
    return path.read_text()


def _realised(database: Database) -> dict[str, float]:
    found = scrape(database.engine).items()
    return {series[1]: value for series, value in found if series[0] == "pima_realised"}


def test_a_figure_on_top_is_in_status_report_card_and_metrics_by_a_line(
    scored_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ON_TOP, "specificity", "specificity")
    insert_many(scored_database, 60, glucose="60 + n * 2")
    assert call(scored_database, "score").exit_code == 0
    scored_database.execute("UPDATE patients SET outcome = id % 2 WHERE outcome IS NULL")
    pairs = scored_database.execute(
        "SELECT predicted_class, outcome FROM predictions JOIN patients ON id = patient_id"
    )
    classes, outcomes = np.array(pairs).T
    specificity = float(1 - classes[outcomes == 0].mean())
    told = f"{specificity:.2f} ("
    status = " ".join(call(scored_database, "status", COLUMNS="300").stdout.split())
    assert f"specificity {told}" in status
    assert f'<th scope="row">specificity</th><td>{told}' in _report(scored_database, tmp_path)
    card = call(scored_database, "models", "card", "1").stdout
    assert f"| specificity | {specificity:.3f} (" in card
    leave_realised(scored_database.engine, 77, Corrections())
    assert _realised(scored_database)["specificity"] == pytest.approx(specificity)


def test_an_alarm_of_a_figure_is_told_everywhere_by_a_line(
    scored_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    insert_run(scored_database, "retrain", "succeeded", finished_at=datetime.now(UTC))
    found = Watched("", FIGURE, 0.3, 60, state=State.ALERT)
    with writing(scored_database.engine) as connection:
        keep_figures(connection, 77, 1, Kind.REALISED, [found])
    says = "the Brier score is {found.value:.2f} over {rows}"
    one_more = replace(ALARMS[ONES_CORRECTED], name="brier_too_high", says=says)
    monkeypatch.setitem(ALARMS, FIGURE, one_more)
    told = "brier_too_high: the Brier score is 0.30 over 60 rows"
    assert told in the_json(call(scored_database, "health", "--json", "--model"))["message"]
    assert told in " ".join(call(scored_database, "status", COLUMNS="300").stdout.split())
    assert told in _report(scored_database, tmp_path)
    (condition,) = [
        each
        for each in the_json(call(scored_database, "alert", "--dry-run", "--json"))["conditions"]
        if each["name"] == "brier_too_high"
    ]
    assert condition["advice"] == one_more.advice
    assert "brier_too_high" in alarms(scored_database.engine)
