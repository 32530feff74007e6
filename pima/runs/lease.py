"""A lease that this process holds, kept by a heartbeat until its work ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from pima.errors import (
    LeaseHeld,
    PimaError,
)
from pima.logs import get_logger
from pima.store.engine import writing
from pima.store.service import leases, runs

SECONDS_BETWEEN_BEATS = 15
"""An eighth of `runs.STALE_SECONDS`, however long a lease is."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that was taken."""

    name: str
    fence: int
    seconds: int
    """How long it keeps others out if this process dies."""

    def require(self, connection: Connection) -> None:
        """Keep the lease until the transaction ends: a process that was suspended past its lease
        must not overwrite its successor's work. Raises LeaseHeld if another process has taken it
        over."""
        if not leases.renew_lease(connection, self.name, self.fence, self.seconds):
            raise _held(connection, self.name)


def take(connection: Connection, name: str, owner: str, seconds: int) -> int:
    """Take the lease and return its fence. Raises LeaseHeld if another process has it."""
    fence = leases.take_lease(connection, name, owner, seconds)
    if fence is None:
        raise _held(connection, name)
    return fence


@contextmanager
def only_one(engine: Engine, name: str, run_id: int, seconds: int) -> Iterator[HeldLease]:
    """Hold the lease until the block ends, with the run's heartbeat. Raises LeaseHeld if another
    process has it."""
    with writing(engine) as connection:
        fence = take(connection, name, leases.owner_of(run_id), seconds)

    ended = threading.Event()

    def keep_beating() -> None:
        while not ended.wait(min(seconds / 4, SECONDS_BETWEEN_BEATS)):
            try:
                with writing(engine) as connection:
                    # Locks are taken in the same order as the work takes them, to avoid a deadlock.
                    leases.renew_lease(connection, name, fence, seconds)
                    runs.beat(connection, run_id)
            except PimaError as error:
                get_logger().warning("heartbeat failed", error_code=error.code)

    heartbeat = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    heartbeat.start()
    try:
        yield HeldLease(name, fence, seconds)
    finally:
        ended.set()
        heartbeat.join()
        # If the database is down, the lease expires by itself; the error that ended the run is the
        # one to report.
        with suppress(PimaError), writing(engine) as connection:
            leases.release_lease(connection, name, fence)


def _held(connection: Connection, name: str) -> LeaseHeld:
    owner, expires_at = leases.lease_holder(connection, name)
    return LeaseHeld(job=name, owner=owner, expires_at=expires_at)
