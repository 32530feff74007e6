"""Settled outcomes with the predictions that they judge."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Boolean, Connection, text

from pima.core.arrays import Float64Array, Int8Array, Int64Array
from pima.core.declared.present_score import PresentScore
from pima.core.outcomes.followed_up import (
    WEEKS,
    FollowedUp,
    FollowUp,
    by_horizon,
    by_prediction,
)
from pima.core.outcomes.horizon import Horizon, horizon_of
from pima.core.outcomes.served import Served, days_due
from pima.store.database import EARLIEST, FIRST_OF_1970, Timestamp, bound_moments, database_of
from pima.store.engine import clock, listed
from pima.store.models.registry import newest_declaration
from pima.store.rows.predicted_on import in_time, in_time_until, last_in_time
from pima.store.rows.queue import id_lists
from pima.store.rows.served_days import served_days
from pima.store.rows.settling import WEEK_NUMBER, Settling, day_of, rule_of, start_of_week, week_of
from pima.store.service.runs import DRY_RUN
from pima.store.tables import IS_LABELLED, NEWEST_FIRST


@dataclass(frozen=True, slots=True)
class SettledOutcome:
    """A settled outcome, with the last prediction that was made in time, before it came."""

    over_at: datetime
    """In whose week it counts: when its horizon was over; without one, when it became known."""
    outcome: int
    predicted_class: int
    probability: float
    model_version: int
    threshold: float
    scored_at: datetime
    run_began: datetime | None
    """When the run that made the prediction began; None if it is no longer on record, with its
    counts."""
    has_tally: bool
    """Whether that run ended and left its tally."""
    index_at: datetime | None
    """From when on the outcome was waited for."""
    patient_id: int = 0
    patient_version: int = 0
    """The row version that was predicted."""
    is_acted_upon: bool = False
    """Whether somebody acted between the first prediction and the outcome, where `if_acted` is
    declared."""
    acted_at: datetime | None = None
    """When, there."""


@dataclass(frozen=True, slots=True)
class SettledOutcomes:
    """The newest settled outcomes. Only those predicted `in_time` belong in a figure."""

    in_time: list[SettledOutcome]
    """Those that were predicted in time, newest first, of the days that are followed up."""
    left_out: list[SettledOutcome]
    """The same of other days."""
    since: datetime | None
    """All outcomes that were settled after it are among the newest; None if all are."""
    follow_up: FollowUp
    served: Served
    """All predictions whose outcome is due, by day."""
    over_by: datetime | None = None
    """The horizon of rows with an index up to then is over; None if none is declared."""
    late: int = 0
    """Outcomes that were predicted too long after their index: those that came early are missing
    among them."""
    early: int = 0
    """Outcomes that came before any prediction, though their index came after the first run."""
    acted_upon: list[SettledOutcome] | None = None
    """Those where somebody acted, if that says nothing of the risk without acting; None if they
    count as others do."""

    @property
    def counting(self) -> Served:
        """Those of the days that are followed up."""
        return self.served.counting(self.follow_up)

    def of_version(self, version: int | None) -> list[SettledOutcome]:
        """Pick those that a version predicted in time."""
        return [each for each in self.in_time if each.model_version == version]


def of_weeks(found: Iterable[SettledOutcome], last: int, weeks: int) -> list[SettledOutcome]:
    """Pick those of the weeks up to the last, as `Served.of_weeks` does."""
    return [each for each in found if 0 <= last - week_of(each.over_at) < weeks]


_IN_TIME = in_time("d.scored_at")
_PREDICTED_IN_TIME = f"""
    WITH newest AS MATERIALIZED ({{newest}}),
    compared AS MATERIALIZED (
        SELECT n.*, {last_in_time("patient_version")} AS patient_version,
            {last_in_time("model_version")} AS model_version FROM newest n)
    SELECT c.over_at, c.outcome, d.predicted_class, d.probability, d.model_version, d.threshold,
        d.scored_at,
        (SELECT started_at FROM runs WHERE id = d.run_id) AS run_began,
        EXISTS (SELECT 1 FROM tallies WHERE run_id = d.run_id) AS has_tally, c.index_at,
        c.id, c.patient_version, c.acted, c.acted_then
    FROM compared c JOIN predictions d
        ON d.patient_id = c.id AND d.patient_version = c.patient_version
            AND d.model_version = c.model_version
    ORDER BY c.over_at DESC, c.labelled_at DESC, c.id DESC"""
_BEFORE_IT = in_time("d.scored_at", until="n.labelled_at")
_APART = f"""
    WITH newest AS MATERIALIZED ({{newest}}),
    apart AS (
        SELECT n.*, EXISTS (SELECT 1 FROM predictions d WHERE {_BEFORE_IT}) AS is_predicted
        FROM newest n WHERE NOT EXISTS (SELECT 1 FROM predictions d WHERE {_IN_TIME})
            AND n.acted * {{leaves_out:d}} = 0)
    SELECT (SELECT count(*) FROM newest), (SELECT min(settled_at) FROM newest),
        count(*) FILTER (WHERE is_predicted),
        count(*) FILTER (WHERE NOT is_predicted AND index_at >= (
            SELECT min(started_at) FROM runs
            WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND model_version IS NOT NULL))
    FROM apart"""

NEWEST_OUTCOMES = 10_000
"""How many settled outcomes figures and alarms look at."""
_KNOWN_BY = f"{IS_LABELLED} AND labelled_at <= :now"


def settled_outcomes(
    connection: Connection, newest: int, now: datetime | None = None
) -> SettledOutcomes:
    """Read the `newest` settled outcomes with their predictions, as it stood `now` or at another
    moment; those that were never predicted are left out."""
    outcome = newest_declaration(connection).outcome
    looks_back = now is not None
    if now is None:
        now = clock(connection)
    rule = rule_of(connection, outcome, now)
    served = served_days(connection, outcome, now, looks_back)
    acted_at = "acted_at" if rule.acted_upon else "NULL"
    until = rule.by_acting(in_time_until(connection, outcome))
    columns = f"""id, outcome, labelled_at, index_at, {rule.settled_at} AS settled_at,
        {rule.over_at} AS over_at, {until} AS in_time_until,
        {rule.is_acted_upon} AS acted, {acted_at} AS acted_then"""
    horizon = horizon_of(outcome)
    if horizon is not None:
        follow_up = by_horizon(days_due(served), horizon.least_followed_up, week_of(now))
        rule = replace(rule, follow_up=follow_up)
        return _once_over(connection, newest, columns, rule, horizon, now, served)
    rows = f"""SELECT {columns}
        FROM patients WHERE {_KNOWN_BY} ORDER BY {NEWEST_FIRST} LIMIT :newest"""
    bounds = bound_moments(connection, now=now) | {"newest": newest}
    found = _in_time(connection, rows, bounds)
    since = _known_before(connection, newest, now)
    rule = replace(rule, follow_up=_by_week_of_prediction(connection, served, rule, now))
    in_time, left_out, acted_upon = _parted(found, "run_began", rule)
    return SettledOutcomes(in_time, left_out, since, rule.follow_up, served, acted_upon=acted_upon)


def _once_over(
    connection: Connection,
    newest: int,
    columns: str,
    rule: Settling,
    horizon: Horizon,
    now: datetime,
    served: Served,
) -> SettledOutcomes:
    """The outcomes whose horizon is over, by when that was."""
    length = timedelta(milliseconds=horizon.length_ms)
    # Of so many rows the horizon ended since then, and they were known. So the newest settled ones
    # were known, or their horizon ended, no earlier.
    over_by = now - length
    index = _index_of_oldest(connection, newest, now, over_by)
    bounds = bound_moments(
        connection, now=now, over_by=over_by, index=index, settled=index + length
    )
    bounds["newest"] = newest
    rows = f"""SELECT {columns} FROM patients
        WHERE {_KNOWN_BY} AND {rule.unsettled} IS NULL
            AND (labelled_at >= :settled OR index_at >= :index AND index_at <= :over_by)
        ORDER BY settled_at DESC, id DESC LIMIT :newest"""
    apart = text(_APART.format(newest=rows, leaves_out=rule.leaves_acted_out))
    read, oldest, late, early = connection.execute(apart, bounds).one()
    since = None if read < newest else _moment(oldest)
    found = _in_time(connection, rows, bounds)
    in_time, left_out, acted_upon = _parted(found, "over_at", rule)
    return SettledOutcomes(
        in_time, left_out, since, rule.follow_up, served, over_by, late, early, acted_upon
    )


def _in_time(
    connection: Connection, rows: str, bounds: Mapping[str, object]
) -> list[SettledOutcome]:
    statement = text(_PREDICTED_IN_TIME.format(newest=rows)).columns(
        scored_at=Timestamp(),
        run_began=Timestamp(),
        has_tally=Boolean(),
        index_at=Timestamp(),
        acted=Boolean(),
        acted_then=Timestamp(),
    )
    found = connection.execute(statement, bounds)
    return [SettledOutcome(_moment(over_at), *others) for over_at, *others in found]


def scores_beside(
    connection: Connection, found: Sequence[SettledOutcome], score: str
) -> list[float | None]:
    """What a score in use said when each of these predictions was made; None where it said
    nothing."""
    key = "patient_id, patient_version, model_version"
    said: dict[tuple[int, int, int], float] = {}
    for ids in id_lists([each.patient_id for each in found]):
        statement = text(f"""
            SELECT {key}, value FROM prediction_scores
            WHERE score = :score AND patient_id IN ({ids})""")
        for *row, value in connection.execute(statement, {"score": score}):
            said[tuple(row)] = value
    return [said.get((each.patient_id, each.patient_version, each.model_version)) for each in found]


_LOOKED_AT = """
    WITH newest AS MATERIALIZED (
        SELECT id, labelled_at, {0} AS said FROM patients WHERE {1}
        ORDER BY {2} LIMIT 1000),
    looked_at AS (
        SELECT d.patient_id, s.value AS said FROM newest n
            JOIN predictions d ON d.patient_id = n.id AND d.scored_at <= n.labelled_at
                AND d.scored_at >= (SELECT max(since) FROM declarations)
            LEFT JOIN prediction_scores s ON s.patient_id = d.patient_id
                AND s.patient_version = d.patient_version AND s.model_version = d.model_version
                AND s.score = :score
        UNION ALL SELECT * FROM (
            SELECT patient_id, {0} FROM scoring_queue ORDER BY patient_id DESC LIMIT 1000
        ) AS waiting)
    SELECT count(DISTINCT patient_id), count(said), (SELECT count(said) FROM newest)
    FROM looked_at"""


def if_filled_in_later(connection: Connection, score: PresentScore) -> str:
    """Say that a score in use is filled in later, by the newest rows with an outcome and those that
    wait; else nothing. What was predicted before today's declaration says nothing of it."""
    statement = _LOOKED_AT.format(listed([score.name]), IS_LABELLED, NEWEST_FIRST)
    return score.if_later(*connection.execute(text(statement), {"score": score.name}).one())


