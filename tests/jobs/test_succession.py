"""What one champion rejected, under another that can score it, on both databases."""

from pathlib import Path
from typing import Any

import pytest

from pima.store.engine import writing
from pima.store.registry import as_stored, features_of
from pima.store.tables import model_versions
from tests.support.databases import Database, call, the_json
from tests.support.declared import DECLARED, configuration

WIDER = DECLARED.replace("low = 0.1\n", "low = -5\n")


@pytest.fixture
def widened(declared_database: Database, tmp_path: Path) -> tuple[Database, str]:
    """Under the wider range, version 1 is champion and can't take what version 2 can, which was fitted on it."""
    config = configuration(tmp_path, WIDER)
    reason = ("--features", "--reason", "other units")
    assert call(declared_database, "migrate", "--config", config, *reason).exit_code == 0
    with writing(declared_database.engine) as connection:
        features: list[dict[str, Any]] = as_stored(features_of(connection, 2))
        [creatinine] = [feature for feature in features if feature["name"] == "creatinine"]
        creatinine["low"] = -5
        fitted_on_it = model_versions.update().where(model_versions.c.number == 2).values(features=features)
        connection.execute(fitted_on_it)
    declared_database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, -3), (3, 99), (3, 1)')
    scored = the_json(call(declared_database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (1, 2)
    return declared_database, config


def _move(database: Database, config: str, *how: str) -> None:
    assert call(database, "models", *how, "--reason", "a test", "--config", config).exit_code == 0


def _waiting(database: Database) -> int:
    found: int = database.value("SELECT count(*) FROM scoring_queue")
    return found


def test_the_rows_that_a_champion_rejected_wait_for_one_of_other_rules(widened: tuple[Database, str]) -> None:
    database, config = widened
    _move(database, config, "promote", "3")  # by the same rules
    assert _waiting(database) == 0
    _move(database, config, "promote", "2")
    assert (_waiting(database), database.value("SELECT count(*) FROM rejections")) == (2, 0)
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["model_version"], scored["predicted"], scored["rejected"]) == (2, 1, 1)
    assert database.execute("SELECT DISTINCT model_version FROM predictions ORDER BY 1") == [(1,), (2,)]
    _move(database, config, "rollback")
    assert _waiting(database) == 1  # the one that neither can take; what was predicted stays
    call(database, "score", "--config", config)
    assert database.execute("SELECT patient_id, field FROM rejections") == [(2, "creatinine")]
