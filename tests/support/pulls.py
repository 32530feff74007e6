"""What came of a pull, and that one was refused without a word of any patient's."""

import json
from typing import Any

from tests.support.clinic import Clinic
from tests.support.databases import Database, Ended

CANARY = "Canary-Smith"
ODD = """visits of "Dr. O'Neil"; 100 % :sound -- \\ [`]"""
COUNTED = ("inserted", "updated", "unchanged", "rejected", "vanished", "deleted", "undeletable")
OUTCOMES = ("outcomes_arrived", "outcomes_corrected", "outcomes_cleared")


def counts(found: dict[str, Any]) -> dict[str, int]:
    """What was not nothing."""
    return {name: found[name] for name in (*COUNTED, *OUTCOMES) if found[name]}


def refused(database: Database, clinic: Clinic, exit_code: int, *named: str, **environ: str) -> str:
    """The job ends so and says why, and nothing came in; the message."""
    before = database.execute("SELECT source_key, version, updated_at FROM patients ORDER BY id")
    ended = clinic.pull(database, "--json", **environ)
    message = str(json.loads(ended.stdout)["message"])
    assert ended.exit_code == exit_code, message
    for part in named:
        assert part in message
    no_value(ended)
    assert (
        database.execute("SELECT source_key, version, updated_at FROM patients ORDER BY id")
        == before
    )
    return message


def no_value(ended: Ended) -> None:
    assert CANARY not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def loosely(clinic: Clinic, column: str, kind: str = "TEXT") -> None:
    """A column of the table may hold texts; on SQLite it may already."""
    if clinic.kind == "postgresql":
        clinic.execute(
            f"ALTER TABLE visits ALTER {column} TYPE {kind} USING {column}::text::{kind}"
        )
