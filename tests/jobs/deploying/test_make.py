"""The Makefile by a real make, as far as it goes without installing anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.shipped import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What make needs of a clone."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "locks", folder / "locks")
    return folder


def _make(clone: Path, target: str) -> subprocess.CompletedProcess[str]:
    """With a Python that makes nothing, and without what an outer make says to its own."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", target, "PYTHON=true"], cwd=clone, env=environ, capture_output=True, text=True
    )


@pytest.mark.parametrize("target", ["demo", ".venv/.complete"])
def test_an_environment_that_is_a_link_is_not_emptied(
    clone: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    for there in ("absent", "elsewhere"):
        (clone / ".venv").unlink(missing_ok=True)
        (clone / ".venv").symlink_to(tmp_path / there)
        ended = _make(clone, target)
        assert (ended.returncode, ".venv is a link" in ended.stderr) == (2, True), ended
    assert not (tmp_path / "absent").exists()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["kept"]


@pytest.mark.parametrize("target", ["demo", "check"])
def test_an_environment_that_somebody_else_made_is_not_emptied(clone: Path, target: str) -> None:
    """README's own recipe makes one of that name, and a service may run from it."""
    (clone / ".venv").mkdir()
    (clone / ".venv" / "kept").touch()
    ended = _make(clone, target)
    assert (ended.returncode, ".venv was not made by make" in ended.stderr) == (2, True), ended
    assert (clone / ".venv" / "kept").exists()


def test_an_environment_that_make_left_unfinished_is_made_anew(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".begun").touch()
    ended = _make(clone, ".venv/.complete")
    assert (
        ended.returncode == 2
    )  # there is no Python to install with; that it had begun stays on record
    assert "true -m venv --clear .venv" in ended.stdout
    assert (clone / ".venv" / ".begun").exists()


def test_clean_takes_the_link_and_leaves_what_it_points_to(clone: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (clone / ".venv").symlink_to(elsewhere)
    assert _make(clone, "clean").returncode == 0
    assert not (clone / ".venv").is_symlink()
    assert (elsewhere / "kept").exists()
