"""Children that share one work: replaced where they were killed, and stopped together."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pima.cluster.team import Team
from pima.errors import Interrupted, WorkersFailed, WorkersHeldUp
from pima.process.stopping import StopRequest
from pima.schedule.children import Child


def _child(script: str, folder: Path) -> Callable[[], Child]:
    return lambda: Child(["sh", "-c", script], os.environ | {"FOLDER": str(folder)})


def _done(folder: Path) -> Callable[[], int]:
    return lambda: len(list(folder.iterdir()))


# Does one thing a life, and is killed until there are five.
MORTAL = 'touch $FOLDER/$$; test "$(ls $FOLDER | wc -l)" -ge 5 || kill -9 $$'


def test_a_child_that_is_killed_is_replaced_as_long_as_something_is_done_in_between(tmp_path: Path) -> None:
    Team([_child(MORTAL, tmp_path), _child("exit 0", tmp_path)], _done(tmp_path), 5).work(StopRequest())
    assert _done(tmp_path)() == 5


def test_one_that_is_killed_three_times_for_nothing_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(WorkersFailed, match="killed by SIGKILL again and again"):
        Team([_child("exec sleep 60", tmp_path), _child("kill -9 $$", tmp_path)], lambda: 0, 0.2).work(StopRequest())


@pytest.mark.parametrize(("code", "error"), [(75, WorkersHeldUp), (2, WorkersFailed)])
def test_one_that_fails_ends_the_others_and_says_why(tmp_path: Path, code: int, error: type[Exception]) -> None:
    failing = _child(f"echo 'error: the reason' >&2; exit {code}", tmp_path)
    with pytest.raises(error, match="the reason"):
        # It hears no signal, as a Python that is still importing, and is killed when the grace time is over.
        Team([_child("exec sleep 60", tmp_path), failing], lambda: 0, 0.2).work(StopRequest())


def test_asked_to_stop_all_end_or_are_killed(tmp_path: Path) -> None:
    stop = StopRequest()
    begun = threading.Event()

    def look() -> None:
        if not begun.is_set():
            begun.set()
            stop._on_signal(signal.SIGTERM, None)

    with pytest.raises(Interrupted):
        Team([_child("exec sleep 60", tmp_path)] * 2, lambda: 0, 0.2).work(stop, look)
