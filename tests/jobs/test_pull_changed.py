"""A source that tells when a row was changed: what has not changed is not read, and nothing is missed for long."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

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


def telling(clinic: Clinic, column: str = "without a zone") -> list[str]:
    """Thirty visits, each a day older than the one before; their keys."""
    keys = clinic.insert(30)
    kind = COLUMNS[column][0] if clinic.kind == "postgresql" else "TEXT"
    clinic.execute(f"ALTER TABLE visits ADD COLUMN updated_at {kind}")
    for age, key in enumerate(keys):
        changed(clinic, key, DAY - timedelta(days=age), column)
    clinic.settings["changed_since"] = "updated_at"
    return keys


def changed(clinic: Clinic, key: str, moment: datetime | None, column: str = "without a zone", **values: Any) -> None:
    """A visit is changed, at that time."""
    stored = None if moment is None else COLUMNS[column][1](moment)
    if clinic.kind == "sqlite" and isinstance(stored, date):
        stored = str(stored)
    values |= {"updated_at": stored}
    assigned = ", ".join(f"{name} = :{name}" for name in values)
    assert clinic.execute(f"UPDATE visits SET {assigned} WHERE visit_id = :key", values | {"key": key}) == 1


def _read_again(clinic: Clinic, column: str) -> int:
    """Of days, and of texts, which sort by their days alone, the day before is read too."""
    return 1 if clinic.kind == "postgresql" and column.startswith("with") else 2


def part(found: dict[str, Any]) -> tuple[str, int]:
    return found["compared"], found["rows"]


@pytest.fixture(params=COLUMNS)
def column(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
    assert database.value("SELECT age FROM patients WHERE source_key = :key", {"key": keys[20]}) == 90
    assert part(clinic.pulled(database)) == ("changed", _read_again(clinic, column))


def test_a_rejected_row_that_is_read_again_is_new_but_once(database: Database, clinic: Clinic, column: str) -> None:
    keys = telling(clinic, column)
    changed(clinic, keys[0], DAY, column, age=500)
    assert clinic.pulled(database)["rejected_unlabelled"] == {"out_of_range": {"age": 1}}
    again = clinic.pulled(database)
    assert (again["compared"], again["rejected"], again["rejected_unlabelled"]) == ("changed", 1, {})
    changed(clinic, keys[1], None, column, age=500)  # nobody knows whether it is new, until all is compared
    changed(clinic, keys[2], DAY + timedelta(days=1), column, age=500)
    changed(clinic, keys[3], DAY + timedelta(days=1), column, age=500, diabetic="no")
    found = clinic.pulled(database)
    assert (found["compared"], found["rejected"]) == ("changed", 4)
    assert found["rejected_unlabelled"] == {"out_of_range": {"age": 1}}
    assert clinic.pulled(database, "--full")["rejected_unlabelled"] == {"out_of_range": {"age": 3}}


@pytest.mark.parametrize(
    ("column", "overlap"), [("with a zone", timedelta(minutes=15)), ("without a zone", timedelta(hours=2))]
)
def test_what_becomes_visible_late_is_found_within_the_overlap(
    sqlite: Database, postgresql_clinic: Clinic, column: str, overlap: timedelta
) -> None:
    clinic = postgresql_clinic
    keys = telling(clinic, column)
    clinic.pulled(sqlite)
    for key, moment in ((keys[5], DAY), (keys[6], DAY - overlap), (keys[7], DAY - overlap - timedelta(seconds=1))):
        changed(clinic, key, moment, column, age=90)
    assert counts(clinic.pulled(sqlite))["updated"] == 2
    assert counts(clinic.pulled(sqlite, "--full"))["updated"] == 1


NO_TIMES = {
    "sqlite": {"texts": [None, "", " ", "-", "10.03.2026", 1795600000, 17.5]},
    "postgresql": {
        "texts": [None, "", " ", "10.03.2026"],
        "with a zone": [None, "-infinity"],
        "without a zone": [None, "-infinity"],
        "days": [None, "-infinity"],
    },
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
        clinic.execute("ALTER TABLE visits ADD COLUMN updated_at")  # which takes values of every type
        clinic.execute("UPDATE visits SET updated_at = '2026-03-10 12:00'")
    clinic.pulled(sqlite)
    values = NO_TIMES[kind][column]
    said = {"sqlite": ":value", "postgresql": f"CAST(:value AS {COLUMNS[column][0]})"}[kind]
    for value, key in zip(values, keys[5:], strict=False):
        assert clinic.execute(
            f"UPDATE visits SET age = 90, updated_at = {said} WHERE visit_id = :key", {"value": value, "key": key}
        )
    found = clinic.pulled(sqlite)
    assert (found["compared"], found["updated"]) == ("changed", len(values))


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
    assert database.execute("UPDATE source_pulls SET compared_whole_at = :moment", {"moment": moment}) == 1


def test_other_settings_or_another_declaration_compare_all(database: Database, clinic: Clinic) -> None:
    telling(clinic)
    clinic.pulled(database)
    assert clinic.pulled(database)["compared"] == "changed"
    clinic.columns["glucose"] = {"column": "glucose_mmol", "factor": 18.0}
    ended = clinic.pull(database)
    assert "30 rows read, 0 inserted, 30 updated" in ended.stdout
    assert "its settings or the declaration" in ended.stderr
    assert clinic.pulled(database)["compared"] == "changed"
    clinic.extra = _declared_with(age_up_to=100)
    assert _migrated(database, clinic)
    assert clinic.pulled(database)["compared"] == "all"
    assert clinic.pulled(database)["compared"] == "changed"


def _declared_with(age_up_to: int) -> str:
    before, _, after = SHIPPED_FILE.read_text().partition("low = 18\nhigh = 120\n")
    return f"{before}low = 18\nhigh = {age_up_to}\n{after}"


def _migrated(database: Database, clinic: Clinic) -> bool:
    return call(database, "migrate", "--features", "--reason", "a test", "--config", clinic.config).exit_code == 0


def test_after_a_full_compare_that_was_not_completed_all_is_compared(database: Database, clinic: Clinic) -> None:
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


def test_a_part_that_failed_is_compared_again(database: Database, clinic: Clinic) -> None:
    keys = telling(clinic)
    clinic.pulled(database)
    for n, key in enumerate(clinic.insert(120, seed=2, glucose_mmol=4000.5)):
        changed(clinic, key, DAY + timedelta(hours=n))
    changed(clinic, keys[25], DAY + timedelta(hours=2), age=90)
    assert clinic.pull(database).exit_code == 3
    clinic.execute("UPDATE visits SET glucose_mmol = 5 WHERE glucose_mmol > 1000")
    found = clinic.pulled(database)
    assert (found["compared"], found["inserted"], found["updated"]) == ("changed", 120, 1)


def test_of_few_rows_a_feature_may_be_missing_in_most(sqlite: Database, clinic: Clinic) -> None:
    telling(clinic)
    clinic.pulled(sqlite)
    for n, key in enumerate(clinic.insert(90, seed=2, glucose_mmol=4000.5)):
        changed(clinic, key, DAY + timedelta(hours=n))
    found = clinic.pulled(sqlite)
    assert (found["compared"], found["rejected"], found["inserted"]) == ("changed", 90, 0)


def test_a_source_that_has_gone_back_is_compared_whole(database: Database, clinic: Clinic) -> None:
    keys = telling(clinic)
    clinic.pulled(database)
    changed(clinic, keys[0], DAY - timedelta(days=3), age=90)
    changed(clinic, keys[20], DAY - timedelta(days=20), age=90)
    found = clinic.pulled(database)
    assert (found["compared"], found["updated"]) == ("all", 2)
    assert clinic.pulled(database)["compared"] == "changed"


@pytest.mark.parametrize("column", ["with a zone", "without a zone", "days", "texts"])
def test_a_time_that_is_still_to_come_hides_nothing(database: Database, postgresql_clinic: Clinic, column: str) -> None:
    clinic = postgresql_clinic
    keys = telling(clinic, column)
    changed(clinic, keys[3], datetime.now(UTC) + timedelta(days=3), column)
    ended = clinic.pull(database)
    assert "times that are still to come" in ended.stderr
    changed(clinic, keys[20], DAY + timedelta(hours=1), column, age=90)
    found = clinic.pulled(database)
    assert (found["compared"], found["updated"]) == ("all", 1)
    changed(clinic, keys[3], DAY + timedelta(hours=1), column)
    clinic.pulled(database)
    assert clinic.pulled(database)["compared"] == "changed"


@pytest.mark.parametrize(
    ("kind", "value", "named"),
    [
        ("integer", "extract(epoch FROM timestamp '2026-01-01')", "type int"),
        ("text", "'1.3.2026'", "type str"),
        ("boolean", "true", "type bool"),
        ("json", "'[1]'", "type list"),
    ],
)
def test_what_is_no_time_is_refused(
    sqlite: Database, postgresql_clinic: Clinic, kind: str, value: str, named: str
) -> None:
    clinic = postgresql_clinic
    clinic.insert(3)
    clinic.execute(f"ALTER TABLE visits ADD COLUMN updated_at {kind}")
    clinic.execute(f"UPDATE visits SET updated_at = {value}")
    clinic.settings["changed_since"] = "updated_at"
    ended = clinic.pull(sqlite)
    assert (ended.exit_code, f"updated_at (changed_since) holds values of the {named}" in ended.stderr) == (2, True)
    assert "1.3.2026" not in ended.stderr + ended.stdout


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


def test_people_read_that_only_a_part_was_read(sqlite: Database, clinic: Clinic) -> None:
    telling(clinic)
    assert "clinic: 30 rows read, 30 inserted" in clinic.pull(sqlite).stdout
    assert "row read (of what has changed), 0 inserted" in clinic.pull(sqlite).stdout.replace("rows", "row")
    clinic.execute("DELETE FROM visits WHERE visit_id = (SELECT visit_id FROM visits ORDER BY 1 LIMIT 1)")
    assert "1 vanished, 0 deleted" in clinic.pull(sqlite).stdout


def test_what_is_put_down_of_a_pull_is_a_time_and_no_row(database: Database, clinic: Clinic) -> None:
    telling(clinic)
    clinic.pulled(database)
    ((source, mark),) = database.execute("SELECT source, changed_up_to FROM source_pulls")
    assert (source, mark) == ("clinic", "2026-03-10T12:00:00" if clinic.kind == "postgresql" else "2026-03-10")
    assert document(database, "SELECT counts FROM runs")["sources"][0]["compared"] == "all"
