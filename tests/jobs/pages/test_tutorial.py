"""The pages that are followed from top to bottom, as a reader types them: their commands, their
settings as the file they are, and below each block of commands what it prints."""

import re
import shutil
import sqlite3
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import Block, blocks
from tests.support.reader import Reader
from tests.support.shipped import ROOT, SHIPPED

TUTORIAL, OWN_DATABASE = ("start/tutorial.md", "start/my-database.md")
DRAFT = "clinic.toml"


def typed(page: str) -> list[Block]:
    """Commands, settings, and what the commands before it print; not of the sections that only tell
    of other ways."""
    text = (ROOT / "docs" / page).read_text().partition("\n## Which database")[0]
    return [block for block in blocks(text) if block.info in ("bash", "toml", "text")]


def _follow(monkeypatch: pytest.MonkeyPatch, folder: Path, page: str) -> None:
    """Type it all in a folder like the project's; what each block of commands prints is what the
    page shows."""
    shutil.copytree(ROOT / "config", folder / "config")
    for needed in (ROOT / "docs" / "invent_visits.py", SHIPPED):
        (folder / needed.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy(needed, folder / needed.relative_to(ROOT))
    reader = Reader(folder, monkeypatch)
    printed = ""
    for block in typed(page):
        if block.info == "bash":
            printed = reader.types(block.text)
        elif block.info == "toml":
            shutil.copy(DRAFT, "draft.toml")
            Path(DRAFT).write_text(block.text)
        else:
            assert _without_figures(printed) == _without_figures(block.text)
            if page == TUTORIAL:  # its salt is fixed, so its figures are
                expected = pytest.approx(_figures(block.text), abs=0.015, rel=0.015)
                assert _figures(printed) == expected


_OF_THE_DAY = r"\d{4}-\d\d-\d\d(?:\s+\d\d:\d\d\s+UTC)?|\d+\.\d+ s\b"
_OF_THE_MODEL = r"[-+]?\d+\.\d+ ?%?|\d+ ?%|about \d+"
_ANY = r"[-+]?\d[\d,.]*"


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """What one command after another has printed, and what of it varies: days, what a model says,
    and so all that a retraining prints."""
    for part in re.split(r"^(?=run \d+[,:])", text, flags=re.MULTILINE):
        is_retraining = "training row" in part.partition("\n")[0]
        yield re.sub(_OF_THE_DAY, "", part), _ANY if is_retraining else _OF_THE_MODEL


def _without_figures(text: str) -> str:
    """The words, wherever lines end, and all that is counted."""
    parts = (re.sub(varying, " N ", part) for part, varying in _parts(text))
    return " ".join(" ".join(parts).split())


def _figures(text: str) -> list[float]:
    """What a model says, but for retrainings, in which one row more or less moves every figure."""
    found = (re.findall(varying, part) for part, varying in _parts(text) if varying != _ANY)
    return [float(re.sub(r"[^-\d.]", "", each)) for part in found for each in part]


def test_the_words_the_counts_and_the_figures_of_an_output_are_compared() -> None:
    page = "run 3: 15,673 rows on 2026-11-29 15:49 UTC in 0.2 s, 76.9% (71% to 83%), -0.13 1"
    assert _without_figures(page) == "run 3: 15,673 rows on in , N ( N to N ), N 1"
    assert _figures(page) == [76.9, 71, 83, -0.13]
    for other in ("15,674 rows", "15,673 lines"):
        assert _without_figures(page.replace("15,673 rows", other)) != _without_figures(page)
    verdict = "run 1\nrun 2, 396 training rows\npromoted: correct of 172: 136\nrun 3: 0.5 rows"
    said = "run 1 run N N training rows promoted: correct of N : N run 3: N rows"
    assert (_without_figures(verdict), _figures(verdict)) == (said, [0.5])


def test_the_tutorial_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _follow(monkeypatch, tmp_path, TUTORIAL)
    assert sum(block.info == "text" for block in typed(TUTORIAL)) == 7


def test_the_clinic_s_own_database_ends_with_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _follow(monkeypatch, tmp_path, OWN_DATABASE)
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
