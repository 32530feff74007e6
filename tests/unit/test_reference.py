"""The pages that are made from the code are what it makes of them now."""

import re
from pathlib import Path

import pytest

from pima.store.tables import SCRIPT, TABLES, VIEWS
from pima.watch import metrics
from tests.entries import CONTRIBUTING, contributing, entries, misfits
from tests.support.reference import COMMANDS, FOLDER, pages, parser_of, roles

MADE = pages()
ENTRIES = entries()


@pytest.mark.parametrize("name", MADE)
def test_each_page_is_as_the_code_makes_it(name: str) -> None:
    assert (FOLDER / name).read_text() == MADE[name], "python -m tests.support.reference writes it"


def test_the_entries_of_contributing_are_as_their_files_say() -> None:
    assert CONTRIBUTING.read_text() == contributing(), "python -m tests.support.reference writes it"


@pytest.mark.parametrize("name", ENTRIES)
def test_the_example_of_an_entry_fits_the_tree(name: str, tmp_path: Path) -> None:
    entry = ENTRIES[name]
    assert list(misfits(entry)) == [], f"bring tests/entries/{name}.toml up to date"
    assert all(entry.files.values()), "each file says what stands there"
    changed = sum(bool(edit.anchor) for edit in entry.edit)
    assert len(list(misfits(entry, tmp_path))) == changed


def test_each_table_view_and_column_says_what_it_holds() -> None:
    assert len(VIEWS) == SCRIPT.read_text("utf-8").count("CREATE VIEW")
    assert [
        f"{table}.{column.name}" for table in TABLES for column in table.columns if not column.doc
    ] == []


def test_each_metric_that_is_described_is_served() -> None:
    """Another than those described could not be served at all."""
    source = Path(metrics.__file__).read_text()
    assert [name for name in metrics.METRICS if source.count(f'"{name}"') != 2] == []


def test_each_option_says_what_it_does() -> None:
    def shown(command: str) -> list[str]:
        return [
            action.dest
            for action in parser_of(command)._actions
            if action.dest != "command" and not action.help
        ]

    assert {command: shown(command) for command in COMMANDS if shown(command)} == {}


def test_whoever_lacks_a_right_is_told_a_role_for_each_command() -> None:
    without = {"demo", "suggest", "trial"}
    """They make a database of their own, or read a source."""
    assert roles().keys() == set(COMMANDS) - without
    assert re.search(r"\| \[`migrate`\].*the schema's owner \|", MADE["commands.md"])
