"""The values that corrected rows were predicted on: those of all labelled rows for a history, and
those of one row for its explanation.

The triggers keep the values of a version that is replaced, and scoring lets those go that nothing
was predicted on.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, bindparam, text

from pima.core.declared.features import Outcome
from pima.store.database import Timestamp, database_of, since_1970
from pima.store.engine import column, listed
from pima.store.models.registry import measured_since
from pima.store.rows.histories import Rows, plain_rows, rows_of
from pima.store.rows.predicted_on import counted_version, in_time, in_time_until
from pima.store.tables import IS_LABELLED

# A join leaves few, and only of these it is asked which version counts: that costs each row several
# look-ups.
_CORRECTED = """
    SELECT d.patient_id FROM predictions d JOIN patients p ON p.id = d.patient_id
    WHERE p.labelled_at IS NOT NULL AND d.patient_version < p.version
    UNION ALL SELECT k.patient_id FROM replaced_rows k JOIN patients p ON p.id = k.patient_id
    WHERE p.labelled_at IS NOT NULL AND k.patient_version < p.version"""

# When the version that counts was first predicted on; `retain` may have deleted the prediction.
_FIRST = """coalesce((SELECT min(d.scored_at) FROM predictions d
    WHERE d.patient_id = c.id AND d.patient_version = c."Counted"), k.predicted_at)"""


def predicted_on(
    connection: Connection, names: Sequence[str], outcome: Outcome
) -> tuple[pd.DataFrame, pd.Index]:
    """Read the values of these features that labelled rows were predicted on, by id, of rows that
    were corrected after the prediction that counts. Also return the ids of those whose values then
    are not kept."""
    since = measured_since(connection)
    values = []
    for name in names:
        kept = column(name, "k")
        if name in since:
            # What was predicted before a feature was there, or in another unit, says nothing of it.
            kept = f"CASE WHEN {_FIRST} < :{name} THEN {column(name, 'c')} ELSE {kept} END"
        values.append(kept)
    columns = f"id, version, {listed(names)}"
    statement = f"""
        WITH candidates AS MATERIALIZED (
            {_labelled(connection, outcome, columns)} AND id IN ({_CORRECTED})),
        counted AS MATERIALIZED (
            SELECT n.*, {counted_version("n", "n.in_time_until")} AS "Counted" FROM candidates n)
        SELECT c.id, k.replaced_at IS NOT NULL, {", ".join(values)}
        FROM counted c LEFT JOIN replaced_rows k
            ON k.patient_id = c.id AND k.patient_version = c."Counted" AND k.replaced_at IS NOT NULL
        WHERE c."Counted" <> c.version ORDER BY c.id"""
    moments = (bindparam(name, moment, Timestamp()) for name, moment in since.items())
    found = connection.execute(text(statement).bindparams(*moments)).all()
    rows = pd.DataFrame(found, columns=["id", "Kept", *names]).set_index("id")
    is_kept = rows.pop("Kept").astype(bool)
    return rows[is_kept].astype("float64"), rows.index[~is_kept]


def predicted_in_time(connection: Connection, outcome: Outcome, now: datetime) -> pd.DataFrame:
    """Read what `pima.core.rows.hindsight.corrections` takes, of all labelled rows that were
    predicted in time."""
    days_ago = f"({since_1970(now)} - {database_of(connection).milliseconds}) / 86400000.0"
    # Both tables are read once: look-ups for each row would take twice as long.
    statement = f"""
        WITH candidates AS ({_labelled(connection, outcome, "id")}),
        predicted AS (
            SELECT n.id, d.patient_version AS version, d.scored_at AS at, d.probability, d.run_id,
                d.model_version
            FROM candidates n JOIN predictions d ON {in_time("d.scored_at")}
            UNION ALL SELECT n.id, k.patient_version, k.predicted_at, NULL, 0, 0
            FROM candidates n JOIN replaced_rows k ON {in_time("k.predicted_at")}),
        placed AS (
            SELECT predicted.*, min(at) OVER (PARTITION BY id, version) AS first_at, row_number()
                OVER (PARTITION BY id ORDER BY version DESC, run_id DESC, model_version DESC)
                AS place
            FROM predicted)
        SELECT p.id, p.probability, {days_ago.format("p.first_at")},
            {days_ago.format("k.replaced_at")}
        FROM placed p LEFT JOIN replaced_rows k
            ON k.patient_id = p.id AND k.patient_version = p.version
        WHERE p.place = 1"""
    types = {"id": "int64"} | dict.fromkeys(("probability", "predicted", "replaced"), "float64")
    read = chain([()], plain_rows(connection, statement))
    blocks = (pd.DataFrame(rows, columns=list(types)).astype(types) for rows in read)
    return pd.concat(blocks).set_index("id")


def _labelled(connection: Connection, outcome: Outcome, columns: str) -> str:
    """The labelled rows, each with the moment until which a prediction is in time."""
    return f"""SELECT {columns}, {in_time_until(connection, outcome)} AS in_time_until
        FROM patients WHERE {IS_LABELLED}"""


# ---- One row.


def stored_prediction(connection: Connection, patient_id: int) -> Row[Any] | None:
    """Read `patient_version`, `model_version` and `scored_at` of the prediction that stands: of the
    newest version with predictions, by the champion if it made one. None if there is none."""
    # The rule of current_predictions, which the trainer's role may not read: it has persons' keys.
    statement = text("""
        SELECT patient_version, model_version, scored_at FROM predictions
        WHERE patient_id = :patient_id
        ORDER BY patient_version DESC,
            CASE WHEN model_version = (SELECT model_version FROM champion) THEN 0 ELSE 1 END,
            run_id DESC, model_version DESC
        LIMIT 1""").columns(scored_at=Timestamp())
    return connection.execute(statement, {"patient_id": patient_id}).first()


def row_predicted_on(
    connection: Connection, patient_id: int, version: int, names: Sequence[str]
) -> Rows:
    """The row with these features as it stood in a version; none if its values then are not
    kept."""
    statement = f"""
        SELECT id, outcome IS NULL, {listed(names)} FROM patients
        WHERE id = :patient_id AND version = :version
        UNION ALL SELECT p.id, p.outcome IS NULL, {listed(names, "k")}
        FROM replaced_rows k JOIN patients p ON p.id = k.patient_id
        WHERE k.patient_id = :patient_id AND k.patient_version = :version
            AND k.replaced_at IS NOT NULL"""
    called = {"patient_id": patient_id, "version": version}
    return rows_of(connection, names, statement, called)
