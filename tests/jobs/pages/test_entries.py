"""Each entry of "Add a part" in CONTRIBUTING.md names all files that its change needs: the example
is made in a copy of the tree, in these files alone, and works there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.entries import Entry, copy_with, entries
from tests.support.databases import clean_environ

ENTRIES = entries()


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
def test_the_files_of_an_entry_are_enough(entry: Entry, tmp_path: Path, server: str) -> None:
    tree = tmp_path / "tree"
    copy_with(entry, tree)
    (tree / "tests" / "test_probe.py").write_text(entry.probe)
    options = ("-qx", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tests'}")
    tests = ("tests/test_probe.py", *entry.tests)
    run(tree, "pytest", *options, *tests, PIMA_TEST_DATABASE_URL=server, CI="1")


@pytest.mark.at_length
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_nothing_else_of_the_tree_waits_for_the_change(entry: Entry, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    copy_with(entry, tree)
    run(tree, "tests.support.reference")
    run(tree, "ruff", "check", ".")
    run(tree, "mypy")
    fits = (f"--ignore=tests/unit/{room}" for room in ("bench", "model", "support", "train"))
    run(tree, "pytest", "-qx", "-p", "no:cacheprovider", *fits, "tests/unit")
