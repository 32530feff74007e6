"""Removing what is old, in small transactions, beside everything else that goes on.

Of the tables it walks through windows of some thousand rows. Each is one transaction, or, where the rows are moved to
files, each file: written, read back and compared before a row of it is deleted.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine

from pima.erasing.archive import Archive
from pima.errors import TooYoungToRemove
from pima.process.leasing import HeldLease, only_one
from pima.process.recorded_run import OpenRun, as_json
from pima.process.stopping import StopRequest
from pima.store.engine import clock, reading, writing
from pima.store.leases import RETAINING
from pima.store.retaining import Moved, Old, Window, delete_rows, end_of_window, what_is_old
from pima.store.runs import record_progress

WINDOW_ROWS = 5_000
_LEASE_SECONDS = 60
_REST = 1.0
"""How long others have the database to themselves after a window, as a multiple of the time that it took."""


@dataclass(frozen=True, slots=True)
class RetainResult:
    """How many rows were removed so far; of a dry run, how many would be. The fields are the keys of the JSON."""

    older_than: str = ""
    """The moment before which they are from."""
    predictions: int = 0
    rejections: int = 0
    runs: int = 0
    files: tuple[str, ...] = ()
    """To which they were moved."""


@dataclass(slots=True)
class Retaining:
    """One run of the job."""

    engine: Engine
    run: OpenRun
    stop: StopRequest
    days: int
    """How old what is removed must be."""
    dry_run: bool
    folder: Path | None
    """Where the rows are moved to; None where they are not kept."""
    result: RetainResult = field(default_factory=RetainResult)

    def report(self, result: RetainResult) -> None:
        """What it has come to so far."""
        self.result = result
        self.run.report(result)


def require_old_enough(days: int, minimum_days: int) -> None:
    """Raises TooYoungToRemove."""
    if days < minimum_days:
        raise TooYoungToRemove(days=days, minimum=minimum_days)


def retain(asked: Retaining) -> None:
    """Remove it. Reports window by window. Raises LeaseHeld, WrongUsage where the folder can't take the rows,
    Interrupted between two windows, with what was removed until then."""
    with only_one(asked.engine, RETAINING, asked.run.id, _LEASE_SECONDS) as lease:
        with reading(asked.engine) as connection:
            cutoff = clock(connection) - timedelta(days=asked.days)
            found = what_is_old(connection, cutoff)
        asked.report(RetainResult(cutoff.isoformat()))
        for name, old in found.items():
            if asked.folder is not None and not asked.dry_run:
                _move(asked, lease, name, old, asked.folder)
            else:
                _remove(asked, lease, name, old)


def _windows(asked: Retaining, old: Old) -> Iterator[Window]:
    after = 0
    while True:
        asked.stop.check()
        with reading(asked.engine) as connection:
            last = end_of_window(connection, old, after, WINDOW_ROWS)
        if last is None:
            return
        began = time.monotonic()
        yield Window(old, after, last)
        time.sleep(min(_REST * (time.monotonic() - began), 1.0))
        after = last


def _remove(asked: Retaining, lease: HeldLease, name: str, old: Old) -> None:
    for window in _windows(asked, old):
        if asked.dry_run:
            with reading(asked.engine) as connection:
                asked.report(_grown(asked.result, name, window.count(connection)))
        else:
            _delete(asked, lease, name, window.delete)


def _delete(asked: Retaining, lease: HeldLease, name: str, delete: Callable[[Connection], int]) -> None:
    """In one transaction with the count."""
    with writing(asked.engine) as connection:
        lease.require(connection)
        result = _grown(asked.result, name, delete(connection))
        record_progress(connection, asked.run.id, as_json(result), None)
    asked.report(result)


def _grown(result: RetainResult, name: str, count: int) -> RetainResult:
    return replace(result, **{name: getattr(result, name) + count})


def _move(asked: Retaining, lease: HeldLease, name: str, old: Old, folder: Path) -> None:
    with reading(asked.engine) as connection:
        archive = Archive(connection, folder, name, old)
    # Of a file that was whole when something ended the process before its rows were gone.
    _delete_moved(asked, lease, name, old, archive.left_behind())
    for window in _windows(asked, old):
        with reading(asked.engine) as connection:
            archive.add(window.read(connection))
        if archive.is_full:
            _put_away(asked, lease, name, old, archive)
    _put_away(asked, lease, name, old, archive)


def _put_away(asked: Retaining, lease: HeldLease, name: str, old: Old, archive: Archive) -> None:
    with writing(asked.engine) as connection:
        # Its rows were read before: nobody may have been forgotten since, or is until they are written.
        lease.require(connection)
        written = archive.write()
    if written is not None:
        path, moved = written
        asked.report(replace(asked.result, files=(*asked.result.files, path.name)))
        _delete_moved(asked, lease, name, old, moved)


def _delete_moved(asked: Retaining, lease: HeldLease, name: str, old: Old, moved: Iterable[Moved]) -> None:
    for rows in moved:
        asked.stop.check()
        _delete(asked, lease, name, partial(delete_rows, old=old, moved=rows))
