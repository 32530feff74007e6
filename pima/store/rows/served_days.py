"""The counts of `served_days`: stored at the end of a night, and brought up to date in memory by
whoever reads them.

A day is counted anew where one of its outcomes came, changed or went since: triggers write these
days to `changed_outcomes`. What they don't tell, a retraining puts right, which counts all days of
the last weeks anew: rows that came with their outcome, or late and without one, or were deleted.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Connection, CursorResult, text

from pima.core.declared.features import Outcome
from pima.core.outcomes.horizon import horizon_of
from pima.core.outcomes.realised import WEEKS_ON_TOP
from pima.core.outcomes.served import WEEKS_READ, Served
from pima.store.database import EARLIEST, FIRST_OF_1970, Timestamp, bound_moments, database_of
from pima.store.engine import clock
from pima.store.models.registry import newest_declaration
from pima.store.rows.predicted_on import LAST_FIRST, in_time, in_time_until
from pima.store.rows.settling import DAY_NUMBER, WEEK_NUMBER, day_of, rule_of
from pima.store.tables import IS_LABELLED

_DAYS_AT_ONCE = 28
_COLUMNS = ", ".join(Served.__slots__)
# Bins are counted of the days of which they are read.
_COUNTED = f"""
    WITH due AS MATERIALIZED ({{due}}),
    compared AS (
        SELECT n.day, n.outcome, n.missing, n.acted, d.model_version, d.run_id, d.predicted_class,
            d.probability,
            row_number() OVER (PARTITION BY n.id ORDER BY {LAST_FIRST}) AS place
        FROM due n JOIN predictions d ON {in_time("d.scored_at")}
        WHERE n.day > :since AND {{unsettled}} IS NULL)
    SELECT c.model_version, c.day, {{predicted_in}}, c.predicted_class,
        CASE WHEN c.probability < 1e-6 THEN -138 WHEN c.probability > 1 - 1e-6 THEN 138
            ELSE CAST(round(10 * ln(c.probability / (1 - c.probability))) AS BIGINT) END,
        count(c.outcome), sum(coalesce(c.outcome, 0)),
        sum(CASE WHEN c.outcome IS NULL THEN 0 ELSE c.probability END),
        sum(c.missing), sum(c.missing * c.probability), sum(c.acted)
    FROM compared c LEFT JOIN runs r ON r.id = c.run_id
    WHERE c.place = 1
    GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT 0, day, 0, 0, 0, count(outcome), sum(coalesce(outcome, 0)), 0,
        sum(missing), 0, sum(acted) FROM due GROUP BY day"""
_STORED = f"""
    INSERT INTO served_days ({_COLUMNS}, counted_at)
    SELECT counted.*, :now FROM ({{}}) AS counted"""
# What has no outcome at an earlier moment may have come since. A row that is predicted was there
# when it first was; one that no run has predicted says nothing of it.
_WAS_THERE = """(labelled_at <= :now
    OR EXISTS (SELECT 1 FROM predictions d WHERE d.patient_id = patients.id AND d.scored_at <= :now)
    OR outcome IS NULL
        AND NOT EXISTS (SELECT 1 FROM predictions d WHERE d.patient_id = patients.id))"""


def served_days(
    connection: Connection, outcome: Outcome, now: datetime, looks_back: bool = False
) -> Served:
    """The counts as they stand at a moment: those that are stored, but for days that changed since,
    which are counted here. Bins are of the last weeks only; version 0 has all days.

    If it `looks_back`, what came after the moment counts on neither side.
    """
    stale = _stale(connection, outcome, now, _CHANGED_SINCE)
    statement = text(f"""
        SELECT {_COLUMNS} FROM served_days
        WHERE (model_version = 0 OR day > :since) AND day <= :today""")
    bounds = {"since": _not_read(now), "today": day_of(now)}
    found = [row for row in connection.execute(statement, bounds) if row.day not in stale]
    for days in _in_a_row(stale):
        found += _counted(connection, outcome, now, days, looks_back)
    columns = enumerate(Served.__slots__)
    return Served(*(np.array([row[at] for row in found]) for at, _ in columns))


def count_served_days(connection: Connection, all_anew: bool = False) -> None:
    """Store the counts of the days that changed since they were counted last; of all days of the
    weeks on top, if asked. Of two sessions the second waits, and counts what is there then."""
    database = database_of(connection)
    if not database.is_a_file:
        connection.execute(text("LOCK TABLE served_days IN SHARE ROW EXCLUSIVE MODE"))
    outcome = newest_declaration(connection).outcome
    now = clock(connection)
    # What commits from here on is counted now or the next time, or both.
    stale = _stale(connection, outcome, now, "DELETE FROM changed_outcomes RETURNING {day}")
    if all_anew:
        today = day_of(now)
        stale.update(range(today - 7 * (WEEKS_ON_TOP + 1), today))
    delete = text("DELETE FROM served_days WHERE day BETWEEN :first AND :last")
    for days in _in_a_row(stale):
        connection.execute(delete, {"first": days.start, "last": days.stop - 1})
        _counted(connection, outcome, now, days, whither=_STORED)


_FIRST = EARLIEST + timedelta(milliseconds=1)
"""The first moment that counts."""
_CHANGED_SINCE = f"""
    SELECT {{day}} FROM changed_outcomes
    UNION SELECT {{day}} FROM patients WHERE {IS_LABELLED} AND labelled_at > :now"""
"""The days of outcomes that changed, or came after the moment that is looked back to."""


def _stale(connection: Connection, outcome: Outcome, now: datetime, changed: str) -> set[int]:
    """The days since the last count, and those of changed outcomes; all days, if the outcome was
    declared anew."""
    moment, length = _by_when(outcome)
    day = DAY_NUMBER.format(rule_of(connection, outcome, now).over_at)
    bounds = bound_moments(connection, now=now, first=_FIRST)
    statement = changed.format(day=day)
    days = connection.scalars(text(statement), bounds).all()
    # What was counted while the clock was ahead is no count of the days that came since.
    counted = text("""
        SELECT max(counted_at) AS last FROM served_days
        WHERE counted_at >= (SELECT max(since) FROM declarations) AND counted_at <= :clock""")
    clock_now = bound_moments(connection, clock=clock(connection))
    counted_at = connection.scalar(counted.columns(last=Timestamp()), clock_now)
    today = day_of(now)
    if counted_at is None:
        statement = f"SELECT min({moment}) AS first FROM patients WHERE {moment} >= :first"
        first = connection.scalar(text(statement).columns(first=Timestamp()), bounds)
        counted_at = (first or now) + length
        # By another horizon, rows stand at days on which they count no more.
        days = [*days, *connection.scalars(text("SELECT DISTINCT day FROM served_days"))]
    # A labelled row without an index is of no day.
    of_changes = [day for day in days if day is not None]
    since = range(day_of(counted_at), today + 1)
    return {day for day in (*since, today, *of_changes) if day <= today}


def _by_when(outcome: Outcome) -> tuple[str, timedelta]:
    """The column, and how long after it a row counts."""
    horizon = horizon_of(outcome)
    if horizon is None:
        return "labelled_at", timedelta(0)
    return "index_at", timedelta(milliseconds=horizon.length_ms)


def _in_a_row(days: Iterable[int]) -> Iterator[range]:
    """Put days together that follow on each other, up to so many that a statement ends in time."""
    placed = enumerate(sorted(days))
    for _, run in groupby(placed, lambda each: (each[1] - each[0], each[1] // _DAYS_AT_ONCE)):
        first, *others = (day for _, day in run)
        yield range(first, first + len(others) + 1)


def _counted(
    connection: Connection,
    outcome: Outcome,
    now: datetime,
    days: range,
    looks_back: bool = False,
    whither: str = "{}",
) -> CursorResult[Any]:
    """Count days in a row as they stand at a moment."""
    rule = rule_of(connection, outcome, now)
    moment, length = _by_when(outcome)
    week = WEEK_NUMBER.format(database_of(connection).milliseconds.format("r.started_at"))
    predicted_in = "0" if rule.unsettled else f"coalesce({week}, 0)"
    # SQLite searches its index by one bound of either kind, the first that it finds.
    end = _start_of(days.stop) - length
    ends = "<"
    if now - length < end:
        end = now - length
        ends = "<="
    known = "labelled_at <= :now AND outcome IS NOT NULL"
    acted_at = ", acted_at" if rule.acted_upon else ""
    until = rule.by_acting(in_time_until(connection, outcome))
    # What has no outcome is judged as if it came now.
    due = f"""
        SELECT id, {DAY_NUMBER.format(rule.over_at)} AS day,
            CASE WHEN {known}{rule.left_alone} THEN outcome END AS outcome,
            CASE WHEN NOT ({known}){rule.left_alone} THEN 1 ELSE 0 END AS missing,
            {rule.is_acted_upon} AS acted, labelled_at, index_at,
            {until} AS in_time_until
        FROM (SELECT id, outcome, coalesce(labelled_at, :now) AS labelled_at, index_at{acted_at}
            FROM patients
            WHERE {moment} >= :begin AND {moment} {ends} :end
                AND {_WAS_THERE if looks_back else "1 = 1"}) AS rows"""
    statement = _COUNTED.format(
        due=due,
        unsettled=rule.unsettled or "NULL",
        predicted_in=predicted_in,
    )
    begin = max(_start_of(days.start) - length, _FIRST)
    moments = bound_moments(connection, begin=begin, end=end, now=now)
    counted = text(whither.format(statement))
    return connection.execute(counted, moments | {"since": _not_read(now)})


def _not_read(now: datetime) -> int:
    """The last day of which no bins are read."""
    return day_of(now) - 7 * WEEKS_READ


def _start_of(day: int) -> datetime:
    return FIRST_OF_1970 + timedelta(days=day)
