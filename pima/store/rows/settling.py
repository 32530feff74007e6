"""Which outcomes are settled, since when, and of which days they count.

With a horizon, both classes of an outcome count from the day on which it is over: not when they
became known, since a 1 is known before its 0. Without one, an outcome counts once it is known.
Which days are followed up well enough to count is decided as of the same moment.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from pima.core.declared.features import Outcome
from pima.core.nights.kinds import FOLLOWED_UP
from pima.core.outcomes.followed_up import FollowedUp, FollowUp, by_horizon, week_of_day
from pima.core.outcomes.horizon import (
    ACTED_UPON,
    AFTER_OUTCOME,
    DAY_LENGTHS_MS,
    NO_INDEX,
    NOT_OVER,
    TO_COME,
    Horizon,
    horizon_of,
)
from pima.store.database import EARLIEST, FIRST_OF_1970, bound_moments, database_of, since_1970


@dataclass(frozen=True, slots=True)
class Settling:
    """The rule of settled outcomes as SQL over the columns of a labelled row of `patients`."""

    settled_at: str
    """When the outcome is settled, in milliseconds since 1970."""
    over_at: str
    """When the horizon is over, in the same form: in whose day and week the row counts. Without a
    horizon, when the outcome is settled."""
    unsettled: str | None
    """Why it is not settled, or never will be; NULL if it is. None if each one is."""
    acted_upon: str | None = None
    """The condition that somebody acted between its first prediction and its outcome; None if
    nobody asks."""
    acted_by: str | None = None
    """The end of the millisecond in which somebody acted."""
    leaves_acted_out: bool = False
    """Whether such a row counts in nothing."""
    follow_up: FollowUp = field(default_factory=FollowUp)
    """Which days count, with a horizon."""

    @property
    def is_acted_upon(self) -> str:
        """The same as 1 or 0, which is 0 if nobody asks."""
        return f"CASE WHEN {self.acted_upon} THEN 1 ELSE 0 END" if self.acted_upon else "0"

    @property
    def left_alone(self) -> str:
        """The condition that a row is not left out since it was acted upon, behind others."""
        return f" AND NOT {self.acted_upon}" if self.leaves_acted_out else ""

    def by_acting(self, until: str) -> str:
        """The moment `until` which a prediction is in time, as SQL; if the row is left out since it
        was acted upon, no later than that."""
        if not self.leaves_acted_out:
            return until
        acted = f"{self.acted_upon} AND {self.acted_by} < {until}"
        return f"CASE WHEN {acted} THEN {self.acted_by} ELSE {until} END"

    @property
    def uncounted(self) -> str | None:
        """Why a row counts in nothing; NULL if it does. None if each one does."""
        why = []
        if self.leaves_acted_out:
            why.append(f"CASE WHEN {self.acted_upon} THEN '{ACTED_UPON}' END")
        if self.unsettled is not None:
            days = ", ".join(map(str, sorted(self.follow_up.days_left_out))) or "NULL"
            day = DAY_NUMBER.format(self.over_at)
            why = [self.unsettled, *why, f"CASE WHEN {day} IN ({days}) THEN '{FOLLOWED_UP}' END"]
        return f"coalesce({', '.join(why)}, NULL)" if why else None


DAY_NUMBER = "(({0} + 2208988800000) / 86400000 - 25567)"
"""From 1 January 1970 on. SQL divides towards zero, so it is counted from 1900 on."""
WEEK_NUMBER = "({0} / 86400000 + 3) / 7"
"""1 January 1970 was a Thursday."""
_LENGTHS = " ".join(
    f"WHEN {59_999 - early} THEN {length - 1 - early}"
    for early, length in enumerate(DAY_LENGTHS_MS)
)
_DAY_OF = f"CASE {{index}} % 60000 {_LENGTHS} ELSE 0 END"
"""How long an index is: if it is a day, its last moment stands for it, and no outcome of the same
day came before it."""
_FIRST_PREDICTED = """(SELECT CASE WHEN min(d.scored_at) IS NOT NULL THEN {first} END
    FROM predictions d WHERE d.patient_id = id)"""
_ACTED_UPON = f"""(acted_at IS NOT NULL AND {{acted}} < {{until}}
    AND {{acted}} >= coalesce({_FIRST_PREDICTED}, {{begun}}, {{acted}}))"""


def settling(connection: Connection, outcome: Outcome, now: datetime) -> Settling:
    """The rule as it stands at a moment, with the days that count, for those who read all rows. All
    that asks whether an outcome counts goes by it."""
    rule = rule_of(connection, outcome, now)
    horizon = horizon_of(outcome)
    if horizon is None:
        return rule
    return replace(rule, follow_up=_by_horizon(connection, horizon, rule, now))


def rule_of(connection: Connection, outcome: Outcome, now: datetime) -> Settling:
    """The rule at a moment, but for the days that count."""
    database = database_of(connection)
    milliseconds = database.milliseconds
    labelled = milliseconds.format("labelled_at")
    index = milliseconds.format("index_at")
    begun = f"{index} - {_DAY_OF.format(index=index)}"
    horizon = horizon_of(outcome)
    until = labelled
    if horizon is not None:
        over = f"({index} + {horizon.length_ms})"
        is_known = f"labelled_at IS NOT NULL AND {labelled} < {over}"
        until = f"CASE WHEN {is_known} THEN {labelled} ELSE {over} END"
    acted_upon = acted_by = None
    if outcome.if_acted is not None:
        acted = milliseconds.format("acted_at")
        acted_upon = _ACTED_UPON.format(
            acted=acted, until=until, begun=begun, first=milliseconds.format("min(d.scored_at)")
        )
        acted_by = database.moment_of_milliseconds.format(f"({acted} + 1)")
    leaves_out = outcome.if_acted == "unknown"
    if horizon is None:
        return Settling(labelled, labelled, None, acted_upon, acted_by, leaves_out)
    return Settling(
        acted_upon=acted_upon,
        acted_by=acted_by,
        leaves_acted_out=leaves_out,
        settled_at=f"CASE WHEN {over} > {labelled} THEN {over} ELSE {labelled} END",
        over_at=over,
        unsettled=f"""CASE
            WHEN index_at IS NULL OR {index} <= {since_1970(EARLIEST)} THEN '{NO_INDEX}'
            WHEN {begun} > {since_1970(now)} THEN '{TO_COME}'
            WHEN {begun} > {labelled} THEN '{AFTER_OUTCOME}'
            WHEN {over} > {since_1970(now)} THEN '{NOT_OVER}' END""",
    )


def day_of(moment: datetime) -> int:
    """The number of a moment's day, in UTC."""
    return (moment - FIRST_OF_1970).days


def week_of(moment: datetime) -> int:
    """The number of a moment's week, in UTC."""
    return week_of_day(day_of(moment))


def start_of_week(week: int) -> datetime:
    """The first moment of a week."""
    return FIRST_OF_1970 + timedelta(days=7 * week - 3)


def _by_horizon(
    connection: Connection, horizon: Horizon, rule: Settling, now: datetime
) -> FollowUp:
    """Count the rows whose horizon is over by the day of its end, and those of them with an
    outcome. It reads all rows, as do those who ask."""
    length = timedelta(milliseconds=horizon.length_ms)
    bounds = bound_moments(connection, earliest=EARLIEST, over=now - length, now=now)
    statement = text(f"""
        SELECT {DAY_NUMBER.format(rule.over_at)} AS day, count(*),
            count(CASE WHEN labelled_at <= :now THEN outcome END)
        FROM patients WHERE index_at > :earliest AND index_at <= :over{rule.left_alone}
        GROUP BY 1""")
    days = [FollowedUp(*row) for row in connection.execute(statement, bounds)]
    return by_horizon(days, horizon.least_followed_up, week_of(now))
