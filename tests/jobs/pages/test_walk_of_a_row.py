"""The files that CONTRIBUTING.md names on a row's way and on a retraining's are those in which code
runs, from the command's first line to its last."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.databases import Database, clean_environ, insert_patients
from tests.support.shipped import ROOT
from tests.support.trained import install_models

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
NIGHT = PAGE.partition("The files that a row passes")[2].partition(
    "`tests/jobs/pages/test_walk_of_a_row.py`"
)[0]
RETRAINING = PAGE.partition("The files that a retraining passes")[2].partition(
    "A network of your own"
)[0]
# Prints the files in which functions run, from the job's own on; what runs while a module is
# imported is no step.
TRACED = """
import runpy, sys, threading

job, root = sys.argv.pop(1), sys.argv.pop(1)
first = root + job.replace(".", "/") + ".py"
ours = (root + "pima/", root + "jobs/")  # the environment may stand below the root, too
passed = []

def is_imported(frame):
    while frame is not None and frame.f_code.co_name != "_find_and_load":
        frame = frame.f_back
    return frame is not None

def trace(frame, event, _):
    path = frame.f_code.co_filename
    if frame.f_code.co_flags & 1 and path.startswith(ours) and path not in passed:
        if (passed or path == first) and not is_imported(frame):
            passed.append(path)

threading.settrace(trace)
sys.settrace(trace)
try:
    runpy.run_module(job, run_name="__main__")
finally:
    sys.settrace(None)
    print(*passed, sep="\\n")
"""


def named(walk: str, kind: str) -> set[str]:
    """The files of the walk, those of this database in the place of PostgreSQL's."""
    names = re.findall(r"`(\w+/[\w/]+\.py|scor\w+\.py|logs\.py)`", walk)
    found = {name if name.startswith("jobs/") else f"pima/{name}" for name in names}
    if kind == "sqlite":
        found = {name.replace("store/postgresql", "store/sqlite") for name in found}
    return found


def passed(database: Database, job: str) -> set[str]:
    root = f"{ROOT}/"
    ended = subprocess.run(
        [sys.executable, "-c", TRACED, job, root],
        env=clean_environ() | {"DATABASE_URL": database.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        line.removeprefix(root)
        for line in ended.stdout.splitlines()
        if line.startswith((root + "pima", root + "jobs")) and line.endswith(".py")
    }


def test_the_walk_names_every_file_that_a_row_passes(database: Database, trained: Path) -> None:
    install_models(database, trained)
    insert_patients(database, 1)
    assert passed(database, "jobs.score") == named(NIGHT, database.kind)


def test_the_walk_names_every_file_that_a_retraining_passes(
    history: Database, trained: Path
) -> None:
    install_models(history, trained)
    # Of this champion no snapshot is kept, an error.
    error = {"pima/errors/base.py", "pima/errors/places.py"}
    assert passed(history, "jobs.retrain") - error == named(RETRAINING, history.kind)
