"""A signal ends work that may be dropped anywhere, whatever becomes of the exception on its way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pima.errors import Interrupted
from pima.process.stopping import StopRequest
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


def test_an_import_is_not_torn_and_the_stop_comes_behind_it(stop: StopRequest) -> None:
    done: list[str] = []
    amid_an_import = compile(
        "os.kill(os.getpid(), signal.SIGTERM); done.append('imported')", "<frozen importlib._bootstrap>", "exec"
    )

    def work() -> None:
        exec(amid_an_import, {"os": os, "signal": signal, "done": done})  # noqa: S102
        time.sleep(10)
        done.append("went on")

    with pytest.raises(Interrupted), stop.at_once():
        work()
    assert done == ["imported"]


def test_amid_tensorflow_it_waits_for_the_boundary_of_a_step(stop: StopRequest) -> None:
    done: list[str] = []
    in_native_code = compile("step()", "/lib/python3.11/site-packages/tensorflow/python/eager/execute.py", "exec")

    def step() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        done.append("step")

    def work() -> None:
        exec(in_native_code, {"step": step})  # noqa: S102
        time.sleep(10)
        done.append("went on")

    with pytest.raises(Interrupted), stop.at_once():
        work()
    assert done == ["step"]


_WHILE_PYTHON_CLEARS_UP = """
import os, signal, sys
from pima.process.stopping import StopRequest
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM): kill(pid, number)
StopRequest().listen()
sys.last = Last()
"""
_WHILE_IT_WAITS_FOR_A_BOUNDARY = """
import os, signal, sys, time
from contextlib import suppress
from pima.errors import Interrupted
from pima.process.stopping import StopRequest
class Last:
    def __del__(self, sleep=time.sleep): sleep(0.1)
sys.last = Last()
stop = StopRequest()
stop.listen()
step = compile("os.kill(os.getpid(), signal.SIGTERM)", "/site-packages/tensorflow/step.py", "exec")
with suppress(Interrupted), stop.at_once():
    exec(step)
    stop.check()
"""


@pytest.mark.parametrize("program", [_WHILE_PYTHON_CLEARS_UP, _WHILE_IT_WAITS_FOR_A_BOUNDARY], ids=["signal", "wait"])
def test_behind_the_work_neither_a_signal_nor_the_wait_for_a_boundary_changes_anything(program: str) -> None:
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_a_finaliser_swallows_ends_the_work_at_its_end(stop: StopRequest) -> None:
    def finalise() -> None:
        with suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted), stop.at_once():
        finalise()


def test_what_came_before_begins_nothing(stop: StopRequest) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.requested
    with pytest.raises(Interrupted), stop.at_once():
        pytest.fail("it began")


def test_an_error_without_a_signal_stays_what_it_is(stop: StopRequest) -> None:
    with pytest.raises(TypeError), stop.at_once():
        raise TypeError
