"""Alerts: who is told of the conditions, and when.

Alerts are claimed before they are sent and recorded afterwards, each in a transaction: of two
processes at once, only one sends them. If that one is killed in between, they are sent again when
the claim has expired.
"""

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Declaration
from pima.errors import PimaError, WrongUsage
from pima.logs import get_logger
from pima.settings.sections import AlertsSettings, Settings
from pima.store.engine import clock, reading, writing
from pima.store.schema import require_revision
from pima.store.service import alerts, monitoring
from pima.store.service.alerts import Acknowledgement
from pima.store.urls import place_shown, require_file
from pima.watch.alert_sending import SECONDS_TO_TAKE, Message, Problem, send
from pima.watch.conditions import conditions_or_error
from pima.watch.health import Condition
from pima.watch.news import Alert, News, Pending, message, once_taken, pending

SECONDS_BETWEEN_LOOKS = 300
_TO_NOTE_IT = timedelta(seconds=60)
"""How long a claim stands beyond the receiver's time."""
_SECONDS_TO_END = 10


@dataclass(frozen=True, slots=True)
class Telling:
    """The result of sending alerts."""

    told: list[str]
    """Conditions of which a receiver accepted an alert."""
    over: list[str]
    """Conditions of which a receiver accepted that they are over."""
    problems: dict[int, Problem]
    """Problems of receivers that did not accept everything, by their place in `alerts.urls`, from
    1."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Sends alerts, for a scheduler or a command."""

    engine: Engine
    settings: Settings
    declared: Declaration
    environ: Mapping[str, str]
    is_scheduler: bool = False
    seconds: int = SECONDS_TO_TAKE
    """The time limit for each receiver."""

    def tell(self) -> Telling:
        """Send each receiver the alerts that are due. Raises errors of the database."""
        found = self.conditions()
        told = set()
        over = set()
        problems = {}
        for number, url in enumerate(receivers(self.settings.alerts), 1):
            taken, problem = self._tell_one(number, url, found)
            for alert in taken:
                if alert.kind is News.OVER:
                    over.add(alert.name)
                else:
                    told.add(alert.name)
            if problem is not None:
                problems[number] = problem
        return Telling(sorted(told), sorted(over), problems)

    def conditions(self) -> list[Condition]:
        """Find all conditions that hold and all recent events, reported or not. Raises errors of
        the database."""
        require_file(self.engine.url)
        with reading(self.engine) as connection:
            # Earlier schemas have no table for sent alerts.
            require_revision(connection)
            # With cron there is never a scheduler, and a scheduler that asks is alive.
            ever_lived = monitoring.scheduler_heartbeat(connection) is not None
        is_asked = ever_lived and not self.is_scheduler
        found = conditions_or_error(self.engine, self.settings, self.declared)
        return [each for each in found if is_asked or each.code != "scheduler_silent"]

    def waiting(self, found: Sequence[Condition]) -> dict[int, list[Alert]]:
        """Find the alerts that each receiver would get now, without changing anything."""
        with reading(self.engine) as connection:
            return {
                number: _seen(connection, number, found).alerts
                for number, _ in enumerate(receivers(self.settings.alerts), 1)
            }

    def acknowledge(self, known: Acknowledgement) -> None:
        """Record that somebody knows of a condition that holds, so that nobody is reminded of it.
        Raises WrongUsage if it does not hold, or the time is past."""
        holding = [each.name for each in self.conditions() if each.happened_at is None]
        with writing(self.engine) as connection:
            if known.condition not in holding:
                which = ", ".join(holding) or "no condition"
                raise WrongUsage(what=f"--acknowledge names a condition that holds; now: {which}.")
            now = clock(connection)
            if known.until <= now:
                raise WrongUsage(what="--until is a moment to come.")
            alerts.acknowledge(connection, known, now)

    def test(self) -> dict[int, Problem]:
        """Send each receiver a test message; return the problems of those that did not accept
        it."""
        trial = Message(f"{self._service}: a test", "Alerts of this service reach you.", "info")
        sent = {
            number: send(url, [trial], self.environ, self.seconds)
            for number, url in enumerate(receivers(self.settings.alerts), 1)
        }
        return {number: each.problem for number, each in sent.items() if each.problem is not None}

    @property
    def _service(self) -> str:
        """The name of the service: one machine may have several."""
        return (
            f"pima on {socket.gethostname()} ({self.declared.outcome.name} in "
            f"{place_shown(self.engine.url)})"
        )

    def _tell_one(
        self, number: int, url: str, found: Sequence[Condition]
    ) -> tuple[list[Alert], Problem | None]:
        """Send one receiver its alerts; return those it accepted, and the problem with the rest or
        None."""
        claimed = self._claim(number, found)
        if not claimed:
            return [], None
        sent = send(
            url, [message(alert, self._service) for alert in claimed], self.environ, self.seconds
        )
        if sent.problem is not None:
            # Only the address's scheme is logged: apprise does not hide every secret part, such as
            # a path or header.
            scheme = re.match(r"(\w+)://", url)
            get_logger().warning(
                "alerts were not taken, and will be sent again",
                receiver=number,
                scheme=scheme and scheme[1],
                problem=str(sent.problem),
            )
        taken = [alert for alert, is_taken in zip(claimed, sent.taken, strict=True) if is_taken]
        with writing(self.engine) as connection:
            now = clock(connection)
            for alert in taken:
                alerts.keep(connection, number, once_taken(alert, now))
            alerts.claim(
                connection, number, [alert.name for alert in claimed if alert not in taken], None
            )
        return taken, sent.problem

    def _claim(self, number: int, found: Sequence[Condition]) -> list[Alert]:
        """Claim the alerts that this process will send."""
        # Mostly there are none, and then a writer of a SQLite file should not have to be waited
        # for.
        with reading(self.engine) as connection:
            seen = _seen(connection, number, found)
        if not seen.alerts and not seen.forget:
            return []
        with writing(self.engine) as connection:
            now = clock(connection)
            names = [condition.name for condition in found]
            locked = alerts.lock_alerts(connection, number, names, now)
            claimed = pending(found, locked, now, alerts.acknowledged(connection, now))
            until = now + timedelta(seconds=self.seconds) + _TO_NOTE_IT
            alerts.claim(connection, number, [alert.name for alert in claimed.alerts], until)
            alerts.forget(connection, number, claimed.forget)
        return claimed.alerts


