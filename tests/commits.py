"""python -m tests.commits [FILE]: whether a log shows a commit's subject whole.

With a file, as git's hook commit-msg gives it, that message is read; else the newest ones. It ends
with 1 and says what is wrong.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LONGEST = 72
LAST_BEFORE = "dcf9334fa1c7ccb3e26bcf3ccec2bd4b3ea7bd79"
"""The rule holds for commits after this one."""


def fault_of(message: str) -> str | None:
    """Say what is wrong with a message; None if nothing is, or if git wrote it for a merge."""
    subject, *body = message.strip().splitlines() or [""]
    if subject.startswith("Merge "):
        return None
    if not 0 < len(subject) <= LONGEST:
        return f"its subject has {len(subject)} characters, expected 1 to {LONGEST}: {subject}"
    if body and body[0]:
        return f"expected an empty line after its subject: {subject}"
    return None


def newest(clone: Path, last_before: str) -> list[str]:
    """Read the messages after that commit, without merges. There are none if git does not know the
    commit, as in a shallow clone or outside of one."""
    if shutil.which("git") is None:
        return []
    command = ["git", "log", "--no-merges", "-z", "--format=%B", f"{last_before}..HEAD"]
    ended = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    return [message for message in ended.stdout.split("\0") if message.strip()]


def written_in(file: Path) -> str:
    """Read the message that git has a person edit, without git's own remarks."""
    lines = file.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def main(arguments: Sequence[str]) -> int:
    """Check the messages; the exit code."""
    messages = [written_in(Path(file)) for file in arguments]
    faults = [
        fault for message in messages or newest(Path(), LAST_BEFORE) if (fault := fault_of(message))
    ]
    for fault in faults:
        print(f"A commit's message: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
