"""The shipped declaration with a score in use: the ward's points, which three of its features
decide."""

from pathlib import Path

from msgspec.structs import replace

from pima.core.declared.present_score import PresentScore
from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED, SHIPPED_FILE
from pima.store.schema import migrate
from tests.support.databases import Database
from tests.support.declared import configuration
from tests.support.shipped import HOLDOUT
from tests.support.trained import install_shipped

WARD = PresentScore("ward", label="the ward's points", threshold=3)
WITH_WARD = replace(SHIPPED, present_scores=(WARD,))
_DECLARED = """
[[present_score]]
name = "ward"
label = "the ward's points"
threshold = 3
"""


def ward_configuration(folder: Path, more: str = "") -> str:
    """Settings that declare it; the value of --config."""
    path = configuration(folder, SHIPPED_FILE.read_text() + _DECLARED)
    with Path(path).open("a") as file:
        file.write(more)
    return path


def install_ward(database: Database, trained: Path) -> None:
    """Make the schema with versions that were trained, and then declare the score."""
    install_shipped(database, trained)
    redeclare(database.engine, WITH_WARD, "a test", "the ward has points")


def make_ward(database: Database) -> None:
    """Make the schema with the score declared from the beginning."""
    migrate(database.engine, HOLDOUT, WITH_WARD)
