"""What a pull will change, put aside until all of the source is known: its guards come before the first write."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from pima.core.cells import NO_OUTCOME
from pima.core.mapping import SourceRows
from pima.intake.comparing import Compared
from pima.intake.record_file import RecordFile


@dataclass(slots=True)
class ChangeBlock:
    """So many changes as are taken in by one transaction."""

    new: list[Sequence[Any]] = field(default_factory=list)
    """(key, person's key where the source has one, features, outcome where the source has one)"""
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

    def __init__(self, block_keys: int, has_person: bool, has_outcome: bool, deletes: bool) -> None:
        self._block_keys, self._deletes = block_keys, deletes
        self._has_person, self._has_outcome = has_person, has_outcome
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
        outcomes = [None if outcome == NO_OUTCOME else outcome for outcome in rows.outcomes.tolist()]
        return [
            [key, *([person] if self._has_person else ()), *cells, *([outcome] if self._has_outcome else ())]
            for key, person, cells, outcome in zip(rows.keys, rows.persons, values, outcomes, strict=True)
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
