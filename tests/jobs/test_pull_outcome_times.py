"""A source that tells when an outcome became known: by that the row is labelled, and by nobody's plain write."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.support.clinic import Clinic
from tests.support.databases import Database
from tests.support.pulls import counts

KINDS = {
    "with a zone": ("timestamptz", datetime(2026, 1, 5, 8, 30, 15, 250_000, tzinfo=UTC), "2026-01-05T08:30:15.250"),
    "without a zone": ("timestamp", datetime(2026, 1, 5, 8, 30), "2026-01-05T07:30:00.000"),  # noqa: DTZ001
    "a day": ("date", date(2026, 1, 5), "2026-01-04T23:00:00.000"),
    "a text": ("text", "2026-01-05T08:30:00+02:00", "2026-01-05T06:30:00.000"),
}
T = "2026-01-05T08:30:00.000"
"""A moment in UTC; so are its siblings below."""
LATER = "2026-02-05T08:30:00.000"


@pytest.fixture
def telling(clinic: Clinic) -> Clinic:
    """With a column for the time of an outcome."""
    clinic.execute(f"ALTER TABLE visits ADD COLUMN known_at {'timestamp' if clinic.kind == 'postgresql' else 'TEXT'}")
    clinic.settings["outcome_at"] = "known_at"
    return clinic


def say(clinic: Clinic, key: str, outcome: str | None, known_at: Any) -> None:
    value = str(known_at) if clinic.kind == "sqlite" and isinstance(known_at, date) else known_at
    said = {"outcome": outcome, "known_at": value, "key": key}
    statement = "UPDATE visits SET diabetic = :outcome, known_at = :known_at WHERE visit_id = :key"
    assert clinic.execute(statement, said) == 1


def labelled(database: Database, key: str) -> str | None:
    """When, as UTC and to the millisecond."""
    value = database.value("SELECT labelled_at FROM patients WHERE source_key = :key", {"key": key})
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def is_now(moment: str | None) -> bool:
    return moment is not None and datetime.fromisoformat(f"{moment}+00:00") > datetime.now(UTC) - timedelta(minutes=30)


@pytest.mark.parametrize("column", KINDS)
def test_an_outcome_is_known_since_the_source_says(database: Database, clinic: Clinic, column: str) -> None:
    kind, value, expected = KINDS[column]
    clinic.execute(f"ALTER TABLE visits ADD COLUMN known_at {kind if clinic.kind == 'postgresql' else 'TEXT'}")
    clinic.settings |= {"outcome_at": "known_at", "time_zone": "Europe/Zurich"}
    first, second, third, fourth = clinic.insert(4)
    say(clinic, first, "yes", value)
    say(clinic, second, "no", None)
    say(clinic, third, None, value)
    assert counts(clinic.pulled(database)) == {"inserted": 4}
    assert labelled(database, first) == expected
    assert is_now(labelled(database, second))
    assert (labelled(database, third), labelled(database, fourth)) == (None, None)
    say(clinic, third, "yes", value)
    assert counts(clinic.pulled(database)) == {"updated": 1, "unchanged": 3, "outcomes_arrived": 1}
    assert labelled(database, third) == expected
    assert counts(clinic.pulled(database)) == {"unchanged": 4}


def test_a_time_that_is_corrected_alone_changes_nothing_else(database: Database, telling: Clinic) -> None:
    first, second, third = telling.insert(3)
    for key in (first, second):
        say(telling, key, "yes", T)
    say(telling, third, "yes", None)
    telling.pulled(database)
    before = database.execute("SELECT id, version, outcome, age FROM patients ORDER BY id")
    pulled_at = labelled(database, third)
    say(telling, first, "yes", LATER)
    say(telling, second, "yes", None)
    assert counts(telling.pulled(database)) == {"updated": 1, "unchanged": 2}
    # What the source no longer says stays as it was.
    assert [labelled(database, key) for key in (first, second, third)] == [LATER, T, pulled_at]
    assert database.execute("SELECT id, version, outcome, age FROM patients ORDER BY id") == before
    assert database.value("SELECT count(*) FROM scoring_queue") == 0
    assert counts(telling.pulled(database)) == {"unchanged": 3}
    say(telling, third, "yes", T)
    assert counts(telling.pulled(database)) == {"updated": 1, "unchanged": 2}
    assert labelled(database, third) == T


def test_an_outcome_that_is_corrected_is_known_since_the_source_says_or_since_the_pull(
    database: Database, telling: Clinic
) -> None:
    telling.settings["most_cleared"] = 1
    first, second, third, fourth = telling.insert(4)
    for key in (first, second, third, fourth):
        say(telling, key, "yes", T)
    telling.pulled(database)
    say(telling, first, "no", T)
    say(telling, second, "no", LATER)
    say(telling, third, "no", None)
    say(telling, fourth, None, T)
    found = counts(telling.pulled(database))
    assert found == {"updated": 4, "outcomes_corrected": 3, "outcomes_cleared": 1}
    assert [labelled(database, key) for key in (first, second, fourth)] == [T, LATER, None]
    assert is_now(labelled(database, third))
    assert counts(telling.pulled(database)) == {"unchanged": 4}


def test_a_measurement_that_changes_leaves_the_time_as_it_is(database: Database, telling: Clinic) -> None:
    first, second = telling.insert(2)
    say(telling, first, "yes", T)
    say(telling, second, "yes", None)
    telling.pulled(database)
    before = labelled(database, second)
    telling.execute("UPDATE visits SET age = 90")
    assert counts(telling.pulled(database)) == {"updated": 2}
    assert (labelled(database, first), labelled(database, second)) == (T, before)


def test_times_that_are_none_are_counted_and_outcomes_that_are_to_come_are_held_back(
    database: Database, telling: Clinic
) -> None:
    if telling.kind == "postgresql":
        telling.execute("ALTER TABLE visits ALTER known_at TYPE text")
    keys = telling.insert(6)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for key, outcome, moment in zip(keys, ["yes", "no", "yes", None, None], [T, "Canary", tomorrow] * 2, strict=False):
        say(telling, key, outcome, moment)
    found = telling.pulled(database)
    # Where there is no outcome, its time says nothing.
    assert counts(found) == {"inserted": 5, "rejected": 1}
    assert found["rejected_by_reason"] == {"bad_outcome_at": 1}
    assert (found["outcomes_inserted"], found["outcomes_held_back"]) == (1, 1)
    assert database.value("SELECT count(labelled_at) FROM patients") == 1
    # Until its time has come the row waits for a prediction, like any without an outcome.
    assert database.value("SELECT count(*) FROM scoring_queue") == 4
    say(telling, keys[2], "yes", T)
    assert counts(telling.pulled(database)) == {"updated": 1, "unchanged": 4, "rejected": 1, "outcomes_arrived": 1}
    ended = telling.pull(database)
    assert "Canary" not in ended.stdout + ended.stderr


def test_a_column_of_another_type_is_named(sqlite: Database, postgresql_clinic: Clinic) -> None:
    clinic = postgresql_clinic
    clinic.insert(3, diabetic="yes")
    clinic.settings["outcome_at"] = "age"
    ended = clinic.pull(sqlite)
    assert (ended.exit_code, "its column age (outcome_at) holds values of the type int" in ended.stderr) == (2, True)
    clinic.settings["outcome_at"] = "nowhere"
    ended = clinic.pull(sqlite)
    assert (ended.exit_code, "it has no column nowhere that can be read" in ended.stderr) == (2, True)
