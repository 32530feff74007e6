"""Why something was decided is kept by one rule, whatever bytes were typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import Database, call, clean_environ
from tests.support.declared import DECLARED, configuration
from tests.support.shipped import ROOT

TYPED = b"a \xff\n\tb \x1b[31m gr\xc3\xb6\xc3\x9fer "
KEPT = "a \ufffd b \ufffd[31m größer"


KEPT_IN = {
    ("pin",): "SELECT decided_by, explanation FROM promotions WHERE verdict = 'pinned'",
    ("unpin",): "SELECT decided_by, explanation FROM promotions WHERE verdict = 'unpinned'",
    ("promote", "2"): "SELECT decided_by, explanation FROM promotions WHERE verdict = 'promoted_by_hand'",
}
DECIDED = [("m\ufffdller", KEPT)]


@pytest.fixture(autouse=True)
def _decided_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"m\xfcller"))


def test_a_decision_about_models(scored_database: Database) -> None:
    for arguments, kept_in in KEPT_IN.items():
        ended = call(scored_database, "models", *arguments, "--reason", os.fsdecode(TYPED))
        assert ended.exit_code == 0, ended.stderr
        assert scored_database.execute(kept_in) == DECIDED


def test_a_change_of_the_features(sqlite: Database, tmp_path: Path) -> None:
    """As a shell starts it, which hands over any bytes."""
    sqlite.remove_schema()
    config = configuration(tmp_path)
    assert call(sqlite, "migrate", "--config", config).exit_code == 0
    configuration(tmp_path, DECLARED.replace("high = 20\n", "high = 30\n"))
    command = [sys.executable, "-m", "jobs.migrate", "--config", config, "--features", "--reason"]
    environ = clean_environ() | {"DATABASE_URL": sqlite.url}
    ended = subprocess.run([*map(os.fsencode, command), TYPED], cwd=ROOT, env=environ, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    assert sqlite.execute("SELECT decided_by, reason FROM declarations WHERE number = 2") == DECIDED


def test_nobody_has_to_say_why_the_champion_is_let_go(scored_database: Database) -> None:
    assert call(scored_database, "models", "unpin").exit_code == 0
    assert scored_database.execute("SELECT explanation FROM promotions WHERE verdict = 'unpinned'") == [("",)]
