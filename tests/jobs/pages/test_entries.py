"""Each entry of "Add a part" in CONTRIBUTING.md names all files that its change needs: the example
is made in a copy of the tree, in these files alone, and works there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.entries import PROBE, Entry, copy_with, entries
from tests.support.databases import clean_environ
from tests.support.trained import MADE_ONCE

ENTRIES = entries()
OPTIONS = ("-qx", "-p", "no:cacheprovider")
FITS = "test_the_example_of_an_entry_fits_the_tree"
"""It no longer fits where it has been made."""


def run(tree: Path, *command: str, **environ: str) -> None:
    """Run a program in the copy; it must succeed."""
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=clean_environ() | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_the_files_of_an_entry_are_enough(
    entry: Entry, tmp_path: Path, server: str, request: pytest.FixtureRequest
) -> None:
    tree = tmp_path / "tree"
    copy_with(entry, tree)
    environ = {"PIMA_TEST_DATABASE_URL": server, "CI": "1"}
    if entry.needs_models:
        environ[MADE_ONCE] = str(request.getfixturevalue("trained").parents[1])
    tests = (PROBE, *entry.tests)
    run(tree, "pytest", *OPTIONS, f"--basetemp={tmp_path / 'tests'}", *tests, **environ)


@pytest.mark.at_length
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_nothing_else_of_the_tree_waits_for_the_change(entry: Entry, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    copy_with(entry, tree)
    run(tree, "tests.support.reference")
    run(tree, "ruff", "check", ".")
    run(tree, "mypy")
    but = (f"--ignore=tests/unit/{room}" for room in ("benches", "model", "support", "train"))
    run(tree, "pytest", *OPTIONS, *but, "-k", f"not {FITS}", "tests/unit")
