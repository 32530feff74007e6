"""What the pages say of the project's own parts is so: links, files, commands."""

import re

import pytest

from pima.errors import RightMissing
from tests.support.shipped import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _section(page: str, heading: str) -> str:
    return (ROOT / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


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
        r"`((?:pima|jobs|tests|docs|deploy|migrations|config|locks)/[\w./-]*)`", (ROOT / name).read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_list_of_commands_is_that_of_the_code() -> None:
    listed = re.findall(r"^\| `(\w+)[^`]*` \|", _section("docs/commands.md", "All commands"), re.MULTILINE)
    commands = {path.stem for path in (ROOT / "jobs").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()}
    assert sorted(listed) == sorted(commands - {"demo"})


def test_whoever_lacks_a_right_is_told_a_role_for_each_command() -> None:
    told = dict(
        re.findall(
            r"(pima_\w+|owner) for ([^.]*?)(?=, pima_|, the schema|\.)", " ".join(str(RightMissing.__doc__).split())
        )
    )
    for line in _section("docs/commands.md", "All commands").splitlines():
        command, roles = re.match(r"\| `(\w+)", line), re.findall(r"pima_\w+|owner", line.rpartition(" | ")[2])
        if command and roles:
            assert any(re.search(rf"\b{command[1]}\b", told.get(role, "")) for role in roles), line


def test_the_readme_is_read_in_a_few_minutes() -> None:
    prose = re.sub(r"```.*?```|\(.*?\)", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(prose.split()) <= 650
