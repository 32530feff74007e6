"""A source that tells when a row was changed or its outcome became known: what is read, and how it
is labelled."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pima.settings.reading import SHIPPED_FILE
from tests.support.clinic import Clinic
from tests.support.databases import Database, call
from tests.support.ledger import document
from tests.support.pulls import counts

DAY = datetime(2026, 3, 10, 12, tzinfo=UTC)
"""The latest change at the first pull."""

COLUMNS = {
    "with a zone": ("timestamptz", lambda moment: moment),
    "without a zone": ("timestamp", lambda moment: moment.replace(tzinfo=None)),
    "days": ("date", lambda moment: moment.date()),
    "texts": ("text", lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")),
    "texts with a space": ("text", lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S.%f")),
}


# The plan does not depend on which database is ours.
once = pytest.mark.parametrize(("database", "clinic"), [("sqlite", "postgresql")], indirect=True)


def telling(clinic: Clinic, column: str = "without a zone") -> list[str]:
    """Thirty visits, each a day older than the one before; their keys."""
    keys = clinic.insert(30)
    kind = COLUMNS[column][0] if clinic.kind == "postgresql" else "TEXT"
    clinic.execute(f"ALTER TABLE visits ADD COLUMN updated_at {kind}")
    for age, key in enumerate(keys):
        changed(clinic, key, DAY - timedelta(days=age), column)
    clinic.settings["changed_since"] = "updated_at"
    return keys


def changed(
    clinic: Clinic, key: str, moment: datetime | None, column: str = "without a zone", **values: Any
) -> None:
    """A visit is changed, at that time."""
    stored = None if moment is None else COLUMNS[column][1](moment)
    if clinic.kind == "sqlite" and isinstance(stored, date):
        stored = str(stored)
    values |= {"updated_at": stored}
    assigned = ", ".join(f"{name} = :{name}" for name in values)
    assert (
        clinic.execute(f"UPDATE visits SET {assigned} WHERE visit_id = :key", values | {"key": key})
        == 1
    )


def _read_again(clinic: Clinic, column: str) -> int:
    """Of days, and of texts, which sort by their days alone, the day before is read too."""
    return 1 if clinic.kind == "postgresql" and column.startswith("with") else 2


def part(found: dict[str, Any]) -> tuple[str, int]:
    return found["compared"], found["rows"]


@pytest.mark.parametrize(
    ("database", "clinic", "column"),
    [
        ("sqlite", "postgresql", "with a zone"),
        ("postgresql", "postgresql", "without a zone"),
        ("sqlite", "postgresql", "days"),
        ("sqlite", "postgresql", "texts"),
        ("postgresql", "sqlite", "texts"),
        ("sqlite", "sqlite", "texts with a space"),
    ],
    indirect=["database", "clinic"],
)
def test_only_what_has_changed_is_read(database: Database, clinic: Clinic, column: str) -> None:
    keys = telling(clinic, column)
    first = clinic.pulled(database)
    assert (part(first), counts(first)) == (("all", 30), {"inserted": 30})
    again = clinic.pulled(database)
    assert part(again) == ("changed", _read_again(clinic, column))
    changed(clinic, keys[20], DAY + timedelta(days=2), column, age=90)
    changed(clinic, keys[21], DAY + timedelta(days=3), column, diabetic="yes")
    (new,) = clinic.insert(1, seed=2)
    changed(clinic, new, DAY + timedelta(days=4), column)
    found = clinic.pulled(database)
    assert found["compared"] == "changed"
    assert counts(found) == {
        "inserted": 1,
        "updated": 2,
        "unchanged": found["rows"] - 3,
        "outcomes_arrived": 1,
    }
    assert (
        database.value("SELECT age FROM patients WHERE source_key = :key", {"key": keys[20]}) == 90
    )
    assert part(clinic.pulled(database)) == ("changed", _read_again(clinic, column))


@pytest.mark.parametrize(
    ("database", "clinic"), [("postgresql", "sqlite"), ("sqlite", "sqlite")], indirect=True
)
def test_no_character_of_a_key_makes_a_row_vanish(database: Database, clinic: Clinic) -> None:
    clinic.settings["key_type"] = "text"
    keys = telling(clinic)
    odd = ["\\N", "\\.", "back\\slash", "a\ttab", "two\nlines", "a\rreturn", "\u00e9"]
    for key, other in zip(keys, odd, strict=False):
        clinic.execute(
            "UPDATE visits SET visit_id = :other WHERE visit_id = :key",
            {"key": key, "other": other},
        )
    clinic.pulled(database)
    changed(clinic, keys[-1], DAY + timedelta(days=2), age=90)
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": odd[0]})
    found = clinic.pulled(database)
    assert (found["compared"], found["updated"], found["vanished"]) == ("changed", 1, 1)


NO_TIMES = {
    "sqlite": {"texts": [None, "", " ", "-", "10.03.2026", 1795600000, 17.5]},
    "postgresql": {"texts": [None, "", " ", "10.03.2026"], "with a zone": [None, "-infinity"]},
}


@pytest.mark.parametrize(
    ("kind", "column"), [(kind, column) for kind, columns in NO_TIMES.items() for column in columns]
)
def test_rows_whose_time_is_none_are_read_each_time(
    sqlite: Database, request: pytest.FixtureRequest, kind: str, column: str
) -> None:
    clinic: Clinic = request.getfixturevalue(f"{kind}_clinic")
    keys = telling(clinic, column)
    if kind == "sqlite":
        clinic.execute("ALTER TABLE visits DROP COLUMN updated_at")
        clinic.execute(
            "ALTER TABLE visits ADD COLUMN updated_at"
        )  # which takes values of every type
        clinic.execute("UPDATE visits SET updated_at = '2026-03-10 12:00'")
    clinic.pulled(sqlite)
    values = NO_TIMES[kind][column]
    said = {"sqlite": ":value", "postgresql": f"CAST(:value AS {COLUMNS[column][0]})"}[kind]
    for value, key in zip(values, keys[5:], strict=False):
        assert clinic.execute(
            f"UPDATE visits SET age = 90, updated_at = {said} WHERE visit_id = :key",
            {"value": value, "key": key},
        )
    found = clinic.pulled(sqlite)
    assert (found["compared"], found["updated"]) == ("changed", len(values))


@once
def test_what_has_vanished_is_found_each_time_and_what_its_times_do_not_tell_once_a_week(
    database: Database, clinic: Clinic
) -> None:
    keys = telling(clinic)
    clinic.settings["vanished"] = "delete"
    clinic.pulled(database)
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[20]})
    clinic.execute("UPDATE visits SET age = 90 WHERE visit_id = :key", {"key": keys[21]})
    database.execute("UPDATE patients SET age = 33 WHERE source_key = :key", {"key": keys[22]})
    found = clinic.pulled(database)
    assert (found["compared"], found["vanished"], found["deleted"]) == ("changed", 1, 1)
    _last_whole(database, timedelta(days=6))
    assert clinic.pulled(database)["compared"] == "changed"
    _last_whole(database, timedelta(days=6, hours=23))
    found = clinic.pulled(database)
    assert (part(found), counts(found)) == (
        ("all", 29),
        {"updated": 2, "unchanged": 27},
    )
    assert clinic.pulled(database)["compared"] == "changed"


def _last_whole(database: Database, ago: timedelta) -> None:
    moment = database.stored(datetime.now(UTC) - ago)
    assert (
        database.execute("UPDATE source_pulls SET compared_whole_at = :moment", {"moment": moment})
        == 1
    )


@once
def test_other_settings_or_another_declaration_compare_all(
    database: Database, clinic: Clinic
) -> None:
    telling(clinic)
    clinic.pulled(database)
    assert clinic.pulled(database)["compared"] == "changed"
    clinic.columns["glucose"] = {"column": "glucose_mmol", "factor": 18.0}
    ended = clinic.pull(database)
    assert "30 rows read, 0 inserted, 30 updated" in ended.stdout
    assert "its settings or the declaration" in ended.stderr
    assert clinic.pulled(database)["compared"] == "changed"
    clinic.extra = SHIPPED_FILE.read_text().replace(
        "low = 18\nhigh = 120\n", "low = 18\nhigh = 100\n"
    )
    told = call(database, "migrate", "--features", "--reason", "a test", "--config", clinic.config)
    assert told.exit_code == 0, told.stderr
    assert clinic.pulled(database)["compared"] == "all"
    assert clinic.pulled(database)["compared"] == "changed"


@once
def test_after_a_full_compare_that_was_not_completed_all_is_compared(
    database: Database, clinic: Clinic
) -> None:
    keys = telling(clinic)
    clinic.pulled(database)
    clinic.execute("UPDATE visits SET insulin = 44 WHERE visit_id = :key", {"key": keys[20]})
    for key in keys[:10]:
        clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": key})
    assert clinic.pull(database, "--full").exit_code == 3
    # Without a full compare the guard would be silent.
    assert clinic.pull(database).exit_code == 3
    clinic.settings["most_vanished"] = 0.5
    assert counts(clinic.pulled(database)) == {"updated": 1, "unchanged": 19, "vanished": 10}
    assert clinic.pulled(database)["compared"] == "changed"


@once
def test_a_part_that_failed_is_compared_again(database: Database, clinic: Clinic) -> None:
    keys = telling(clinic)
    clinic.pulled(database)
    for n, key in enumerate(clinic.insert(90, seed=2, glucose_mmol=4000.5)):
        changed(clinic, key, DAY + timedelta(hours=n))
    # Of few rows a feature may be missing in most.
    found = clinic.pulled(database)
    assert (found["compared"], found["rejected"], found["inserted"]) == ("changed", 90, 0)
    for n, key in enumerate(clinic.insert(120, seed=3, glucose_mmol=4000.5)):
        changed(clinic, key, DAY + timedelta(hours=100 + n))
    changed(clinic, keys[25], DAY + timedelta(hours=102), age=90)
    assert clinic.pull(database).exit_code == 3
    clinic.execute("UPDATE visits SET glucose_mmol = 5 WHERE glucose_mmol > 1000")
    found = clinic.pulled(database)
    # Three of the first are read again: those of two hours before the mark.
    assert (found["compared"], found["inserted"], found["updated"]) == ("changed", 120 + 3, 1)


@once
def test_a_source_that_has_gone_back_is_compared_whole(database: Database, clinic: Clinic) -> None:
    keys = telling(clinic)
    clinic.pulled(database)
    changed(clinic, keys[0], DAY - timedelta(days=3), age=90)
    changed(clinic, keys[20], DAY - timedelta(days=20), age=90)
    found = clinic.pulled(database)
    assert (found["compared"], found["updated"]) == ("all", 2)
    assert clinic.pulled(database)["compared"] == "changed"


@once
def test_a_time_that_is_still_to_come_hides_nothing(database: Database, clinic: Clinic) -> None:
    keys = telling(clinic)
    changed(clinic, keys[3], datetime.now(UTC) + timedelta(days=3))
    clinic.pulled(database)
    changed(clinic, keys[20], datetime.now(UTC), age=90)
    found = clinic.pulled(database)
    assert (found["compared"], found["rows"], found["updated"]) == ("changed", 2, 1)


NO_TYPES_OF_TIMES = (
    ("integer", "extract(epoch FROM timestamp '2026-01-01')", "type int"),
    ("text", "'1.3.2026'", "type str"),
)


@pytest.mark.parametrize("setting", ["changed_since", "outcome_at"])
def test_what_is_no_time_is_refused(
    sqlite: Database, postgresql_clinic: Clinic, setting: str
) -> None:
    clinic = postgresql_clinic
    clinic.insert(3, diabetic="yes")
    clinic.settings[setting] = "told_at"
    for kind, value, named in NO_TYPES_OF_TIMES[: 1 if setting == "outcome_at" else 3]:
        clinic.execute(f"ALTER TABLE visits ADD COLUMN told_at {kind}")
        clinic.execute(f"UPDATE visits SET told_at = {value}")
        ended = clinic.pull(sqlite)
        assert (
            ended.exit_code,
            f"told_at ({setting}) holds values of the {named}" in ended.stderr,
        ) == (2, True)
        assert "1.3.2026" not in ended.stderr + ended.stdout
        clinic.execute("ALTER TABLE visits DROP COLUMN told_at")
    assert "it has no column told_at that can be read" in clinic.pull(sqlite).stderr


@once
def test_a_dry_run_says_the_same_and_moves_nothing_on(database: Database, clinic: Clinic) -> None:
    keys = telling(clinic)
    clinic.pulled(database)
    before = database.execute("SELECT * FROM source_pulls")
    changed(clinic, keys[20], DAY + timedelta(days=1), age=90)
    for _ in range(2):
        found = clinic.pulled(database, "--dry-run")
        assert (found["compared"], found["updated"]) == ("changed", 1)
    assert clinic.pulled(database, "--dry-run", "--full")["compared"] == "all"
    assert database.execute("SELECT * FROM source_pulls") == before
    assert counts(clinic.pulled(database))["updated"] == 1


def test_people_read_that_only_a_part_was_read_and_what_is_put_down_of_it_is_a_time(
    sqlite: Database, clinic: Clinic
) -> None:
    telling(clinic)
    assert "clinic: 30 rows read, 30 inserted" in clinic.pull(sqlite).stdout
    mark = "2026-03-10T12:00:00" if clinic.kind == "postgresql" else "2026-03-10"
    assert sqlite.execute("SELECT source, changed_up_to FROM source_pulls") == [("clinic", mark)]
    assert document(sqlite, "SELECT counts FROM runs")["sources"][0]["compared"] == "all"
    assert "row read (of what has changed), 0 inserted" in clinic.pull(sqlite).stdout.replace(
        "rows", "row"
    )
    clinic.execute(
        "DELETE FROM visits WHERE visit_id = (SELECT visit_id FROM visits ORDER BY 1 LIMIT 1)"
    )
    assert "1 vanished, 0 deleted" in clinic.pull(sqlite).stdout


T = "2026-01-05T08:30:00.000"
"""A moment in UTC; so are its siblings below."""
LATER = "2026-02-05T08:30:00.000"


@pytest.fixture
def dated(clinic: Clinic) -> Clinic:
    """With a column for the time of an outcome."""
    clinic.execute(
        "ALTER TABLE visits ADD COLUMN known_at "
        f"{'timestamp' if clinic.kind == 'postgresql' else 'TEXT'}"
    )
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
    return moment is not None and datetime.fromisoformat(f"{moment}+00:00") > datetime.now(
        UTC
    ) - timedelta(minutes=30)


def test_an_outcome_is_known_since_the_source_says(database: Database, dated: Clinic) -> None:
    """Of each type `tests/unit/intake/test_moments.py` shows which moment it is."""
    clinic, value, expected = dated, datetime(2026, 1, 5, 8, 30), "2026-01-05T07:30:00.000"  # noqa: DTZ001
    clinic.settings["time_zone"] = "Europe/Zurich"
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


def test_a_day_counts_to_its_end_and_today_until_the_pull(
    database: Database, dated: Clinic
) -> None:
    now = datetime.now(UTC)
    dated.settings["time_zone"] = f"Etc/GMT{now.hour - 12:+}"  # about noon
    zone = ZoneInfo(dated.settings["time_zone"])
    first, second = dated.insert(2)
    say(dated, first, "yes", date(2026, 1, 5))
    say(dated, second, "yes", now.astimezone(zone).date())
    dated.execute("ALTER TABLE visits RENAME COLUMN known_at TO said_at")
    days = "substr(CAST(said_at AS TEXT), 1, 10) AS known_at"
    dated.execute(f"CREATE VIEW days AS SELECT v.*, {days} FROM visits v")
    dated.settings["table"] = "days"
    assert counts(dated.pulled(database)) == {"inserted": 2}
    end = datetime(2026, 1, 5, 23, 59, 59, 999_000, zone).astimezone(UTC)
    assert labelled(database, first) == f"{end:%Y-%m-%dT%H:%M:%S}.999"
    known = labelled(database, second)
    assert is_now(known)
    assert counts(dated.pulled(database)) == {"unchanged": 2}
    assert labelled(database, second) == known


def test_a_time_that_is_corrected_alone_changes_nothing_else(
    database: Database, dated: Clinic
) -> None:
    first, second, third = dated.insert(3)
    for key in (first, second):
        say(dated, key, "yes", T)
    say(dated, third, "yes", None)
    dated.pulled(database)
    before = database.execute("SELECT id, version, outcome, age FROM patients ORDER BY id")
    pulled_at = labelled(database, third)
    say(dated, first, "yes", LATER)
    say(dated, second, "yes", None)
    assert counts(dated.pulled(database)) == {"updated": 1, "unchanged": 2}
    # What the source no longer says stays as it was.
    assert [labelled(database, key) for key in (first, second, third)] == [LATER, T, pulled_at]
    assert database.execute("SELECT id, version, outcome, age FROM patients ORDER BY id") == before
    assert database.value("SELECT count(*) FROM scoring_queue") == 0
    assert counts(dated.pulled(database)) == {"unchanged": 3}
    say(dated, third, "yes", T)
    assert counts(dated.pulled(database)) == {"updated": 1, "unchanged": 2}
    assert labelled(database, third) == T
    dated.execute("UPDATE visits SET age = 90")
    assert counts(dated.pulled(database)) == {"updated": 3}
    assert [labelled(database, key) for key in (first, second, third)] == [LATER, T, T]


def test_an_outcome_that_is_corrected_is_known_since_the_source_says_or_since_the_pull(
    database: Database, dated: Clinic
) -> None:
    dated.settings["most_cleared"] = 1
    first, second, third, fourth = dated.insert(4)
    for key in (first, second, third, fourth):
        say(dated, key, "yes", T)
    dated.pulled(database)
    say(dated, first, "no", T)
    say(dated, second, "no", LATER)
    say(dated, third, "no", None)
    say(dated, fourth, None, T)
    found = counts(dated.pulled(database))
    assert found == {"updated": 4, "outcomes_corrected": 3, "outcomes_cleared": 1}
    assert [labelled(database, key) for key in (first, second, fourth)] == [T, LATER, None]
    assert is_now(labelled(database, third))
    assert counts(dated.pulled(database)) == {"unchanged": 4}


def test_a_known_outcome_stays_as_it_is_until_its_new_time_has_come(
    database: Database, dated: Clinic
) -> None:
    first, second, third = dated.insert(3)
    for key in (first, second):
        say(dated, key, "yes", T)
    dated.pulled(database)
    known = "SELECT outcome, labelled_at FROM patients ORDER BY id"
    before, versions = (
        database.execute(known),
        database.execute("SELECT version FROM patients ORDER BY id"),
    )
    for key, outcome in ((first, "yes"), (second, "no"), (third, "no")):
        say(dated, key, outcome, datetime.now() + timedelta(days=2))  # noqa: DTZ005
    found = dated.pulled(database)
    assert (counts(found), found["outcomes_held_back"]) == ({"unchanged": 3}, 3)
    assert (
        database.execute(known),
        database.execute("SELECT version FROM patients ORDER BY id"),
    ) == (before, versions)
    dated.execute("UPDATE visits SET age = 90")
    assert counts(dated.pulled(database)) == {"updated": 3}
    assert database.execute(known) == before
    assert database.value("SELECT count(*) FROM scoring_queue") == 1
    say(dated, first, "yes", LATER)
    say(dated, second, "no", LATER)
    assert counts(dated.pulled(database)) == {"updated": 2, "unchanged": 1, "outcomes_corrected": 1}
    assert [labelled(database, key) for key in (first, second, third)] == [LATER, LATER, None]


@once
def test_times_that_are_none_are_counted_and_outcomes_that_are_to_come_are_held_back(
    database: Database, dated: Clinic
) -> None:
    if dated.kind == "postgresql":
        dated.execute("ALTER TABLE visits ALTER known_at TYPE text")
    keys = dated.insert(6)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for key, outcome, moment in zip(
        keys, ["yes", "no", "yes", None, None], [T, "Canary", tomorrow] * 2, strict=False
    ):
        say(dated, key, outcome, moment)
    found = dated.pulled(database)
    # Where there is no outcome, its time says nothing.
    assert counts(found) == {"inserted": 5, "rejected": 1}
    assert found["rejected_by_reason"] == {"bad_outcome_at": 1}
    assert (found["outcomes_inserted"], found["outcomes_held_back"]) == (1, 1)
    assert database.value("SELECT count(labelled_at) FROM patients") == 1
    # Until its time has come the row waits for a prediction, like any without an outcome.
    assert database.value("SELECT count(*) FROM scoring_queue") == 4
    say(dated, keys[2], "yes", T)
    assert counts(dated.pulled(database)) == {
        "updated": 1,
        "unchanged": 4,
        "rejected": 1,
        "outcomes_arrived": 1,
    }
    ended = dated.pull(database)
    assert "Canary" not in ended.stdout + ended.stderr
