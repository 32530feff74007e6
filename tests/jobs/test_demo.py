"""The demo, as a newcomer runs it."""

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
