"""Being the only one: a lease that is held, and renewed, as long as a run works."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from pima.errors import LeaseHeld, PimaError
from pima.logs import get_logger
from pima.store import runs
from pima.store.engine import writing


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that was taken."""

    name: str
    fence: int
    seconds: int
    """How long it keeps the next one out where this process dies."""

    def require(self, connection: Connection) -> None:
        """Keep the lease until the transaction ends: a process that slept past it must not write over its successor.

        Raises LeaseHeld where another has taken it over.
        """
        if not runs.renew_lease(connection, self.name, self.fence, self.seconds):
            raise _held(connection, self.name)


def take(connection: Connection, name: str, owner: str, seconds: int) -> int:
    """Take the lease, and return its fence. Raises LeaseHeld where another has it."""
    fence = runs.take_lease(connection, name, owner, seconds)
    if fence is None:
        raise _held(connection, name)
    return fence


@contextmanager
def only_one(engine: Engine, name: str, run_id: int, seconds: int) -> Iterator[HeldLease]:
    """Hold the lease until the block ends, with the run's heartbeat. Raises LeaseHeld where another has it."""
    with writing(engine) as connection:
        fence = take(connection, name, runs.owner_of(run_id), seconds)

    ended = threading.Event()

    def keep_beating() -> None:
        while not ended.wait(seconds / 4):
            try:
                with writing(engine) as connection:
                    # In this order, in which the work itself asks for them too: else each could wait for the other.
                    runs.renew_lease(connection, name, fence, seconds)
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
        # Where the database is away the lease runs out by itself; what ended the run is what must be reported.
        with suppress(PimaError), writing(engine) as connection:
            runs.release_lease(connection, name, fence)


def _held(connection: Connection, name: str) -> LeaseHeld:
    owner, expires_at = runs.lease_holder(connection, name)
    return LeaseHeld(job=name, owner=owner, expires_at=expires_at)
