"""What the tests do to a clinic's MariaDB, and what came of it."""

from typing import Any

from tests.support.clinic import Clinic
from tests.support.databases import Database


def key_is(clinic: Clinic, kind: str, key_type: str = "text") -> None:
    clinic.execute(f"ALTER TABLE visits MODIFY visit_id {kind}")
    clinic.settings["key_type"] = key_type


def keys_of(database: Database) -> list[str]:
    return [key for (key,) in database.execute("SELECT source_key FROM patients ORDER BY source_key")]


def change(clinic: Clinic, key: object, **changed: Any) -> None:
    said = ", ".join(f"{column} = :{column}" for column in changed)
    clinic.execute(f"UPDATE visits SET {said} WHERE visit_id = :key", changed | {"key": key})
