"""Files to which old rows are moved: each is whole, and was read back, before a row of it is deleted."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection

from pima.core.identifiers import mark_of
from pima.errors import ArchiveDiffers, ArchiveUnreadable, WrongUsage
from pima.parquet_rows import as_table
from pima.process.whole_file import name_meant, whole_file
from pima.store.exported import columns_of
from pima.store.forgotten import everyone_forgotten
from pima.store.retaining import Moved, Old

FILE_ROWS = 200_000
ROWS_AT_ONCE = 1_000
"""That one transaction deletes."""
_INSTALLATION = b"pima.installation"


class Archive:
    """The files of one table in a folder, numbered in the order in which they were made."""

    def __init__(self, connection: Connection, folder: Path, name: str, old: Old) -> None:
        """Raises WrongUsage where the folder can't be made, or has files of another database."""
        self._name, self._folder = name, folder
        self._columns = columns_of(old.table.c)
        self._keys = [column.name for column in old.table.primary_key.columns]
        self._time = old.time.name
        # Tells installations apart, and nothing else.
        self._installation = mark_of("installation", everyone_forgotten(connection).salt).encode()
        self._rows: list[tuple[Any, ...]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._last = max(self._numbers(), default=0)
        except OSError as error:
            raise WrongUsage(what=f"--to {folder}: it can't be used as a folder ({error.strerror})") from None

    def _numbers(self) -> Iterator[int]:
        for path in self._folder.iterdir():
            found = re.fullmatch(rf"{self._name}-([0-9]{{6}})\.parquet", path.name)
            if found:
                yield int(found[1])

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number:06}.parquet"

    def left_behind(self) -> Iterator[Moved]:
        """The last file's rows, of which some may be in the database still.

        Raises WrongUsage where the file is none that was made for this database, ArchiveUnreadable where that can't be
        told.
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

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Have rows written with the next file."""
        self._rows.extend(rows)

    @property
    def is_full(self) -> bool:
        """Whether it is time for the next file."""
        return len(self._rows) >= FILE_ROWS

    def write(self) -> tuple[Path, list[Moved]] | None:
        """The next file, and its rows; None where there is nothing to write.

        Raises WrongUsage where it can't be written, ArchiveDiffers where it is not read as it was written.
        """
        if not self._rows:
            return None
        self._last += 1
        path, table = self._path(self._last), as_table(self._columns, self._rows)
        table = table.replace_schema_metadata({_INSTALLATION: self._installation})
        self._rows = []
        self._remove_half_written(path.name)
        with whole_file(path, "--to") as file:
            pq.write_table(table, file, compression="zstd")
        _sync(self._folder)
        read = self._read(path)
        if not read.equals(table, check_metadata=True):
            raise ArchiveDiffers(path=path)
        return path, list(self._rows_of(read))

    def _remove_half_written(self, name: str) -> None:
        """Of this file, by whoever was killed at it; who holds the lease writes alone."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if name_meant(path.name) == name:
                    path.unlink()

    def _read(self, path: Path) -> pa.Table:
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException):
            raise ArchiveDiffers(path=path) from None

    def _rows_of(self, table: pa.Table) -> Iterator[Moved]:
        keys = list(zip(*(table[name].to_pylist() for name in self._keys), strict=True))
        newest = pc.max(table[self._time]).as_py()
        for first in range(0, len(keys), ROWS_AT_ONCE):
            yield Moved(keys[first : first + ROWS_AT_ONCE], newest)


def _sync(folder: Path) -> None:
    """A file's name is kept by its folder."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
