"""Alerts: when people are told of the conditions.

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

from sqlalchemy import Engine

from pima.core.declared.features import Declaration
from pima.errors import PimaError
from pima.logs import get_logger
from pima.settings.sections import AlertsSettings, Settings
from pima.store.engine import clock, reading, writing
from pima.store.schema import require_revision
from pima.store.service import alerts, monitoring
from pima.store.urls import place_shown, require_file
from pima.watch.alert_sending import SECONDS_TO_TAKE, Delivery, Message, Problem, send
from pima.watch.conditions import conditions_or_error
from pima.watch.health import Condition
from pima.watch.news import Alert, News, message, pending

SECONDS_BETWEEN_LOOKS = 300
_TO_NOTE_IT = timedelta(seconds=60)
"""How long a claim stands beyond the receivers' time."""
_SECONDS_TO_END = 10


@dataclass(frozen=True, slots=True)
class Telling:
    """The result of sending alerts."""

    told: list[str]
    """Conditions of which a receiver took an alert."""
    over: list[str]
    """Conditions of which a receiver took that they are over."""
    problems: dict[int, Problem]
    """Problems of receivers that did not take everything, by their place in `alerts.urls`, from
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
    """The time limit for all receivers together."""

    def tell(self) -> Telling:
        """Send the alerts that are due. Raises errors of the database."""
        claimed = self._claim(self.conditions())
        if not claimed:
            return Telling([], [], {})
        sent = self._send([message(alert, self._service) for alert in claimed])
        taken = [alert for alert, is_taken in zip(claimed, sent.taken, strict=True) if is_taken]
        with writing(self.engine) as connection:
            now = clock(connection)
            alerts.claim(connection, [alert.name for alert in claimed], None)
            for alert in taken:
                if alert.condition is None:
                    alerts.forget(connection, [alert.name])
                else:
                    holds = alert.kind is News.HOLDS
                    alerts.keep(connection, alert.name, alert.condition.cause, holds, now)
        over = sorted(alert.name for alert in taken if alert.kind is News.OVER)
        told = sorted(alert.name for alert in taken if alert.kind is not News.OVER)
        return Telling(told, over, sent.problems)

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

    def due(self, conditions: Sequence[Condition]) -> tuple[list[Alert], list[str]]:
        """Find the alerts that would be sent now, and the names that need not be remembered,
        without changing anything."""
        with reading(self.engine) as connection:
            return pending(conditions, alerts.read_alerts(connection), clock(connection))

    def test(self) -> dict[int, Problem]:
        """Send a test message; return the problems of receivers that did not take it."""
        trial = Message(f"{self._service}: a test", "Alerts of this service reach you.", "info")
        return self._send([trial]).problems

    @property
    def _service(self) -> str:
        """The name of the service: one machine may have several."""
        return (
            f"pima on {socket.gethostname()} ({self.declared.outcome.name} in "
            f"{place_shown(self.engine.url)})"
        )

    def _send(self, messages: Sequence[Message]) -> Delivery:
        urls = receivers(self.settings.alerts)
        sent = send(urls, messages, self.environ, self.seconds)
        for number, problem in sent.problems.items():
            # Only the address's scheme is logged: apprise does not hide every secret part, such as
            # a path or header.
            scheme = re.match(r"(\w+)://", urls[number - 1])
            get_logger().warning(
                "a receiver did not take all alerts",
                receiver=number,
                scheme=scheme and scheme[1],
                problem=str(problem),
            )
        return sent

    def _claim(self, conditions: Sequence[Condition]) -> list[Alert]:
        """Claim the alerts that this process will send."""
        # Mostly there are none, and then a writer of a SQLite file should not have to be waited
        # for.
        if not receivers(self.settings.alerts) or not any(self.due(conditions)):
            return []
        with writing(self.engine) as connection:
            now = clock(connection)
            names = [condition.name for condition in conditions]
            locked = alerts.lock_alerts(connection, names, now)
            claimed, forgotten = pending(conditions, locked, now)
            until = now + timedelta(seconds=self.seconds) + _TO_NOTE_IT
            alerts.claim(connection, [alert.name for alert in claimed], until)
            alerts.forget(connection, forgotten)
        return claimed


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
