"""What people are told of: health's reasons, what monitoring alarms of, and what has become of the champion. Ids,
counts, figures of many rows, names and codes only."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection, Engine

from pima.alerting.advice import ADVICE, OF_ERRORS
from pima.alerting.due import Condition
from pima.core.features import Declaration
from pima.core.promotion import Decision, Reason
from pima.monitoring.figures import MonitoringAlert, monitoring_alerts, realised_below_limit
from pima.monitoring.health import Complaint, complaints
from pima.settings.sections import Settings
from pima.store import registry, service_figures
from pima.store.engine import clock, reading
from pima.store.schema import require_revision
from pima.store.service_figures import MoveLine
from pima.store.urls import require_file

_OLDEST_EVENT = timedelta(days=7)
"""So long an event can still be told of, where the receiver was away, or there was none yet."""


def conditions(engine: Engine, settings: Settings, declared: Declaration, of_scheduler: bool) -> list[Condition]:
    """All that holds or has happened lately; `of_scheduler` where a scheduler asks, which lives.

    Raises what keeps the database from being read.
    """
    require_file(engine.url)
    with reading(engine) as connection:
        require_revision(connection, engine.url)  # what is told could not be kept in an earlier one
        now = clock(connection)
        tells_of_scheduler = not of_scheduler and service_figures.scheduler_heartbeat(connection) is not None
        events = _events(service_figures.moves_since(connection, now - _OLDEST_EVENT))
        standing = [*_awaits_approval(connection), *_of_monitoring(connection)]
    # Where cron starts the jobs there never is a scheduler.
    found = [
        complaint
        for complaint in complaints(engine, settings, declared)
        if complaint.reason != "scheduler_silent" or tells_of_scheduler
    ]
    return [*_of_health(found), *standing, *events]


def _of_health(found: Sequence[Complaint]) -> list[Condition]:
    def name(complaint: Complaint) -> str:
        return f"{complaint.reason}:{complaint.source}".rstrip(":")

    return [
        Condition(
            of,
            "; ".join(each.what for each in same),
            ADVICE.get(of.partition(":")[0], OF_ERRORS),
            ", ".join(sorted({each.cause for each in same})),
        )
        for of, same in ((of, list(same)) for of, same in groupby(sorted(found, key=name), key=name))
    ]


def _awaits_approval(connection: Connection) -> list[Condition]:
    """The newest verdict's challenger, as long as nobody has moved or pinned the champion since."""
    newest = service_figures.newest_verdict(connection)
    if newest is None or newest.reason != Reason.AWAITS_APPROVAL:
        return []
    if newest.champion_sequence != registry.read_champion(connection).sequence:
        return []
    what = f"version {newest.challenger} is better than the champion, and waits for a person's approval"
    advice = ADVICE["awaits_approval"].format(number=newest.challenger)
    return [Condition(f"awaits_approval:{newest.challenger}", what, advice)]


def _of_monitoring(connection: Connection) -> list[Condition]:
    """One for each feature and figure, so that another feature's is told on the same day."""
    return [
        *(_beyond("drift", each, each.feature) for each in monitoring_alerts(connection)),
        *(_beyond("realised_below_limit", each, str(each.model_version)) for each in realised_below_limit(connection)),
    ]


def _beyond(reason: str, found: MonitoringAlert, of: str) -> Condition:
    about = " of ".join(filter(None, (found.figure.replace("_", " "), found.feature)))
    usual = f"{found.reference:.3g}, give or take {found.limit:.3g}"
    what = f"{about}, of version {found.model_version}, is {found.value:.3g} where it should be {usual}"
    return Condition(":".join(filter(None, (reason, found.figure, of))), what, ADVICE[reason])


def _events(moves: Sequence[MoveLine]) -> list[Condition]:
    found = []
    for move in moves:
        if move.to_version != move.from_version:
            found.append(_happened("champion_changed", move, _changed(move), move.to_version))
        elif move.verdict == Decision.BLOCKED and move.reason != Reason.AWAITS_APPROVAL:
            what = f"version {move.challenger} was kept from becoming champion by a guard ({move.reason})"
            found.append(_happened("verdict_blocked", move, what, move.challenger))
    return found


def _changed(move: MoveLine) -> str:
    before = "there was none before" if move.from_version is None else f"before it was version {move.from_version}"
    return f"version {move.to_version} is the champion now ({move.verdict}); {before}"


def _happened(name: str, move: MoveLine, what: str, number: int | None) -> Condition:
    at: datetime = move.decided_at
    return Condition(f"{name}:{move.id}", what, ADVICE[name].format(number=number), happened_at=at)
