"""Values of a source that nobody expects: each is a row that is rejected and counted, or told with its column."""

import pytest

from tests.support.clinic import Clinic
from tests.support.databases import Database
from tests.support.pulls import CANARY, counts, refused

NUMBERS = {
    "numeric 'NaN'": "not_finite",
    "numeric 'Infinity'": "not_finite",
    "numeric '1e400'": "not_finite",
    "float8 'NaN'": "not_finite",
    "text '1_0'": "not_a_number",
    "mood 'sad'": "not_a_number",
}
OTHERS = {
    "bool 'true'": "bool",
    "bytea '\\x31'": "bytes",
    "int4[] '{1}'": "list",
    "json '{\"a\": 1}'": "dict",
    "time '12:00'": "time",
}


def test_odd_numbers_are_counted_and_other_types_named(postgresql: Database, postgresql_clinic: Clinic) -> None:
    clinic = postgresql_clinic
    clinic.insert(2)
    clinic.settings |= {"most_missing": 1, "most_rejected": 1}
    clinic.execute("CREATE TYPE mood AS ENUM ('1.5', 'sad')")
    for number in ("numeric '1.5e0'", "numeric '0.0150e2'", "float8 '-0'", "mood '1.5'"):
        _pedigree_is(clinic, number)
        assert clinic.pulled(postgresql)["rejected"] == 0
        assert counts(clinic.pulled(postgresql)) == {"unchanged": 2}
    for number, reason in NUMBERS.items():
        _pedigree_is(clinic, number)
        found = clinic.pulled(postgresql)
        assert (found["rejected_by_reason"], found["unchanged"]) == ({reason: 2}, 0), number
    for value, kind in OTHERS.items():
        _pedigree_is(clinic, value)
        refused(postgresql, clinic, 2, "pedigree", f"type {kind}")
    _pedigree_is(clinic, "time '24:00'")
    refused(postgresql, clinic, 2, "a value is none that Python has")


def _pedigree_is(clinic: Clinic, value: str) -> None:
    kind = value.split(" ", 1)[0]
    clinic.execute(f"ALTER TABLE visits DROP pedigree, ADD pedigree {kind}")
    with clinic.engine.begin() as connection:
        said = f"UPDATE visits SET pedigree = {value.removeprefix(kind)}"
        connection.exec_driver_sql(said, execution_options={"no_parameters": True})


def test_truth_values_are_numbers_only_where_it_is_said(postgresql: Database, postgresql_clinic: Clinic) -> None:
    clinic = postgresql_clinic
    clinic.insert(2, pedigree=1)
    clinic.pulled(postgresql)
    clinic.execute("ALTER TABLE visits ALTER pedigree TYPE boolean USING pedigree > 0")
    refused(postgresql, clinic, 2, "pedigree", "type bool", "a category with the codes 0 and 1", "words = {")
    clinic.columns["diabetes_pedigree"] = {"column": "pedigree", "words": {"True": 0.75, "false": 0.25}}
    assert counts(clinic.pulled(postgresql)) == {"updated": 2}
    assert postgresql.execute("SELECT DISTINCT diabetes_pedigree FROM patients") == [(0.75,)]


TIMES = ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"]


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_times_of_no_year_of_python_s_are_counted(postgresql: Database, postgresql_clinic: Clinic, kind: str) -> None:
    clinic = postgresql_clinic
    clinic.execute(f"ALTER TABLE visits ADD known_on {kind}, ADD touched {kind} DEFAULT '2026-01-01'")
    clinic.settings |= {"outcome_at": "known_on", "changed_since": "touched", "most_rejected": 1}
    for n, moment in enumerate([*TIMES, "2026-01-05"]):
        clinic.insert(1, seed=n, diabetic="yes", known_on=moment)
    found = clinic.pulled(postgresql)
    assert found["rejected_by_reason"] == {"bad_outcome_at": 2}
    assert postgresql.value("SELECT count(*) FROM patients WHERE labelled_at < '2026-01-07'") == 1
    assert clinic.pulled(postgresql)["compared"] == "changed"
    for moment, compared in (
        ("-infinity", "all"),
        ("0044-03-15 BC", "all"),
        ("infinity", "all"),
        ("20000-01-01", "all"),
    ):
        clinic.execute(f"UPDATE visits SET touched = '{moment}'")
        found = clinic.pulled(postgresql)
        assert (found["compared"], counts(found)) == (compared, {"unchanged": 3, "rejected": 2})


def test_texts_that_are_none_are_counted_or_told(sqlite: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    clinic.settings["most_rejected"] = 1
    keys = clinic.insert(4)
    for key, value in zip(keys, [f"1{chr(0)}{CANARY}", 2**63 - 1, "1" * 5000, 9e999], strict=True):
        clinic.execute("UPDATE visits SET diabetic = :value WHERE visit_id = :key", {"value": value, "key": key})
    found = clinic.pulled(sqlite)
    assert found["rejected_by_reason"] == {"bad_outcome": 4}
    clinic.execute("UPDATE visits SET diabetic = CAST(x'ff' AS TEXT)")
    refused(sqlite, clinic, 2, "a text is not UTF-8")
    clinic.execute("UPDATE visits SET diabetic = x'01'")
    refused(sqlite, clinic, 2, "diabetic (outcome)", "type bytes")


def test_an_enumeration_is_read_as_its_words(postgresql: Database, postgresql_clinic: Clinic) -> None:
    clinic = postgresql_clinic
    clinic.execute("CREATE TYPE answer AS ENUM ('yes', 'no', 'näher unbekannt')")
    clinic.execute("ALTER TABLE visits ALTER diabetic TYPE answer USING diabetic::answer")
    for n, word in enumerate(["yes", "no", "näher unbekannt", None]):
        clinic.insert(1, seed=n, diabetic=word)
    assert clinic.pulled(postgresql)["rejected_by_reason"] == {"bad_outcome": 1}
    assert postgresql.execute("SELECT outcome, count(*) FROM patients GROUP BY 1 ORDER BY 1") == [
        (0, 1),
        (1, 1),
        (None, 1),
    ]
