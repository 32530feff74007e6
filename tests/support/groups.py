"""The shipped declaration with two groups that no model sees: a language, and the years at a
practice."""

from pathlib import Path

from msgspec.structs import replace

from pima.core.declared.group import Group
from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED, SHIPPED_FILE
from tests.support.databases import Database
from tests.support.declared import configuration
from tests.support.trained import install_shipped

LANGUAGE = Group("language", "first language", {0: "German", 1: "Turkish", 2: "another"})
YEARS = Group("years", bands=(1, 5))
WITH_GROUPS = replace(SHIPPED, groups=(LANGUAGE, YEARS))
_DECLARED = """
[[group]]
name = "language"
label = "first language"
codes = { 0 = "German", 1 = "Turkish", 2 = "another" }

[[group]]
name = "years"
bands = [1, 5]
"""


def group_configuration(folder: Path, more: str = "") -> str:
    """Settings that declare them; the value of --config."""
    path = configuration(folder, SHIPPED_FILE.read_text() + _DECLARED)
    with Path(path).open("a") as file:
        file.write(more)
    return path


def install_groups(database: Database, trained: Path) -> None:
    """Make the schema with versions that were trained, and then declare the groups."""
    install_shipped(database, trained)
    redeclare(database.engine, WITH_GROUPS, "a test", "is it fair?")
