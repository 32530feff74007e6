"""The command `pima` of a wheel: `pima JOB ...` is `python -m jobs.JOB ...`, and `pima` alone lists
the jobs."""

import os
import re
import sys
from pathlib import Path

from pima.errors import WRONG
from pima.errors.places import FOLDER
from pima.logs import write_line

_TOLD = re.compile(r'\A"""python -m jobs\.(\w+): (.*?)(?:\. |\.?""")')


def main() -> None:
    """Become the job, so that signals, stdin and the exit code are its own."""
    name = "".join(sys.argv[1:2])
    jobs = _jobs()
    if name in jobs:
        # The folder may hold a `jobs` of somebody else's; children don't take that, either.
        os.environ["PYTHONSAFEPATH"] = "1"
        as_module = ["-m", f"jobs.{name}", *sys.argv[2:]]
        os.execv(sys.executable, [sys.executable, *as_module])  # noqa: S606 (no shell is meant)
    if name not in ("", "-h", "--help"):
        write_line("error: the first word is no job's name. `pima` alone lists the jobs")
        sys.exit(WRONG)
    print("pima JOB ...; `pima JOB --help` shows its options\n")
    for job, sentence in jobs.items():
        print(f"  {job:<10} {sentence}")
    print(f"\ndocs, deploy and locks are in {FOLDER}")


def _jobs() -> dict[str, str]:
    """Each job's name -> the first sentence of what it does."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    texts = (" ".join(file.read_text("utf-8").split()) for file in files)
    return dict(told for text in texts for told in _TOLD.findall(text))
