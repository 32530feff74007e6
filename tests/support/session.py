"""What a test run is set to before its first test, and what is looked after around each."""

import compileall
import gc
import importlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pytest

from tests.support import settled
from tests.support.databases import PATIENCE_SECONDS, started
from tests.support.shipped import ROOT


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--at-length", action="store_true", help="run campaigns at their full length (make faults)"
    )


def pytest_configure() -> None:
    """Whatever tests write, they write into memory where there is room: databases of 300 files each
    that are made and dropped a thousand times, and SQLite's journals, take a disk's file system
    longer than the tests themselves.

    Worker processes and commands have these variables from here.
    """
    memory = Path("/dev/shm")  # noqa: S108
    if (
        "TMPDIR" not in os.environ
        and memory.is_dir()
        and shutil.disk_usage(memory).free > 4 * 2**30
    ):
        os.environ["TMPDIR"] = tempfile.tempdir = str(memory)
    # Worker processes share the cores: numpy's threads, of which each has as many, would mostly
    # wait for one another, in loops. A simulation of the gate takes three times the processor time
    # with two of them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # TensorFlow's likewise: a fit is the same to the bit without them, for an eighth less of the
    # processors' time.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    # Once for all children, each of which would compile all that it imports.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        for room in ("pima", "jobs"):
            compileall.compile_dir(ROOT / room, quiet=2)
    # An example that took longer than 200 ms says that the machine is busy, and nothing of the
    # code.
    hypothesis.settings.register_profile("without a deadline", hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("without a deadline")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that collecting makes stays until the end: to look through it for garbage again and again
    takes every worker process a third of its time for it, and each full collection of a test
    more."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [] if config.getoption("at_length") else ["at_length"]
    # PostgreSQL's timers go off months late there: while the server waits, they are asked for the
    # real time.
    if "libfaketime" in os.environ.get("LD_PRELOAD", ""):
        left_out.append("time_limit")
    left = [item for item in items if any(map(item.get_closest_marker, left_out))]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where a test has a database of either kind and a clinic of either, both are of one kind: each
    kind stands on each side once then. A judge's are mixed, too."""
    own = {"database", "empty_database", "copied"} & set(metafunc.fixturenames)
    said = " ".join(str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    is_left_open = not any(name in said for name in (*own, "clinic"))
    is_judge = metafunc.definition.get_closest_marker("judge") is not None
    if own and "clinic" in metafunc.fixturenames and is_left_open and not is_judge:
        pairs = [(kind,) * (len(own) + 1) for kind in ("sqlite", "postgresql")]
        metafunc.definition.add_marker(
            pytest.mark.parametrize((*own, "clinic"), pairs, indirect=True)
        )


_moments = {settled.NOW}
"""What `settled` has called now so far."""


@pytest.fixture(autouse=True)
def _a_test_has_one_day(request: pytest.FixtureRequest) -> None:
    """Nights, days and weeks are counted in UTC: a test that midnight is about to meet waits for
    it. A module says at its import what day it is, by `settled`; on another day both are read
    anew."""
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    if midnight - now < timedelta(seconds=90):
        time.sleep((midnight - now).total_seconds())
    if settled.NOW.date() != datetime.now(UTC).date():
        importlib.reload(settled)
        _moments.add(settled.NOW)
    if getattr(request.module, "NOW", settled.NOW) in _moments - {settled.NOW}:
        importlib.reload(request.module)


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    """A scheduler that a failed test left behind would take the time of all that follow."""
    yield
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
    started.clear()


@pytest.fixture(autouse=True)
def _what_a_full_collection_left_is_not_looked_at_again() -> Iterator[None]:
    """TensorFlow keeps the graphs of each fit for ever, and has all objects looked at in each
    export of a model: after fifty fits in one process that takes longer than a fit."""
    before = _full_collections()
    yield
    if _full_collections() > before:
        gc.collect(1)
        gc.freeze()


def _full_collections() -> int:
    found: int = gc.get_stats()[-1]["collections"]
    return found
