"""Each block of commands on the pages runs as it stands there, in a folder whose database a service
has used."""

import re
import shutil
from pathlib import Path

import pytest

from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.databases import Database, call
from tests.support.pages import PAGES, blocks
from tests.support.reader import Reader
from tests.support.shipped import ROOT, SHIPPED
from tests.support.trained import trained_once

FOLLOWED = {
    "docs/start/tutorial.md",
    "docs/start/my-database.md",
    "docs/do/bring-your-own-network.md",
}
"""Pages that test_tutorial.py types from top to bottom, and compares with what they print; the last
one is followed by test_own_network.py."""
MAY_NOT_RUN = {
    "docker",
    "it installs the environment",
    "it may end with 1",
    "it names an outside server",
    "it needs a server",
    "it needs your MLflow",
    "it needs your rows",
    "it runs until it is stopped",
}


def runnable(page: Path) -> list[str]:
    return [block.text for block in blocks(page.read_text()) if block.info in ("bash", "console")]


@pytest.fixture
def used(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file whose champion, version 1, follows another; 568 labelled patients, and 200 that
    are predicted."""

    def make(path: Path) -> None:
        shutil.copy(trained, path)
        new = path.with_name("new.csv")
        lines = SHIPPED.read_text().splitlines()[568:]
        new.write_text("".join(f"{line.rpartition(',')[0]},\n" for line in lines))
        database = Database(
            "sqlite", f"sqlite:///{path}", make_engine(f"sqlite:///{path}", DatabaseSettings())
        )
        promote = ("models", "promote", "--reason", "tried")
        for command in ((*promote, "3"), (*promote, "1"), ("load", str(new)), ("score",)):
            ended = call(database, *command)
            assert ended.exit_code == 0, ended.stderr
        database.engine.dispose()

    return trained_once(tmp_path_factory, "used", make)


@pytest.mark.parametrize(
    "name", sorted(name for name in PAGES.keys() - FOLLOWED if runnable(PAGES[name]))
)
def test_each_command_of_a_page_runs(
    name: str, used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    for linked in ("deploy", "docs", "jobs", "pima"):
        (tmp_path / linked).symlink_to(ROOT / linked)
    for copy in ("pima.db", "backup.db"):
        shutil.copy(used, tmp_path / copy)
    lines = enumerate(SHIPPED.read_text().splitlines(), start=1)
    (tmp_path / "outcomes.csv").write_text(
        "id,outcome\n" + "".join(f"{n},{line[-1]}\n" for n, line in lines if n > 568)
    )
    shutil.copy(SHIPPED, tmp_path / "history.csv")
    reader = Reader(tmp_path, monkeypatch)
    for block in runnable(PAGES[name]):
        reader.types(block)


def test_what_does_not_run_says_why() -> None:
    reasons = {
        block.info.partition("not-run:")[2].strip()
        for page in PAGES.values()
        for block in blocks(page.read_text())
        if block.info.startswith(("bash ", "console "))
    }
    assert reasons == MAY_NOT_RUN


def test_each_block_says_what_it_is() -> None:
    """Else commands could hide in it."""
    known = re.compile(r"(bash|console)( not-run: .+)?|csv|ini|mermaid|python|sql|text|toml|yaml")
    found = {
        (name, block.info) for name, page in PAGES.items() for block in blocks(page.read_text())
    }
    assert sorted(each for each in found if not known.fullmatch(each[1])) == []
