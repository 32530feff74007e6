"""What the pages say of the project's own parts is so: links, anchors, files."""

import re
from pathlib import Path

import pytest

from tests.support.pages import PAGES
from tests.support.shipped import ROOT

_NAMES = sorted(PAGES)
_KINDS = (".py", ".sql", ".toml", ".yaml", ".html")
_PARTS = PAGES["CONTRIBUTING.md"].read_text().split("## Add a part\n")[1].split("\n## ")[0]


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", _NAMES)
def test_each_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked.read_text()), target


@pytest.mark.parametrize("name", _NAMES)
def test_each_file_that_is_named_is_there(name: str) -> None:
    """Those that stand in backticks with the folder that they are in."""
    named = re.findall(
        r"`((?:pima|jobs|tests|docs|deploy|migrations|config|locks)/[\w./-]*)`",
        (ROOT / name).read_text(),
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def _files(name: str) -> list[Path]:
    """The file of that path, those of that name, or those in the folder of that path."""
    if "/" not in name:
        return [*ROOT.glob(name), *(ROOT / "pima").rglob(name)]
    path = ROOT / name
    return [each for each in (path, *path.rglob("*")) if each.suffix in _KINDS and each.is_file()]


@pytest.mark.parametrize("part", re.split(r"^- ", _PARTS, flags=re.MULTILINE)[1:])
def test_what_a_new_part_touches_is_there_and_in_the_files_that_are_named(part: str) -> None:
    named = re.findall(r"`([^`]+)`", part)
    paths = [name for name in named if "/" in name or Path(name).suffix in _KINDS]
    files = {path: _files(path) for path in paths}
    assert [path for path in paths if not files[path]] == []
    text = "\n".join(file.read_text() for path in paths for file in files[path])
    names = [name for name in named if name.isidentifier()]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_the_readme_is_read_in_a_few_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 750
    assert len(re.findall(r"\]\(", text)) <= 15
