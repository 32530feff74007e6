"""`make mutants`: does the net hold? Each fault is made in a copy of the code, and the tests that
must notice it run.

First the same tests run on the unbroken copy, where they must pass. Numbers as arguments choose
among the faults. It ends with 1 where a fault survives or a test fails on the unbroken copy, and
with 2 where a fault no longer fits the code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pima.logs import counted
from tests.mutants.faults import FAULTS, Edit, Fault, Form, misfits
from tests.support.databases import clean_environ, postgresql_server
from tests.support.session import pytest_configure
from tests.support.shipped import ROOT
from tests.support.trained import MADE_ONCE

NOT_COPIED = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "pima-demo")


class CannotBeTried(Exception):
    """The tests could not be run, so that they say nothing about the net."""


class Copy:
    """A copy of the code, in which tests run."""

    def __init__(self, folder: Path, server: str) -> None:
        self.tree, self._temporary = folder / "tree", folder / "tests"
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns(*NOT_COPIED))
        made_once = folder / "made-once"
        made_once.mkdir()
        # CI: pytest then shortens no reason. What all runs need is made by the first of them.
        told = {"PIMA_TEST_DATABASE_URL": server, MADE_ONCE: str(made_once), "CI": "1"}
        self._environ = clean_environ() | told

    def failed(self, tests: Iterable[str]) -> dict[str, str]:
        """Those of the tests that fail, each with its reason. Raises CannotBeTried."""
        tests = list(dict.fromkeys(tests))
        options = [
            "-q",
            "-rfE",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            f"--basetemp={self._temporary}",
        ]
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.tree,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if ended.returncode not in (0, 1):
            raise CannotBeTried(f"{ended.stdout}{ended.stderr}")
        return dict(_failures(ended.stdout.splitlines(), tests))

    @contextmanager
    def broken(self, edits: Sequence[Edit]) -> Iterator[None]:
        """With these edits, until the block ends."""
        try:
            for edit in edits:
                path = self.tree / edit.file
                path.write_text(path.read_text().replace(edit.old, edit.new))
            yield
        finally:
            for edit in edits:
                # With the time of the original, by which Python knows that what it has compiled
                # since is of another.
                shutil.copy2(ROOT / edit.file, self.tree / edit.file)


def _failures(lines: list[str], tests: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A canary that is found at a test's end is an ERROR to pytest."""
    for line in lines:
        word, _, told = line.partition(" ")
        for test in tests:
            if word in ("FAILED", "ERROR") and f"{told} - ".startswith(f"{test} - "):
                yield test, told[len(test) :].removeprefix(" - ")


def _by_edits(fault: Fault) -> Iterator[tuple[tuple[Edit, ...], list[tuple[str, Form]]]]:
    """What is one text for both databases is broken once."""
    for edits in dict.fromkeys(form.edits for form in fault.forms.values()):
        yield (
            edits,
            [(database, form) for database, form in fault.forms.items() if form.edits == edits],
        )


def survived(copy: Copy, fault: Fault) -> int:
    """On how many databases a test that must fail does not; prints which ones did."""
    survivors = 0
    for edits, forms in _by_edits(fault):
        with copy.broken(edits):
            failed = copy.failed(test for _, form in forms for test in form.caught_by)
        for database, form in forms:
            survivors += not failed.keys() >= set(form.caught_by)
            for test in form.caught_by:
                verdict = "caught by" if test in failed else "SURVIVED "
                print(f"    {database:10}  {verdict} {test}", flush=True)
                print(f"                {failed.get(test, 'it passes')[:110]}", flush=True)
    return survivors


def main(arguments: list[str]) -> int:
    """Try the faults of these numbers, or all; the exit code."""
    began = time.monotonic()
    chosen = {
        number: fault
        for number, fault in enumerate(FAULTS, 1)
        if str(number) in arguments or not arguments
    }
    if wrong := [what for fault in chosen.values() for what in misfits(ROOT, fault)]:
        print(
            "bring these up to date in tests/mutants/faults.py:", *wrong, sep="\n", file=sys.stderr
        )
        return 2
    pytest_configure()  # this process too writes to memory, where there is room
    with ExitStack() as until_the_end:
        folder = Path(
            until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="pima-mutants-"))
        )
        named = os.environ.get("PIMA_TEST_DATABASE_URL")
        copy = Copy(folder, named or until_the_end.enter_context(postgresql_server("fsync = off")))
        forms = [form for fault in chosen.values() for form in fault.forms.values()]
        if failed := copy.failed(test for form in forms for test in form.caught_by):
            print("these fail on the unbroken code:", *failed.items(), sep="\n", file=sys.stderr)
            return 1
        print(f"all pass on the unbroken code, after {time.monotonic() - began:.0f} s", flush=True)
        survivors = 0
        for number, fault in chosen.items():
            print(f"{number:2}. {fault.name}", flush=True)
            survivors += survived(copy, fault)
    told = f"{counted(len(chosen), 'fault')}, {len(forms)} with the database: {survivors} survived"
    print(f"{told} ({time.monotonic() - began:.0f} s)")
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotBeTried as error:
        print("the tests could not be run:", error, sep="\n", file=sys.stderr)
        sys.exit(2)
