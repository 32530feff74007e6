"""How a migration takes its locks beside a clinic that goes on.

Everybody waits behind a lock that waits. Waiting for one lock while holding another may end in a
deadlock, and its victim can be the clinic's own software. So nothing here waits: it takes all locks
or none, and tries again.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from pima.errors import DatabaseBusy
from pima.logs import get_logger
from pima.store.scripts import queries
from pima.store.tables import VIEWS

PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.01
_MOMENT = "10ms"
"""How long it waits for a lock that can't be had by NOWAIT."""
# Any number that no other software on the server uses: "pima" in ASCII.
_MIGRATION_LOCK = 0x70696D61
_CATALOGUE = queries(Path(__file__).with_name("catalogue.sql"))

_INDEXES = {"ix_rejections_run_id": "INDEX {} ON rejections (run_id)"}
"""The index of revision 0002, which takes long to make."""
_INDEXES_OF_0003 = {
    "ix_patients_index_at": "INDEX {} ON patients (index_at) WHERE index_at IS NOT NULL",
    "ix_row_history_replaced_at": "INDEX {} ON replaced_rows (replaced_at)",
    "pk_row_history": "UNIQUE INDEX {} ON replaced_rows (patient_id, patient_version, replaced_at)",
}
"""Those of revision 0003, which makes them by itself where revision 0002 has just added column and
table."""
_CHANGED = (
    "patients",
    "source_rejections",
    "model_versions",
    "scoring_queue",
    "monitoring",
    "champion",
    "alerts",
)
"""The tables that revisions change after the first one."""
_HOLD_VIEW = f"""
    SELECT set_config('pima.usual', current_setting('lock_timeout'), true);
    SET LOCAL lock_timeout = '{_MOMENT}';
    ALTER VIEW current_predictions SET (security_barrier);
    SELECT set_config('lock_timeout', current_setting('pima.usual'), true);"""
"""Lock the view that revision 0003 changes: LOCK TABLE would lock all tables that it reads."""


def wait_for_other_migrations(connection: Connection) -> None:
    """Take the migration lock until the transaction ends, so that none is left in a pool's
    session."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    # To make an index is to wait for all snapshots. A statement that waits for a lock has one, and
    # one with parameters leaves its own behind until the next statement.
    statement = f"SELECT pg_try_advisory_xact_lock(CAST({_MIGRATION_LOCK} AS bigint))"
    _until(
        lambda: bool(connection.exec_driver_sql(statement).scalar_one()),
        "another process migrates",
    )


def prepare_upgrade(connection: Connection) -> None:
    """Make what keeps nobody out, then lock the tables that the upgrade changes."""
    indexes = _INDEXES
    changed = dict.fromkeys(_CHANGED, "ACCESS EXCLUSIVE")
    columns = connection.execute(_CATALOGUE["columns"], {"tables": ["replaced_rows"]})
    if columns.first() is not None:
        indexes = _INDEXES | _INDEXES_OF_0003
        changed["replaced_rows"] = "ACCESS EXCLUSIVE"
    # This ends the last statement's snapshot, too.
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    for index, definition in indexes.items():
        _make_index(connection.engine, index, definition)
    for view in VIEWS:
        _hide_rows(connection.engine, view)
    # The view first, as whoever reads it.
    _hold(connection, changed, _HOLD_VIEW)


def keep_rows(connection: Connection) -> None:
    """Lock the champion, patients and the queue."""
    modes = {
        "champion": "EXCLUSIVE",
        # Readers are locked out too: one that then writes would deadlock with us when the triggers
        # are made.
        "patients": "ACCESS EXCLUSIVE",
        "row_history": "ACCESS EXCLUSIVE",
        # A claim locks rows of the queue, which conflicts with this mode.
        "scoring_queue": "EXCLUSIVE",
    }
    _hold(connection, modes)


def keep_triggers(connection: Connection) -> None:
    """Lock the table that has triggers."""
    _hold(connection, {"patients": "SHARE ROW EXCLUSIVE"})


def _make_index(engine: Engine, index: str, definition: str) -> None:
    """Make the index beside writers, outside of any transaction; one that a death left unfinished
    is made again."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # nobody else gets these settings
        connection.exec_driver_sql(
            f"SET statement_timeout = 0; SET lock_timeout = '{PATIENCE_SECONDS}s'"
        )
        query = _CATALOGUE["state_of_index"].bindparams(name=index)
        # The server's process may outlive a command that was killed.
        _until(
            lambda: connection.scalar(query) != "is being made",
            f"a session makes the index {index}",
        )
        if connection.scalar(query) != "is made":
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            name = f"CONCURRENTLY {index}"
            connection.exec_driver_sql(f"CREATE {definition.format(name)}")


def _hide_rows(engine: Engine, view: str) -> None:
    """Give a view of 0.1.0 the barrier that it has today: without one, a reader's own function was
    seen to be called on rows that the view leaves out. It has a transaction of its own, which holds
    nothing that a reader of the view may wait for, here or on a standby."""
    statement = (
        f"SET LOCAL lock_timeout = '{_MOMENT}'; ALTER VIEW IF EXISTS {view} SET (security_barrier)"
    )
    with engine.begin() as connection:
        _until(lambda: _took(connection, statement), f"others read {view}")


def _hold(connection: Connection, modes: Mapping[str, str], first: str = "") -> None:
    """Lock tables, each in its mode, until the transaction ends; `first` is a statement that locks
    something before them."""
    tables = ";".join(f"LOCK TABLE {each} IN {modes[each]} MODE NOWAIT" for each in modes)
    _until(lambda: _took(connection, first + tables), f"others hold one of {', '.join(modes)}")


def _took(connection: Connection, statement: str) -> bool:
    """Whether the statement took all of its locks; if not, it has none."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        return False
    return True


def _until(is_done: Callable[[], bool], what: str) -> None:
    """Try until it is done. Raises DatabaseBusy if that takes too long."""
    if is_done():
        return
    get_logger().info("other work is in the way; tried again", because=what)
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > end:
            raise DatabaseBusy(
                what=f"{what}, longer than {PATIENCE_SECONDS} s. docs/do/upgrade.md says how to "
                "find the session"
            )
        time.sleep(_PAUSE_SECONDS)
