"""The commands of docs/operations.md for a SQLite file: back up while a scorer runs, restore elsewhere, score on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pima.settings import DatabaseSettings
from pima.store.engine import make_engine
from tests.conftest import (
    PATIENCE_SECONDS,
    ROOT,
    Database,
    call,
    insert_many,
    insert_patients,
    install_models,
    the_json,
)

WAITING = 800


def _commands(heading: str) -> str:
    """The first block of commands below a heading of the page, for this Python."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"^#+ {heading}\n.*?^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return re.sub(r"\bpython\b", sys.executable, found[1])


def _run(commands: str, folder: Path) -> None:
    ended = subprocess.run(["sh", "-eu", "-c", commands], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended


@pytest.fixture
def waiting(sqlite: Database, trained: Path) -> Database:
    install_models(sqlite, trained)
    insert_many(sqlite, WAITING)
    return sqlite


def _opened(path: Path) -> Database:
    url = f"sqlite:///{path}"
    return Database("sqlite", url, make_engine(url, DatabaseSettings()))


def _predicted(database: Database) -> int:
    return int(database.value("SELECT count(*) FROM predictions"))


def test_what_was_backed_up_while_a_scorer_ran_is_whole_and_scored_to_the_end(waiting: Database) -> None:
    folder = Path(waiting.engine.url.database or "").parent
    backups = folder / "backups"
    backups.mkdir()
    scorer = waiting.start("score", "--batch-size", "1")
    in_the_middle = None
    while scorer.poll() is None and in_the_middle is None:
        for old in backups.iterdir():
            old.unlink()
        _run(_commands("SQLite: backup"), folder)
        (made,) = backups.iterdir()
        assert made.stat().st_mode & 0o077 == 0
        copy = _opened(made)
        in_the_middle = made if 0 < _predicted(copy) < WAITING else None
        copy.engine.dispose()
    stderr = scorer.communicate(timeout=PATIENCE_SECONDS)[1]
    assert scorer.returncode == 0, stderr
    assert in_the_middle is not None
    assert _predicted(waiting) == WAITING

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    in_the_middle.rename(elsewhere / "backup.db")
    # What an unfinished transaction of the lost file would leave: it does not belong to the backup.
    (elsewhere / "pima.db").write_bytes(b"damaged")
    (elsewhere / "pima.db-journal").write_bytes(b"of the damaged file")
    _run(_commands("SQLite: restore"), elsewhere)
    _scores_on(_opened(elsewhere / "pima.db"))


def _scores_on(restored: Database) -> None:
    missing = WAITING - _predicted(restored)
    assert restored.value("SELECT count(*) FROM scoring_queue") == missing
    assert insert_patients(restored, 1) == [WAITING + 1]
    scored = the_json(call(restored, "score", "--json"))
    assert (scored["predicted"], scored["already_scored"], scored["rejected"]) == (missing + 1, 0, 0)
    assert restored.value("SELECT count(DISTINCT patient_id) FROM predictions") == _predicted(restored) == WAITING + 1
    restored.engine.dispose()
