"""Patient files as tests write them, and what became of one in the database."""

from pathlib import Path
from typing import Any

from tests.support.databases import Database, call, the_json
from tests.support.shipped import FEATURE_NAMES

HEADER = ",".join((*FEATURE_NAMES, "outcome"))
ID_HEADER = f"id,{HEADER}"
KEYED = f"source,source_key,{HEADER}"
GOOD = "6,148,72,35,0,33.6,0.627,50,1"
OTHER = "1,85,66,29,0,26.6,0.351,31,0"
THIRD = "8,183,64,0,0,23.3,0.672,32,1"
UNKNOWN = GOOD.rpartition(",")[0] + ","  # the outcome is not known


def write(folder: Path, *lines: str | bytes, name: str = "patients.csv", end: bytes = b"\n") -> str:
    """Write a file of lines; its path."""
    path = folder / name
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else line.encode()) + end for line in lines)
    )
    return str(path)


def counts(database: Database) -> tuple[int, int, int]:
    """Patients, queue entries and loads."""
    return tuple(
        database.value(f"SELECT count(*) FROM {table}")
        for table in ("patients", "scoring_queue", "loads")
    )  # type: ignore[return-value]


def load(database: Database, *arguments: str) -> dict[str, Any]:
    """It comes in; what the command said of it."""
    ended = call(database, "load", "--json", *arguments)
    assert ended.exit_code == 0, ended.stderr
    return the_json(ended)
