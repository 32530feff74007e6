"""Alerts: the conditions that are reported to people, when, and in which words.

Conditions are health's reasons, figures in alert, and changes of the champion. They hold only ids,
counts, figures over many rows, names and codes. A receiver gets an alert when a condition begins or
changes its cause, once a day while it holds, and once when it is over. Of what people have
acknowledged there is no daily reminder. Where that would be too many messages, one says that the
condition flaps; then it is reported once a day until it settles. An event is reported once.

Alerts are claimed before they are sent and recorded afterwards, each in a transaction: of two
processes at once, only one sends them. If that one is killed in between, they are sent again when
the claim has expired.
"""

import re
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine

from pima.core.declared.features import Declaration
from pima.core.nights.kinds import ALARMS, DRIFT, Explained
from pima.core.verdicts.reasons import Decision, Reason
from pima.errors import PimaError, WrongUsage
from pima.errors.places import with_places
from pima.logs import get_logger
from pima.settings.sections import AlertsSettings, Settings
from pima.store.engine import clock, reading, writing
from pima.store.models.ledger import MoveLine, last_verdicts, moves_since
from pima.store.schema import require_revision
from pima.store.service import alerts, monitoring
from pima.store.service.alerts import Acknowledgement, Remembered
from pima.store.urls import place_shown, require_file
from pima.watch.alert_sending import SECONDS_TO_TAKE, Message, Problem, send
from pima.watch.figures import ServiceFigures, read_figures
from pima.watch.health import REASONS, Complaint, complaints
from pima.watch.model_alarms import model_alarms

A_DAY = timedelta(days=1)
AN_HOUR = timedelta(hours=1)
_DAILY = timedelta(hours=23)
"""After it a condition is reported again. A message is recorded after it was sent, so a cron job
that looks once a day would find the last one a little less than a day old, and tell every second
day."""
MOST_TOLD = {AN_HOUR: 3, A_DAY: 6}
"""Messages about one condition; the next one says that it flaps. A source that was away for ten
minutes of every twenty caused 144 messages a day."""
SECONDS_BETWEEN_LOOKS = 300
_OLDEST_EVENT = timedelta(days=7)
"""How long an event can still be reported, if the receiver was down or not yet configured."""
_TO_NOTE_IT = timedelta(seconds=60)
"""How long a claim stands beyond the receiver's time."""
_SECONDS_TO_END = 10

EXPLAINED = {
    **{alarm.name: alarm.explained for alarm in (DRIFT, *ALARMS.values())},
    "champion_changed": Explained(
        "Another model version scores from now on.",
        "Nothing, if you expected it; `python -m jobs.models list` shows the versions, "
        "`python -m jobs.models rollback --reason TEXT` goes back",
    ),
    "verdict_blocked": Explained(
        "A guard kept a model version from becoming champion.",
        "`python -m jobs.models show {number}` says why",
    ),
    "report_not_left": Explained(
        "The last retraining could not leave its report in the database, or in `report.folder`. "
        "The code in brackets says why. It is over when a retraining leaves one.",
        "Look the code up by `python -m jobs.health --why CODE`, then `python -m jobs.retrain`; "
        "meanwhile `python -m jobs.report` makes one",
    ),
    "awaits_approval": Explained(
        "A model version is better than the champion, and `gate.approve` asks for a person's "
        "approval.",
        "`python -m jobs.models show {number}`, then `python -m jobs.models promote {number} "
        "--reason TEXT`",
    ),
}
"""The conditions that health does not report, with explanations."""
_OF_ERRORS = (
    "`python -m jobs.health --why CODE` explains the code; `python -m jobs.health` says whether "
    "it is still so"
)
"""The advice for codes of errors, whose messages say what to do."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something to report to people."""

    name: str
    """The identity of the condition: health's reason with its source, or an event with its
    number."""
    what: str
    """The description, as a sentence."""
    advice: str
    """The action to take, with the command."""
    cause: str = ""
    """A code for the cause, if there may be several."""
    happened_at: datetime | None = None
    """The time of an event, which is reported once and is never over; None for a condition that
    holds."""
    hides_others: bool = False
    """Whether health could not look for other conditions while this one holds."""


def _of_health(found: Sequence[Complaint]) -> Iterator[Condition]:
    for each in found:
        known = REASONS.get(each.reason)
        advice = _OF_ERRORS if known is None else known.advice
        name = f"{each.reason}:{each.source}".rstrip(":")
        yield Condition(
            name,
            each.what,
            advice.format(code=each.cause),
            each.cause,
            hides_others=each.hides_others,
        )


