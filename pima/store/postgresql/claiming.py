"""Claiming on PostgreSQL: two statements a batch, whatever other scorers and a clinic's own transactions hold."""

from functools import cache

import numpy as np
from sqlalchemy import Connection

from pima.core.validation import Measurements
from pima.errors import DatabaseBusy
from pima.store.batches import Batch
from pima.store.columns import column, listed

# A NULL travels as a NaN that no arithmetic makes, so that every row has the same width. No literal of bytes: its
# backslash would mean something else where standard_conforming_strings is off.
NULL_AS_BITS = 0x7FF80000_4E554C4C
# With SKIP LOCKED a claim never waits, neither for another scorer nor for a clinic's own transaction; what such a one
# holds is the next run's. The batch comes as one value, which costs the server half of what ten columns a row cost it.
_LOCK = """
    SELECT string_agg({packed}, ''::bytea)
    FROM (SELECT patient_id, patient_version, {measurements} FROM scoring_queue
          WHERE patient_id > %s ORDER BY patient_id LIMIT %s FOR UPDATE SKIP LOCKED) AS locked"""
# Of the range only what this transaction has locked: whoever holds the others is not waited for.
_DELETE = """
    DELETE FROM scoring_queue
    WHERE patient_id > %s AND patient_id <= %s AND xmax = pg_current_xact_id()::xid"""
# The queue is filled and emptied between two looks of autovacuum, so its statistics mean nothing: by key, always.
_BY_KEY = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"


@cache
def _lock(names: tuple[str, ...]) -> str:
    measured = [f"coalesce(float8send({column(name)}), int8send({NULL_AS_BITS}))" for name in names]
    packed = " || ".join(["int8send(patient_id)", "int8send(patient_version)", *measured])
    return _LOCK.format(packed=packed, measurements=listed(names))


def claim(connection: Connection, names: tuple[str, ...], after: int, rows: int) -> Batch:
    """Lock, read and delete, without waiting for anybody."""
    cursor = connection.connection.cursor(binary=True)
    connection.exec_driver_sql(_BY_KEY)
    cursor.execute(_lock(names), (after, rows))
    (packed,) = cursor.fetchone() or (None,)
    words = np.frombuffer(packed or b"", dtype=">u8").reshape(-1, 2 + len(names)).astype(np.uint64)
    measured = words[:, 2:]
    is_null = measured == NULL_AS_BITS
    values = np.where(is_null, 0, measured).view(np.float64)
    batch = Batch(words[:, 0].astype(np.int64), words[:, 1].astype(np.int64), Measurements(values, is_null))
    if len(batch):
        cursor.execute(_DELETE, (after, batch.last))
        if cursor.rowcount != len(batch):
            # A row that two others lock at once bears a number of another counter, which may by chance be ours.
            raise DatabaseBusy(what=f"{cursor.rowcount} queue entries would have gone for {len(batch)} rows")
    cursor.close()
    return batch
