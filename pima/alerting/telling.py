"""Telling each receiver what it has to hear now.

What is sent is claimed first and noted afterwards, each in a transaction: of two who tell at once one sends it. Who is
killed in between has told what is told again once the claim is over.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from pima.alerting.conditions import conditions
from pima.alerting.due import Alert, Condition, Kind, due, once_taken
from pima.alerting.sending import SECONDS_TO_TAKE, Problem, Sent, send
from pima.alerting.wording import message, trial_message
from pima.core.features import Declaration
from pima.logs import get_logger
from pima.settings.sections import AlertsSettings, Settings
from pima.store import alerts
from pima.store.engine import clock, reading, writing

_TO_NOTE_IT = timedelta(seconds=60)
"""Beyond a receiver's time: how long a claim stands at most."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What was told."""

    told: list[str]
    """Conditions that a receiver took an alert of."""
    over: list[str]
    """Those of which one took that they are over."""
    problems: dict[int, Problem]
    """Of receivers that did not take everything, by their place in `alerts.urls`, from 1."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Whoever tells: a scheduler, or a command."""

    engine: Engine
    settings: Settings
    declared: Declaration
    environ: Mapping[str, str]
    is_scheduler: bool = False
    seconds: int = SECONDS_TO_TAKE
    """How long each receiver has."""

    def tell(self) -> Telling:
        """Tell each receiver what is due. Raises what keeps the database from being read or written."""
        found = self.conditions()
        told: set[str] = set()
        over: set[str] = set()
        problems = {}
        for number, url in enumerate(receivers(self.settings.alerts), 1):
            taken, problem = self._tell_one(number, url, found)
            over |= {alert.name for alert in taken if alert.kind is Kind.OVER}
            told |= {alert.name for alert in taken if alert.kind is not Kind.OVER}
            if problem is not None:
                problems[number] = problem
        return Telling(sorted(told), sorted(over), problems)

    def conditions(self) -> list[Condition]:
        """All that holds or has happened lately, told or not."""
        return conditions(self.engine, self.settings, self.declared, self.is_scheduler)

    def waiting(self, found: Sequence[Condition]) -> dict[int, list[Alert]]:
        """What each receiver would be told now; changes nothing."""
        with reading(self.engine) as connection:
            now = clock(connection)
            return {
                number: due(found, alerts.read_alerts(connection, number), now).alerts
                for number, _ in enumerate(receivers(self.settings.alerts), 1)
            }

    def test(self) -> dict[int, Problem]:
        """Send each receiver a message that says so; the problems of those that did not take it."""
        sent = {
            number: send(url, [trial_message()], self.environ, self.seconds)
            for number, url in enumerate(receivers(self.settings.alerts), 1)
        }
        return {number: each.problem for number, each in sent.items() if each.problem is not None}

    def _tell_one(self, number: int, url: str, found: Sequence[Condition]) -> tuple[list[Alert], Problem | None]:
        """What a receiver has taken, and why it did not take the rest."""
        claimed = self._claim(number, found)
        if not claimed:
            return [], None
        sent = send(url, [message(alert) for alert in claimed], self.environ, self.seconds)
        if sent.problem is not None:
            # The address but for its scheme is a secret, in parts that apprise does not hide: a path, a header.
            scheme = re.match(r"(\w+)://", url)
            facts = {"receiver": number, "scheme": scheme and scheme[1], "problem": str(sent.problem)}
            get_logger().warning("alerts were not taken, and will be sent again", **facts)
        return self._note(number, claimed, sent), sent.problem

    def _claim(self, number: int, found: Sequence[Condition]) -> list[Alert]:
        """What is this process's to send."""
        with reading(self.engine) as connection:
            seen = due(found, alerts.read_alerts(connection, number), clock(connection))
        if not seen.alerts and not seen.noted and not seen.forget:
            return []
        with writing(self.engine) as connection:
            now = clock(connection)
            names = [condition.name for condition in found]
            claimed = due(found, alerts.lock_alerts(connection, number, names, now), now)
            until = now + timedelta(seconds=self.seconds) + _TO_NOTE_IT
            alerts.claim(connection, number, [alert.name for alert in claimed.alerts], until)
            for each in claimed.noted:
                alerts.keep(connection, number, each)
            alerts.forget(connection, number, claimed.forget)
        return claimed.alerts

    def _note(self, number: int, claimed: Sequence[Alert], sent: Sent) -> list[Alert]:
        taken = [alert for alert, is_taken in zip(claimed, sent.taken, strict=True) if is_taken]
        with writing(self.engine) as connection:
            now = clock(connection)
            for alert in taken:
                alerts.keep(connection, number, once_taken(alert, now))
            alerts.release(connection, number, [alert.name for alert in claimed if alert not in taken])
        return taken


def receivers(settings: AlertsSettings) -> list[str]:
    """Their addresses, in order."""
    lines = (line.strip() for line in settings.urls.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
