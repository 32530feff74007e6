"""The entries of "Add a part" in CONTRIBUTING.md: each a file here, with an example of the change.

The page is made from these files, and a test makes each example in a copy of the tree.
"""

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.shipped import ROOT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BEGIN = "<!-- Written by `make docs` from tests/entries: change it there. -->\n"
END = "\n## The files of a night\n"
PROBE = "tests/test_probe.py"
_FOLDER = Path(__file__).parent
_NOT_COPIED = (".git", ".venv", "build", ".*_cache", ".hypothesis", "pima-demo")
_COLUMNS = 140


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of one place, or a new file."""

    file: str
    text: str
    holds: str = ""
    """What stands there, for the page; of several edits of one file, one says it."""
    after: str = ""
    """What the text is put behind: it occurs exactly once in the file."""
    replaces: str = ""
    """What the text is put in place of: it occurs exactly once, too."""

    @property
    def anchor(self) -> str:
        """The text by which the place is known; empty for a new file."""
        return self.after or self.replaces


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the page."""

    part: str
    purpose: str
    edit: tuple[Edit, ...]
    hints: tuple[str, ...] = ()
    probe: str = ""
    """A test file that sees the part work, written into the copy."""
    tests: tuple[str, ...] = ()
    """Tests of the tree that see it work, or notice a file that was left out."""
    needs_models: bool = False
    """Whether some of these take the model versions that a test run makes once."""

    @property
    def files(self) -> dict[str, str]:
        """Each file to change, and what stands there."""
        holds = {edit.file: edit.holds for edit in self.edit if edit.holds}
        return {edit.file: holds.get(edit.file, "") for edit in self.edit}


def entries() -> dict[str, Entry]:
    """All entries, by the name of their file."""
    files = sorted(_FOLDER.glob("*.toml"))
    return {file.stem: msgspec.toml.decode(file.read_bytes(), type=Entry) for file in files}


def misfits(entry: Entry, tree: Path = ROOT) -> Iterator[str]:
    """Say of which edits the anchor no longer occurs exactly once."""
    for edit in entry.edit:
        path = tree / edit.file
        text = path.read_text() if path.exists() else ""
        times = text.count(edit.anchor) if edit.anchor else 1 - path.exists()
        if times != 1:
            anchor = edit.anchor or "(a new file)"
            yield f"{entry.part}: {edit.file} has this {times} times instead of once: {anchor}"


def copy_with(entry: Entry, tree: Path) -> None:
    """Copy the tree, and make the entry's changes there, with its probe."""
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    for edit in entry.edit:
        path = tree / edit.file
        text = edit.text
        if edit.anchor:
            text = path.read_text().replace(edit.anchor, edit.after + edit.text)
        path.write_text(text)
    (tree / PROBE).write_text(entry.probe)


def contributing() -> str:
    """CONTRIBUTING.md with the entries as they are now."""
    before, begin, rest = CONTRIBUTING.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + begin + "\n" + "\n".join(_lines()) + "\n" + end + after


def _lines() -> Iterator[str]:
    for entry in sorted(entries().values(), key=lambda entry: entry.part):
        yield _item("- ", f"**{entry.part}** {entry.purpose}")
        for file, holds in entry.files.items():
            yield _item("  - ", f"`{_named(file)}`: {holds}")
        for hint in entry.hints:
            yield _item("  - ", hint)


def _named(file: str) -> str:
    """The file, or the folder of a new one."""
    return file if (ROOT / file).exists() else f"{Path(file).parent}/"


def _item(mark: str, text: str) -> str:
    behind = " " * len(mark)
    return textwrap.fill(
        text,
        _COLUMNS,
        initial_indent=mark,
        subsequent_indent=behind,
        break_long_words=False,
        break_on_hyphens=False,
    )
