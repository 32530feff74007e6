"""The shipped rows, of which the last two hundred are predicted before their outcomes come."""

from pathlib import Path

from tests.support.databases import Database, call
from tests.support.patient_files import HEADER, write
from tests.support.shipped import SHIPPED
from tests.support.trained import install_shipped

LINES = dict(enumerate(SHIPPED.read_text().split(), 1))
FIRST = 568
"""The rows after these are predicted before their outcomes come."""


def predict_the_last(database: Database, trained: Path, folder: Path) -> None:
    """Load the first rows with their outcomes, the others without, and score these."""
    install_shipped(database, trained)
    rows = [f"{n},{line}" for n, line in LINES.items()]
    history = write(folder, f"id,{HEADER}", *rows[:FIRST])
    assert call(database, "load", history).exit_code == 0
    unknown = [row.rpartition(",")[0] for row in rows[FIRST:]]
    waiting = write(folder, f"id,{HEADER.rpartition(',')[0]}", *unknown)
    assert call(database, "load", waiting).exit_code == 0
    assert call(database, "score").exit_code == 0
