"""The pages that are followed from top to bottom, as a reader types them: their commands in bash,
their settings as the file they are, and below each block of commands what it prints."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.databases import clean_environ
from tests.support.pages import Block, blocks
from tests.support.shipped import ROOT, SHIPPED

TUTORIAL, OWN_DATABASE = ("start/tutorial.md", "start/my-database.md")
DRAFT = "clinic.toml"
_MARK = "---- block ----"


def typed(page: str) -> list[Block]:
    """Commands, settings, and what the commands before it print; not of the sections that only tell
    of other ways."""
    text = (ROOT / "docs" / page).read_text().partition("\n## Which database")[0]
    return [block for block in blocks(text) if block.info in ("bash", "toml", "text")]


def _as_typed(pages: Sequence[str]) -> Iterator[str]:
    """The lines of a session; the page's settings are written to their file where they stand."""
    for language, text in (block for page in pages for block in typed(page)):
        if language == "bash":
            yield f"{text}echo '{_MARK}'\n"
        elif language == "toml":
            yield (
                f"cp {DRAFT} draft.toml\ncat > {DRAFT} <<'END OF THE SETTINGS'\n{text}END OF THE "
                "SETTINGS\n"
            )


def _follow(folder: Path, *pages: str) -> None:
    """Type it all in a folder like the project's; what each block of commands prints is what the
    page shows."""
    shutil.copytree(ROOT / "config", folder / "config")
    for needed in (ROOT / "docs" / "invent_visits.py", SHIPPED):
        (folder / needed.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy(needed, folder / needed.relative_to(ROOT))
    environ = clean_environ() | {"PYTHONPATH": str(ROOT)}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    session = "".join(_as_typed(pages))
    ended = subprocess.run(
        ["bash", "-e"], input=session, cwd=folder, env=environ, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    printed = iter(ended.stdout.split(f"{_MARK}\n"))
    last = ""
    for block in (block for page in pages for block in typed(page)):
        if block.info == "bash":
            last = next(printed)
        elif block.info == "text":
            assert _without_figures(last) == _without_figures(block.text)


def _without_figures(text: str) -> str:
    """The words: days, another machine's last digits and where lines end differ."""
    return " ".join(re.sub(r"[-+]?\d[\d,.]*", " N ", text).split())


def test_the_tutorial_prints_what_it_shows(tmp_path: Path) -> None:
    _follow(tmp_path, TUTORIAL)
    assert sum(block.info == "text" for block in typed(TUTORIAL)) == 8


def test_the_clinic_s_own_database_ends_with_predictions(tmp_path: Path) -> None:
    _follow(tmp_path, OWN_DATABASE)
    assert sum(block.info == "text" for block in typed(OWN_DATABASE)) == 5
    _check_the_settings(tmp_path)
    _check_the_databases(tmp_path)


def _check_the_settings(folder: Path) -> None:
    """They are the draft, looked over: nothing of the table is said otherwise, and what was
    converted is."""
    draft, settings = (tomllib.loads((folder / name).read_text()) for name in ("draft.toml", DRAFT))
    assert settings["gate"] == draft["gate"]
    (drafted,), (used,) = draft.pop("source"), settings.pop("source")
    theirs, ours = drafted.pop("columns"), used.pop("columns")
    assert used == drafted

    def columns(mapping: dict[str, object]) -> set[object]:
        return {
            column["column"] if isinstance(column, dict) else column for column in mapping.values()
        }

    assert columns(theirs) - columns(ours) == {"site"}
    may_be_missing = {
        feature["name"] for feature in settings["feature"] if feature.get("may_be_missing")
    }
    assert may_be_missing == {"glucose", "hba1c"}
    assert all(feature.get("unit") for feature in settings["feature"] if "low" in feature)


def _check_the_databases(folder: Path) -> None:
    clinic, ours = sqlite3.connect(folder / "clinic.db"), sqlite3.connect(folder / "mine.db")
    unknown = clinic.execute(
        "SELECT visit_id FROM visits WHERE diabetic IS NULL ORDER BY 1"
    ).fetchall()
    predicted = ours.execute("SELECT source_key FROM current_predictions ORDER BY 1").fetchall()
    # The one whose outcome came was predicted before.
    assert (len(predicted), predicted[:-1]) == (len(unknown) + 1, unknown)
    assert ours.execute("SELECT count(*) FROM predictions").fetchone() == (len(predicted) + 1,)
    assert ours.execute("SELECT count(*) FROM rejections").fetchone() == (0,)
    corrected = ours.execute(
        "SELECT glucose FROM patients WHERE source_key = ?", predicted[0]
    ).fetchone()
    assert corrected == (9.9 * 18.016,)
    persons = ours.execute("SELECT count(*), count(DISTINCT person_key) FROM patients").fetchone()
    assert (
        persons
        == clinic.execute("SELECT count(*), count(DISTINCT patient_no) FROM visits").fetchone()
    )
    clinic.close()
    ours.close()
