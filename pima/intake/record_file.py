"""What is too much for memory, put aside until it is needed: records in a temporary file without a name."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from pima.errors import TemporaryFileFailed

_LENGTH_BYTES = 8


class RecordFile:
    """Records of numbers, texts, bytes and lists, in the order in which they came; it ends with the process."""

    def __init__(self) -> None:
        with _told():
            # Without a name, so that patients' rows are gone with the process, however that ends.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self.end = 0
        """Where the next record begins."""

    def append(self, record: Any) -> None:
        """Add a record. Raises TemporaryFileFailed where there is no room."""
        content = msgspec.msgpack.encode(record)
        with _told():
            self._file.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)
            self._file.flush()
        self.end += _LENGTH_BYTES + len(content)

    def records(self, first: int = 0, end: int | None = None) -> Iterator[Any]:
        """The records between two places; several may be read at a time."""
        place, end = first, self.end if end is None else end
        while place < end:
            length = int.from_bytes(self._read(_LENGTH_BYTES, place), "big")
            yield msgspec.msgpack.decode(self._read(length, place + _LENGTH_BYTES))
            place += _LENGTH_BYTES + length

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def _read(self, length: int, place: int) -> bytes:
        with _told():
            return os.pread(self._file.fileno(), length, place)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TemporaryFileFailed(why=error.strerror) from None
