"""Patient files of whatever kind: the columns of one, and its rows block by block, so that memory does not grow."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

from pima.core.features import KEYS, Declaration
from pima.intake.csv_file import open_csv
from pima.intake.file_hash import file_hash
from pima.intake.key_cells import ALL_TEXT, KeyTypes
from pima.intake.parquet_file import open_parquet
from pima.intake.patient_rows import Block
from pima.intake.sources import LONGEST_BEGINNING, Source, other_kind, refused

_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class PatientFile:
    """A file whose columns are known and whose rows are still to be read."""

    name: str
    sha256: str
    """By which it is known again: `pima.intake.file_hash`."""
    declaration: Declaration
    columns: tuple[str, ...]
    """Of `id`, the keys, the features and `outcome`, those that the file has, in its order."""
    blocks: Callable[[], Iterator[Block]]

    @property
    def keys(self) -> tuple[str, ...]:
        """Of `source`, `source_key` and `person_key`, those that the file has, as its rows have them."""
        return tuple(name for name in KEYS if name in self.columns)

    @property
    def called_by(self) -> str | None:
        """The column that says whose each row is; None where every row is a new patient."""
        return next((name for name in ("id", "source_key") if name in self.columns), None)

    @property
    def absent_measurements(self) -> tuple[str, ...]:
        """Columns without which a row can't be a new patient."""
        return tuple(name for name in self.declaration.names if name not in self.columns)


def open_patient_file(
    source: Source, declaration: Declaration, ignored: Sequence[str] = (), key_types: KeyTypes = ALL_TEXT
) -> PatientFile:
    """Find out what kind of file it is and which columns it has. Raises FileRefused."""
    beginning, hashes = _beginning_and_hash(source)
    if not beginning:
        raise refused(source.name, "The file is empty (empty_file). Expected rows of patients.")
    if kind := other_kind(beginning):
        raise refused(source.name, kind)
    open_kind = open_parquet if beginning.startswith(_PARQUET) else open_csv
    columns, blocks = open_kind(source, declaration, ignored, key_types)
    file = PatientFile(source.name, hashes, declaration, columns, blocks)
    if fault := _fault_of_keys(set(columns)):
        raise refused(source.name, fault)
    if file.called_by is None and file.absent_measurements:
        absent = ", ".join(file.absent_measurements)
        raise refused(file.name, f"Without an id column every row is a new patient, and these are missing: {absent}.")
    return file


def _fault_of_keys(columns: Set[str]) -> str | None:
    """What is wrong with the columns that say whose the rows are, in words."""
    if columns == {"id"}:
        return "It has ids and nothing else. Expected outcomes or measurements beside them."
    if columns == {"source", "source_key"}:
        return "It has keys and nothing else. Expected outcomes or measurements beside them."
    named = columns & {"source", "source_key"}
    if "id" in columns and named:
        return f"It has id and {min(named)} (two_keys). Expected one of the two: --ignore and its name leave one out."
    if len(named) == 1:
        other = ({"source", "source_key"} - named).pop()
        return (
            f"It has {min(named)} without {other} (half_a_key). Expected both: a key is that of a row in one source. "
            f"--ignore {min(named)} leaves it out."
        )
    return None


def _beginning_and_hash(source: Source) -> tuple[bytes, str]:
    try:
        with source.path.open("rb") as content:
            beginning = content.read(LONGEST_BEGINNING)
            content.seek(0)
            return beginning, file_hash(content, is_text=not beginning.startswith(_PARQUET))
    except OSError as error:
        raise refused(source.name, f"It can't be read: {error.strerror}.") from None
