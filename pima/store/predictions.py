"""Predictions and rejections of claimed rows, how often predictions came true, and the rows that have none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text

from pima.core.arrays import Float64Array, Int64Array
from pima.core.unpredicted import Pulled, Unpredicted, Why
from pima.errors import VersionUsedTwice
from pima.store.database import Json, database_of
from pima.store.engine import without_time_limit
from pima.store.queue import id_lists
from pima.store.runs import DRY_RUN, IS_REAL, Status
from pima.store.tables import IS_LABELLED, NEWEST_FIRST, runs


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one model version for one batch."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    probabilities: Float64Array
    """(n,)"""


@dataclass(frozen=True, slots=True)
class Rejections:
    """Rows of one batch that can't be scored."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    reasons: tuple[str, ...]
    """Reason codes of `pima.core.validation`."""
    fields: tuple[str, ...]
    """The column that broke the rule."""


# A version that this model has predicted before (after a rescore and a rollback, say) is left as it is.
INSERT_PREDICTIONS = """
    INSERT INTO predictions
        (patient_id, patient_version, model_version, run_id, probability, predicted_class, threshold)
    {rows}
    ON CONFLICT (patient_id, patient_version, model_version) DO NOTHING"""
# A version rejected before is judged again only after `requeue`; the newer judgement stands.
INSERT_REJECTIONS = """
    INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
    {rows}
    ON CONFLICT (patient_id, patient_version)
    DO UPDATE SET run_id = EXCLUDED.run_id, reason = EXCLUDED.reason, field = EXCLUDED.field,
        rejected_at = EXCLUDED.rejected_at"""


# ---- How often predictions came true.


@dataclass(frozen=True, slots=True)
class RealisedShare:
    """How often predictions came true."""

    outcomes: int
    """The newest outcomes that were looked at, those with a prediction made before."""
    correct: int

    @property
    def accuracy(self) -> float | None:
        """The share; None where nothing can be compared yet."""
        return self.correct / self.outcomes if self.outcomes else None


# The newest outcomes, each with the last prediction that was made before it came.
_REALISED = text(f"""
    SELECT count(*), coalesce(sum(CASE WHEN predicted_class = outcome THEN 1 ELSE 0 END), 0)
    FROM (SELECT n.outcome, (
            SELECT d.predicted_class FROM predictions d
            WHERE d.patient_id = n.id AND d.scored_at <= n.labelled_at
            ORDER BY d.patient_version DESC, d.run_id DESC, d.model_version DESC LIMIT 1) AS predicted_class
        FROM (SELECT id, outcome, labelled_at FROM patients
              WHERE {IS_LABELLED}
              ORDER BY {NEWEST_FIRST} LIMIT :newest) AS n) AS compared
    WHERE predicted_class IS NOT NULL""")


def realised_accuracy(connection: Connection, newest: int) -> RealisedShare:
    """Predictions against the outcomes that came after them, over the `newest` outcomes."""
    outcomes, correct = connection.execute(_REALISED, {"newest": newest}).one()
    return RealisedShare(outcomes, correct)


# ---- A version of a row that is used twice.

_SHOWN = 20
# The same row gives the same probability, but for what two processors' arithmetic or two batch sizes differ by: that is
# below a millionth.
_SAME_PROBABILITY = 1e-4


def require_same_rows(connection: Connection, predictions: Predictions, model_version: int, run_id: int) -> None:
    """Raises VersionUsedTwice where this model has predicted a version before, and predicts something else now."""
    ids, versions = predictions.patient_ids.tolist(), predictions.patient_versions.tolist()
    made = dict(zip(zip(ids, versions, strict=True), predictions.probabilities.tolist(), strict=True))
    earlier = """
        SELECT patient_id, patient_version, probability FROM predictions
        WHERE model_version = :model_version AND run_id <> :run_id AND patient_id IN"""
    by_whom = {"model_version": model_version, "run_id": run_id}
    others = sorted(
        patient_id
        for listed in id_lists(ids)
        for patient_id, version, probability in connection.execute(text(f"{earlier} ({listed})"), by_whom)
        if abs(made.get((patient_id, version), probability) - probability) > _SAME_PROBABILITY
    )
    if others:
        shown = ", ".join(map(str, others[:_SHOWN]))
        raise VersionUsedTwice(rows=len(others), first=shown + (", ..." if len(others) > _SHOWN else ""))


# ---- Rows without a prediction: as the tables tell of them, and the figures that each run of scoring leaves.

UNPREDICTED = "unpredicted"
"""Of a run's counts, under which its figures stand."""
_RUNS_LOOKED_AT = 20
"""Back from the newest: as many may be at work at once, or end without figures."""
_PULLS_LOOKED_AT = 1_000
"""Back from the newest, where a source was never pulled."""


def newest_unpredicted(connection: Connection) -> Unpredicted | None:
    """The figures that the last run of scoring left; None where none of the last runs has left any."""
    found = _newest_of_runs(connection)
    return None if found is None else found[1]


def lock_newest_unpredicted(connection: Connection) -> Unpredicted | None:
    """The figures of the last run, held until the transaction ends against others that are about to leave theirs."""
    locked = None
    while (found := _newest_of_runs(connection)) is not None and found[0] != locked:
        locked = connection.scalar(select(runs.c.id).where(runs.c.id == found[0]).with_for_update())
    return None if found is None else found[1]


