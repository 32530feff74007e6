"""What a pull takes for a fault of its source, and one source's failing beside others: refused, and
nothing came in."""

import json
from typing import Any

import pytest

from tests.support.clinic import COLUMNS, Clinic
from tests.support.databases import Database, free_port
from tests.support.pulls import counts, refused


@pytest.fixture
def clinic(sqlite_clinic: Clinic) -> Clinic:
    """What a guard counts is the same in each database that a source may be in."""
    return sqlite_clinic


def test_too_few_rows_are_taken_for_a_fault(sqlite: Database, clinic: Clinic) -> None:
    refused(sqlite, clinic, 3, "0 rows", "minimum_rows is 1")
    clinic.insert(9)
    clinic.settings["minimum_rows"] = 10
    refused(sqlite, clinic, 3, "9 rows", "minimum_rows is 10")
    clinic.settings["minimum_rows"] = 9
    assert counts(clinic.pulled(sqlite)) == {"inserted": 9}


@pytest.mark.parametrize("vanished", ["keep", "delete"])
def test_too_many_that_have_vanished_are_taken_for_a_fault(
    sqlite: Database, clinic: Clinic, vanished: str
) -> None:
    keys = clinic.insert(10)
    clinic.settings["vanished"] = vanished
    clinic.pulled(sqlite)
    for key in keys[:3]:
        clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": key})
    clinic.execute("UPDATE visits SET age = 44")
    refused(sqlite, clinic, 3, "3 of our 10 rows are no longer in it", "most_vanished is 0.2")
    clinic.settings["most_vanished"] = 0.3
    expected = {"updated": 7, "vanished": 3} | ({"deleted": 3} if vanished == "delete" else {})
    assert counts(clinic.pulled(sqlite)) == expected


@pytest.mark.parametrize("lacking", ["NULL", "4000.5"])
def test_a_feature_that_is_suddenly_missing_or_out_of_range_is_taken_for_a_fault(
    sqlite: Database, clinic: Clinic, lacking: str
) -> None:
    clinic.insert(10)
    clinic.pulled(sqlite)
    clinic.execute(f"UPDATE visits SET glucose_mmol = {lacking}")
    message = refused(
        sqlite, clinic, 3, "glucose is missing in", "of 10 rows", "most_missing is 0.5"
    )
    assert "4000" not in message
    clinic.settings |= {"most_missing": 1, "most_rejected": 1}
    assert clinic.pull(sqlite).exit_code == 0


