"""docs/your-own-table.md's tutorial, as a reader types it: its commands in bash, its settings as the file they are."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

PAGE = (ROOT / "docs" / "your-own-table.md").read_text()
DRAFT = "clinic.toml"
_MARK = "---- block ----"


class Block(NamedTuple):
    """What stands between two fences."""

    language: str
    """`bash`, `toml`, or nothing for what the commands before it print."""
    text: str


def blocks() -> list[Block]:
    tutorial = PAGE.partition("\n## From a table to predictions")[2].partition("\n## ")[0]
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", tutorial, re.MULTILINE | re.DOTALL)]


def _as_typed() -> Iterator[str]:
    """The lines of a session; the page's settings are written to their file where they stand."""
    for language, text in blocks():
        if language == "bash":
            yield f"{text}echo '{_MARK}'\n"
        elif language == "toml":
            yield f"cp {DRAFT} draft.toml\ncat > {DRAFT} <<'END OF THE SETTINGS'\n{text}END OF THE SETTINGS\n"


def _in_a_shell(folder: Path) -> list[str]:
    """Type it all in a folder like the project's; what each block of commands printed."""
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "invent_visits.py", folder / "docs")
    environ = clean_environ() | {"PYTHONPATH": str(ROOT)}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    typed = "".join(_as_typed())
    ended = subprocess.run(["bash", "-e"], input=typed, cwd=folder, env=environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.split(f"{_MARK}\n")[:-1]


def _without_probabilities(text: str) -> str:
    """Another salt learns from other people."""
    return re.sub(r" [01]\.\d+ [01] ", " ... ", text)


def test_the_tutorial_ends_with_predictions(tmp_path: Path) -> None:
    printed = _in_a_shell(tmp_path)
    _check_what_the_page_shows(printed)
    _check_the_settings(tmp_path)
    _check_the_databases(tmp_path)
    assert "of 1 prediction came true" in printed[-1]


def _check_what_the_page_shows(printed: list[str]) -> None:
    shown = [(n, block) for n, block in enumerate(blocks()) if block.language == ""]
    assert len(shown) == 3
    for n, block in shown:
        commands = sum(before.language == "bash" for before in blocks()[:n])
        assert _without_probabilities(printed[commands - 1]) == _without_probabilities(block.text)


def _check_the_settings(folder: Path) -> None:
    """They are the draft, looked over: nothing of the table is said otherwise, and what was converted is."""
    draft, settings = (tomllib.loads((folder / name).read_text()) for name in ("draft.toml", DRAFT))
    assert settings["gate"] == draft["gate"]
    (drafted,), (used,) = draft.pop("source"), settings.pop("source")
    theirs, ours = drafted.pop("columns"), used.pop("columns")
    assert used == drafted

    def columns(mapping: dict[str, object]) -> set[object]:
        return {column["column"] if isinstance(column, dict) else column for column in mapping.values()}

    assert columns(theirs) - columns(ours) == {"site"}
    may_be_missing = {feature["name"] for feature in settings["feature"] if feature.get("may_be_missing")}
    assert may_be_missing == {"glucose", "hba1c"}
    assert all(feature.get("unit") for feature in settings["feature"] if "low" in feature)


def _check_the_databases(folder: Path) -> None:
    clinic, ours = sqlite3.connect(folder / "clinic.db"), sqlite3.connect(folder / "tutorial.db")
    unknown = clinic.execute("SELECT visit_id FROM visits WHERE diabetic IS NULL ORDER BY 1").fetchall()
    predicted = ours.execute("SELECT source_key FROM current_predictions ORDER BY 1").fetchall()
    # The one whose outcome came was predicted before.
    assert (len(predicted), predicted[:-1]) == (len(unknown) + 1, unknown)
    assert ours.execute("SELECT count(*) FROM predictions").fetchone() == (len(predicted) + 1,)
    assert ours.execute("SELECT count(*) FROM rejections").fetchone() == (0,)
    corrected = ours.execute("SELECT glucose FROM patients WHERE source_key = ?", predicted[0]).fetchone()
    assert corrected == (9.9 * 18.016,)
    persons = ours.execute("SELECT count(*), count(DISTINCT person_key) FROM patients").fetchone()
    assert persons == clinic.execute("SELECT count(*), count(DISTINCT patient_no) FROM visits").fetchone()
    clinic.close()
    ours.close()