def persons_beside(connection: Connection, found: Sequence[SettledOutcome]) -> Int64Array:
    """Number whose each of these rows is, (n,): one of which nobody knows that is somebody's only
    one."""
    known: dict[int, str | int] = {}
    for ids in id_lists([each.patient_id for each in found]):
        keys = f"SELECT id, person_key FROM patients WHERE id IN ({ids}) AND person_key IS NOT NULL"
        known.update((row, person) for row, person in connection.execute(text(keys)))
    whose = [hash(known.get(each.patient_id, each.patient_id)) for each in found]
    return np.unique(whose, return_inverse=True)[1]


def _known_before(connection: Connection, newest: int, now: datetime) -> datetime | None:
    """When the newest outcome became known that is not among the `newest`; None if all are."""
    statement = text(f"""
        SELECT labelled_at FROM patients WHERE {_KNOWN_BY}
        ORDER BY labelled_at DESC LIMIT 1 OFFSET :newest""").columns(labelled_at=Timestamp())
    bounds = bound_moments(connection, now=now) | {"newest": newest}
    found: datetime | None = connection.scalar(statement, bounds)
    return found


def _index_of_oldest(
    connection: Connection, newest: int, now: datetime, over_by: datetime
) -> datetime:
    """From when on `newest` rows with an outcome have an index, up to the last whose horizon is
    over."""
    bounds = bound_moments(connection, now=now, earliest=EARLIEST, over_by=over_by)
    statement = text(f"""
        SELECT index_at FROM patients WHERE {_KNOWN_BY}
            AND index_at > :earliest AND index_at <= :over_by AND index_at <= labelled_at
        ORDER BY index_at DESC LIMIT 1 OFFSET :newest""").columns(index_at=Timestamp())
    found: datetime | None = connection.scalar(statement, bounds | {"newest": newest})
    if found is None:
        return EARLIEST
    return found - timedelta(milliseconds=1)  # the smallest part that is compared


