"""Which messages of commits the checks refuse, in a clone of its own."""

import subprocess
from pathlib import Path

import pytest

from tests.commits import LAST_BEFORE, LONGEST, fault_of, main, newest

LONG = "a" * (LONGEST + 1)


def _git(clone: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True).stdout


def _commit(clone: Path, message: str) -> str:
    _git(clone, "commit", "--quiet", "--allow-empty", "--message", message)
    return _git(clone, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("a" * LONGEST, None),
        (f"A subject\n\n{LONG}\n", None),
        (f"Merge pull request #1 from {LONG}", None),
        (LONG, f"its subject has 73 characters, expected 1 to 72: {LONG}"),
        ("A subject\nof two lines", "expected an empty line after its subject: A subject"),
        ("", "its subject has 0 characters, expected 1 to 72: "),
    ],
)
def test_a_subject_is_one_line_that_a_log_shows_whole(message: str, fault: str | None) -> None:
    assert fault_of(message) == fault


def test_the_past_and_merges_are_let_be_and_what_git_does_not_know(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    assert newest(clone, LAST_BEFORE) == []
    _git(clone, "init", "--quiet", "--initial-branch=main")
    before = _commit(clone, LONG)
    _commit(clone, "The first")
    _git(clone, "checkout", "--quiet", "-b", "beside")
    _commit(clone, "The second\n\nWith a reason.")
    _git(clone, "checkout", "--quiet", "main")
    _git(clone, "merge", "--quiet", "--no-ff", "--message", LONG, "beside")
    messages = [message.strip() for message in newest(clone, before)]
    assert sorted(messages) == ["The first", "The second\n\nWith a reason."]
    _git(tmp_path, "clone", "--quiet", "--depth=1", clone.as_uri(), "shallow")
    assert newest(tmp_path / "shallow", before) == []


def test_the_hook_reads_the_message_that_is_about_to_be_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "COMMIT_EDITMSG"
    file.write_text(f"A subject\n# {LONG}\n# Please enter the message.\n")
    assert main([str(file)]) == 0
    file.write_text(LONG)
    assert main([str(file)]) == 1
    assert "expected 1 to 72" in capsys.readouterr().err
