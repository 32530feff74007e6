"""Patient files of whatever kind: the columns of one, and its rows block by block, so that memory does not grow."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pima.core.features import FEATURE_NAMES
from pima.csv_file import open_csv
from pima.parquet_file import open_parquet
from pima.patient_rows import Block, refused, shown_name


@dataclass(frozen=True, slots=True)
class PatientFile:
    """A file whose columns are known and whose rows are still to be read."""

    name: str
    sha256: str
    columns: tuple[str, ...]
    """Of `id`, the measurements and `outcome`, those that the file has, in its order."""
    blocks: Callable[[], Iterator[Block]]

    @property
    def has_ids(self) -> bool:
        """Whether its rows say whose they are."""
        return "id" in self.columns

    @property
    def absent_measurements(self) -> tuple[str, ...]:
        """Columns without which a row can't be a new patient."""
        return tuple(name for name in FEATURE_NAMES if name not in self.columns)


def open_patient_file(path: Path) -> PatientFile:
    """Find out what kind of file it is and which columns it has. Raises FileRefused."""
    try:
        with path.open("rb") as content:
            magic = content.read(4)
            content.seek(0)
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise refused(path, f"It can't be read: {error.strerror}.") from None
    if not magic:
        raise refused(path, "The file is empty (empty_file). Expected rows of patients.")
    open_kind = open_parquet if magic == b"PAR1" else open_csv
    columns, blocks = open_kind(path)
    file = PatientFile(shown_name(path), sha256, columns, blocks)
    if columns == ("id",):
        raise refused(path, "It has ids and nothing else. Expected outcomes or measurements beside them.")
    if not file.has_ids and file.absent_measurements:
        absent = ", ".join(file.absent_measurements)
        raise refused(path, f"Without an id column every row is a new patient, and these are missing: {absent}.")
    return file
