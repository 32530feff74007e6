"""Ctrl-C while a command has not begun yet: most of its first second is imports."""

import fcntl
import signal
import subprocess
import sys

import pytest

from tests.support.databases import PATIENCE_SECONDS, clean_environ
from tests.support.shipped import ROOT


def _held_while_it_imports(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """It tells each import through a pipe that nobody empties, so it can't get to the end of them."""
    command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environ(), stderr=subprocess.PIPE, bufsize=0)
    assert process.stderr is not None
    fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    while not process.stderr.readline().rstrip().endswith(b" jobs"):
        assert process.poll() is None
    return process


@pytest.mark.parametrize("module", ["jobs.load", "jobs.demo"])
def test_ctrl_c_during_the_imports_ends_a_command_without_a_traceback(module: str) -> None:
    process = _held_while_it_imports(module, "--help")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGINT
    assert b"Traceback" not in stderr