def _moment(milliseconds: int) -> datetime:
    return FIRST_OF_1970 + timedelta(milliseconds=milliseconds)


# ---- The weeks, and how many of their rows are followed up.


def _parted(
    found: Sequence[SettledOutcome], moment: str, rule: Settling
) -> tuple[list[SettledOutcome], list[SettledOutcome], list[SettledOutcome] | None]:
    """Part outcomes by whether enough rows of the same day are followed up; then by whether
    somebody acted, if such rows count in nothing."""
    in_time: list[SettledOutcome] = []
    left_out: list[SettledOutcome] = []
    acted_upon: list[SettledOutcome] = []
    for each in found:
        at = getattr(each, moment)
        if at is not None and day_of(at) in rule.follow_up.days_left_out:
            left_out.append(each)
        elif each.is_acted_upon and rule.leaves_acted_out:
            acted_upon.append(each)
        else:
            in_time.append(each)
    if rule.leaves_acted_out:
        return in_time, left_out, acted_upon
    return in_time, left_out, None


def _by_week_of_prediction(
    connection: Connection, served: Served, rule: Settling, now: datetime
) -> FollowUp:
    """Count the predictions of the last weeks, and those of them with an outcome. What was acted
    upon is on neither side, if it is left out."""
    week = WEEK_NUMBER.format(database_of(connection).milliseconds.format("started_at"))
    statement = text(f"""
        SELECT {week} AS week, sum(CAST(counts ->> 'predicted' AS BIGINT)) FROM runs
        WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND started_at > :oldest
            AND CAST(counts ->> 'predicted' AS BIGINT) > 0
        GROUP BY 1 ORDER BY 1 DESC""")
    oldest = start_of_week(week_of(now) - WEEKS + 1)
    came = served.outcomes_by(served.predicted_in)
    acted = replace(served, outcomes=served.acted * rule.leaves_acted_out)
    gone = acted.outcomes_by(served.predicted_in)
    found = connection.execute(statement, bound_moments(connection, oldest=oldest))
    weeks = (
        FollowedUp(number, int(rows) - gone.get(number, 0), came.get(number, 0))
        for number, rows in found
    )
    return by_prediction(tuple(week for week in weeks if week.rows > 0))


def columns_of(
    found: Sequence[SettledOutcome],
) -> tuple[Float64Array, Float64Array, Int8Array]:
    """The probabilities, thresholds and outcomes of predictions, all (n,)."""
    probabilities = np.array([each.probability for each in found])
    outcomes = np.array([each.outcome for each in found], dtype=np.int8)
    return probabilities, np.array([each.threshold for each in found]), outcomes
