"""Figures for monitoring: those that the tables hold of runs and verdicts, correct after any
restart, and those that each night counted over its rows."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, text

from pima.core.nights.kinds import Kind, Watched, counts
from pima.core.nights.watched import LAST_NIGHTS, WEEKS, Unpredicted, Why
from pima.store.database import Timestamp, database_of
from pima.store.engine import without_time_limit
from pima.store.service.runs import DRY_RUN, FINAL, IS_REAL, ROW_RESULTS, SUMS_OF_ROWS, Status
from pima.store.tables import champion as champion_row
from pima.store.tables import monitoring, runs, schedules, tallies

if TYPE_CHECKING:
    from pima.core.nights.drift import Tally


# ---- The results of runs, and verdicts.


@dataclass(frozen=True, slots=True)
class LastEnd:
    """How a job's last run ended; each field is the column of its name."""

    status: str
    error_code: str | None
    heartbeat_at: datetime
    error_line: str | None


def last_end(connection: Connection, job: str, retries: int) -> LastEnd | None:
    """How the last run of a job ended that succeeded or failed, whoever started it.

    An end that asks to try again is a failure once a scheduler has given up.
    """
    # By the last heartbeat: a crash is noticed later, maybe after another run's success.
    statement = text(f"""
        SELECT status, error_code, heartbeat_at, error_line FROM runs
        WHERE job = :job AND trigger <> '{DRY_RUN}' AND (status IN ({FINAL})
            OR scheduled_for IS NOT NULL AND status = '{Status.TRY_AGAIN_LATER}'
                AND attempt > :retries)
        ORDER BY heartbeat_at DESC, id DESC LIMIT 1""")
    row = connection.execute(
        statement.columns(heartbeat_at=Timestamp()), {"job": job, "retries": retries}
    ).first()
    return None if row is None else LastEnd(*row)


def last_success(connection: Connection) -> dict[str, datetime]:
    """When each job last succeeded."""
    # Scans all runs, a few more each day.
    statement = select(runs.c.job, func.max(runs.c.finished_at)).where(
        runs.c.status == Status.SUCCEEDED, IS_REAL
    )
    return {row[0]: row[1] for row in connection.execute(statement.group_by(runs.c.job))}


def last_retrainings(connection: Connection) -> list[tuple[datetime, datetime | None]]:
    """When the newest retrainings that are running or succeeded began and ended, newest first."""
    statement = text(f"""
        SELECT started_at, finished_at FROM runs WHERE job = 'retrain'
            AND status IN ('{Status.RUNNING}', '{Status.SUCCEEDED}') AND trigger <> '{DRY_RUN}'
        ORDER BY id DESC LIMIT 11""")
    rows = connection.execute(statement.columns(started_at=Timestamp(), finished_at=Timestamp()))
    return [(began, ended) for began, ended in rows]


def runs_by_status(connection: Connection) -> dict[tuple[str, str], int]:
    """How many runs of each job have ended, by status, including runs that were removed since."""
    rows = connection.execute(
        text(f"""
            SELECT job, status, sum(number) FROM (
                SELECT job, status, count(*) AS number FROM runs
                WHERE status <> '{Status.RUNNING}' AND trigger <> '{DRY_RUN}' GROUP BY job, status
                UNION ALL SELECT job, status, runs FROM removed_runs) AS ended
            GROUP BY job, status""")
    )
    return {(job, status): int(number) for job, status, number in rows}


def last_durations(connection: Connection) -> dict[str, float]:
    """How many seconds each job's last finished run took."""
    # Rows of missed and skipped ticks are not runs.
    statement = text(f"""
        SELECT job, started_at, finished_at FROM runs WHERE id IN (
            SELECT max(id) FROM runs
            WHERE finished_at IS NOT NULL AND status NOT IN ('{Status.MISSED}', '{Status.SKIPPED}')
                AND trigger <> '{DRY_RUN}'
            GROUP BY job)""")
    rows = connection.execute(statement.columns(started_at=Timestamp(), finished_at=Timestamp()))
    return {job: (finished - started).total_seconds() for job, started, finished in rows}


def rows_by_result(connection: Connection) -> dict[str, int]:
    """Count the results of all rows that scoring has ever taken, from its runs' counts, removed
    runs included."""
    there = (
        f"SELECT {', '.join(SUMS_OF_ROWS)} FROM runs WHERE job = 'score' AND trigger <> '{DRY_RUN}'"
    )
    removed = ", ".join(f"coalesce(sum({name}), 0)" for name in ROW_RESULTS)
    gone = f"SELECT {removed} FROM removed_runs WHERE job = 'score'"
    rows = connection.execute(text(f"{there} UNION ALL {gone}")).all()
    return {
        name: sum(map(int, numbers))
        for name, numbers in zip(ROW_RESULTS, zip(*rows, strict=True), strict=True)
    }


