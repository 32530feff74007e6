"""Taking in files on PostgreSQL: by COPY, one load at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pima.core.identifiers import LARGEST_GIVEN_ID, LARGEST_ID
from pima.store.postgresql.errors import contested

# Any number that no other software on the server uses: "load" in ASCII.
_LOAD_LOCK = 0x6C6F6164


def wait_for_other_loads(connection: Connection) -> None:
    """Wait for other loads, as long as the lock's time limit; none begins then until the transaction ends. Wait as
    long for whoever has locked all of patients, before anything is held that they may want."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    connection.execute(text("SELECT 1 FROM patients WHERE false FOR KEY SHARE"))


_MOMENT = "200ms"
"""Well below the second after which the server looks for those that wait in a circle."""


@contextmanager
def waiting_a_moment(connection: Connection) -> Iterator[None]:
    """Wait for locks a moment only; the limit ends with the block, or with what is rolled back."""
    usual = connection.exec_driver_sql("SELECT current_setting('lock_timeout')").scalar_one()
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MOMENT}'")
    yield
    connection.execute(text("SELECT set_config('lock_timeout', :usual, true)"), {"usual": usual})


def lock_unless_held(connection: Connection, rows: str, lock: str, parameters: Mapping[str, Any]) -> bool:
    """Lock the rows without waiting; whether they were free.

    Transactions that hold rows and wait for others can wait in a circle, and the server ends one of them.
    """
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {rows} FOR {lock} OF p NOWAIT) AS locked"
    try:
        connection.execute(text(statement), parameters)
    except DBAPIError as error:
        if contested(error.orig) is None:
            raise
        return False
    return True


def session_id(connection: Connection) -> int:
    """The server's process."""
    found: int = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    return found


def index_staged(connection: Connection, table: str) -> None:
    """Index the table by key, and gather statistics, without which the planner would take it for a small one."""
    for made in (f"UNIQUE INDEX ON {table}", f"INDEX ON {table}_keys"):
        connection.exec_driver_sql(f"CREATE {made} (source_key)")
    connection.exec_driver_sql(f"ANALYZE {table}; ANALYZE {table}_keys")


_FEW_STEPS = 100_000
"""A counter that is set while others draw from it may go back behind what they drew; one that is drawn from can't. On a
longer way nobody draws as much between a look at the counter and its leap."""


def draw_ids_above_given(connection: Connection) -> None:
    """Not where the counter is beyond them already. What others draw meanwhile is among the given ids: it fails.

    In whole steps of the counter: of two nodes that replicate to each other, one may draw odd ids and one even ones.
    """
    connection.execute(
        text("""
            SELECT CASE WHEN steps BETWEEN 1 AND :few
                THEN (SELECT max(id) FROM (SELECT nextval(counter) FROM generate_series(1, steps)) AS passed (id))
                ELSE setval(counter, last + step * steps) END
            FROM (SELECT *, (largest - last + step - 1) / step AS steps
                  FROM (SELECT *, coalesce(pg_sequence_last_value(counter), nextval(counter)) AS last
                        FROM (SELECT seqrelid::regclass AS counter, seqincrement AS step, greatest(
                                  (SELECT max(id) FROM patients WHERE id <= :largest),
                                  (SELECT max(patient_id) FROM row_keys WHERE patient_id <= :largest)) AS largest
                              FROM pg_sequence
                              WHERE seqrelid = pg_get_serial_sequence('patients', 'id')::regclass) AS given
                        WHERE largest IS NOT NULL) AS drawn) AS way
            WHERE largest > last OR last > :end"""),
        {"largest": LARGEST_GIVEN_ID, "end": LARGEST_ID, "few": _FEW_STEPS},
    )
