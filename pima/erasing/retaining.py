"""Removing old rows in small transactions, while everything else goes on.

A table is read in windows of some thousand rows, and each window is one transaction. If the rows
are moved to files, each file is written, read back and compared before any of its rows is deleted.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine

from pima.core.declared.identifiers import mark_of
from pima.errors import ArchiveDiffers, ArchiveUnreadable, WrongUsage
from pima.runs.lease import HeldLease, only_one
from pima.runs.recorded_run import OpenRun, as_json
from pima.runs.stop_request import StopRequest
from pima.runs.whole_file import whole_file
from pima.store.engine import clock, reading, writing
from pima.store.rows.erasing import (
    Moved,
    Old,
    OldRows,
    end_of_window,
    everyone_forgotten,
    what_is_old,
)
from pima.store.rows.parquet_rows import as_table
from pima.store.service.leases import RETAINING
from pima.store.service.runs import record_progress
from pima.store.tables import row_history

WINDOW_ROWS = 5_000
FILE_ROWS = 200_000
ROWS_AT_ONCE = 1_000
"""How many rows of a file one transaction deletes."""
_INSTALLATION = b"pima.installation"
_LEASE_SECONDS = 60
_REST = 1.0
"""How long to leave the database to others after a window, as a multiple of the window's time."""


@dataclass(frozen=True, slots=True)
class RetainResult:
    """How many rows were removed so far, or by a dry run would be. The fields are the keys of the
    JSON."""

    older_than: str = ""
    """The moment that all removed rows are older than."""
    predictions: int = 0
    prediction_scores: int = 0
    """What the scores in use said beside them."""
    rejections: int = 0
    row_history: int = 0
    """Values of earlier versions; they are in no file."""
    runs: int = 0
    files: tuple[str, ...] = ()
    """The files that rows were moved to."""


@dataclass(slots=True)
class Retaining:
    """One run of the job."""

    engine: Engine
    run: OpenRun
    stop: StopRequest
    days: int
    """The least age of removed rows."""
    dry_run: bool
    folder: Path | None
    """The folder to move rows to; None if they are not kept."""
    all_values: bool = False
    """Whether predictions that count go, too, with their values and what scores said then."""
    result: RetainResult = field(default_factory=RetainResult)

    def report(self, result: RetainResult) -> None:
        """Report the result so far."""
        self.result = result
        self.run.report(result)


def retain(asked: Retaining) -> None:
    """Remove old rows, and report window by window.

    Raises LeaseHeld; WrongUsage if the folder can't be used; Interrupted between two windows, and
    what was removed until then stays removed.
    """
    with only_one(asked.engine, RETAINING, asked.run.id, _LEASE_SECONDS) as lease:
        with reading(asked.engine) as connection:
            cutoff = clock(connection) - timedelta(days=asked.days)
            found = what_is_old(connection, cutoff, asked.all_values)
        asked.report(RetainResult(cutoff.isoformat()))
        for old in found:
            if asked.folder is None or asked.dry_run or old.table is row_history:
                _remove(asked, lease, old)
            else:
                _move(asked, lease, old, asked.folder)


def _windows(asked: Retaining, old: Old) -> Iterator[OldRows]:
    after = 0
    while True:
        asked.stop.check()
        with reading(asked.engine) as connection:
            last = end_of_window(connection, old, after, WINDOW_ROWS)
        if last is None:
            return
        began = time.monotonic()
        yield OldRows(old, after, last)
        time.sleep(min(_REST * (time.monotonic() - began), 1.0))
        after = last


def _remove(asked: Retaining, lease: HeldLease, old: Old) -> None:
    for window in _windows(asked, old):
        if asked.dry_run:
            with reading(asked.engine) as connection:
                asked.report(_grown(asked.result, old, window.count(connection)))
        else:
            _delete(asked, lease, window)


def _delete(asked: Retaining, lease: HeldLease, rows: OldRows | Moved) -> None:
    with writing(asked.engine) as connection:
        lease.require(connection)
        result = _grown(asked.result, rows.old, rows.delete(connection))
        record_progress(connection, asked.run.id, as_json(result), None)
    asked.report(result)


def _grown(result: RetainResult, old: Old, count: int) -> RetainResult:
    name = old.table.name
    return replace(result, **{name: getattr(result, name) + count})