REPORT_ERROR = "report_error"
"""The key of a retraining's counts that holds the code of the error for which it left no report."""


def newest_retraining(connection: Connection) -> dict[str, Any]:
    """The counts of the newest retraining that reached a verdict; empty before the first."""
    # There is about one run a week; dry runs decide nothing.
    newest = select(runs.c.counts).where(
        runs.c.job == "retrain", runs.c.status == Status.SUCCEEDED, IS_REAL
    )
    return connection.scalar(newest.order_by(runs.c.id.desc()).limit(1)) or {}


def scheduler_heartbeat(connection: Connection) -> datetime | None:
    """When a scheduler last wrote its heartbeat; None if none ever has."""
    return connection.execute(select(func.max(schedules.c.heartbeat_at))).scalar()


def first_run(connection: Connection) -> datetime | None:
    """When the first run on record began."""
    first = select(runs.c.started_at).where(IS_REAL).order_by(runs.c.id).limit(1)
    return connection.scalar(first)


def schedules_first_seen(connection: Connection) -> dict[str, datetime]:
    """Since when each job has had its current schedule."""
    rows = connection.execute(select(schedules.c.job, schedules.c.first_seen_at))
    return {row[0]: row[1] for row in rows}


# ---- Tallies: the counts of each run of scoring.

_TALLIES_AT_ONCE = 16
_MOST_TALLIES = 2_000
"""A nightly job needs only a few tallies; a job that runs every few minutes on few rows needs
many."""


@dataclass(frozen=True, slots=True)
class KeptTally:
    """A row of the table."""

    version: int
    """The version that scored, in whose bins the rows are counted."""
    tally: "Tally"
    recorded_at: datetime


def keep_tally(
    connection: Connection,
    run_id: int,
    version: int,
    tally: "Tally",
    is_part: bool = False,
) -> None:
    """Store the tally of a run at its end, or, as a part, that of one of several processes that
    share the run."""
    # The processes may be on several machines, so a part's number is random.
    part = 1 + secrets.randbits(62) if is_part else 0
    document = msgspec.to_builtins(tally)
    connection.execute(
        insert(tallies).values(run_id=run_id, part=part, model_version=version, tally=document)
    )


def parts_of(connection: Connection, run_id: int) -> "list[Tally]":
    """Read the tallies of the processes that share a run."""
    found = connection.execute(select(tallies.c.tally).where(tallies.c.run_id == run_id))
    return [_as_tally(document) for document in found.scalars()]


def newest_tallies(connection: Connection, but_of: int) -> Iterator[KeptTally]:
    """Read the tallies of all runs except one, newest first; the caller stops when it has
    enough."""
    newest = select(tallies.c.model_version, tallies.c.tally, tallies.c.recorded_at)
    # If several processes shared a run, their parts come after the tally of the whole run.
    newest = newest.where(tallies.c.run_id != but_of).order_by(
        tallies.c.run_id.desc(), tallies.c.part
    )
    with connection.execute(
        newest.limit(_MOST_TALLIES), execution_options={"yield_per": _TALLIES_AT_ONCE}
    ) as found:
        for version, document, moment in found:
            yield KeptTally(version, _as_tally(document), moment)


def tallies_since(
    connection: Connection, moment: datetime
) -> "Iterator[tuple[int, datetime, Tally]]":
    """Read the tallies of runs that began at a moment or later, each with its version and that
    time, in no order."""
    found = select(tallies.c.model_version, runs.c.started_at, tallies.c.tally)
    found = found.join_from(tallies, runs, tallies.c.run_id == runs.c.id).where(
        runs.c.started_at >= moment
    )
    for version, began, document in connection.execute(found):
        yield version, began, _as_tally(document)


def _as_tally(document: dict[str, Any]) -> "Tally":
    from pima.core.nights.drift import Tally  # imports numpy, which an empty night does not need

    return msgspec.convert(document, Tally)


# ---- The figures of the runs: a row for each run, feature and figure.


def keep_figures(
    connection: Connection, run_id: int, version: int, kind: Kind, figures: Iterable[Watched]
) -> None:
    """Store figures of a kind that a run leaves, with the version that they are about."""
    of_run = {"run_id": run_id, "model_version": version, "kind": kind}
    rows = [of_run | asdict(each) for each in figures]
    if rows:
        connection.execute(insert(monitoring), rows)


SILENT_FOR = timedelta(weeks=8)
"""A version that has not predicted for so long is silent."""
_SLACK = timedelta(hours=1)
"""A run at the same time of day may have begun a little later."""
_DAY = timedelta(days=1)
_DAYS = 7 * (WEEKS + LAST_NIGHTS)


