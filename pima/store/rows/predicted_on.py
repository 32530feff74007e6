"""Which version of a labelled row counts: the last one that a prediction in time was made from.

A row may be corrected or completed after its prediction, and even after its outcome. So models
learn from, and are judged on, the values that were there when the prediction had to be made.
"""

from sqlalchemy import Connection

from pima.core.declared.features import Outcome
from pima.core.outcomes.horizon import horizon_of
from pima.store.database import database_of


def in_time(at: str, row: str = "n", until: str = "n.in_time_until") -> str:
    """The condition that something belongs to a row and was there in time; `at` names its column
    with the moment, such as `d.scored_at` of a prediction `d`.

    `row` is what the statement calls the row, `until` what `in_time_until` says of it.
    """
    table = at.partition(".")[0]
    return f"{table}.patient_id = {row}.id AND {at} <= {until}"


LAST_FIRST = "d.patient_version DESC, d.run_id DESC, d.model_version DESC"
"""The order of a row's predictions `d` that were made in time."""
LAST_IN_TIME = f"""(SELECT d.{{column}} FROM predictions d WHERE {in_time("d.scored_at")}
    ORDER BY {LAST_FIRST} LIMIT 1) AS {{column}}"""
"""A column of the last prediction in time of the row `n`."""


def counted_version(row: str, until: str) -> str:
    """The version of a labelled row that counts, as a SELECT of one value; NULL if none was
    predicted on in time.

    `row` and `until` are those of `in_time`. `replaced_rows` says what was predicted on, too, since
    `retain` deletes predictions.
    """
    return f"""(SELECT max(version) FROM (
        SELECT max(d.patient_version) AS version FROM predictions d
        WHERE {in_time("d.scored_at", row, until)}
        UNION ALL SELECT max(k.patient_version) FROM replaced_rows k
        WHERE {in_time("k.predicted_at", row, until)}) AS counted)"""


def in_time_until(connection: Connection, outcome: Outcome) -> str:
    """Until when a prediction is in time, as SQL over the columns of a labelled row of `patients`:
    until the outcome became known, and with a horizon no longer than `predicted_within`. NULL if
    the row has no index and needs one."""
    database = database_of(connection)
    horizon = horizon_of(outcome)
    if horizon is None:
        return "labelled_at"
    labelled = database.milliseconds.format("labelled_at")
    until = f"{database.milliseconds.format('index_at')} + {horizon.predicted_within_ms}"
    over = database.moment_of_milliseconds.format(f"({until})")
    return f"CASE WHEN {until} > {labelled} THEN labelled_at ELSE {over} END"