def _of_retraining(
    newest: Sequence[MoveLine], figures: ServiceFigures, error_code: str | None
) -> Iterator[Condition]:
    """The version that won the newest verdict, unless the champion was moved or pinned since; and a
    report that was not left."""
    for verdict in newest:
        if (
            verdict.reason == Reason.AWAITS_APPROVAL
            and verdict.champion_sequence == figures.champion.sequence
        ):
            number = verdict.version
            what = (
                f"version {number} is better than the champion, and waits for a person's approval"
            )
            advice = EXPLAINED["awaits_approval"].advice.format(number=number)
            yield Condition(f"awaits_approval:{number}", what, advice)
    if error_code is not None:
        what = f"the last retraining left no report, or not everywhere ({error_code})"
        yield Condition("report_not_left", what, EXPLAINED["report_not_left"].advice, error_code)


_NO_EVENTS = (Reason.AWAITS_APPROVAL, Reason.LOG_LOSS_VETO)
"""Guards that make no event: what awaits approval is a condition, and a log loss that is not
clearly lower is an everyday verdict."""


def _events(moves: Sequence[MoveLine]) -> Iterator[Condition]:
    for move in moves:
        if move.to_version != move.from_version:
            name = "champion_changed"
            before = f"before it was version {move.from_version}"
            if move.from_version is None:
                before = "there was none before"
            what = f"version {move.version} is the champion now ({move.verdict}); {before}"
        elif move.verdict == Decision.BLOCKED and move.reason not in _NO_EVENTS:
            name = "verdict_blocked"
            what = (
                f"version {move.version} was kept from becoming champion by a guard ({move.reason})"
            )
        else:
            continue
        advice = EXPLAINED[name].advice.format(number=move.version)
        yield Condition(f"{name}:{move.id}", what, advice, happened_at=move.decided_at)


class News(StrEnum):
    """The news about a condition."""

    HOLDS = "holds"
    FLAPS = "flaps"
    HAPPENED = "happened"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Alert:
    """News of a condition for a receiver."""

    kind: News
    since: datetime
    """When the condition was first seen, or the event happened."""
    known: Remembered
    """The state last reported to the receiver."""
    what: str = ""
    """The condition's description; empty if it is not there now."""
    advice: str = ""
    cause: str = ""

    @property
    def name(self) -> str:
        """The condition's name."""
        return self.known.condition


@dataclass(frozen=True, slots=True)
class Pending:
    """The alerts that are due to a receiver, and the changes in the stored conditions."""

    alerts: list[Alert]
    noted: list[Remembered]
    """New states of flapping conditions that have changed or settled."""
    forget: list[str]
    """Conditions that need not be remembered."""


def pending(
    conditions: Sequence[Condition],
    remembered: Sequence[Remembered],
    now: datetime,
    acknowledged: Collection[str] = (),
) -> Pending:
    """Find what to report to a receiver, given what was reported before. Alerts that another
    process is sending are left to it, and of acknowledged conditions nobody is reminded."""
    known = {each.condition: each for each in remembered}
    holding = {each.name: each for each in conditions}
    # What can't be seen now may hold.
    names = [*holding] if any(each.hides_others for each in conditions) else [*holding, *known]
    found = Pending([], [], [])
    for name in dict.fromkeys(names):
        condition = holding.get(name)
        before = known.get(name) or Remembered(name, now)
        if before.is_claimed(now):
            continue
        alert = _alert(condition, before, now, reminds=name not in acknowledged)
        if alert is not None:
            found.alerts.append(alert)
        elif before.flapped_at is not None:
            noted = _noted(condition, before, now)
            if noted != before:
                found.noted.append(noted)
        elif condition is None and not before.is_open and not _told_within(A_DAY, before, now):
            # It no longer makes a difference.
            found.forget.append(name)
    return found


def once_taken(alert: Alert, now: datetime) -> Remembered:
    """The new stored state of a condition after the receiver has accepted an alert of it."""
    flaps = alert.kind is News.FLAPS
    # While it flaps, the daily messages don't let it forget how often it came.
    lately = alert.known.told_lately if flaps else _told_within(A_DAY, alert.known, now)
    return replace(
        alert.known,
        since=alert.since,
        told_at=now,
        is_open=alert.kind is not News.HAPPENED and alert.what != "",
        cause=alert.cause,
        told_lately=(*lately, now),
        flapped_at=now if flaps else None,
        claimed_until=None,
    )


def _alert(
    condition: Condition | None, known: Remembered, now: datetime, *, reminds: bool
) -> Alert | None:
    kind = _kind(condition, known, now, reminds=reminds)
    if kind is None:
        return None
    if condition is None:
        return Alert(kind, known.since, known)
    # A condition that comes again after it was reported as over begins now.
    since = known.since if known.told_at is None or known.is_open else now
    return Alert(
        kind,
        condition.happened_at or since,
        known,
        condition.what,
        condition.advice,
        condition.cause,
    )


def _kind(
    condition: Condition | None, known: Remembered, now: datetime, *, reminds: bool
) -> News | None:
    is_a_day_ago = known.told_at is None or (reminds and now - known.told_at >= _DAILY)
    if condition is not None and condition.happened_at is not None:
        return News.HAPPENED if known.told_at is None else None
    if known.flapped_at is not None and not _has_settled(condition, known, now):
        return News.FLAPS if is_a_day_ago and condition is not None else None
    has_turned = _has_turned(condition, known)
    if has_turned and any(
        len(_told_within(span, known, now)) >= most for span, most in MOST_TOLD.items()
    ):
        return News.FLAPS
    if condition is None:
        return News.OVER if has_turned or known.flapped_at is not None else None
    return News.HOLDS if has_turned or is_a_day_ago else None


