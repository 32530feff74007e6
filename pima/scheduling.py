"""When the jobs are due, and starting them: each tick runs the very command that a person would type, as a child.

A child process, because TensorFlow grows in a long-lived one, and so that a job which dies does not take the clock
along.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from pima.errors import WrongConfiguration
from pima.logs import get_logger
from pima.settings import ScheduleSettings
from pima.stopping import StopRequest

JOBS = ("score", "retrain")

_WEEKDAYS = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
# A tick that the machine was too busy to start on time is still started this long after.
_LATEST_START = timedelta(minutes=10)


def trigger(expression: str, time_zone: str) -> CronTrigger:
    """A crontab expression of five fields, or six with seconds first. Raises WrongConfiguration.

    Weekdays by name only: cron counts them from Sunday and APScheduler from Monday.
    """
    expected = "five crontab fields (minute hour day month weekday), weekdays by name, and an IANA time zone"
    fields = expression.split()
    if len(fields) not in (5, 6) or not _names_weekdays(fields[-1]):
        raise WrongConfiguration(what=f"schedule '{expression}'", expected=expected)
    names = ("second", "minute", "hour", "day", "month", "day_of_week")[-len(fields) :]
    try:
        return CronTrigger(timezone=time_zone, **dict(zip(names, fields, strict=True)))
    except (ValueError, KeyError, LookupError):
        raise WrongConfiguration(
            what=f"schedule '{expression}' in time zone '{time_zone}'", expected=expected
        ) from None


def _names_weekdays(field: str) -> bool:
    if field == "*":
        return True
    return all(part.lower() in _WEEKDAYS for part in field.replace("-", ",").split(","))


def triggers(settings: ScheduleSettings) -> dict[str, CronTrigger]:
    """The trigger of each job."""
    return {job: trigger(getattr(settings, job), settings.time_zone) for job in JOBS}


def next_ticks(settings: ScheduleSettings, now: datetime) -> dict[str, datetime | None]:
    """When each job is due next."""
    return {job: due.get_next_fire_time(None, now) for job, due in triggers(settings).items()}


def latest_tick(due: CronTrigger, now: datetime) -> datetime | None:
    """The newest tick that is not in the future, looking back as far as a late start may reach."""
    found = None
    candidate = due.get_next_fire_time(None, now - _LATEST_START)
    while candidate is not None and candidate <= now:
        found = candidate
        candidate = due.get_next_fire_time(candidate, candidate + timedelta(microseconds=1))
    return found


class Scheduler:
    """Two cron triggers in memory; what has run is in the database's ledger, written by the jobs themselves."""

    def __init__(self, settings: ScheduleSettings, config: Path | None, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._config = config
        self._environ = environ
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()

    def run(self, stop: StopRequest) -> None:
        """Start the jobs at their ticks until a signal asks to stop; then pass it on and wait for them."""
        scheduler = BackgroundScheduler(timezone=UTC)
        for job, due in triggers(self._settings).items():
            options = {"id": job, "coalesce": True, "max_instances": 1, "misfire_grace_time": _LATEST_START.seconds}
            scheduler.add_job(self._run_job, due, args=(job, due), **options)
        scheduler.start()
        for job in scheduler.get_jobs():
            get_logger().info("scheduled", job=job.id, next_run=job.next_run_time.isoformat())
        while not stop.requested:
            self._stopping.wait(0.2)
        self._stopping.set()
        self._stop_children()
        scheduler.shutdown(wait=True)

    def _run_job(self, job: str, due: CronTrigger) -> None:
        tick = latest_tick(due, datetime.now(UTC))
        if tick is None or self._stopping.is_set():
            return
        command = [sys.executable, "-m", f"jobs.{job}", "--scheduled-for", tick.isoformat()]
        if self._config is not None:
            command += ["--config", str(self._config)]
        get_logger().info("job started", job=job, tick=tick.isoformat())
        # A group of its own: a Ctrl-C on the terminal reaches the scheduler alone, which passes it on once.
        child = subprocess.Popen(command, env=dict(self._environ), start_new_session=True, stdout=subprocess.DEVNULL)
        self._children[job] = child
        if self._stopping.is_set():  # asked to stop between the check above and the start
            child.send_signal(signal.SIGTERM)
        exit_code = child.wait()
        log = get_logger().info if exit_code == 0 else get_logger().error
        log("job ended", job=job, tick=tick.isoformat(), exit_code=exit_code)

    def _stop_children(self) -> None:
        running = {job: child for job, child in self._children.items() if child.poll() is None}
        for child in running.values():
            child.send_signal(signal.SIGTERM)
        for job, child in running.items():
            try:
                child.wait(self._settings.grace_seconds)
            except subprocess.TimeoutExpired:
                get_logger().error("job killed: it did not stop in time", job=job)
                os.killpg(child.pid, signal.SIGKILL)
