"""What a pull will change, put aside until all of the source is known: its guards come before the first write."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from pima.core.cells import NO_OUTCOME
from pima.core.mapping import NO_MOMENT, SourceRows
from pima.core.source import Source
from pima.intake.comparing import Compared
from pima.intake.record_file import RecordFile


@dataclass(slots=True)
class ChangeBlock:
    """So many changes as are taken in by one transaction."""

    new: list[Sequence[Any]] = field(default_factory=list)
    """(key, person's key where the source has one, features, outcome and its time where the source has them)"""
    changed: list[Sequence[Any]] = field(default_factory=list)
    """The same."""
    vanished: list[str] = field(default_factory=list)
    """Keys of rows to delete."""
    arrived: int = 0
    """Outcomes among the rows, as `Compared` has them."""
    corrected: int = 0
    cleared: int = 0

    def __len__(self) -> int:
        return len(self.new) + len(self.changed) + len(self.vanished)


class ChangeFile:
    """Blocks of changes, in the order of their keys."""

    def __init__(self, block_keys: int, source: Source) -> None:
        self._block_keys, self._deletes = block_keys, source.vanished == "delete"
        self._has_person, self._has_outcome = bool(source.persons), bool(source.outcome)
        self._has_moment = bool(source.outcome_at)
        self._file = RecordFile()
        self._waiting = ChangeBlock()

    def add(self, compared: Compared) -> None:
        """Put aside what was found between two keys."""
        waiting = self._waiting
        waiting.new.extend(self._as_lists(compared.new))
        waiting.changed.extend(self._as_lists(compared.changed))
        waiting.vanished.extend(compared.vanished if self._deletes else ())
        waiting.arrived += compared.arrived
        waiting.corrected += compared.corrected
        waiting.cleared += compared.cleared
        if len(waiting) >= self._block_keys:
            self._put_aside()

    def _put_aside(self) -> None:
        self._file.append(astuple(self._waiting))
        self._waiting = ChangeBlock()

    def _as_lists(self, rows: SourceRows) -> list[list[Any]]:
        values = rows.measurements.values.tolist()
        for row, feature in zip(*rows.measurements.is_null.nonzero(), strict=True):
            values[row][feature] = None
        none: list[tuple[Any, ...]] = [()] * len(rows)
        persons = [(person,) for person in rows.persons] if self._has_person else none
        outcomes = [(None if each == NO_OUTCOME else each,) for each in rows.outcomes.tolist()]
        moments = [(None if each == NO_MOMENT else each,) for each in rows.labelled_at.tolist()]
        labels = zip(outcomes if self._has_outcome else none, moments if self._has_moment else none, strict=True)
        return [
            [key, *person, *cells, *outcome, *moment]
            for key, person, cells, (outcome, moment) in zip(rows.keys, persons, values, labels, strict=True)
        ]

    def blocks(self) -> Iterator[ChangeBlock]:
        """All that was put aside."""
        if len(self._waiting):
            self._put_aside()
        for block in self._file.records():
            yield ChangeBlock(*block)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
