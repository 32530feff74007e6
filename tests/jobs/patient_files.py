"""Patient files as tests write them, and what became of one in the database."""

from pathlib import Path

from tests.conftest import FEATURE_NAMES, Database

HEADER = ",".join((*FEATURE_NAMES, "outcome"))
ID_HEADER = f"id,{HEADER}"
GOOD = "6,148,72,35,0,33.6,0.627,50,1"
OTHER = "1,85,66,29,0,26.6,0.351,31,0"
THIRD = "8,183,64,0,0,23.3,0.672,32,1"


def write(folder: Path, *lines: str | bytes, name: str = "patients.csv", end: bytes = b"\n") -> str:
    """Write a file of lines; its path."""
    path = folder / name
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + end for line in lines))
    return str(path)


def counts(database: Database) -> tuple[int, int, int]:
    """Patients, queue entries and loads."""
    return tuple(database.value(f"SELECT count(*) FROM {table}") for table in ("patients", "scoring_queue", "loads"))  # type: ignore[return-value]
