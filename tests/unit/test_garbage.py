"""Imports of a command are not looked through for garbage; its work is."""

import subprocess
import sys

from tests.conftest import ROOT, clean_environ

# What a command does first and last, in a process of its own: as -m does it, and with what is imported counted.
_COMMAND = """
import sys
sys.argv[0] = {argv0!r}
import gc
import jobs
before = gc.get_stats()[0]["collections"]
import jobs.score
print(gc.isenabled(), gc.get_stats()[0]["collections"] - before > 0, end=" ")
jobs.score.main(["--help"], {{}})
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def _told(argv0: str) -> list[str]:
    code = _COMMAND.format(argv0=argv0)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environ(), capture_output=True, text=True, check=True
    )
    said = done.stdout.split()
    return [*said[:2], *said[-2:]]


def test_a_command_collects_no_garbage_before_its_work_begins() -> None:
    assert _told("-m") == ["False", "False", "True", "True"]


def test_what_only_imports_the_commands_keeps_its_own_collector() -> None:
    assert _told("elsewhere") == ["True", "True", "True", "False"]


_TRAINING = """
import gc
from pima.model.training_extra import training_extra
with training_extra():
    import keras
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def test_what_training_imports_is_never_looked_through() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TRAINING], cwd=ROOT, env=clean_environ(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]
