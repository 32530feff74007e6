"""Rows of a source in the order of their keys, where the source could not give them so: sorted in runs, then merged.

Another database has another order of texts, and what a key becomes may stand elsewhere than what it was.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pima.core.mapping import SourceRows
from pima.core.validation import Measurements
from pima.intake.packed_rows import packed
from pima.intake.record_file import RecordFile

RUN_ROWS = 50_000
"""Sorted in memory at a time."""
_BLOCK_ROWS = 2_000
"""Of each run in memory while they are merged."""


class _Row(NamedTuple):
    """A row that is compared by its key; rows of one key go by their run."""

    key: str
    run: int
    person: str | None
    outcome: int
    labelled_at: bytes
    rejected: int
    values: bytes
    is_null: bytes


def sorted_rows(blocks: Iterable[SourceRows], block_rows: int, run_rows: int = RUN_ROWS) -> Iterator[SourceRows]:
    """The same rows by key, in blocks of another size; rows of the same key follow each other."""
    file = RecordFile()
    try:
        ends = [0]
        for run in _runs(blocks, run_rows):
            _write(file, run)
            ends.append(file.end)
        places = enumerate(itertools.pairwise(ends))
        rows = heapq.merge(*(_read(file, number, first, end) for number, (first, end) in places), key=_by_key)
        while block := list(itertools.islice(rows, block_rows)):
            yield _as_rows(block)
    finally:
        file.close()


def _by_key(row: _Row) -> str:
    return row.key


def _runs(blocks: Iterable[SourceRows], run_rows: int) -> Iterator[SourceRows]:
    waiting: list[SourceRows] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= run_rows:
            yield _in_order(SourceRows.joined(waiting))
            waiting = []
    if waiting:
        yield _in_order(SourceRows.joined(waiting))


def _in_order(rows: SourceRows) -> SourceRows:
    """The same rows by key."""
    return rows.rows(np.array(sorted(range(len(rows)), key=rows.keys.__getitem__), dtype=np.int64))


def _write(file: RecordFile, run: SourceRows) -> None:
    for first in range(0, len(run), _BLOCK_ROWS):
        file.append(packed(run.part(first, first + _BLOCK_ROWS)))


def _read(file: RecordFile, run: int, first: int, end: int) -> Iterator[_Row]:
    for keys, persons, outcomes, labelled_at, rejected, values, is_null in file.records(first, end):
        width = len(is_null) // len(keys)
        for n, (key, person) in enumerate(zip(keys, persons, strict=True)):
            cells = values[n * width * 8 : (n + 1) * width * 8], is_null[n * width : (n + 1) * width]
            yield _Row(key, run, person, outcomes[n], labelled_at[n * 8 : (n + 1) * 8], rejected[n], *cells)


def _as_rows(block: list[_Row]) -> SourceRows:
    keys, _, persons, outcomes, labelled_at, rejected, values, is_null = zip(*block, strict=True)
    shape = (len(block), len(is_null[0]))
    return SourceRows(
        list(keys),
        list(persons),
        np.frombuffer(bytes(outcomes), np.int8),
        np.frombuffer(b"".join(labelled_at), np.int64),
        Measurements(
            np.frombuffer(b"".join(values), np.float64).reshape(shape),
            np.frombuffer(b"".join(is_null), bool).reshape(shape),
        ),
        np.frombuffer(bytes(rejected), bool),
    )
