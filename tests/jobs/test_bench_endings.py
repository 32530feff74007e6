"""The accuracy benchmark, ended while its large databases are there: its server and its folders go with it."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import PATIENCE_SECONDS, ROOT, clean_environ, wait_for

_LOCK = ".lockfile"
"""Of the package that starts the server: one for all servers of a temporary folder, and empty."""
BENCH = ("-m", "tests.bench.accuracy", "--large-rows", "2000", "--shuffles", "1")


@pytest.fixture
def folder() -> Iterator[Path]:
    """For all that the benchmark makes; a socket's path may have 107 bytes, and pytest's folders are long."""
    path = Path(tempfile.mkdtemp(prefix="pima-test-"))
    yield path
    shutil.rmtree(path)


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *BENCH, "--into", str(folder / "page")],
        cwd=ROOT,
        env=clean_environ() | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _left(folder: Path) -> list[str]:
    """What is in the folder, and which processes work there."""
    found = [str(path) for path in folder.iterdir() if path.name != _LOCK]
    for process in psutil.process_iter(["cmdline", "environ"]):
        told = " ".join(process.info["cmdline"] or [])
        if str(folder) in told or (process.info["environ"] or {}).get("TMPDIR") == str(folder):
            found.append(told)
    return found


STARTING, AT_WORK = "a server that starts", "children at work"


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("number", "running"),
    [
        (signal.SIGTERM, STARTING),
        pytest.param(signal.SIGKILL, AT_WORK, marks=pytest.mark.at_length),
    ],
)
def test_ended_at_any_moment_it_leaves_no_server_and_no_folder_behind(
    folder: Path, number: signal.Signals, running: str
) -> None:
    process = _start(folder)
    if running == STARTING:
        wait_for(lambda: list(folder.glob("pima-*/PG_VERSION")), process)
    else:
        assert process.stderr is not None
        assert any("round 1" in line for line in process.stderr)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == (-number if number is signal.SIGKILL else 128 + number), stderr
    assert "written" not in stdout
    # Whoever is killed can't wait for the others, which see it and clear up.
    until = time.monotonic() + (PATIENCE_SECONDS if number is signal.SIGKILL else 0)
    while _left(folder):
        assert time.monotonic() < until, _left(folder)
        time.sleep(0.05)
