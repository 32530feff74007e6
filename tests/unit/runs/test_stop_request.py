"""A signal ends work that may be dropped anywhere, and a time limit what does not end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pima.errors import Interrupted, TimedOut
from pima.runs.stop_request import StopRequest
from tests.support.databases import PATIENCE_SECONDS
from tests.support.shipped import ROOT


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    request = StopRequest()
    request.listen()
    yield request
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_raises_in_the_middle(stop: StopRequest) -> None:
    with pytest.raises(Interrupted) as ending, stop.at_once():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ending.value.exit_code == 143


def test_what_native_code_makes_of_it_is_still_a_stop(stop: StopRequest) -> None:
    def flatten() -> None:
        """As TensorFlow's does with its arguments."""
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Interrupted:
            raise TypeError from None

    with pytest.raises(Interrupted), stop.at_once():
        flatten()


_WHILE_PYTHON_CLEARS_UP = """
import os, signal, sys
from pima.runs.stop_request import StopRequest
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM): kill(pid, number)
StopRequest().listen()
sys.last = Last()
"""


def test_behind_the_work_a_signal_changes_nothing() -> None:
    program = [sys.executable, "-c", _WHILE_PYTHON_CLEARS_UP]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_a_finaliser_swallows_ends_the_work_at_its_end(stop: StopRequest) -> None:
    def finalise() -> None:
        with suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted), stop.at_once():
        finalise()


def test_at_its_time_limit_the_work_stops_as_failed(stop: StopRequest) -> None:
    with pytest.raises(TimedOut) as ending, stop.within(0.1, 60), stop.at_once():
        time.sleep(PATIENCE_SECONDS)
    assert (ending.value.exit_code, ending.value.code) == (1, "timed_out")


_DEAF = """
from pima.runs.stop_request import StopRequest
stop = StopRequest()
stop.listen()
with stop.within(0.2, 0.2):
    while True: pass
"""


def test_work_that_hears_no_stop_is_killed_after_the_grace_time() -> None:
    ended = subprocess.run([sys.executable, "-c", _DEAF], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_what_ends_in_time_is_left_alone(stop: StopRequest) -> None:
    with stop.within(1, 0.1):
        pass
    time.sleep(1.3)
    assert not stop.requested


def test_what_came_before_begins_nothing(stop: StopRequest) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.requested
    with pytest.raises(Interrupted), stop.at_once():
        pytest.fail("it began")


def test_an_error_without_a_signal_stays_what_it_is(stop: StopRequest) -> None:
    with pytest.raises(TypeError), stop.at_once():
        raise TypeError
