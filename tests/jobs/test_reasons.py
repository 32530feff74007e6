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


def _decide(database: Database, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """As a shell starts it, which hands over any bytes."""
    return subprocess.run(
        [*map(os.fsencode, (sys.executable, "-m", *arguments)), b"--reason", TYPED],
        cwd=ROOT,
        env={**clean_environ(), "DATABASE_URL": database.url, "LOGNAME": os.fsdecode(b"m\xfcller")},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "kept_in"),
    [
        (("pin",), "SELECT decided_by, explanation FROM promotions WHERE verdict = 'pinned'"),
        (("unpin",), "SELECT decided_by, explanation FROM promotions WHERE verdict = 'unpinned'"),
        (("promote", "2"), "SELECT decided_by, explanation FROM promotions WHERE verdict = 'promoted_by_hand'"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_decision_about_models(scored_database: Database, arguments: tuple[str, ...], kept_in: str) -> None:
    ended = _decide(scored_database, "jobs.models", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert scored_database.execute(kept_in) == [("m\ufffdller", KEPT)]


def test_a_change_of_the_features(empty_database: Database, tmp_path: Path) -> None:
    config = configuration(tmp_path)
    assert call(empty_database, "migrate", "--config", config).exit_code == 0
    configuration(tmp_path, DECLARED.replace("high = 20\n", "high = 30\n"))
    ended = _decide(empty_database, "jobs.migrate", "--config", config, "--features")
    assert ended.returncode == 0, ended.stderr
    kept_in = "SELECT decided_by, reason FROM declarations WHERE number = 2"
    assert empty_database.execute(kept_in) == [("m\ufffdller", KEPT)]


def test_nobody_has_to_say_why_the_champion_is_let_go(scored_database: Database) -> None:
    assert call(scored_database, "models", "unpin").exit_code == 0
    assert scored_database.execute("SELECT explanation FROM promotions WHERE verdict = 'unpinned'") == [("",)]