def test_a_wrong_unit_is_found_at_the_first_pull(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(10)
    clinic.columns["glucose"] = "glucose_mmol"
    refused(
        sqlite,
        clinic,
        3,
        "glucose",
        "can't be taken in 10",
        "perhaps since its factor, words or range don't fit",
    )


def test_most_rows_that_break_a_rule_are_taken_for_a_fault(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.insert(9, diabetic="yes")
    clinic.insert(1, seed=2)
    del clinic.settings["outcome_words"]
    message = refused(
        sqlite,
        clinic,
        3,
        "9 of 10 rows break a rule",
        "(bad_outcome of outcome: 9 rows)",
        "outcome_words",
    )
    assert "most_rejected is 0.5" in message
    clinic.settings["most_rejected"] = 0.9
    assert counts(clinic.pulled(sqlite)) == {"inserted": 1, "rejected": 9}


def test_rows_that_break_different_rules_are_taken_for_a_fault_together(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.insert(10)
    clinic.pulled(sqlite)
    clinic.execute(
        "UPDATE visits SET glucose_mmol = 4000.5 WHERE visit_id IN (SELECT visit_id FROM visits "
        "LIMIT 5)"
    )
    clinic.execute("UPDATE visits SET age = 4000 WHERE glucose_mmol < 4000")
    refused(
        sqlite,
        clinic,
        3,
        "10 of 10 rows",
        "out_of_range of age: 5 rows, out_of_range of glucose: 5 rows",
    )


def test_too_many_outcomes_that_are_cleared_are_taken_for_a_fault(
    sqlite: Database, clinic: Clinic
) -> None:
    keys = clinic.insert(10, diabetic="yes")
    clinic.insert(10, seed=2, diabetic=None)
    clinic.pulled(sqlite)
    for key in keys[:3]:
        clinic.execute("UPDATE visits SET diabetic = NULL WHERE visit_id = :key", {"key": key})
    refused(
        sqlite,
        clinic,
        3,
        "3 of our 10 known outcomes are NULL",
        "column diabetic",
        "most_cleared is 0.2",
    )
    clinic.settings["most_cleared"] = 0.3
    assert counts(clinic.pulled(sqlite)) == {"updated": 3, "unchanged": 17, "outcomes_cleared": 3}


def test_outcomes_cleared_in_a_part_are_judged_by_all_that_are_known(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.execute("ALTER TABLE visits ADD touched TEXT DEFAULT '2026-01-01T00:00:00Z'")
    clinic.settings["changed_since"] = "touched"
    keys = clinic.insert(10, diabetic="yes")
    clinic.pulled(sqlite)

    def cleared(n: int) -> None:
        statement = "UPDATE visits SET diabetic = NULL, touched = :at WHERE visit_id = :key"
        clinic.execute(statement, {"key": keys[n], "at": f"2026-01-0{n + 2}T00:00:00Z"})

    cleared(0)
    found = clinic.pulled(sqlite)
    assert (found["compared"], found["outcomes_cleared"]) == ("changed", 1)
    cleared(1)
    cleared(2)
    refused(sqlite, clinic, 3, "2 of our 9 known outcomes are NULL", "most_cleared is 0.2")


def test_a_source_of_another_name_does_not_bring_its_rows_a_second_time(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.insert(30)
    clinic.pulled(sqlite)
    clinic.settings["name"] = "hospital"
    clinic.insert(20, seed=2)
    renamed = (
        "The source hospital looks faulty: we have no rows of it yet, and 30 of 50 of its keys"
    )
    refused(
        sqlite, clinic, 3, renamed, "give it its former name back (clinic)", "declare clinic, too"
    )
    assert clinic.pull(sqlite, "--dry-run").exit_code == 3
    # Both declared, they are two.
    clinic.extra = (
        '[[source]]\nname = "clinic"\ntable = "visits"\nkey = "visit_id"\n[source.columns]\nage = '
        '"age"\n'
    )
    clinic.extra += "".join(f'{name} = "x"\n' for name in COLUMNS if name != "age")
    assert clinic.pull(sqlite, "hospital").exit_code == 0
    assert sqlite.execute("SELECT source, count(*) FROM patients GROUP BY 1 ORDER BY 1") == [
        ("clinic", 30),
        ("hospital", 50),
    ]


def test_a_source_that_shares_few_keys_with_one_that_is_no_longer_declared_is_another(
    postgresql: Database, clinic: Clinic
) -> None:
    clinic.insert(30)
    clinic.pulled(postgresql)
    clinic.settings["name"] = "hospital"
    clinic.insert(30, seed=2)
    assert clinic.pull(postgresql).exit_code == 0
    assert postgresql.value("SELECT count(*) FROM patients") == 90


def test_what_was_missing_before_may_be_missing(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(10, insulin=None)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 10}
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 10}


def _declared(name: str) -> str:
    """A source whose table has its name."""
    columns = "".join(
        f"{name} = {json.dumps(how['column'] if isinstance(how, dict) else how)}\n"
        for name, how in COLUMNS.items()
    )
    return (
        f'[[source]]\nname = "{name}"\ntable = "{name}"\nkey = '
        f'"visit_id"\n[source.columns]\n{columns}'
    )


def test_sources_that_fail_keep_no_other_from_being_pulled_and_where_one_is_away_the_run_is_for_later(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.insert(3)
    clinic.extra = _declared("first") + _declared("second") + _declared("third")
    away = f"postgresql://u@127.0.0.1:{free_port()}/d"
    urls = {"FIRST": clinic.url, "SECOND": away, "THIRD": away}
    ended = clinic.pull(
        sqlite, "--json", **{f"PIMA_SOURCE__{name}__URL": url for name, url in urls.items()}
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.exit_code, found["error"]) == (75, "source_away")
    assert [
        (each["inserted"], each["status"], each["error_code"]) for each in found["sources"]
    ] == [
        (0, "failed", "source_unusable"),
        (0, "try_again_later", "source_away"),
        (0, "try_again_later", "source_away"),
        (3, "succeeded", None),
    ]
    for name in ("first", "second", "third"):
        assert f"source {name}" in found["message"] + ended.stderr
    assert sqlite.execute("SELECT status, error_code FROM runs") == [
        ("try_again_later", "source_away")
    ]
