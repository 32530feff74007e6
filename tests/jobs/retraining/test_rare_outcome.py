"""A clinic in which four patients in a hundred have the outcome, with real fits."""

import csv
import json
import math
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.databases import Copied, Database, call, the_json
from tests.support.declared import configuration

pytestmark = [
    pytest.mark.usefixtures("each_fit_once", "without_reports"),
    pytest.mark.parametrize(
        "copied", ["sqlite"], indirect=True
    ),  # a verdict is no matter of the database
]

ROWS = 2_000
KNOWN_POWERS = """
[outcome]
name = "readmitted"
""" + "".join(
    f'[[feature]]\nname = "{name}"\nlow = {low}\nhigh = {high}\npower = 1\n'
    for name, low, high in (
        ("order", 0, 40),
        ("creatinine", 0.1, 20),
        ("temperature", 30, 45),
        ("smoking", 0, 2),
    )
)
LOG_LOSS = {"PIMA_GATE__MEASURE": "log_loss"}
NET_BENEFIT = {
    "PIMA_GATE__MEASURE": "net_benefit",
    "PIMA_RETRAIN__THRESHOLD": "sensitivity >= 0.85",
}


def _rare(folder: Path) -> str:
    """Rows whose risk grows with creatinine and temperature and seldom passes a half; the file's
    path."""
    draw = random.Random(4)  # noqa: S311
    path = folder / "rare.csv"
    with path.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["order", "creatinine", "temperature", "smoking", "readmitted"])
        for _ in range(ROWS):
            kidney, fever = draw.gauss(0, 1), draw.gauss(0, 1)
            risk = 1 / (1 + math.exp(4.2 - 1.1 * kidney - 0.7 * fever))
            measured = [
                draw.randrange(12),
                round(math.exp(kidney / 2), 2),
                round(37 + 0.7 * fever, 1),
            ]
            rows.writerow([*measured, draw.randrange(3), int(draw.random() < risk)])
    return str(path)


@pytest.fixture
def clinic(copied: Copied, tmp_path: Path) -> tuple[Database, str]:
    """So declared that a fit has nothing to choose, and takes half the time."""
    return copied(_load, KNOWN_POWERS), configuration(tmp_path, KNOWN_POWERS)


def _load(database: Database, declared: str) -> None:
    with TemporaryDirectory() as name:
        config = configuration(Path(name), declared)
        assert call(database, "migrate", "--config", config).exit_code == 0
        assert call(database, "load", "--config", config, _rare(Path(name))).exit_code == 0
    assert 0.035 < database.value("SELECT avg(outcome) FROM patients") < 0.045


def _json(
    clinic: tuple[Database, str], job: str, *arguments: str, **environ: str
) -> dict[str, Any]:
    database, config = clinic
    ended = call(database, job, *arguments, "--config", config, "--json", **environ)
    assert ended.exit_code == 0, ended.stderr
    return the_json(ended)


def test_it_gets_a_champion_by_log_loss_and_none_by_accuracy(clinic: tuple[Database, str]) -> None:
    database, _ = clinic
    by_accuracy = _json(clinic, "retrain")
    assert (by_accuracy["verdict"], by_accuracy["reason"]) == ("not_better", "not_above_majority")
    assert database.value("SELECT model_version FROM champion") is None
    (remark,) = by_accuracy["threshold_remarks"]
    assert "nobody is predicted 1: at its threshold of 0.5 version 1 finds" in remark

    # To act early and to judge by accuracy don't go together.
    early = {"PIMA_RETRAIN__THRESHOLD": "0.1"}
    listed = _json(clinic, "models", "list", **early)["threshold_remarks"]
    assert [each for each in listed if "gate.measure is accuracy" in each] == listed[-1:]
    assert listed == _json(clinic, "status", **early)["champion"]["threshold_remarks"]
    assert _json(clinic, "models", "list", **early, **LOG_LOSS)["threshold_remarks"] == listed[:-1]

    by_log_loss = _json(clinic, "retrain", **LOG_LOSS)
    assert (by_log_loss["judged_before"], by_log_loss["verdict"]) == (False, "promoted")
    assert by_log_loss["reason"] == "first_champion"
    found = by_log_loss["measured"]
    assert (found["measure"], found["champion"], found["gain"]) == ("log_loss", None, None)
    assert found["challenger"] == by_log_loss["challenger_scores"]["log_loss"] < found["constant"]
    assert database.value("SELECT model_version FROM champion") == by_log_loss["challenger"] == 2
    # The very model that accuracy left out: only the question was another.
    assert by_log_loss["challenger_scores"] == by_accuracy["challenger_scores"]
    decision = _json(clinic, "models", "show", "2")["decisions"][0]
    assert decision["figures"]["measured"] == found
    assert "constant prevalence" in decision["explanation"]

    # The same fit again is a tie, which keeps the champion; and a third look is none.
    tie = _json(clinic, "retrain", **LOG_LOSS)
    assert (tie["reason"], tie["measured"]["gain"]) == ("not_lower_log_loss", 0)
    assert _json(clinic, "retrain", **LOG_LOSS)["judged_before"] is True
    assert database.value("SELECT model_version FROM champion") == 2


def test_a_threshold_that_reaches_a_sensitivity_is_chosen_stored_and_used(
    clinic: tuple[Database, str],
) -> None:
    database, _ = clinic
    first = _json(clinic, "retrain", **NET_BENEFIT)
    assert (first["verdict"], first["measured"]["measure"]) == ("promoted", "net_benefit")
    threshold, settings = database.execute(
        "SELECT threshold, settings FROM model_versions WHERE number = 1"
    )[0]
    assert 0 < threshold < 0.1
    stored = json.loads(settings) if isinstance(settings, str) else settings
    assert stored["threshold"] == "sensitivity >= 0.85"
    assert first["threshold_remarks"] == []
    # On rows that took no part in the choice it is about as high: 0.85 less two standard errors of
    # 27 cases.
    assert first["challenger_scores"]["sensitivity"] > 0.71
    assert first["challenger_scores"]["specificity"] > 0.4

    # Another question to the same fit has the same threshold.
    again = _json(clinic, "retrain", **NET_BENEFIT, PIMA_GATE__WINDOW="all")
    assert (again["reason"], again["measured"]["gain"]) == ("not_more_net_benefit", 0)
    thresholds = database.execute("SELECT threshold FROM model_versions ORDER BY number")
    assert thresholds == [(threshold,), (threshold,)]

    database.execute(
        'INSERT INTO patients ("order", creatinine, temperature, smoking) VALUES (1, 3, 39, 1), '
        "(1, 0.5, 36, 1)"
    )
    assert _json(clinic, "score")["predicted"] == 2
    classes = database.execute(
        "SELECT predicted_class, threshold FROM predictions ORDER BY patient_id"
    )
    assert classes == [(1, threshold), (0, threshold)]
