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

from tests.support.databases import PATIENCE_SECONDS, Ended, clean_environ, wait_for
from tests.support.shipped import ROOT


def test_the_demo_ends_with_predictions_that_mostly_came_true(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    ended = _ended(_started(tmp_path))
    assert ended.exit_code == 0, ended.stdout + ended.stderr
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
    assert "\nThe report, for any browser: pima-demo/report.html\n" in ended.stdout
    assert "The champion" in (tmp_path / "pima-demo" / "report.html").read_text()
    _check_what_it_says_to_paste(ended.stdout, tmp_path)


def _check_what_it_says_to_paste(stdout: str, folder: Path) -> None:
    """The lines at the end, in a shell in which no environment is activated."""
    activate, export, status, *queries = stdout.partition("this folder:\n")[2].split("\n")[:-1]
    assert activate.startswith(". ")
    assert export.startswith("export DATABASE_URL=")
    assert status == "python -m jobs.status"
    assert {query.split()[0] for query in queries} == {"python"} | ({"sqlite3"} if shutil.which("sqlite3") else set())
    ours, environ = str(Path(sys.executable).parent), clean_environ() | {"PYTHONPATH": str(ROOT)}
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
    ended = _ended(_started(tmp_path))
    assert (ended.exit_code, "pima-demo is there and is no folder of its own" in ended.stdout) == (2, True), ended
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
        (Path("/proc"), "", "", ""),
        (tmp_path, "ulimit -f 3;", "", "File too"),
    )
    for folder, before, after, why in cases:
        ended = _ended(_started(folder, after, before=before))
        said = f"failed: pima-demo or standard output can't be written: {why}"
        assert (ended.exit_code, ended.stderr.startswith(said)) == (1, True), ended
