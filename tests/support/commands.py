"""Commands as people call them, in this process or in one of their own, and how they ended."""

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.databases import Database

PATIENCE_SECONDS = 240
"""How long a test waits for what must come: it ends a test that hangs, and says nothing of speed."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


def clean_environ() -> dict[str, str]:
    """The environment without settings of pima's that a developer may have set."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PIMA_", "DATABASE_URL"))}


def call(database: "Database | None", job: str, *arguments: str, **environ: str) -> Ended:
    """Run a command in this process, as people see it on a terminal; whatever happens, it shows no traceback."""
    out, err = io.StringIO(), io.StringIO()
    given = {"PIMA_LOGS__FORMAT": "text"}
    given |= environ if database is None else {"DATABASE_URL": database.url} | database.environ | environ
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = import_module(f"jobs.{job}").main(list(arguments), given)
    ended = Ended(exit_code, out.getvalue(), err.getvalue())
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "defect of pima" not in ended.stderr, ended.stderr
    return ended


def the_json(ended: Ended) -> dict[str, Any]:
    """The one JSON object that is all of stdout."""
    assert len(ended.stdout.splitlines()) == 1, ended.stdout
    found = json.loads(ended.stdout)
    assert isinstance(found, dict)
    return found
