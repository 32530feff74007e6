"""Patient files of whatever kind: the columns of one, and its rows block by block, so that memory does not grow."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pima.core.features import Declaration
from pima.intake.csv_file import open_csv
from pima.intake.file_hashes import FileHashes, file_hashes
from pima.intake.parquet_file import open_parquet
from pima.intake.patient_rows import Block
from pima.intake.sources import LONGEST_BEGINNING, Source, other_kind, refused

_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class PatientFile:
    """A file whose columns are known and whose rows are still to be read."""

    name: str
    hashes: FileHashes
    declaration: Declaration
    columns: tuple[str, ...]
    """Of `id`, the features and `outcome`, those that the file has, in its order."""
    blocks: Callable[[], Iterator[Block]]

    @property
    def has_ids(self) -> bool:
        """Whether its rows say whose they are."""
        return "id" in self.columns

    @property
    def absent_measurements(self) -> tuple[str, ...]:
        """Columns without which a row can't be a new patient."""
        return tuple(name for name in self.declaration.names if name not in self.columns)


def open_patient_file(source: Source, declaration: Declaration, ignored: Sequence[str] = ()) -> PatientFile:
    """Find out what kind of file it is and which columns it has. Raises FileRefused."""
    beginning, hashes = _beginning_and_hashes(source)
    if not beginning:
        raise refused(source.name, "The file is empty (empty_file). Expected rows of patients.")
    if kind := other_kind(beginning):
        raise refused(source.name, kind)
    open_kind = open_parquet if beginning.startswith(_PARQUET) else open_csv
    columns, blocks = open_kind(source, declaration, ignored)
    file = PatientFile(source.name, hashes, declaration, columns, blocks)
    if columns == ("id",):
        raise refused(file.name, "It has ids and nothing else. Expected outcomes or measurements beside them.")
    if not file.has_ids and file.absent_measurements:
        absent = ", ".join(file.absent_measurements)
        raise refused(file.name, f"Without an id column every row is a new patient, and these are missing: {absent}.")
    return file


def _beginning_and_hashes(source: Source) -> tuple[bytes, FileHashes]:
    try:
        with source.path.open("rb") as content:
            beginning = content.read(LONGEST_BEGINNING)
            content.seek(0)
            return beginning, file_hashes(content, is_text=not beginning.startswith(_PARQUET))
    except OSError as error:
        raise refused(source.name, f"It can't be read: {error.strerror}.") from None
