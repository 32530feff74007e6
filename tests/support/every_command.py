"""All commands with arguments that are right, and the look of a refusal that shows no secret."""

import pytest

from tests.support.databases import Ended

SECRET = "Canary-Hunter2"  # noqa: S105 (looked for in what is shown)
EVERY_COMMAND: list[tuple[str, ...]] = [
    ("migrate",),
    ("load", "patients.csv"),
    ("pull",),
    ("score",),
    ("retrain",),
    ("models", "list"),
    ("explain", "1"),
    ("export", "predictions"),
    ("report",),
    ("status",),
    ("forget", "1", "--dry-run"),
    ("retain", "--older-than", "200", "--dry-run"),
    ("requeue",),
    ("scheduler",),
]
"""Those that need a database."""
ROLES_OF_COMMANDS = {
    "pima_loader": ("load", "pull"),
    "pima_trainer": ("retrain",),
    "pima_scorer": ("score",),
    "pima_operator": ("models", "explain", "export", "report", "status", "requeue"),
    "pima_eraser": ("forget", "retain"),
}
"""The roles for those that do not need the owner and come to an end."""
# An alert may be of what stops the others.
_READERS = [("suggest", "patients.csv"), ("trial", "patients.csv")]
_ALL = [*EVERY_COMMAND, *_READERS, ("alert", "--dry-run")]
every_command = pytest.mark.parametrize("command", _ALL, ids=lambda command: command[0])


def wrong(ended: Ended, *named: str) -> None:
    """Exit code 2, each of `named` told, the secret not."""
    assert ended.exit_code == 2, ended.stderr
    shown = ended.stdout + ended.stderr
    for part in named:
        assert part in shown
    assert SECRET not in shown
