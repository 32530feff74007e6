"""The pages that are made from the code are what it makes of them now."""

import re
from pathlib import Path

import pytest

from pima.store.tables import SCRIPT, TABLES, VIEWS
from pima.watch import metrics
from tests.support.reference import COMMANDS, FOLDER, pages, parser_of, roles

MADE = pages()


@pytest.mark.parametrize("name", MADE)
def test_each_page_is_as_the_code_makes_it(name: str) -> None:
    assert (FOLDER / name).read_text() == MADE[name], "python -m tests.support.reference writes it"


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
