"""A database that an earlier release made and worked on (`tests/data/make_release_before.py`), under this one."""

import gzip
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pima.settings import DatabaseSettings
from pima.store.engine import make_engine
from pima.store.schema import HEAD
from tests.conftest import ROOT, Database, call, the_json

pytestmark = pytest.mark.usefixtures("equal_fits_once")


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "pima.db"
    with gzip.open(ROOT / "tests" / "data" / "release_before.db.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    with sqlite3.connect(path) as before:
        assert before.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]
    before.close()
    url = f"sqlite:///{path}"
    engine = make_engine(url, DatabaseSettings())
    database = Database("sqlite", url, engine)
    assert the_json(call(database, "migrate", "--json")) == {"revision_before": "0004", "revision": HEAD}
    yield database
    engine.dispose()


def test_after_an_upgrade_nothing_is_judged_anew_on_old_data(upgraded: Database) -> None:
    result = the_json(call(upgraded, "retrain", "--json"))
    assert (result["judged_before"], result["verdict"], result["challenger"]) == (True, "blocked", 3)
    assert upgraded.value("SELECT count(*) FROM model_versions") == 3
    assert upgraded.value("SELECT model_version FROM champion") == 1


def test_after_an_upgrade_what_was_rolled_back_does_not_come_back(upgraded: Database) -> None:
    """The gate is asked another question, so the data are judged anew; the fit is the one that was taken back."""
    result = the_json(call(upgraded, "retrain", "--json", PIMA_GATE__MINIMUM_GAIN="0.001"))
    assert (result["judged_before"], result["reason"]) == (False, "rolled_back_before")
    assert upgraded.value("SELECT model_version FROM champion") == 1
    fits = "SELECT seed, data_fingerprint, settings_fingerprint FROM model_versions WHERE number IN (2, 4)"
    assert len(set(upgraded.execute(fits))) == 1


def test_after_an_upgrade_its_versions_score_and_are_fitted_again(upgraded: Database) -> None:
    upgraded.execute("UPDATE patients SET outcome = NULL WHERE id <= 20")
    scored = the_json(call(upgraded, "score", "--json"))
    assert (scored["predicted"], scored["model_version"]) == (20, 1)
    for number in ("1", "3"):
        assert the_json(call(upgraded, "models", "reproduce", number, "--json"))["reproduced"] is True
