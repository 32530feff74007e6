"""What wakes the scheduler: APScheduler at each tick, and a few seconds' wait besides, whatever anybody's clock says.

The steps have a thread of their own. The main thread speaks to no database, so that a signal is passed on at once,
however long the database is silent.
"""

import threading
import time
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler

from pima.process.stopping import StopRequest
from pima.schedule.scheduling import Scheduler
from pima.schedule.ticks import TickTrigger

_SECONDS_BETWEEN_STEPS = 5


def run_until_stopped(scheduler: Scheduler, stop: StopRequest) -> None:
    """Start the jobs at their ticks until a signal asks to stop; then pass it on and wait for them.

    Raises what the beginning raises (the database is away, a schedule is wrong), and what the steps do: as they go on
    where the database is away, a defect.
    """
    wake = threading.Event()
    steps = _Steps(scheduler, wake)
    waker = _waker(scheduler, wake)
    waker.start()
    try:
        steps.start()
        while steps.is_alive() and not stop.requested:
            time.sleep(0.2)
    finally:
        waker.shutdown(wait=False)
        scheduler.end()
    if steps.error is not None:
        raise steps.error


def _waker(scheduler: Scheduler, wake: threading.Event) -> BackgroundScheduler:
    made = BackgroundScheduler(timezone=UTC)
    options = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    for job, schedule in scheduler.schedules.items():
        made.add_job(wake.set, TickTrigger(schedule), id=job, **options)
    return made


class _Steps(threading.Thread):
    """Step after step, until the process ends or something breaks."""

    def __init__(self, scheduler: Scheduler, wake: threading.Event) -> None:
        super().__init__(name="steps", daemon=True)  # it may hang on a silent database when the process ends
        self._scheduler, self._wake = scheduler, wake
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._scheduler.begin()
            while not self._scheduler.stopping:
                self._scheduler.step()
                self._wake.wait(_SECONDS_BETWEEN_STEPS)
                self._wake.clear()
        except BaseException as error:  # noqa: BLE001 (the main thread raises it)
            self.error = error
