"""The counter that row versions are drawn from, held against the versions that there are.

A pair (id, version) stands for one state of a patient's row, and so a prediction of it for that row. A counter that was
set back, by hand or by a restore without it, gives a row that is deleted and inserted again the version of another.
"""

from sqlalchemy import Connection, text

from pima.core.identifiers import LARGEST_VERSION
from pima.errors import VersionCounterBehind, VersionUsedTwice
from pima.store.batches import Predictions
from pima.store.database import database_of
from pima.store.id_lists import id_lists

SET_NEAR_ITS_END = "the counter of row versions was set near its end, behind which none could be drawn"

# No index goes by versions alone, and these are read before each scoring: the rows at the end of each key tell.
_NEWEST = 100
_KEYS = {
    "scoring_queue": "patient_id",
    "predictions": "patient_id DESC, patient_version DESC, model_version",
    "rejections": "patient_id DESC, patient_version",
}
_HIGHEST = " UNION ALL ".join(
    f"SELECT max(patient_version) AS version FROM "
    f"(SELECT patient_version FROM {table} ORDER BY {key} DESC LIMIT {_NEWEST}) AS {table}"
    for table, key in _KEYS.items()
)


def require_counter_above_them(connection: Connection) -> None:
    """Raises VersionCounterBehind where the counter is below versions that were drawn from it."""
    # In one statement: on PostgreSQL rows that are seen have drawn before it, and the sequence is read as it is now.
    drawn, highest = connection.execute(
        text(f"""
            SELECT coalesce(({database_of(connection).words.last_version}), 0), coalesce(max(version), 0)
            FROM ({_HIGHEST}) AS ends WHERE version <= {LARGEST_VERSION}""")
    ).one()
    if drawn < highest:
        raise VersionCounterBehind(counter=drawn, version=highest)


def highest_of_each_table(above: str) -> list[str]:
    """Of all rows, for whoever mends the counter: queries for the highest version above this one, NULL where none is. A
    version that nothing can be above is left out."""
    columns = {"patients": "version", **dict.fromkeys(_KEYS, "patient_version")}
    # To compare costs half of what to aggregate costs: where the counter is sound, no row comes so far.
    return [
        f"(SELECT max({column}) FROM {table} WHERE {column} > {above} AND {column} <= {LARGEST_VERSION})"
        for table, column in columns.items()
    ]


_SHOWN = 20
# The same row gives the same probability, but for what two processors' arithmetic or two batch sizes differ by: that is
# below a millionth.
_SAME = 1e-4


def require_same_rows(connection: Connection, predictions: Predictions, model_version: int, run_id: int) -> None:
    """Raises VersionUsedTwice where this model has predicted a version before, and predicts something else now."""
    ids, versions = predictions.patient_ids.tolist(), predictions.patient_versions.tolist()
    made = dict(zip(zip(ids, versions, strict=True), predictions.probabilities.tolist(), strict=True))
    others = sorted(
        patient_id
        for listed in id_lists(ids)
        for patient_id, version, probability in _earlier(connection, listed, model_version, run_id)
        if abs(made.get((patient_id, version), probability) - probability) > _SAME
    )
    if others:
        shown = ", ".join(map(str, others[:_SHOWN]))
        raise VersionUsedTwice(rows=len(others), first=shown + (", ..." if len(others) > _SHOWN else ""))


def _earlier(connection: Connection, listed: str, model_version: int, run_id: int) -> list[tuple[int, int, float]]:
    rows = connection.execute(
        text(f"""
            SELECT patient_id, patient_version, probability FROM predictions
            WHERE patient_id IN ({listed})
                AND model_version = :model_version AND run_id <> :run_id"""),
        {"model_version": model_version, "run_id": run_id},
    )
    return [(row[0], row[1], row[2]) for row in rows]
