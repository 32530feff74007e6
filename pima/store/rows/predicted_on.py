"""Which version of a labelled row counts: the last one that a prediction in time was made from.

A row may be corrected or completed after its prediction, and even after its outcome. So models
learn from, and are judged on, the values that were there when the prediction had to be made.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from pima.core.declared.features import Outcome
from pima.core.outcomes.horizon import horizon_of
from pima.store.database import database_of
from pima.store.engine import column as quoted


def in_time(at: str, row: str = "n", until: str = "n.in_time_until") -> str:
    """The condition that something belongs to a row and was there in time; `at` names its column
    with the moment, such as `d.scored_at` of a prediction `d`.

    `row` is what the statement calls the row, `until` what `in_time_until` says of it.
    """
    table = at.partition(".")[0]
    return f"{table}.patient_id = {row}.id AND {at} <= {until}"


LAST_FIRST = "d.patient_version DESC, d.run_id DESC, d.model_version DESC"
"""The order of a row's predictions `d` that were made in time."""


def last_in_time(column: str, row: str = "n", until: str = "n.in_time_until") -> str:
    """A column of the prediction that counts, as a SELECT of one value; NULL if none was made in
    time. `row` and `until` are those of `in_time`."""
    return f"""(SELECT d.{column} FROM predictions d WHERE {in_time("d.scored_at", row, until)}
        ORDER BY {LAST_FIRST} LIMIT 1)"""


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


def value_of(name: str) -> str:
    """The column of a feature's value in `predicted_values`, which no other column is called."""
    return f"value_of_{name}"


def predicted_values(names: Iterable[str]) -> str:
    """The SELECT of all predictions of rows that are there, each with the values of these features
    that it was made from. These are NULL unless `is_kept`; the other columns are the prediction's,
    the row's as it stands, and `replaced_at`."""
    values = (
        f", CASE WHEN p.version = d.patient_version THEN {quoted(name, 'p')} "
        f"ELSE {quoted(name, 'h')} END AS {value_of(name)}"
        for name in names
    )
    return f"""
        SELECT d.patient_id, d.patient_version, d.model_version, d.run_id, d.probability,
            d.scored_at, p.version, p.outcome, p.labelled_at, p.index_at, h.replaced_at,
            (p.version = d.patient_version OR h.patient_id IS NOT NULL) AS is_kept
            {"".join(values)}
        FROM predictions d JOIN patients p ON p.id = d.patient_id
        LEFT JOIN row_history h
            ON h.patient_id = d.patient_id AND h.patient_version = d.patient_version"""
