"""Rows with an index, an outcome and predictions, each at a moment of the test's choice."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.databases import Database, insert_patients

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def moments(database: Database, column: str) -> list[str | None]:
    """A column of times of each row, in UTC, to the millisecond."""
    found = database.execute(f"SELECT {column} FROM patients ORDER BY id")
    return [None if value is None else _utc(value) for (value,) in found]


def _utc(value: Any) -> str:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def state(database: Database) -> tuple[Any, Any]:
    """Each row's version, and those that wait."""
    waits = "SELECT patient_id, patient_version FROM scoring_queue ORDER BY 1"
    return database.execute("SELECT id, version FROM patients ORDER BY id"), database.execute(waits)


def row(
    database: Database, index: datetime | None, known: datetime | None, outcome: int = 1
) -> int:
    """A row that came without an outcome, which is written once it is known; its id."""
    (patient_id,) = insert_patients(
        database, 1, index_at=None if index is None else database.stored(index)
    )
    if known is not None:
        database.execute(
            "UPDATE patients SET outcome = :outcome, labelled_at = :known WHERE id = :id",
            {"outcome": outcome, "known": database.stored(known), "id": patient_id},
        )
    return patient_id


def predict(database: Database, patient_id: int, at: datetime, probability: float = 0.25) -> None:
    values: dict[str, Any] = {"id": patient_id, "at": database.stored(at), "p": probability}
    database.execute(
        """INSERT INTO predictions (patient_id, patient_version, model_version, run_id, probability,
                                    predicted_class, threshold, scored_at)
        SELECT :id, count(*), 1, 1, :p, 0, 0.5, :at FROM predictions""",
        values,
    )
