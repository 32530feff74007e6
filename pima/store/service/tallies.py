"""Tallies: the counts of each run of scoring, from which a night's figures are made."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select

from pima.core.nights.drift import Tally
from pima.store.tables import runs, tallies

_TALLIES_AT_ONCE = 16
_MOST_TALLIES = 2_000
"""A nightly job needs only a few tallies; a job that runs every few minutes on few rows needs
many."""


@dataclass(frozen=True, slots=True)
class KeptTally:
    """A row of the table."""

    version: int
    """The version that scored, in whose bins the rows are counted."""
    tally: Tally
    recorded_at: datetime


def keep_tally(
    connection: Connection,
    run_id: int,
    version: int,
    tally: Tally,
    is_part: bool = False,
) -> None:
    """Store the tally of a run at its end, or, as a part, that of one of several processes that
    share the run."""
    # The processes may be on several machines, so a part's number is random.
    part = 1 + secrets.randbits(62) if is_part else 0
    document = msgspec.to_builtins(tally)
    connection.execute(
        insert(tallies).values(run_id=run_id, part=part, model_version=version, tally=document)
    )


def tallies_of_parts(connection: Connection, run_id: int) -> list[Tally]:
    """Read the tallies of the processes that share a run."""
    found = connection.execute(select(tallies.c.tally).where(tallies.c.run_id == run_id))
    return [msgspec.convert(document, Tally) for document in found.scalars()]


def newest_tallies(connection: Connection, but_of: int) -> Iterator[KeptTally]:
    """Read the tallies of all runs except one, newest first; the caller stops when it has
    enough."""
    newest = select(tallies.c.model_version, tallies.c.tally, tallies.c.recorded_at)
    # If several processes shared a run, their parts come after the tally of the whole run.
    newest = newest.where(tallies.c.run_id != but_of).order_by(
        tallies.c.run_id.desc(), tallies.c.part
    )
    with connection.execute(
        newest.limit(_MOST_TALLIES), execution_options={"yield_per": _TALLIES_AT_ONCE}
    ) as found:
        for version, document, moment in found:
            yield KeptTally(version, msgspec.convert(document, Tally), moment)


def tallies_since(
    connection: Connection, moment: datetime
) -> Iterator[tuple[int, datetime, Tally]]:
    """Read the tallies of runs that began at a moment or later, each with its version and that
    time, in no order."""
    found = select(tallies.c.model_version, runs.c.started_at, tallies.c.tally)
    found = found.join_from(tallies, runs, tallies.c.run_id == runs.c.id).where(
        runs.c.started_at >= moment
    )
    for version, began, document in connection.execute(found):
        yield version, began, msgspec.convert(document, Tally)
