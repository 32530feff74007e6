"""The view for tools that watch models."""

from datetime import UTC, datetime, timedelta

from tests.conftest import Database, call, insert_patients


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def test_the_view_has_each_prediction_with_the_outcome_that_came_after_it(scored_database: Database) -> None:
    database = scored_database
    first, second, third, _ = insert_patients(database, 4)
    assert call(database, "score").exit_code == 0
    database.execute("UPDATE patients SET outcome = 1 WHERE id = :id", {"id": first})
    database.execute("UPDATE patients SET outcome = 0 WHERE id = :id", {"id": second})
    database.execute("DELETE FROM patients WHERE id = :id", {"id": third})
    found = database.execute("SELECT model_id, timestamp, prediction, label FROM monitored_predictions")
    assert sorted(row[3] for row in found if row[3] is not None) == [0, 1]
    assert len(found) == 4
    stored = database.execute("SELECT model_version, scored_at, probability FROM predictions")
    assert sorted(row[:3] for row in found) == sorted(stored)
    # An outcome that was known before is none that the prediction could be wrong about.
    database.execute("UPDATE predictions SET scored_at = :later", {"later": database.stored(_days_ago(-1))})
    assert {row[0] for row in database.execute("SELECT label FROM monitored_predictions")} == {None}
