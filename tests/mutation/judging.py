"""Whether a test fails when a line that it runs is changed.

All tests run once, and it is noted which lines each of them runs. Then a child process for each
mutant puts the changed code into the function that is loaded, and runs the tests of the changed
statement again, the quickest first: nothing is imported anew. What runs at import is changed in a
copy of the code.
"""

import gc
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.mutant import Mutant, statement_at
from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

if TYPE_CHECKING:
    from coverage import CoverageData

PATIENCE_SECONDS = 300


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NOT_RUN = "run by no test"


class Judge:
    """A plugin of pytest: in place of reporting on tests it asks them about mutants."""

    def __init__(
        self,
        mutants: Sequence[Mutant],
        folder: Path,
        keep: Callable[[Mutant, Verdict, str], None],
    ) -> None:
        self._mutants, self._folder, self._keep = mutants, folder, keep
        self._seconds: dict[str, float] = {}
        self._items: dict[str, pytest.Item] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        covered = self._covered(session)
        for mutant in self._mutants:
            tests = self._tests(covered, mutant)
            verdict, noticed = _judge(mutant, tests, self._folder)
            self._keep(mutant, verdict, noticed)
            line = f"{verdict:15} {mutant.file}:{mutant.line} of {len(tests)} tests {noticed}"
            session.config.get_terminal_writer().line(line)
            session.config.get_terminal_writer().flush()
        return True

    def _covered(self, session: pytest.Session) -> "CoverageData":
        """Runs all tests on the unchanged code; those that fail there say nothing later."""
        # Tests of this module do without it.
        from coverage import Coverage

        files = sorted({str(ROOT / mutant.file) for mutant in self._mutants})
        coverage = Coverage(data_file=None, config_file=False, include=files)
        # That no test runs any of the files is an answer.
        coverage.set_option("run:disable_warnings", ["no-data-collected"])
        coverage.start()
        for item, following in zip(session.items, [*session.items[1:], session], strict=True):
            coverage.switch_context(item.nodeid)
            began = time.perf_counter()
            if not _fails(item, following):
                self._seconds[item.nodeid] = time.perf_counter() - began
                self._items[item.nodeid] = item
        coverage.stop()
        # As each mutant's child will: what fails there without any mutant says nothing.
        again = _in_child(lambda: "\n".join(self._failing()), None)
        for name in (again or "").splitlines():
            del self._items[name]
        return coverage.get_data()

    def _failing(self) -> Iterator[str]:
        for name, item in self._items.items():
            if _fails(item, item.session):
                yield name

    def _tests(self, covered: "CoverageData", mutant: Mutant) -> list[pytest.Item]:
        """Those that run its statement; if that runs at import, those that run any of the file."""
        by_line = covered.contexts_by_lineno(str(ROOT / mutant.file))
        lines = statement_at((ROOT / mutant.file).read_text(), mutant.line) or by_line
        names = {name for line in lines for name in by_line.get(line, ())} & self._items.keys()
        return [self._items[name] for name in sorted(names, key=lambda name: self._seconds[name])]


def _fails(item: pytest.Item, following: pytest.Item | pytest.Session) -> bool:
    """Fixtures of the session stay; of its nodes pytest asks no more than what is above them."""
    reports = runtestprotocol(item, log=False, nextitem=following)  # type: ignore[arg-type]
    return any(report.failed for report in reports)


def _judge(mutant: Mutant, tests: Sequence[pytest.Item], folder: Path) -> tuple[Verdict, str]:
    if not tests:
        return Verdict.NOT_RUN, ""
    if statement_at((ROOT / mutant.file).read_text(), mutant.line) is None:
        return _judge_in_copy(mutant, [test.nodeid for test in tests], folder)

    def first_failing() -> str:
        put_in(mutant)
        return next((test.nodeid for test in tests if _fails(test, test.session)), "none")

    found = _in_child(first_failing, PATIENCE_SECONDS)
    if found is None:
        return Verdict.TIMED_OUT, ""
    return (Verdict.SURVIVED if found == "none" else Verdict.KILLED), found


def _in_child(answer: Callable[[], str], seconds: float | None) -> str | None:
    """What a child process answers: nothing if it dies, None if it takes too long."""
    told, tells = os.pipe()
    if not (child := os.fork()):
        os.write(tells, answer().encode())
        os._exit(0)
    os.close(tells)
    in_time = bool(select.select([told], [], [], seconds)[0])
    if not in_time:
        os.kill(child, signal.SIGKILL)
    found = os.read(told, 100_000).decode()
    os.close(told)
    os.waitpid(child, 0)
    return found if in_time else None


def put_in(mutant: Mutant) -> None:
    """Each loaded function of the file has the mutant's code from now on."""
    path = str(ROOT / mutant.file)
    codes = {_place(code): code for code in _codes(compile(mutant.text, path, "exec"))}
    gc.unfreeze()  # what tests/support/session.py has frozen
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename == path:
            each.__code__ = codes.get(_place(each.__code__), each.__code__)


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def _judge_in_copy(mutant: Mutant, tests: Sequence[str], folder: Path) -> tuple[Verdict, str]:
    """Stops at the first that fails. What can't even be imported is noticed."""
    # It imports Hypothesis, which pytest wants to import itself.
    from tests.mutants.__main__ import NOT_COPIED

    tree = folder.resolve() / "tree"
    if not tree.exists():
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_COPIED, "build"))
    (tree / mutant.file).write_text(mutant.text)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-xq", "--tb=no", "-p", "no:cacheprovider", *tests],
            cwd=tree,
            env=clean_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Verdict.TIMED_OUT, ""
    finally:
        # With the time of the original, by which Python knows what it has compiled since.
        shutil.copy2(ROOT / mutant.file, tree / mutant.file)
    return (Verdict.KILLED if ended.returncode else Verdict.SURVIVED), ""
