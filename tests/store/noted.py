"""What a clinic's writes leave in `source_changes`, as the tests of the triggers on its table look at it."""

import json
from collections import Counter
from typing import Any

from tests.conftest import Database, call
from tests.jobs.clinic import Clinic

KEYS = [f"00000000-0000-0000-0000-{n:012d}" for n in range(10)]


def attach(database: Database, clinic: Clinic) -> None:
    """By the job, and see that all is well then."""
    ended = clinic.attach(database, "clinic")
    assert ended.exit_code == 0, ended.stderr
    assert fault(database, clinic) is None


def with_four_visits(database: Database, clinic: Clinic) -> Clinic:
    """The same clinic, attached, with visits of the first four keys."""
    for n in range(4):
        clinic.insert(1, seed=n, visit_id=KEYS[n], patient_no=n, age=50)
    attach(database, clinic)
    return clinic


def noted(database: Database) -> set[str | None]:
    """The keys that were noted since this was asked last; None stands for all."""
    found = {key for (key,) in database.execute("SELECT source_key FROM source_changes WHERE source = 'clinic'")}
    database.execute("DELETE FROM source_changes")
    return found


def fault(database: Database, clinic: Clinic) -> str | None:
    """What --check says of the source; None where all is well."""
    ended = call(database, "attach", "--config", clinic.config, "--check", "clinic", "--json")
    if ended.exit_code == 0:
        return None
    assert ended.exit_code == 1, ended.stderr
    told: str = json.loads(ended.stdout)["message"]
    return told


def rows_by_key(clinic: Clinic, table: str = "visits", key: str = "visit_id") -> dict[str, Counter[Any]]:
    """All that the table holds."""
    rows: dict[str, Counter[Any]] = {}
    for found in clinic.execute(f"SELECT {key}, {table}.* FROM {table}"):
        rows.setdefault(str(found[0]), Counter())[tuple(found[1:])] += 1
    return rows


def touched(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The keys of which something has changed."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
