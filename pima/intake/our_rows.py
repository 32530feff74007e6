"""Our rows of a source, beside those of it that are compared.

Each block is read by a transaction of its own: a source that answers slowly must not hold one open, and a row that
somebody changes meanwhile is compared again where it is written. Where the source is in our own file, its transaction
is the one: a writer that waits until it ends lets no other begin, and the two would wait for each other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Thread

from sqlalchemy import Connection, Engine

from pima.core.mapping import SourceRows
from pima.intake.comparing import Pair, side_by_side
from pima.intake.extent import ChangedSince, Extent
from pima.intake.source_reading import BLOCK_ROWS
from pima.store.engine import reading
from pima.store.source_rows import OurColumns, rows_after, rows_of


@dataclass(frozen=True, slots=True)
class OurRows:
    """The rows of `patients` that come from a source."""

    engine: Engine
    columns: OurColumns
    within: Connection | None = None
    """The source's, where it is in our own file."""

    def beside(self, theirs: Iterable[SourceRows], extent: Extent) -> Iterator[Pair]:
        """The source's rows, each block with ours of the same keys."""
        if isinstance(extent, ChangedSince):
            return ((rows, self._of(rows.keys)) for rows in theirs)
        return side_by_side(theirs, self._all(), len(self.columns.features))

    def _all(self) -> Iterator[SourceRows]:
        """Each block is read while the one before it is compared: our server and this process work side by side."""
        coming = self._begun("")
        while len(block := coming()):
            coming = self._begun(block.keys[-1])
            yield block

    def _begun(self, last: str) -> Callable[[], SourceRows]:
        read = partial(self._after, last)
        # Two threads must not use one connection.
        return _read_ahead(read) if self.within is None else read

    def _after(self, last: str) -> SourceRows:
        with self._transaction() as connection:
            return rows_after(connection, self.columns, last, BLOCK_ROWS)

    def _of(self, keys: Sequence[str]) -> SourceRows:
        with self._transaction() as connection:
            return rows_of(connection, self.columns, keys)

    def _transaction(self) -> AbstractContextManager[Connection]:
        return reading(self.engine) if self.within is None else nullcontext(self.within)


def _read_ahead(read: Callable[[], SourceRows]) -> Callable[[], SourceRows]:
    """What a thread of its own reads. Nobody waits for the thread: where the pull ends, it may end with the process."""
    coming: Future[SourceRows] = Future()

    def work() -> None:
        try:
            coming.set_result(read())
        except BaseException as error:  # noqa: BLE001 (told where the rows are asked for)
            coming.set_exception(error)

    Thread(target=work, name="our rows", daemon=True).start()
    return coming.result
