"""What `make release` refuses, in a clone of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.releases.making import faults, tagging

FILES = {
    "pyproject.toml": '[project]\nversion = "9.8.7"\n',
    "CHANGELOG.md": "# Changelog\n\n## 9.8.7 (2026-12-02)\n\n## 9.8.6 (2026-11-01)\n",
    "README.md": "# pima\n\n## Status\n\nVersion 9.8.7 is the newest.\n",
    "Dockerfile": "ARG VERSION=9.8.7\n",
    "compose.yaml": "image: pima:9.8.7\n",
    "docs/start/install.md": "pip install pima_scoring-9.8.7-py3-none-any.whl\n",
    "docs/do/upgrade.md": "Rows of version 9.8.6 are read.\n",
    "deploy/kubernetes/score.yaml": "image: registry.example.org/pima:9.8.7-score\n",
    "tests/releases/9.8.7/sqlite.db.gz": "",
}
AGREES = "expected 9.8.7, as in pyproject.toml."
DATED = "expected 9.8.7 and its day, as 9.8.7 (2026-12-31)."
UNCLEAN = "The tree is not clean: commit or remove "


def _git(clone: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], cwd=clone, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clean commit of which a release can be made."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    _git(tmp_path, "init", "--quiet")
    _commit(tmp_path)
    return tmp_path


def _commit(clone: Path) -> None:
    _git(clone, "add", "--all")
    _git(clone, "commit", "--quiet", "--allow-empty", "--message", "a")


def test_a_clean_commit_whose_parts_agree_is_taken_and_its_tag_is_told(clone: Path) -> None:
    assert list(faults(clone)) == []
    command = tagging(clone)
    assert command is not None
    assert command.endswith(" && git push origin v9.8.7")
    subprocess.run(command.partition(" && ")[0].split(), cwd=clone, check=True)
    assert list(faults(clone)) == []
    assert tagging(clone) is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("README.md", "Version 9.8.6 is old.\n", f"README.md names version 9.8.6: {AGREES}"),
        ("README.md", "# pima\n", "README.md names no version: expected 9.8.7."),
        ("Dockerfile", "ARG VERSION=9.9.0\n", f"Dockerfile names version 9.9.0: {AGREES}"),
        ("compose.yaml", "image: pima:9.8.0\n", f"compose.yaml names version 9.8.0: {AGREES}"),
        (
            "docs/start/install.md",
            "pima_scoring-9.8.6-py3-none-any.whl\n",
            f"docs/start/install.md names version 9.8.6: {AGREES}",
        ),
        (
            "deploy/kubernetes/score.yaml",
            "image: registry.example.org/pima:9.8.6-score\n",
            f"deploy/kubernetes/score.yaml names version 9.8.6: {AGREES}",
        ),
        (
            "CHANGELOG.md",
            "## Unreleased\n\n- a\n\n## 9.8.7 (2026-12-02)\n",
            "CHANGELOG.md has lines under Unreleased: they belong to a version.",
        ),
        *(
            (
                "CHANGELOG.md",
                f"## {heading}\n",
                f"The newest heading of CHANGELOG.md is {heading}: {DATED}",
            )
            for heading in ("9.8.6 (2026-12-02)", "9.8.7", "9.8.7 (2026-13-02)", "9.8.7 (today)")
        ),
    ],
)
def test_parts_that_disagree_are_refused(clone: Path, name: str, text: str, said: str) -> None:
    (clone / name).write_text(text)
    _commit(clone)
    assert list(faults(clone)) == [said]


def _new_file(clone: Path) -> None:
    (clone / "new.py").write_text("")


def _another_commit_of_the_tag(clone: Path) -> None:
    _git(clone, "tag", "v9.8.7")
    _commit(clone)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_new_file, f"{UNCLEAN}new.py."),
        (
            lambda clone: _git(clone, "tag", "v9.9"),
            "This commit has the tag v9.9: expected v9.8.7.",
        ),
        (
            _another_commit_of_the_tag,
            "The tag v9.8.7 is another commit's: give this one the next version.",
        ),
    ],
)
def test_another_state_of_the_clone_is_refused(
    clone: Path, change: Callable[[Path], None], said: str
) -> None:
    change(clone)
    assert list(faults(clone)) == [said]


def test_a_release_without_dumps_is_refused(clone: Path) -> None:
    _git(clone, "rm", "--quiet", "-r", "tests")
    _commit(clone)
    (said,) = faults(clone)
    assert said.startswith("tests/releases/9.8.7 is missing: `python -m tests.releases` makes")
