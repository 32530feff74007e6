"""Our keys are in the order of their characters, as the sources' are beside which they are compared."""

import sqlite3
from pathlib import Path

from pima.settings.sections import DatabaseSettings
from pima.store.engine import make_engine
from tests.support.databases import Database, call

ROW = "(source, source_key, pregnancies, glucose, diabetes_pedigree, age) VALUES ('clinic', '{}', 1, 100, 0.3, 40)"
IN_ORDER = ["Z", "a", "é", "Ж"]
"""In UTF-16 the last but one comes last."""


def copied_to(path: Path, of: Database, encoding: str) -> Database:
    """The file's tables and rows by `.dump`, as docs/operations.md says, in a file of this encoding."""
    with sqlite3.connect(of.url.removeprefix("sqlite:///")) as old, sqlite3.connect(path) as new:
        new.execute(f"PRAGMA encoding = '{encoding}'")
        new.executescript("\n".join(old.iterdump()))
    url = f"sqlite:///{path}"
    return Database("sqlite", url, make_engine(url, DatabaseSettings()))


def test_a_file_in_utf_16_is_refused_until_it_is_copied(sqlite: Database, tmp_path: Path) -> None:
    for key in IN_ORDER:
        sqlite.execute(f"INSERT INTO patients {ROW.format(key)}")
    wide = copied_to(tmp_path / "wide.db", sqlite, "UTF-16le")
    for job in ("status", "migrate", "score"):
        refused = call(wide, job)
        assert (refused.exit_code, "keeps its texts in UTF-16le, where UTF-8" in refused.stderr) == (2, True)
    mended = copied_to(tmp_path / "mended.db", wide, "UTF-8")
    assert call(mended, "status").exit_code == 0
    everything = "SELECT * FROM patients JOIN row_keys ON id = patient_id ORDER BY id"
    assert mended.execute(everything) == sqlite.execute(everything)
    mended.engine.dispose()
    wide.engine.dispose()


def test_no_schema_is_made_in_a_file_in_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("PRAGMA encoding = 'UTF-16be'; CREATE TABLE theirs (a TEXT)")
    url = f"sqlite:///{path}"
    new = Database("sqlite", url, make_engine(url, DatabaseSettings()))
    assert call(new, "migrate").exit_code == 2
    assert new.execute("SELECT name FROM sqlite_master") == [("theirs",)]
    new.engine.dispose()
