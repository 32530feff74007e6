"""The demo, as a newcomer runs it."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environ


@pytest.mark.xdist_group("keras")
def test_the_demo_ends_with_predictions_that_mostly_came_true(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    environ = clean_environ() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jobs.demo"]
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    correct = int(re.findall(r"\((\d+) of 200\)", ended.stdout)[0])
    # 200 random salts: lowest 152 of 200; a coin would give 100, the majority class 122.
    assert correct >= 145
    with sqlite3.connect(tmp_path / "pima-demo" / "pima.db") as connection:
        rows = connection.execute("SELECT patient_id, model_version FROM current_predictions ORDER BY 1").fetchall()
        came_true = connection.execute(
            "SELECT count(*) FROM patients JOIN current_predictions ON id = patient_id WHERE outcome = predicted_class"
        ).fetchone()
    connection.close()
    assert rows == [(n, 1) for n in range(569, 769)]
    assert came_true == (correct,)
    assert "until the next demo replaces it" in ended.stdout
    _check_what_it_says_to_paste(ended.stdout, tmp_path, environ)


def _check_what_it_says_to_paste(stdout: str, folder: Path, environ: dict[str, str]) -> None:
    """The lines at the end, in a shell in which no environment is activated."""
    activate, export, status, *queries = stdout.partition("this folder:\n")[2].split("\n")[:-1]
    assert activate.startswith(". ")
    assert export.startswith("export DATABASE_URL=")
    assert status == "python -m jobs.status"
    assert {query.split()[0] for query in queries} == {"python"} | ({"sqlite3"} if shutil.which("sqlite3") else set())
    ours = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in environ["PATH"].split(os.pathsep) if part != ours)
    for line in (status, *queries):
        pasted = "\n".join((activate, export, line))
        command, outside = ["sh", "-e"], environ | {"PATH": path}
        shown = subprocess.run(command, input=pasted, cwd=folder, env=outside, capture_output=True, text=True)
        assert shown.returncode == 0, (line, shown.stderr)
        assert ("version 1" if line == status else "patient_id") in shown.stdout, (line, shown.stdout)


def test_a_folder_that_is_a_link_is_not_emptied(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / "pima-demo").symlink_to(elsewhere)
    environ = clean_environ() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jobs.demo"]
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (ended.returncode, "pima-demo is there and is no folder of its own" in ended.stdout) == (2, True), ended
    assert (elsewhere / "kept").exists()
