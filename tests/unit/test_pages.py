"""What the pages say of the project's own parts is so: links, anchors, files."""

import re
import tomllib
from pathlib import Path

import pytest

from pima.train.gate import _JUDGED_ANEW
from tests.support.pages import PAGES
from tests.support.shipped import ROOT

_NAMES = sorted(PAGES)
_KINDS = (".py", ".sql", ".toml", ".yaml", ".html", ".md", ".json")
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


_TESTS = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("name", _NAMES)
def test_each_test_that_is_named_is_there(name: str) -> None:
    named = _TESTS.findall((ROOT / name).read_text())
    assert [each for file, each in named if f"def {each}(" not in (ROOT / file).read_text()] == []


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
    assert "No clinic has used it yet." in text.split("\n\n")[1]


def test_the_readme_says_for_which_python_and_how_long_a_version_is_corrected() -> None:
    readme = (ROOT / "README.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    hosted = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    oldest, newest = re.findall(r'- python: "([\d.]+)"', hosted)
    badge, licence = "https://img.shields.io/badge/", project["license"]
    assert f"![Python {oldest} to {newest}]({badge}Python-{oldest}_to_{newest}-blue)" in readme
    assert f"![Licence: {licence}]({badge}Licence-{licence.replace('-', '--')}-blue)" in readme
    assert project["requires-python"] == f">={oldest}"
    corrected = "latest minor version gets corrections until the next one is released"
    for page in (readme, (ROOT / "SECURITY.md").read_text()):
        assert corrected in " ".join(page.split())


def test_each_fault_of_others_has_its_thread_and_a_test_of_ours() -> None:
    text = (ROOT / "docs" / "understand" / "writing-it-yourself.md").read_text()
    assert len(text.split()) <= 700
    faults = re.split(r"^\d+\. ", text, flags=re.MULTILINE)[1:]
    thread = re.compile(r"\[([\w./-]+)#(\d+)\]\(https://github\.com/\1/issues/\2\)")
    found = [(len(thread.findall(fault)), len(_TESTS.findall(fault))) for fault in faults]
    assert found == [(1, 1)] * 12


def _section(page: Path, anchor: str) -> str:
    """The part of a page under one heading, or all of it."""
    text = page.read_text()
    if not anchor:
        return text
    parts = re.split(r"^(?=#+ )", text, flags=re.MULTILINE)
    (found,) = [part for part in parts if anchor in _anchors(part)]
    return found


SIGN_OFF = ROOT / "docs" / "understand" / "before-you-sign-off.md"
_MEASURED = re.compile(r"\]\((\.\./measured/[^)#]+)#?([^)]*)\)")


def test_the_page_for_a_signature_is_short_and_its_figures_are_measured() -> None:
    text = SIGN_OFF.read_text()
    assert len(text.split()) <= 600
    assert "before-you-sign-off.md" in (ROOT / "docs" / "index.md").read_text()
    told = 0
    for claim in re.split(r"\n- |\n\n", text):
        measured = [_section(SIGN_OFF.parent / page, at) for page, at in _MEASURED.findall(claim)]
        numbers = re.findall(r"(?<!\w)\d[\d.]*\b", re.sub(r"\]\([^)]*\)", "", claim))
        # A bound that a clinic sets is not measured.
        unmeasured = [each for each in numbers if not _stands(each, "\n".join(measured))]
        assert unmeasured in ([], ["95"], ["0"], ["1"]), claim
        told += len(numbers)
    assert told >= 25


def _stands(number: str, text: str) -> bool:
    return re.search(rf"(?<![\d.]){re.escape(number)}(?!\.?\d)", text) is not None


def test_the_reasons_that_are_judged_again_are_named() -> None:
    text = (SIGN_OFF.parent / "model-and-gate.md").read_text()
    (told,) = re.findall(r"One look\.\*\*(.*?)\n\n", text, re.DOTALL)
    assert {reason for reason in _JUDGED_ANEW if f"`{reason}`" in told} == set(_JUDGED_ANEW)
    assert len(re.findall(r"`\w+_\w+`|`pinned`|`suspended`", told)) == len(_JUDGED_ANEW)


_ANSWER = re.compile(r"^\| \w.* \| \[[^\]]+\]\(([^)#]+)#?(\S*)\) \| (.+) \|$", re.MULTILINE)


def _plain(text: str) -> str:
    """As a reader sees it: a link is its text, the end of a line a space, and no sign is a mark."""
    return " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", text).split())


def test_each_answer_to_a_reader_is_quoted_word_by_word() -> None:
    folder = ROOT / "docs" / "measured"
    text = (folder / "readers.md").read_text()
    answers = _ANSWER.findall(text)
    assert f"Eight readers ask {len(answers)} questions" in text
    missed = [
        (page, at, said)
        for page, at, said in answers
        if _plain(said) not in _plain(_section(folder / page, at))
    ]
    assert missed == []
