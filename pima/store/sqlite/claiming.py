"""Claiming on SQLite: the transaction has the file's write lock (BEGIN IMMEDIATE), so nobody else claims now."""

from functools import cache

import numpy as np
from sqlalchemy import Connection

from pima.core.validation import Measurements
from pima.store.batches import Batch
from pima.store.columns import listed

# REPLACE deletes rows that share a unique value, and sets off no trigger then, without recursive_triggers: the entries
# of such rows tell of nothing, and go with the claim. One of a row that is there under another version is requeue's.
# CROSS JOIN walks both tables side by side in the queue's order; EXISTS would look each row up from the root. Each name
# says whose it is, since patients may have columns of the clinic's.
_READ = """
    SELECT q.patient_id, q.patient_version, {} FROM scoring_queue q CROSS JOIN patients p ON p.id = q.patient_id
    WHERE q.patient_id > ? ORDER BY q.patient_id LIMIT ?"""
_LARGEST = 2**63 - 1
_DELETE = "DELETE FROM scoring_queue WHERE patient_id > ? AND patient_id <= ?"


@cache
def _row(names: tuple[str, ...]) -> np.dtype[np.void]:
    return np.dtype([("patient_id", "i8"), ("patient_version", "i8"), *((name, "f8") for name in names)])


def claim(connection: Connection, names: tuple[str, ...], after: int, rows: int) -> Batch:
    """Read and delete."""
    cursor = connection.connection.cursor()
    # Row by row into the array: the driver's objects are gone before the next ones come.
    read = np.fromiter(cursor.execute(_READ.format(listed(names, "q")), (after, rows)), dtype=_row(names))
    cursor.close()
    measured = read.view(np.float64).reshape(-1, 2 + len(names))[:, 2:]
    is_null = np.isnan(measured)  # a NULL; SQLite stores no NaN
    values = np.where(is_null, 0.0, measured)
    batch = Batch(read["patient_id"], read["patient_version"], Measurements(values, is_null))
    last = batch.last if len(batch) == rows else _LARGEST
    connection.exec_driver_sql(_DELETE, (after, last))
    return batch
