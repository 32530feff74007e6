"""What a pull will change, put aside until all of the source is known: its guards come before the first write."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pima.core.mapping import SourceRows
from pima.core.source import Source
from pima.intake.comparing import Compared
from pima.intake.packed_rows import packed, unpacked
from pima.intake.record_file import RecordFile


@dataclass(slots=True)
class ChangeBlock:
    """So many changes as are taken in by one transaction."""

    new: SourceRows
    changed: SourceRows
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
        self._features = len(source.columns)
        self._file = RecordFile()
        self._waiting = self._no_changes()

    def _no_changes(self) -> ChangeBlock:
        return ChangeBlock(SourceRows.none(self._features), SourceRows.none(self._features))

    def add(self, compared: Compared) -> None:
        """Put aside what was found between two keys."""
        waiting = self._waiting
        waiting.new = SourceRows.joined([waiting.new, compared.new])
        waiting.changed = SourceRows.joined([waiting.changed, compared.changed])
        waiting.vanished.extend(compared.vanished if self._deletes else ())
        waiting.arrived += compared.arrived
        waiting.corrected += compared.corrected
        waiting.cleared += compared.cleared
        if len(waiting) >= self._block_keys:
            self._put_aside()

    def _put_aside(self) -> None:
        waiting, self._waiting = self._waiting, self._no_changes()
        counts = (waiting.arrived, waiting.corrected, waiting.cleared)
        self._file.append([packed(waiting.new), packed(waiting.changed), waiting.vanished, *counts])

    def blocks(self) -> Iterator[ChangeBlock]:
        """All that was put aside."""
        if len(self._waiting):
            self._put_aside()
        for new, changed, *others in self._file.records():
            yield ChangeBlock(unpacked(new, self._features), unpacked(changed, self._features), *others)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
