"""What each run of scoring counted, and which of its figures were beyond their limits."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from pima.core.drift import Tally
from pima.store.engine import clock
from pima.store.tables import tallies

_AT_MOST = (16, 64, 2_000)
"""Rows that are read: those of a nightly job, of one with few rows a night, of one that runs every few minutes."""


@dataclass(frozen=True, slots=True)
class KeptTally:
    """A row of the table."""

    tally: Tally
    beyond: tuple[str, ...] | None
    """The figures that were beyond their limits in the night as that run saw it; None where its rows were too few."""
    recorded_at: datetime


def keep_tally(connection: Connection, run_id: int, version: int, tally: Tally, beyond: Sequence[str] | None) -> None:
    """Of a run that ends."""
    _keep(connection, run_id, 0, version, tally, beyond)


def keep_part(connection: Connection, run_id: int, version: int, tally: Tally) -> None:
    """Of one of several processes that share a run; on other machines too, so its number is drawn."""
    _keep(connection, run_id, 1 + secrets.randbits(62), version, tally, None)


def _keep(
    connection: Connection, run_id: int, part: int, version: int, tally: Tally, beyond: Sequence[str] | None
) -> None:
    document = msgspec.to_builtins(tally) | {"beyond": beyond if beyond is None else list(beyond)}
    connection.execute(insert(tallies).values(run_id=run_id, part=part, model_version=version, tally=document))


def parts_of(connection: Connection, run_id: int) -> list[Tally]:
    """What the processes that share a run have left."""
    found = connection.execute(select(tallies.c.tally, tallies.c.recorded_at).where(tallies.c.run_id == run_id))
    return [_kept(document, moment).tally for document, moment in found]


def newest_tallies(connection: Connection, version: int, but_of: int) -> Iterator[KeptTally]:
    """Of all of a version's runs but this one, newest first, as many as are asked for."""
    newest = select(tallies.c.tally, tallies.c.recorded_at).where(tallies.c.model_version == version)
    # Of a run that several processes shared the parts come behind what knows of all of them.
    newest = newest.where(tallies.c.run_id != but_of).order_by(tallies.c.run_id.desc(), tallies.c.part)
    read = 0
    for most in _AT_MOST:
        rows = connection.execute(newest.offset(read).limit(most - read)).all()
        for document, moment in rows:
            yield _kept(document, moment)
        read += len(rows)
        if read < most:
            return


def tallies_since(connection: Connection, days: int) -> Iterator[tuple[int, KeptTally]]:
    """Of all runs of the last so many days, each with its version, in no order."""
    since = clock(connection) - timedelta(days=days)
    columns = (tallies.c.model_version, tallies.c.tally, tallies.c.recorded_at)
    for version, document, moment in connection.execute(select(*columns).where(tallies.c.recorded_at > since)):
        yield version, _kept(document, moment)


def _kept(document: dict[str, Any], moment: datetime) -> KeptTally:
    beyond = document.pop("beyond")
    return KeptTally(msgspec.convert(document, Tally), None if beyond is None else tuple(beyond), moment)
