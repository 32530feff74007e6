"""What the pages say of the project's own parts is so: links, anchors, files."""

import re

import pytest

from tests.support.pages import PAGES
from tests.support.shipped import ROOT

_NAMES = sorted(PAGES)


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


def test_the_readme_is_read_in_a_few_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 750
    assert len(re.findall(r"\]\(", text)) <= 15