def _noted(condition: Condition | None, known: Remembered, now: datetime) -> Remembered:
    """The new stored state of a flapping condition as it is seen now."""
    if _has_turned(condition, known):
        cause = known.cause if condition is None else condition.cause
        return replace(known, is_open=condition is not None, cause=cause, flapped_at=now)
    return replace(known, flapped_at=None) if _has_settled(condition, known, now) else known


def _has_turned(condition: Condition | None, known: Remembered) -> bool:
    """Whether a condition came, went or changed its cause; a cause that was not stored counts as
    the same."""
    if condition is None or not known.is_open:
        return known.is_open != (condition is not None)
    return known.cause not in (None, condition.cause)


def _has_settled(condition: Condition | None, known: Remembered, now: datetime) -> bool:
    # One that comes and goes every few hours would seem settled each time after one hour.
    quiet = AN_HOUR if len(known.told_lately) < MOST_TOLD[A_DAY] else _DAILY
    is_long = known.flapped_at is not None and now - known.flapped_at >= quiet
    return is_long and not _has_turned(condition, known)


def _told_within(span: timedelta, known: Remembered, now: datetime) -> list[datetime]:
    return [moment for moment in known.told_lately if now - moment < span]


_COLOURS = {
    News.HOLDS: "failure",
    News.FLAPS: "failure",
    News.HAPPENED: "info",
    News.OVER: "success",
}
_COMES_AND_GOES = (
    "\nIt comes and goes: you hear of it again when it has been over for an hour (for a day, after "
    "six messages in a day), or in a day."
)
_SAYS = {News.FLAPS: " comes and goes", News.OVER: " is over"}


def _message(alert: Alert, service: str) -> Message:
    """Make the message: the condition, the service, since when, and what to do."""
    moment = f"{alert.since:%Y-%m-%d %H:%M} UTC"
    since = f"At {moment}" if alert.kind is News.HAPPENED else f"Seen since {moment}"
    sentence = f"{alert.what[:1].upper()}{alert.what[1:]}".rstrip(".")
    body = f"{sentence}.\n{since}.\nWhat to do: {with_places(alert.advice)}."
    if not alert.what:
        body = f"It was seen since {moment}, and is over now."
    if alert.kind is News.FLAPS:
        body += _COMES_AND_GOES
    return Message(
        f"{service}: {alert.name}{_SAYS.get(alert.kind, '')}", body, _COLOURS[alert.kind]
    )


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
            require_revision(
                connection, self.engine.url
            )  # earlier schemas have no table for sent alerts
            figures = read_figures(connection, (), self.settings.health.limits)
            moves = moves_since(connection, figures.now - _OLDEST_EVENT)
            verdicts = last_verdicts(connection, 1)
            report_error = monitoring.newest_retraining(connection).get(monitoring.REPORT_ERROR)
            # With cron there is never a scheduler, and a scheduler that asks is alive.
            ever_lived = monitoring.scheduler_heartbeat(connection) is not None
        found = [
            complaint
            for complaint in complaints(self.engine, self.settings, self.declared)
            if complaint.reason != "scheduler_silent" or (ever_lived and not self.is_scheduler)
        ]
        return [
            *_of_health(found),
            *_of_retraining(verdicts, figures, report_error),
            *(
                Condition(each.name, each.what, each.advice)
                for each in model_alarms(figures.monitoring, figures.champion.model_version)
            ),
            *_events(moves),
        ]

    def waiting(self, found: Sequence[Condition]) -> dict[int, list[Alert]]:
        """Find the alerts that each receiver would get now, without changing anything."""
        with reading(self.engine) as connection:
            now = clock(connection)
            return {
                number: pending(
                    found,
                    alerts.read_alerts(connection, number),
                    now,
                    alerts.acknowledged(connection, now),
                ).alerts
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
            url, [_message(alert, self._service) for alert in claimed], self.environ, self.seconds
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
            now = clock(connection)
            known = alerts.acknowledged(connection, now)
            seen = pending(found, alerts.read_alerts(connection, number), now, known)
        if not seen.alerts and not seen.noted and not seen.forget:
            return []
        with writing(self.engine) as connection:
            now = clock(connection)
            names = [condition.name for condition in found]
            locked = alerts.lock_alerts(connection, number, names, now)
            claimed = pending(found, locked, now, known)
            until = now + timedelta(seconds=self.seconds) + _TO_NOTE_IT
            alerts.claim(connection, number, [alert.name for alert in claimed.alerts], until)
            for each in claimed.noted:
                alerts.keep(connection, number, each)
            alerts.forget(connection, number, claimed.forget)
        return claimed.alerts


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
