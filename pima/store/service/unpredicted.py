"""Rows without a prediction, from the tables, and the figures of them that each run of scoring
leaves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text

from pima.core.nights.unpredicted import Unpredicted, Why
from pima.store.database import database_of
from pima.store.engine import without_time_limit
from pima.store.service.runs import DRY_RUN, Status
from pima.store.tables import runs

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
    return connection.scalar(text(drawn))


def highest_id(connection: Connection) -> int:
    """The highest id of all patient rows; 0 if there are none."""
    return int(connection.scalar(text("SELECT max(patient_id) FROM patient_versions")) or 0)


def rejected_by_scoring(
    connection: Connection, after: int, run_id: int, version: int
) -> Counter[Why]:
    """Count the rejections, by this run and the runs with ids above `after`, of row versions above
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
    return connection.scalar(unknown, {"above": above})
