"""Runs, and schedules that a scheduler has seen, as tests write them; and documents, as tests read
them."""

import json
from datetime import datetime
from typing import Any

from tests.support.databases import Database


def insert_run(database: Database, job: str, status: str, **columns: Any) -> None:
    """Insert a run by hand, with these columns otherwise."""
    run = {"trigger": "manual", "attempt": 1, "counts": "{}", "host": "here"}
    _insert(database, "runs", run | {"job": job, "status": status} | columns)


def insert_schedule(
    database: Database, job: str, first_seen_at: datetime, heartbeat_at: datetime
) -> None:
    """Insert a job's nightly schedule."""
    seen = {"first_seen_at": first_seen_at, "heartbeat_at": heartbeat_at}
    _insert(
        database, "schedules", {"job": job, "expression": "15 2 * * *", "time_zone": "UTC"} | seen
    )


def document(database: Database, statement: str) -> Any:
    """The first column of the first row, which is JSON."""
    found = database.value(statement)
    return json.loads(found) if isinstance(found, str) else found


def _insert(database: Database, table: str, row: dict[str, Any]) -> None:
    values = {
        name: database.stored(value) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
    marks = ", ".join(f":{name}" for name in values)
    database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", values)
