"""A retraining learns from the newest weeks alone where these tell patients apart clearly better,
and else from all rows."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pima.core.nights.drift import Reference
from pima.settings.reading import SHIPPED_FILE
from pima.store.engine import reading
from pima.store.models.lineage import from_parquet
from pima.store.models.registry import reference_of
from tests.support.databases import Database, call, the_json
from tests.support.declared import configuration, waiting
from tests.support.ledger import document
from tests.support.patient_files import HEADER, write
from tests.support.settled import NOW
from tests.support.shipped import FEATURE_NAMES

pytestmark = pytest.mark.usefixtures("each_fit_once", "without_reports")
WAITS = SHIPPED_FILE.read_text().replace(
    'name = "outcome"', 'name = "outcome"\nhorizon = "30 days"'
)
ROWS = 1_500
WEEKS = 70
MOVED = 21
"""The newest weeks, in which glucose says the opposite."""


def lines(moved: int) -> list[str]:
    """Labelled rows of some weeks whose horizon is over, in some of which glucose says the
    opposite."""
    draw = np.random.default_rng(1)
    found = []
    for n in range(ROWS):
        days = 31 + 7 * WEEKS * n / ROWS
        glucose, age = draw.integers(60, 190), draw.integers(21, 80)
        turned = -1 if days < 31 + 7 * moved else 1
        log_odds = turned * (glucose - 125) / 20
        outcome = int(draw.random() < 1 / (1 + np.exp(-log_odds)))
        index = (NOW - timedelta(days=days)).isoformat()
        insulin = draw.integers(20, 300)
        found.append(f"1,{glucose},72,35,{insulin},33.6,0.6,{age},{outcome},{index}")
    return found


@pytest.fixture
def config(database: Database, tmp_path: Path) -> str:
    """The shipped settings with a horizon, and the database carried over to it."""
    waiting(database)
    return configuration(tmp_path, WAITS)


def retrain(database: Database, config: str, folder: Path, rows: list[str]) -> dict[str, Any]:
    file = write(folder, f"{HEADER},index_at", *rows)
    ended = call(database, "load", "--config", config, file)
    assert ended.exit_code == 0, ended.stderr
    ended = call(database, "retrain", "--json", "--config", config)
    assert ended.exit_code == 0, ended.stderr
    return the_json(ended)


def test_where_coefficients_have_moved_the_newest_weeks_are_learned_from(
    database: Database, config: str, tmp_path: Path
) -> None:
    found = retrain(database, config, tmp_path, lines(MOVED))
    assert found["newest_weeks"] == 13
    content = database.value("SELECT content FROM training_snapshots WHERE model_version = 1")
    learned = from_parquet(bytes(content), FEATURE_NAMES).index.tolist()
    newest = round(13 * ROWS / WEEKS)
    assert set(learned) <= set(range(1, newest + 2))
    assert len(learned) == found["training_rows"] > 0.6 * newest
    # All others of the training side are told to be older, and judged is as ever.
    assert found["training_rows"] + found["left_out"]["older_rows"] + found["holdout_rows"] == ROWS
    version = database.execute(
        "SELECT training_rows, holdout_rows FROM model_versions WHERE number = 1"
    )
    assert version == [(found["training_rows"], found["holdout_rows"])]
    kept = document(database, "SELECT rows_left_out FROM model_versions WHERE number = 1")
    assert kept == found["left_out"]
    again = the_json(call(database, "models", "reproduce", "1", "--json", "--config", config))
    assert (again["reproduced"], again["largest_difference"]) == (True, 0)
    # One look: the same rows are the same question, however many of them are learned from.
    told = [call(database, "retrain", "--config", config).stdout for _ in range(2)]
    assert "(the newest 13 weeks tell patients apart better than all)" in told[0]
    assert "as judged before on the same data" not in told[0]
    assert "as judged before on the same data" in told[1]


def test_drift_is_measured_against_rows_acted_upon_of_the_newest_weeks_alone(
    database: Database, tmp_path: Path
) -> None:
    waiting(database)
    acting = WAITS.replace("meaning =", 'if_acted = "unknown"\nmeaning =', 1)
    config = configuration(tmp_path, acting)
    rows = []
    for n, line in enumerate(lines(MOVED)):
        index = datetime.fromisoformat(line.rpartition(",")[2])
        acted = "" if n % 4 else (index + timedelta(days=1)).isoformat()
        rows.append(f"{line},{(index + timedelta(days=29)).isoformat()},{acted}")
    file = write(tmp_path, f"{HEADER},index_at,outcome_at,acted_at", *rows)
    redeclared = ("migrate", "--features", "--reason", "the risk without acting")
    assert call(database, *redeclared, "--config", config).exit_code == 0
    assert call(database, "load", "--config", config, file).exit_code == 0
    found = the_json(call(database, "retrain", "--json", "--config", config))
    assert (found["newest_weeks"], found["left_out"]["acted_upon"]) == (13, -(-ROWS // 4))
    with reading(database.engine) as connection:
        compared = msgspec.convert(reference_of(connection, 1), Reference)
    # One in four of these weeks, on the side of training.
    every = compared.probability.known
    assert compared.rows == found["training_rows"]
    assert 0.2 * every < every - compared.rows < 0.3 * every


def test_where_nothing_has_moved_all_rows_are_learned_from(
    database: Database, config: str, tmp_path: Path
) -> None:
    found = retrain(database, config, tmp_path, lines(0))
    assert found["newest_weeks"] is None
    assert "older_rows" not in found["left_out"]
    assert found["training_rows"] + found["holdout_rows"] == ROWS