def rows_of_nights(connection: Connection, now: datetime) -> dict[int, int]:
    """How many rows the runs of each night took, by how many nights ago; 0 is tonight. A night is
    the 24 hours until an hour after this time of day. A night without a successful run is left out,
    since rows may have kept waiting."""
    end = now + _SLACK
    # The rows of a failed run count if another run of the night succeeded, since that one took only
    # the rest.
    statement = text(f"""
        SELECT started_at, status,
            coalesce(CAST(counts ->> CAST('claimed' AS TEXT) AS BIGINT), 0) FROM runs
        WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND started_at > :since
            AND started_at <= :until""")
    # The upper bound leaves out runs from a time when the clock was ahead; they would count as
    # tonight's.
    since = bindparam("since", end - _DAYS * _DAY, Timestamp())
    until = bindparam("until", end, Timestamp())
    bound = statement.columns(started_at=Timestamp()).bindparams(since, until)
    taken: Counter[int] = Counter()
    complete: set[int] = set()
    for started_at, status, rows in connection.execute(bound):
        night = (end - started_at) // _DAY
        taken[night] += int(rows)
        if status == Status.SUCCEEDED:
            complete.add(night)
    return {night: taken[night] for night in complete}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFigure(Watched):
    """A row of the table; each field is the column of its name."""

    run_id: int
    model_version: int
    kind: str
    recorded_at: datetime


_KINDS = ", ".join(f"('{kind}')" for kind in Kind)
# Read backwards by the key: the next run that left figures of the kind is a night or a week away.
_NEWEST_FIGURES = text(f"""
    WITH newest AS (SELECT column1 AS kind, (
            SELECT run_id FROM monitoring WHERE kind = column1 ORDER BY run_id DESC LIMIT 1
        ) AS run_id FROM (VALUES {_KINDS}) AS kinds)
    SELECT m.* FROM newest n JOIN monitoring m ON m.run_id = n.run_id AND m.kind = n.kind
    ORDER BY m.run_id, m.model_version, m.feature, m.figure""").columns(recorded_at=Timestamp())
_PREDICTED_SINCE = text(f"""
    SELECT DISTINCT model_version FROM runs
    WHERE job = 'score' AND trigger <> '{DRY_RUN}' AND started_at >= :since
        AND CAST(counts ->> CAST('predicted' AS TEXT) AS BIGINT) > 0""")


def newest_figures(connection: Connection, now: datetime) -> list[KeptFigure]:
    """The newest figures of each kind that still count."""
    champion = connection.scalar(select(champion_row.c.model_version))
    since = bindparam("since", now - SILENT_FOR, Timestamp())
    lately = set(connection.scalars(_PREDICTED_SINCE.bindparams(since)))
    found = (KeptFigure(**row._mapping) for row in connection.execute(_NEWEST_FIGURES))
    return [each for each in found if counts(each, each.model_version, champion, lately)]


def last_left(connection: Connection, kind: Kind) -> datetime | None:
    """When a run last left figures of a kind; None if none has."""
    statement = select(monitoring.c.recorded_at).where(monitoring.c.kind == kind)
    found: datetime | None = connection.scalar(
        statement.order_by(monitoring.c.run_id.desc()).limit(1)
    )
    return found


# ---- Rows without a prediction, from the tables, and the figures of them that each run of scoring
# leaves.

UNPREDICTED = "unpredicted"
"""The key of a run's counts that holds these figures."""
_RUNS_AT_ONCE = 20
"""How many runs are expected at once: the figures of a run that ended later may belong to a lower
id."""


def newest_unpredicted(connection: Connection) -> Unpredicted | None:
    """The figures that the last run of scoring left; None if none ever left any."""
    found = _newest_of_runs(connection)
    return None if found is None else found[1]


def lock_newest_unpredicted(connection: Connection) -> Unpredicted | None:
    """The figures of the last run, with its row locked until the transaction ends: other runs wait
    to leave theirs."""
    locked = None
    found = _newest_of_runs(connection)
    while found is not None and found[0] != locked:
        locked = connection.scalar(select(runs.c.id).where(runs.c.id == found[0]).with_for_update())
        found = _newest_of_runs(connection)
    return None if found is None else found[1]


def _newest_of_runs(connection: Connection) -> tuple[int, Unpredicted] | None:
    """The newest figures with their run's id: of the last runs that left some, those with the
    highest number."""
    statement = text(f"""
        SELECT id, counts ->> CAST('{UNPREDICTED}' AS TEXT) FROM (
            SELECT id, counts FROM runs WHERE job = 'score'
                AND counts ->> CAST('{UNPREDICTED}' AS TEXT) IS NOT NULL
            ORDER BY id DESC LIMIT {_RUNS_AT_ONCE}) AS newest
        ORDER BY CAST(counts -> CAST('{UNPREDICTED}' AS TEXT) ->> CAST('number' AS TEXT) AS BIGINT)
            DESC, id DESC LIMIT 1""")
    row = connection.execute(statement).first()
    return None if row is None else (row[0], msgspec.json.decode(row[1], type=Unpredicted))


