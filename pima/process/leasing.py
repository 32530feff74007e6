"""Being the only one: a lease that is held, and renewed, as long as a run works."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from pima.errors import LeaseHeld, PimaError
from pima.process.heartbeat import beating
from pima.store import leases, runs
from pima.store.engine import writing


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that was taken."""

    name: str
    fence: int
    seconds: int
    """How long it keeps the next one out where this process dies."""

    def require(self, connection: Connection) -> None:
        """Ours until the transaction ends: a process that slept past it must not write over its successor.

        Raises LeaseHeld where another has taken it over.
        """
        if not leases.renew_lease(connection, self.name, self.fence, self.seconds):
            raise _held(connection, self.name)


def take(connection: Connection, name: str, owner: str, seconds: int) -> int:
    """The lease's fence. Raises LeaseHeld where another has it."""
    fence = leases.take_lease(connection, name, owner, seconds)
    if fence is None:
        raise _held(connection, name)
    return fence


@contextmanager
def only_one(engine: Engine, name: str, run_id: int, seconds: int) -> Iterator[HeldLease]:
    """Hold the lease until the block ends, with the run's heartbeat. Raises LeaseHeld where another has it."""
    with writing(engine) as connection:
        fence = take(connection, name, leases.owner_of(run_id), seconds)

    def beat() -> None:
        with writing(engine) as connection:
            # In this order, in which the work itself asks for them too: else each could wait for the other.
            leases.renew_lease(connection, name, fence, seconds)
            runs.beat(connection, run_id)

    try:
        with beating(beat, seconds / 4):
            yield HeldLease(name, fence, seconds)
    finally:
        # Where the database is away the lease runs out by itself; what ended the run is what must be reported.
        with suppress(PimaError), writing(engine) as connection:
            leases.release_lease(connection, name, fence)


def _held(connection: Connection, name: str) -> LeaseHeld:
    owner, expires_at = leases.lease_holder(connection, name)
    return LeaseHeld(job=name, owner=owner, expires_at=expires_at)
