"""Rows whose keys came after they did: how many there are, and deciding their sides of the holdout anew."""

from sqlalchemy import Connection, text

from pima.core.row_keys import LateKeys
from pima.store.row_keys import side_key
from pima.store.tables import IS_LABELLED

_NAMED_OTHERWISE = f"row_keys.side_key <> {side_key('row_keys', 'patient_id')}"


def late_keys(connection: Connection) -> LateKeys:
    """Of how many labelled rows the side goes by another name than they have by now."""
    # Through the index of labelled rows.
    statement = text(f"""
        SELECT count(row_keys.patient_id), count(*)
        FROM patients LEFT JOIN row_keys ON row_keys.patient_id = patients.id AND {_NAMED_OTHERWISE}
        WHERE {IS_LABELLED}""")
    return LateKeys(*connection.execute(statement).one())


def decide_sides_by_keys(connection: Connection) -> None:
    """From now on every row that there is or was goes by the name that it has now: person, else source and key, else
    id."""
    connection.execute(
        text(f"UPDATE row_keys SET side_key = {side_key('row_keys', 'patient_id')} WHERE {_NAMED_OTHERWISE}")
    )
