"""The commands of docs/operations.md for a SQLite file: back up while a scorer runs, restore elsewhere, score on."""

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pima.settings.sections import DatabaseSettings
from pima.store.engine import make_engine
from tests.support.databases import PATIENCE_SECONDS, Database, call, insert_many, insert_patients, the_json
from tests.support.shipped import ROOT
from tests.support.trained import install_models

WAITING = 800


def _commands(heading: str) -> str:
    """The first block of commands below a heading of the page, for this Python."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"^#+ {heading}\n.*?^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return re.sub(r"\bpython\b", sys.executable, found[1])


def _pasted(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """As into a terminal, where a line that fails does not keep the next from running."""
    return subprocess.run(["sh", "-c", commands], cwd=folder, capture_output=True, text=True)


def _run(commands: str, folder: Path) -> None:
    ended = _pasted(commands, folder)
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
    scorer = waiting.start("score", "--batch-size", "1")
    in_the_middle = None
    while scorer.poll() is None and in_the_middle is None:
        shutil.rmtree(backups, ignore_errors=True)
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


def _folder(database: Database) -> Path:
    database.engine.dispose()
    return Path(database.engine.url.database or "").parent


def test_a_backup_that_fails_gets_no_backup_s_name_and_the_next_one_does(sqlite: Database) -> None:
    insert_many(sqlite, WAITING)
    folder = _folder(sqlite)
    ended = _pasted(f"ulimit -f 100\n{_commands('SQLite: backup')}", folder)
    assert ended.returncode != 0
    assert list((folder / "backups").glob("*.db")) == []
    _run(_commands("SQLite: backup"), folder)
    (made,) = (folder / "backups").iterdir()
    copy = _opened(made)
    assert copy.value("SELECT count(*) FROM patients") == WAITING
    copy.engine.dispose()


def test_no_backup_is_made_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    ended = _pasted(_commands("SQLite: backup"), tmp_path)
    assert ended.returncode != 0
    assert [path.name for path in tmp_path.rglob("*")] == ["backups"]


def _where(content: bytes, folder: Path) -> list[Path]:
    return [path.parent for path in folder.rglob("pima.db") if path.read_bytes() == content]


def test_a_restore_that_is_pasted_twice_loses_no_database_and_leaves_each_its_journal(sqlite: Database) -> None:
    folder = _folder(sqlite)
    database, journal, backup = (folder / name for name in ("pima.db", "pima.db-journal", "backup.db"))
    shutil.copy(database, backup)
    for number in (1, 2):
        # What was written since, and what a transaction that did not end left beside it.
        live = sqlite3.connect(database)
        live.execute(f"CREATE TABLE written_after_{number} (id INTEGER)")
        live.close()
        journal.write_bytes(b"of the live database")
        before = database.read_bytes()
        _pasted(_commands("SQLite: restore"), folder)
        # Within one second the second paste has no folder of its own, and leaves all as it was.
        (kept_in,) = _where(before, folder)
        assert (kept_in / journal.name).exists()
        if kept_in == folder:
            assert number == 2
        else:
            assert (database.read_bytes(), journal.exists()) == (backup.read_bytes(), False)
        journal.unlink(missing_ok=True)


def test_a_restore_of_a_backup_that_is_not_there_touches_nothing(sqlite: Database) -> None:
    folder = _folder(sqlite)
    before = (folder / "pima.db").read_bytes()
    assert _pasted(_commands("SQLite: restore"), folder).returncode != 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"pima.db": before}
