"""Why something was decided is kept by one rule, whatever bytes were typed."""

import os

import pytest

from tests.support.databases import Database, call

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