def _newest_of_runs(connection: Connection) -> tuple[int, Unpredicted] | None:
    """The newest figures with their run's id. Backwards over the key, as far as any run without figures could come
    after."""
    statement = select(runs.c.id, runs.c.counts).where(runs.c.job == "score", IS_REAL, runs.c.finished_at.is_not(None))
    rows = connection.execute(statement.order_by(runs.c.id.desc()).limit(_RUNS_LOOKED_AT))
    found = [(row.id, figures) for row in rows if (figures := unpredicted_of(row.counts)) is not None]
    return max(found, key=lambda each: (each[1].number, each[0]), default=None)


def unpredicted_of(counts: Mapping[str, Any]) -> Unpredicted | None:
    """The figures in a run's counts; None where it left none, or none that can be read."""
    try:
        return msgspec.convert(counts[UNPREDICTED], Unpredicted) if UNPREDICTED in counts else None
    except msgspec.ValidationError:
        return None


def rejected_by_pulls(counts: Mapping[str, Any]) -> int:
    """How many rows without an outcome the pulls before a run have rejected, and those before it had not."""
    found = unpredicted_of(counts)
    return 0 if found is None else found.rejected_by_pulls


def counts_since(connection: Connection, after: int, run_id: int) -> tuple[int, int, int]:
    """Count over this run and those behind `after` that have ended: the rows of new versions that they predicted,
    the rows that they rejected, and the highest id among them."""
    row = connection.execute(
        text(f"""
            SELECT coalesce(sum(CAST(counts ->> 'new_predicted' AS BIGINT)), 0),
                coalesce(sum(CAST(counts ->> 'rejected' AS BIGINT)), 0), max(id)
            FROM runs WHERE job = 'score' AND trigger <> '{DRY_RUN}'
                AND (id = :run_id OR id > :after AND status <> '{Status.RUNNING}')"""),
        {"run_id": run_id, "after": after},
    ).one()
    return int(row[0]), int(row[1]), int(row[2])


def versions_drawn(connection: Connection) -> int:
    """The counter of row versions."""
    return int(connection.scalar(text(f"SELECT coalesce(({database_of(connection).last_version}), 0)")) or 0)


def highest_id(connection: Connection) -> int:
    """The highest id of all patient rows; 0 where there are none."""
    return int(connection.scalar(text("SELECT max(patient_id) FROM patient_versions")) or 0)


def rejected_and_standing(connection: Connection, run_id: int, version: int) -> Counter[Why]:
    """Count what the runs behind this one have rejected of row versions above this one, where the row has it and no
    outcome yet."""
    # A walk over the rejections: to be asked only where there may be many.
    rows = connection.execute(
        text("""
            SELECT r.reason, r.field, count(*) FROM rejections r
            JOIN patient_versions v ON v.patient_id = r.patient_id AND v.patient_version = r.patient_version
            WHERE r.run_id > :run_id AND r.patient_version > :version AND NOT v.is_labelled
            GROUP BY r.reason, r.field"""),
        {"run_id": run_id, "version": version},
    )
    return Counter({("", reason, field): int(count) for reason, field, count in rows})


_SAME_VERSION = "{0}.patient_id = v.patient_id AND {0}.patient_version = v.patient_version"
_UNKNOWN_TO_ALL = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} t WHERE {_SAME_VERSION.format('t')})"
    for table in ("predictions", "rejections", "scoring_queue")
)


_UNLABELLED_ABOVE = "SELECT count(*) FROM patient_versions v WHERE v.patient_id > :above AND NOT v.is_labelled"
_WAITING_ABOVE = "SELECT count(*) FROM scoring_queue WHERE patient_id > :above"


def never_queued(connection: Connection, above: int, highest: int, claimed: int | None) -> int:
    """Count the rows without an outcome and with an id above this one that have neither prediction, rejection nor queue
    entry. `claimed` is how many rows of such ids the run has taken that asks; None where others took some, too.

    To look at each of a million rows takes a third of the time that it takes to score them, so it is done only where
    there may be any: not where the run's rows and those that wait are all that there are.
    """
    if highest <= above or highest - above == claimed:
        return 0
    without_time_limit(connection)
    if claimed is not None:
        unlabelled, waiting = (
            connection.scalar(text(each), {"above": above}) for each in (_UNLABELLED_ABOVE, _WAITING_ABOVE)
        )
        if unlabelled <= claimed + waiting:
            return 0
    return int(connection.scalar(text(f"{_UNLABELLED_ABOVE} AND {_UNKNOWN_TO_ALL}"), {"above": above}) or 0)


def pulls_since(connection: Connection, counted: Mapping[str, int], sources: Sequence[str]) -> list[Pulled]:
    """The pulls of these sources that brought all they were to bring, oldest first, those up to the counted ones
    left out."""
    if not sources:
        return []
    statement = text(f"""
        SELECT runs.id, item.value AS counts FROM runs JOIN {database_of(connection).sources_of_run} ON TRUE
        WHERE runs.job = 'pull' AND runs.trigger <> '{DRY_RUN}' AND runs.id > :after
            AND item.value ->> 'status' = '{Status.SUCCEEDED}'
        ORDER BY runs.id DESC LIMIT {_PULLS_LOOKED_AT}""")
    after = min(counted.get(source, 0) for source in sources)
    rows = connection.execute(statement.columns(counts=Json()), {"after": after})
    found = [_pulled(row.id, row.counts) for row in rows]
    return [each for each in reversed(found) if each.source in sources and each.run_id > counted.get(each.source, 0)]


def _pulled(run_id: int, counts: Mapping[str, Any]) -> Pulled:
    by_reason = counts["rejected_unlabelled"].items()
    rejected = {(reason, column): rows for reason, columns in by_reason for column, rows in columns.items()}
    return Pulled(run_id, counts["source"], counts["compared"] == "all", rejected)
