"""The files that architecture.md names on a row's way are those in which code runs, from the night's beginning on."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.databases import Database, clean_environ, insert_patients
from tests.support.shipped import ROOT
from tests.support.trained import install_models

PAGE = (ROOT / "docs" / "understand" / "architecture.md").read_text()
WALK = PAGE.partition("The files that a row passes")[2].partition("`tests/jobs/test_walk_of_a_row.py`")[0]
# Prints the files in which functions run, once scoring.py was reached; what runs while a module is imported is no step.
TRACED = """
import runpy, sys, threading

root, passed = sys.argv.pop(1), []

def is_imported(frame):
    while frame is not None and frame.f_code.co_name != "_find_and_load":
        frame = frame.f_back
    return frame is not None

def profile(frame, event, _):
    path = frame.f_code.co_filename
    if event == "call" and frame.f_code.co_flags & 1 and path.startswith(root) and path not in passed:
        if (passed or path.endswith("pima/scoring.py")) and not is_imported(frame):
            passed.append(path)

threading.setprofile(profile)
sys.setprofile(profile)
try:
    runpy.run_module("jobs.score", run_name="__main__")
finally:
    sys.setprofile(None)
    print(*passed, sep="\\n")
"""


def named(kind: str) -> set[str]:
    """The files of the walk, those of this database in the place of PostgreSQL's."""
    found = {name if name.startswith("jobs/") else f"pima/{name}" for name in re.findall(r"`([\w/]+\.py)`", WALK)}
    short = {name for name in found if name.count("/") == 1 and not (ROOT / name).exists()}
    found = found - short | {f"pima/store/postgresql/{name.removeprefix('pima/')}" for name in short}
    if kind == "sqlite":
        found = {name.replace("store/postgresql", "store/sqlite") for name in found}
    return {name for name in found if (ROOT / name).exists()}


def test_the_walk_names_every_file_that_a_row_passes(database: Database, trained: Path) -> None:
    install_models(database, trained)
    insert_patients(database, 1)
    root = f"{ROOT}/"
    ended = subprocess.run(
        [sys.executable, "-c", TRACED, root],
        env=clean_environ() | {"DATABASE_URL": database.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    passed = {
        line.removeprefix(root) for line in ended.stdout.splitlines() if line.startswith((root + "pima", root + "jobs"))
    }
    assert passed == named(database.kind)
