"""The demo, as a newcomer runs it."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PATIENCE_SECONDS, Ended, call, clean_environ, wait_for
from tests.support.shipped import ROOT


def test_the_demo_ends_with_predictions_that_mostly_came_true(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    ended = _ended(_started(tmp_path))
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    correct = int(re.findall(r"\((\d+) of 200\)", ended.stdout)[0])
    # 200 random salts: lowest 152 of 200; a coin would give 100, the majority class 122.
    assert correct >= 145
    with sqlite3.connect(tmp_path / "pima-demo" / "pima.db") as connection:
        rows = connection.execute(
            "SELECT patient_id, model_version FROM current_predictions ORDER BY 1"
        ).fetchall()
        came_true = connection.execute(
            "SELECT count(*) FROM patients JOIN current_predictions ON id = patient_id WHERE "
            "outcome = predicted_class"
        ).fetchone()
    connection.close()
    assert rows == [(n, 1) for n in range(569, 769)]
    assert came_true == (correct,)
    assert "until the next demo replaces it" in ended.stdout
    assert "\nThe report, for any browser: pima-demo/report.html\n" in ended.stdout
    assert "The champion" in (tmp_path / "pima-demo" / "report.html").read_text()
    _check_what_it_says_to_paste(ended.stdout, tmp_path)


def _check_what_it_says_to_paste(stdout: str, folder: Path) -> None:
    environ = clean_environ() | {"PYTHONPATH": str(ROOT)}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    pasted = stdout.partition("this folder:\n")[2]
    shown = subprocess.run(
        ["sh", "-e"], input=pasted, cwd=folder, env=environ, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert ("version 1" in shown.stdout, "patient_id" in shown.stdout) == (True, True)


def test_a_folder_that_is_a_link_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / "pima-demo").symlink_to(elsewhere)
    ended = call(None, "demo")
    assert (ended.exit_code, "pima-demo is there and is no folder of its own" in ended.stdout) == (
        2,
        True,
    ), ended
    assert (elsewhere / "kept").exists()


def _started(folder: Path, end: str = "", before: str = "") -> subprocess.Popen[str]:
    """The demo in a folder, by a line of a shell that begins and ends so."""
    given = clean_environ() | {"PYTHONPATH": str(ROOT)}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = f"{before} exec {sys.executable} -m jobs.demo {end}"
    return subprocess.Popen(["sh", "-c", line], cwd=folder, env=given, **pipes)


def _ended(process: subprocess.Popen[str]) -> Ended:
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in stdout + stderr
    return Ended(process.returncode, stdout, stderr)


def test_a_demo_that_is_stopped_by_ctrl_c_says_so(tmp_path: Path) -> None:
    process = _started(tmp_path)
    wait_for((tmp_path / "pima-demo" / "new-patients.csv").exists, process)
    process.send_signal(signal.SIGINT)
    ended = _ended(process)
    assert (ended.exit_code, ended.stderr) == (130, "stopped by Ctrl-C\n"), ended


def test_a_demo_that_can_not_write_its_folder_or_its_output_says_so(tmp_path: Path) -> None:
    full, no_space = tmp_path / "full", "No space left on device"
    full.mkdir()
    (full / "pima-demo").touch()
    cases = (
        (full, "", ">/dev/full", no_space),
        (tmp_path, "ulimit -f 3;", "", "File too"),
    )
    for folder, before, after, why in cases:
        ended = _ended(_started(folder, after, before=before))
        said = f"failed: pima-demo or standard output can't be written: {why}"
        assert (ended.exit_code, ended.stderr.startswith(said)) == (1, True), ended