def _move(asked: Retaining, lease: HeldLease, old: Old, folder: Path) -> None:
    with reading(asked.engine) as connection:
        archive = Archive(connection, folder, old)
    # An earlier process may have ended after it had written a file and before it had deleted all of
    # its rows.
    _delete_moved(asked, lease, archive.left_behind())
    for window in _windows(asked, old):
        with writing(asked.engine) as connection:
            lease.require(connection)
            archive.rows += window.read(connection)
        if len(archive.rows) >= FILE_ROWS:
            _put_away(asked, lease, archive)
    _put_away(asked, lease, archive)


def _put_away(asked: Retaining, lease: HeldLease, archive: "Archive") -> None:
    with writing(asked.engine) as connection:
        # The rows were read before. The lease keeps anyone from being forgotten from then until
        # they are written.
        lease.require(connection)
        written = archive.write()
    if written is not None:
        path, moved = written
        asked.report(replace(asked.result, files=(*asked.result.files, path.name)))
        _delete_moved(asked, lease, moved)


def _delete_moved(asked: Retaining, lease: HeldLease, moved: Iterable[Moved]) -> None:
    for rows in moved:
        asked.stop.check()
        _delete(asked, lease, rows)


class Archive:
    """The files of one table in a folder, numbered in the order in which they were made, and the
    rows of the next one."""

    def __init__(self, connection: Connection, folder: Path, old: Old) -> None:
        """Raises WrongUsage if the folder can't be made, or has files of another database."""
        self._folder = folder
        self._old = old
        # A mark that only identifies the installation.
        self._installation = mark_of("installation", everyone_forgotten(connection).salt).encode()
        self.rows: list[tuple[Any, ...]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._last = max(self._numbers(), default=0)
        except OSError as error:
            raise WrongUsage(
                what=f"--to {folder}: it can't be used as a folder ({error.strerror})"
            ) from None

    def _numbers(self) -> Iterator[int]:
        for path in self._folder.iterdir():
            found = re.fullmatch(rf"{self._old.table.name}-([0-9]{{6}})\.parquet", path.name)
            if found:
                yield int(found[1])

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._old.table.name}-{number:06}.parquet"

    def left_behind(self) -> Iterator[Moved]:
        """Read the last file's rows, some of which may still be in the database.

        Raises WrongUsage if the file was not made for this database, ArchiveUnreadable if it can't
        be read.
        """
        if self._last == 0:
            return
        path = self._path(self._last)
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            why = getattr(error, "strerror", None) or "it is no readable Parquet file"
            raise ArchiveUnreadable(path=path, why=why) from None
        if (table.schema.metadata or {}).get(_INSTALLATION) != self._installation:
            what = f"--to {self._folder}: it has files of another database; name another folder"
            raise WrongUsage(what=what)
        yield from self._rows_of(table)

    def write(self) -> tuple[Path, list[Moved]] | None:
        """Write the next file, and return its path and rows; None if there is nothing to write.

        Raises WrongUsage if it can't be written, ArchiveDiffers if it does not read back as it was
        written.
        """
        if not self.rows:
            return None
        self._last += 1
        path = self._path(self._last)
        table = as_table(list(self._old.table.c), self.rows)
        table = table.replace_schema_metadata({_INSTALLATION: self._installation})
        self.rows = []
        with whole_file(path, "--to") as file:
            pq.write_table(table, file, compression="zstd")
        _sync(self._folder)
        try:
            read = pq.read_table(path)
        except (OSError, pa.ArrowException):
            raise ArchiveDiffers(path=path) from None
        if not read.equals(table, check_metadata=True):
            raise ArchiveDiffers(path=path)
        return path, list(self._rows_of(read))

    def _rows_of(self, table: pa.Table) -> Iterator[Moved]:
        columns = self._old.table.primary_key.columns.keys()
        keys = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
        newest = pc.max(table[self._old.time.name]).as_py()
        for first in range(0, len(keys), ROWS_AT_ONCE):
            yield Moved(self._old, keys[first : first + ROWS_AT_ONCE], newest)


def _sync(folder: Path) -> None:
    # The name of a new file is durable once its folder is synced.
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
