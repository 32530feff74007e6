"""A source beside our rows of it, against the plainest way to say what differs; and rows in the order of their keys."""

import random
import resource
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.mapping import NO_MOMENT, SourceRows
from pima.core.validation import Measurements
from pima.errors import TemporaryFileFailed
from pima.intake.comparing import Compared, compared, side_by_side
from pima.intake.record_file import RecordFile
from pima.intake.sorting import sorted_rows


@dataclass(frozen=True)
class Row:
    key: str
    value: float | None = 1.0
    outcome: int = -1
    person: str | None = None
    rejected: bool = False
    moment: int | None = None


def _rows(rows: list[Row]) -> SourceRows:
    if not rows:
        return SourceRows.none(1)
    return SourceRows(
        [row.key for row in rows],
        [row.person for row in rows],
        np.array([row.outcome for row in rows], np.int8),
        np.array([NO_MOMENT if row.moment is None else row.moment for row in rows], np.int64),
        Measurements(
            np.array([[row.value or 0.0] for row in rows]), np.array([[row.value is None] for row in rows], bool)
        ),
        np.array([row.rejected for row in rows], bool),
    )


def _listed(rows: SourceRows) -> list[Row]:
    values, is_null = rows.measurements.values[:, 0].tolist(), rows.measurements.is_null[:, 0].tolist()
    measured = [None if null else value for value, null in zip(values, is_null, strict=True)]
    moments = [None if moment == NO_MOMENT else moment for moment in rows.labelled_at.tolist()]
    columns = (rows.keys, measured, rows.outcomes.tolist(), rows.persons, rows.rejected.tolist(), moments)
    return [Row(*row) for row in zip(*columns, strict=True)]


def _blocks(rows: list[Row], size: int) -> Iterator[SourceRows]:
    for first in range(0, len(rows), size):
        yield _rows(rows[first : first + size])


def compare(
    theirs: Iterable[SourceRows], ours: Iterable[SourceRows], has_outcome: bool, has_person: bool
) -> Iterator[Compared]:
    return (compared(*pair, has_outcome, has_person) for pair in side_by_side(theirs, ours, 1))


@dataclass
class Found:
    new: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    ours: list[Row] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def add(self, block: Compared) -> None:
        self.new += _listed(block.new)
        self.changed += _listed(block.changed)
        self.vanished += block.vanished
        self.ours += _listed(block.ours)
        found = (block.unchanged, block.arrived, block.corrected, block.cleared)
        self.counts = [one + other for one, other in zip(self.counts, found, strict=True)]


def _plainly(theirs: list[Row], ours: list[Row], has_outcome: bool, has_person: bool) -> Found:
    known, sound = {row.key: row for row in ours}, [row for row in theirs if not row.rejected]
    pairs = [(row, known[row.key]) for row in sound if row.key in known]
    changed = [
        (now, was)
        for now, was in pairs
        if now.value != was.value
        or (has_person and now.person != was.person)
        or (has_outcome and now.outcome != was.outcome)
        or now.moment not in (None, was.moment)
    ]
    outcomes = [(was.outcome, now.outcome) for now, was in pairs if has_outcome and was.outcome != now.outcome]
    there = {row.key for row in theirs}
    counts = [
        len(pairs) - len(changed),
        sum(was == -1 for was, now in outcomes),
        sum(was != -1 and now != -1 for was, now in outcomes),
        sum(now == -1 for was, now in outcomes),
    ]
    return Found(
        [row for row in sound if row.key not in known],
        [now for now, _ in changed],
        [row.key for row in ours if row.key not in there],
        ours,
        counts,
    )


def _rows_of(rejected: st.SearchStrategy[bool]) -> st.SearchStrategy[list[Row]]:
    row = st.builds(
        Row,
        st.text("aBü0", min_size=1, max_size=3),
        st.sampled_from([None, 0.0, 1.0, 2.0]),
        st.sampled_from([-1, 0, 1]),
        st.sampled_from([None, "p", "q"]),
        rejected,
        st.sampled_from([None, 0, 1]),
    )
    unique = st.lists(row, max_size=40, unique_by=lambda row: row.key)
    return unique.map(lambda rows: sorted(rows, key=lambda row: row.key.encode()))


@given(
    _rows_of(st.booleans()),
    _rows_of(st.just(False)),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_every_pair_of_tables_in_blocks_of_every_size_is_compared_as_plainly_as_can_be(
    theirs: list[Row], ours: list[Row], their_size: int, our_size: int, has_outcome: bool, has_person: bool
) -> None:
    found = Found()
    for block in compare(_blocks(theirs, their_size), _blocks(ours, our_size), has_outcome, has_person):
        assert len(block.ours) <= our_size
        assert len(block.new) + len(block.changed) + block.unchanged <= their_size
        found.add(block)
    assert found == _plainly(theirs, ours, has_outcome, has_person)


def test_of_millions_that_have_vanished_a_block_is_in_memory() -> None:
    # Their keys alone would be 4 MB.
    ours = (_rows([Row(f"b{block:04}{n:03}") for n in range(500)]) for block in range(120))
    tracemalloc.start()
    vanished = sum(len(block.vanished) for block in compare(_blocks([Row("a"), Row("z")], 2), ours, False, False))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert vanished == 60_000
    assert peak < 2_000_000


@pytest.mark.parametrize("rows", [0, 1, 999, 1_000, 5_003])
def test_rows_are_sorted_by_the_bytes_of_their_keys_whatever_order_they_come_in(rows: int) -> None:
    draw = random.Random(1)  # noqa: S311
    keys = {"".join(draw.choices("aBü€0 \U0001f600", k=6)) for _ in range(rows)}
    made = [
        Row(key, draw.choice([None, 1.5, 2.5]), draw.choice([-1, 0, 1]), draw.choice([None, "p"]), draw.random() < 0.1)
        for key in keys
    ]
    found = [row for block in sorted_rows(_blocks(made, 300), 700, run_rows=1_000) for row in _listed(block)]
    assert found == sorted(made, key=lambda row: row.key.encode())
    sizes = [len(block) for block in sorted_rows(_blocks(made, 300), 700, run_rows=1_000)]
    assert all(size == 700 for size in sizes[:-1])


def test_rows_of_the_same_key_follow_each_other() -> None:
    made = [Row("b", 1.0), Row("a", 2.0), Row("b", 3.0), Row("a", 4.0)]
    (block,) = sorted_rows(_blocks(made, 1), 10, run_rows=2)
    assert block.keys == ["a", "a", "b", "b"]


def test_what_is_put_aside_leaves_no_file_and_no_room_for_it_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = RecordFile()
    file.append(["a", None, 1, 0.1, b"\0"])
    assert list(file.records()) == [["a", None, 1, 0.1, b"\0"]]
    assert list(tmp_path.iterdir()) == []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.end, limits[1]))
    try:
        with pytest.raises(TemporaryFileFailed, match="TMPDIR"):
            file.append(["b" * 100])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    file.close()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(TemporaryFileFailed):
        RecordFile()