def rejected_by_pulls(counts: Mapping[str, Any]) -> int:
    """How many rows without an outcome were rejected by pulls since the run before."""
    figures = counts.get(UNPREDICTED, {})
    return int(figures.get("rejected_by_pulls", 0))


def predicted_since(connection: Connection, after: int, run_id: int) -> tuple[int, int]:
    """Count the new row versions that were predicted by this run and the runs with ids above
    `after` that have ended; also return the highest id among these runs."""
    row = connection.execute(
        text(f"""
            SELECT coalesce(sum(CAST(counts ->> CAST('new_predicted' AS TEXT) AS BIGINT)), 0),
                max(id)
            FROM runs WHERE job = 'score' AND trigger <> '{DRY_RUN}'
                AND (id = :run_id OR id > :after AND status <> '{Status.RUNNING}')"""),
        {"run_id": run_id, "after": after},
    ).one()
    return int(row[0]), int(row[1])


def versions_drawn(connection: Connection) -> int:
    """The counter of row versions; 0 if none was drawn."""
    drawn = f"SELECT coalesce(({database_of(connection).last_version}), 0)"
    return int(connection.execute(text(drawn)).scalar_one())


def highest_id(connection: Connection) -> int:
    """The highest id of all patient rows; 0 if there are none."""
    return int(connection.scalar(text("SELECT max(patient_id) FROM patient_versions")) or 0)


def rejected_by_scoring(
    connection: Connection, after: int, run_id: int, version: int
) -> Counter[Why]:
    """Count the rejections by this run and the runs with ids above `after` of row versions above
    `version` that are still current and have no outcome."""
    rows = connection.execute(
        text("""
            SELECT r.reason, r.field, count(*) FROM rejections r
            JOIN patient_versions v ON v.patient_id = r.patient_id
                AND v.patient_version = r.patient_version
            WHERE (r.run_id > :after OR r.run_id = :run_id) AND r.patient_version > :version
                AND NOT v.is_labelled
            GROUP BY r.reason, r.field"""),
        {"after": after, "run_id": run_id, "version": version},
    )
    return Counter({("", reason, field): int(count) for reason, field, count in rows})


def rejected_in_sources(
    connection: Connection, sources: Sequence[str], since: Mapping[str, int]
) -> tuple[Counter[Why], dict[str, int]]:
    """Count the rows without an outcome that pulls of these sources have rejected after the run in
    `since`, and not taken in since then; also return the newest of these runs by source."""
    found: Counter[Why] = Counter()
    newest = dict(since)
    statement = text("""
        SELECT reason, field, count(*), max(run_id) FROM source_rejections
        WHERE source = :source AND run_id > :after GROUP BY reason, field""")
    for source in sources:
        rows = connection.execute(statement, {"source": source, "after": since.get(source, 0)})
        for reason, field, count, run_id in rows:
            found[source, reason, field] = count
            newest[source] = max(run_id, newest.get(source, 0))
    return found, newest


_SAME_VERSION = "{0}.patient_id = v.patient_id AND {0}.patient_version = v.patient_version"
_UNKNOWN_TO_ALL = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} t WHERE {_SAME_VERSION.format('t')})"
    for table in ("predictions", "rejections", "scoring_queue")
)


_UNLABELLED_ABOVE = (
    "SELECT count(*) FROM patient_versions v WHERE v.patient_id > :above AND NOT v.is_labelled"
)
_WAITING_ABOVE = "SELECT count(*) FROM scoring_queue WHERE patient_id > :above"


def never_queued(connection: Connection, above: int, highest: int, claimed: int | None) -> int:
    """Count the rows with an id above `above` and no outcome that have no prediction, rejection or
    queue entry. `claimed` is how many such ids the calling run has taken; None if other runs took
    some, too.

    Looking at each of a million rows takes a third of the time that it takes to score them. So it
    is done only if there may be such rows: not if the run's rows and the waiting ones are all there
    are.
    """
    if highest <= above or highest - above == claimed:
        return 0
    without_time_limit(connection)
    if claimed is not None:
        unlabelled, waiting = (
            connection.scalar(text(each), {"above": above})
            for each in (_UNLABELLED_ABOVE, _WAITING_ABOVE)
        )
        if unlabelled <= claimed + waiting:
            return 0
    unknown = text(f"{_UNLABELLED_ABOVE} AND {_UNKNOWN_TO_ALL}")
    return int(connection.execute(unknown, {"above": above}).scalar_one())