def _seen(connection: Connection, number: int, found: Sequence[Condition]) -> Pending:
    """Find what is due to a receiver, without a lock."""
    now = clock(connection)
    known = alerts.acknowledged(connection, now)
    return pending(found, alerts.read_alerts(connection, number), now, known)


def receivers(settings: AlertsSettings) -> list[str]:
    """The receivers' addresses, in order."""
    lines = (line.strip() for line in settings.urls.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class BackgroundTelling:
    """Sends alerts from within a scheduler: after each run, and every few minutes for conditions
    without a run, such as a row that waits too long. It has its own thread, so that no receiver and
    no error here delays a job."""

    def __init__(
        self, tell: Callable[[], object] | None, seconds: float = SECONDS_BETWEEN_LOOKS
    ) -> None:
        """`tell` sends the alerts that are due; None sends nothing."""
        self._tell = tell
        self._seconds = seconds
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def __enter__(self) -> None:
        # It waits before its first check, too: work that is overdue at start may be done by then.
        if self._tell is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_SECONDS_TO_END)

    def wake(self) -> None:
        """Check now; returns at once."""
        self._wake.set()

    def _run(self) -> None:
        while self._tell is not None:
            self._wake.wait(self._seconds)
            self._wake.clear()
            if self._ending.is_set():
                return
            try:
                self._tell()
            except PimaError as error:
                get_logger().warning(
                    "alerts: will try again in a few minutes", error_code=error.code
                )
            except Exception as error:  # noqa: BLE001 (it must not end the scheduler, and its text may hold anything)
                get_logger().error(
                    "alerts: a defect of pima, please report it", error=type(error).__name__
                )
