"""Each extra, installed by the very line that a command prints where it is missing: in an
environment of its own, which has only what a scorer needs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pima.errors.extras import EXTRAS
from tests.support.databases import Database, clean_environ
from tests.support.scored_once import insert_mostly_sound
from tests.support.shipped import ROOT, SHIPPED
from tests.support.trained import install_models

ASKED: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "report": (("report", "--out", "{folder}/report.html"), {}),
    "dask": (("score", "--dask", "tcp://127.0.0.1:1"), {}),
    "alerts": (("alert", "--test"), {"PIMA_ALERTS__URLS": '["no-such-kind://a"]'}),
    "train": (("retrain", "--dry-run"), {}),
}
"""Extra -> a command that needs it, with the settings by which it comes to need it."""
_DRY_RUN = {"train"}
"""Of which it is only seen that everything is to be had: TensorFlow is larger than all others
together."""


class Scorer:
    """A folder with an environment, and a database with a champion that was trained elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        for job in (("migrate",), ("load", str(SHIPPED)), ("retrain",)):
            assert self._ended(sys.executable, *job).returncode == 0
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.shell(
            f"{self.python} -m pip install --quiet --require-hashes --only-binary :all: -r "
            "locks/score.txt"
        )

    def shell(self, line: str) -> None:
        ended = subprocess.run(
            ["sh", "-c", line], cwd=ROOT, env=clean_environ(), capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr

    def said(self, *command: str, **settings: str) -> str:
        """What a job wrote about how it went; {folder} stands for ours."""
        settings = {name: value.format(folder=self.folder) for name, value in settings.items()}
        command = tuple(each.format(folder=self.folder) for each in command)
        return self._ended(self.python, *command, **settings).stderr

    def _ended(
        self, python: Path | str, job: str, *more: str, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        given = {
            "DATABASE_URL": f"sqlite:///{self.folder}/pima.db",
            "PIMA_LOGS__FORMAT": "text",
        } | settings
        environ = clean_environ() | given
        asked = [python, "-m", f"jobs.{job}", *more]
        return subprocess.run(asked, cwd=ROOT, env=environ, capture_output=True, text=True)


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    # On a disk rather than in memory: it takes a gigabyte.
    with TemporaryDirectory(dir="/var/tmp") as folder:
        yield Scorer(Path(folder))


@pytest.fixture
def server(postgresql: Database, trained: Path) -> str:
    """A PostgreSQL database in which rows wait: Dask works on no other."""
    install_models(postgresql, trained)
    insert_mostly_sound(postgresql)
    return postgresql.url


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_line_that_is_printed_brings_what_was_missing(
    scorer: Scorer, extra: str, request: pytest.FixtureRequest
) -> None:
    command, settings = ASKED[extra]
    if extra == "dask":
        settings = {"DATABASE_URL": request.getfixturevalue("server")}
    before = scorer.said(*command, **settings)
    # The message ends the line in a full stop, a semicolon or not at all.
    (line,) = re.findall(r"[Rr]un: (\S+ -m pip install .*?)(?=[.;] |[.;]?$)", before, re.MULTILINE)
    assert line.startswith(str(scorer.python))
    if extra in _DRY_RUN:
        scorer.shell(f"{line} --dry-run --quiet")
        return
    scorer.shell(f"{line} --quiet")
    after = scorer.said(*command, **settings)
    assert "pip install" not in after, after
    assert "Traceback" not in after
