"""Rows that a pull can't take in: put down by key and reason until they are corrected, whatever
values they have."""

from pathlib import Path
from typing import Any

import pytest

from pima.errors import DatabaseUnusable
from pima.intake.sources import pulling
from pima.store.rows.staged_source import StagedSource
from tests.support.clinic import URL, Clinic
from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.patient_files import GOOD, ID_HEADER, write
from tests.support.pulls import CANARY, counts, refused
from tests.support.trained import install_models

# What is put down does not depend on which database is ours.
once = pytest.mark.parametrize(("database", "clinic"), [("sqlite", "postgresql")], indirect=True)
REJECTED = "SELECT source_key, reason, field FROM source_rejections ORDER BY source_key"


def _spoil(clinic: Clinic, key: str, glucose_mmol: float = 1000) -> None:
    clinic.execute(
        "UPDATE visits SET glucose_mmol = :value WHERE visit_id = :key",
        {"value": glucose_mmol, "key": key},
    )


def test_a_row_is_put_down_until_it_is_corrected(
    database: Database, clinic: Clinic, trained: Path
) -> None:
    install_models(database, trained)
    first, second, *_ = sorted(clinic.insert(10))
    new = clinic.insert(1, seed=2, age=500)[0]
    clinic.pulled(database)
    assert database.execute(REJECTED) == [(new, "out_of_range", "age")]
    assert call(database, "score").exit_code == 0
    superseded = "SELECT source_key FROM current_predictions WHERE superseded"
    assert database.execute(superseded) == []
    _spoil(clinic, first)
    ours = "SELECT version, glucose, outcome FROM patients ORDER BY source_key"
    before = database.execute(ours)
    assert counts(clinic.pulled(database)) == {"unchanged": 9, "rejected": 2}
    assert database.execute(ours) == before
    # Ours is left as it was; what was predicted of it is no longer what the source has.
    assert database.execute(superseded) == [(first,)]
    since = "SELECT source_key, since, run_id IS NULL FROM source_rejections ORDER BY source_key"
    known = database.execute(since)
    clinic.execute("UPDATE visits SET diabetic = 'no' WHERE visit_id = :key", {"key": new})
    clinic.pulled(database)
    assert database.execute(since) == [(key, moment, key == new) for key, moment, _ in known]
    _spoil(clinic, first, 5.5)
    clinic.pulled(database)
    assert database.execute(REJECTED) == [(new, "out_of_range", "age")]
    # The correction is another version, which the old prediction is not of.
    assert database.execute(superseded) == [(first,)]
    assert call(database, "score").exit_code == 0
    assert database.execute(superseded) == []
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": new})
    clinic.pulled(database)
    assert database.execute(REJECTED) == []
    assert second in {key for (key,) in database.execute("SELECT source_key FROM patients")}


@once
def test_of_a_part_what_is_not_read_stays_put_down(database: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD COLUMN touched TEXT DEFAULT '2026-03-10'")
    clinic.settings["changed_since"] = "touched"
    bad, other, good = (
        clinic.insert(1, age=500)[0],
        clinic.insert(1, seed=2, age=400)[0],
        clinic.insert(8, seed=3)[0],
    )
    clinic.pulled(database)
    clinic.execute("UPDATE visits SET touched = '2026-03-12' WHERE visit_id = :key", {"key": good})
    clinic.pulled(database)
    for key, age in ((good, 50), (other, 44)):
        clinic.execute(
            "UPDATE visits SET age = :age, touched = '2026-03-14' WHERE visit_id = :key",
            {"age": age, "key": key},
        )
    found = clinic.pulled(database)
    assert (found["compared"], found["rejected"]) == ("changed", 0)
    assert database.execute(REJECTED) == [(bad, "out_of_range", "age")]


@once
def test_status_and_explain_know_them(database: Database, clinic: Clinic, trained: Path) -> None:
    install_models(database, trained)
    clinic.insert(5)
    bad = clinic.insert(1, seed=2, age=500)[0]
    clinic.pulled(database)
    environ = {URL: clinic.url}
    told = the_json(call(database, "status", "--json", "--config", str(clinic.config), **environ))
    assert told["sources"][0]["rejected"] == [{"reason": "out_of_range", "field": "age", "rows": 1}]
    shown = call(database, "status", "--config", str(clinic.config), **environ).stdout
    assert "1 row rejected as they are there" in " ".join(shown.split())
    ended = call(database, "explain", "clinic", bad, "--config", str(clinic.config), **environ)
    assert (ended.exit_code, "age broke the rule" in " ".join(ended.stderr.split())) == (3, True)
    assert bad not in ended.stderr


@once
def test_who_is_forgotten_is_put_down_nowhere(database: Database, clinic: Clinic) -> None:
    clinic.insert(5)
    bad = clinic.insert(1, seed=2, age=500)[0]
    clinic.pulled(database)
    asked = ("--config", str(clinic.config), "--without-rows", "--reason", "a test")
    ended = call(database, "forget", "clinic", bad, *asked, **{URL: clinic.url})
    assert ended.exit_code == 0, ended.stderr
    assert database.execute(REJECTED) == []
    clinic.pulled(database)
    assert database.execute(REJECTED) == []


@once
def test_nor_who_is_forgotten_while_the_source_is_read(
    database: Database, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.insert(5)
    bad = clinic.insert(1, seed=2, age=500)[0]
    require_sound = pulling.require_sound

    def somebody_is_forgotten_meanwhile(*given: Any) -> None:
        require_sound(*given)
        asked = ("--config", str(clinic.config), "--without-rows", "--reason", "a test")
        assert call(database, "forget", "clinic", bad, *asked, **{URL: clinic.url}).exit_code == 0

    monkeypatch.setattr(pulling, "require_sound", somebody_is_forgotten_meanwhile)
    clinic.pulled(database)
    assert database.execute(REJECTED) == []


@once
def test_a_part_of_a_source_that_was_emptied_is_refused(database: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD COLUMN touched TEXT DEFAULT '2026-03-10'")
    clinic.settings["changed_since"] = "touched"
    first, *_ = clinic.insert(30)
    clinic.pulled(database)
    clinic.execute("DELETE FROM visits WHERE visit_id <> :key", {"key": first})
    refused(database, clinic, 3, "29 of our 30 rows are no longer in it")


def test_truth_values_are_numbers_only_where_it_is_said(
    sqlite: Database, postgresql_clinic: Clinic
) -> None:
    clinic = postgresql_clinic
    clinic.insert(2, pedigree=1)
    clinic.pulled(sqlite)
    clinic.execute("ALTER TABLE visits ALTER pedigree TYPE boolean USING pedigree > 0")
    refused(sqlite, clinic, 2, "pedigree", "type bool")
    clinic.columns["diabetes_pedigree"] = {
        "column": "pedigree",
        "words": {"True": 0.75, "false": 0.25},
    }
    assert counts(clinic.pulled(sqlite)) == {"updated": 2}
    assert sqlite.execute("SELECT DISTINCT diabetes_pedigree FROM patients") == [(0.75,)]


def test_rows_that_a_trigger_of_the_clinic_rounds_are_counted_once(
    postgresql: Database, tmp_path: Path
) -> None:
    insert_patients(postgresql, 1, first_id=1)
    postgresql.execute("""
        CREATE FUNCTION rounded() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.bmi := round(NEW.bmi::numeric); RETURN NEW; END$$""")
    postgresql.execute(
        "CREATE TRIGGER a BEFORE INSERT OR UPDATE ON patients FOR EACH ROW EXECUTE FUNCTION "
        "rounded()"
    )
    file = write(tmp_path, ID_HEADER, *(f"{n},{GOOD}" for n in range(1, 11)))
    found = the_json(call(postgresql, "load", "--json", file))
    assert (found["inserted"], found["updated"], found["unchanged"]) == (9, 1, 0)


def test_a_pull_s_transactions_are_of_one_session(postgresql: Database) -> None:
    with postgresql.engine.connect() as first, postgresql.engine.connect() as second:
        one, other = (
            StagedSource(each, ("age",), "source_key", "clinic") for each in (first, second)
        )
        one.make()
        one.require_session()
        other._session = one._session
        with pytest.raises(DatabaseUnusable, match="one session for as long as it works"):
            other.require_session()
        one.require_unshared(second)
        with pytest.raises(DatabaseUnusable, match="one session for as long as it works"):
            one.require_unshared(first)


NUMBERS = {
    "numeric 'NaN'": "not_finite",
    "numeric 'Infinity'": "not_finite",
    "numeric '1e400'": "not_finite",
    "float8 'NaN'": "not_finite",
    "text '1_0'": "not_a_number",
    "mood 'sad'": "not_a_number",
}
OTHERS = {
    "bytea '\\x31'": "bytes",
    "int4[] '{1}'": "list",
    "json '{\"a\": 1}'": "dict",
    "time '12:00'": "time",
}


def test_odd_numbers_are_counted_and_other_types_named(
    sqlite: Database, postgresql_clinic: Clinic
) -> None:
    clinic = postgresql_clinic
    clinic.insert(2)
    clinic.settings |= {"most_missing": 1, "most_rejected": 1}
    clinic.execute("CREATE TYPE mood AS ENUM ('1.5', 'sad')")
    for number in ("numeric '1.5e0'", "numeric '0.0150e2'", "float8 '-0'", "mood '1.5'"):
        _pedigree_is(clinic, number)
        assert clinic.pulled(sqlite)["rejected"] == 0
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 2}
    for number, reason in NUMBERS.items():
        _pedigree_is(clinic, number)
        found = clinic.pulled(sqlite)
        assert (found["rejected_by_reason"], found["unchanged"]) == ({reason: 2}, 0), number
    for value, kind in OTHERS.items():
        _pedigree_is(clinic, value)
        refused(sqlite, clinic, 2, "pedigree", f"type {kind}")
    _pedigree_is(clinic, "time '24:00'")
    refused(sqlite, clinic, 2, "Python has no such value")


def _pedigree_is(clinic: Clinic, value: str) -> None:
    kind = value.split(" ", 1)[0]
    clinic.execute(f"ALTER TABLE visits DROP pedigree, ADD pedigree {kind}")
    with clinic.engine.begin() as connection:
        said = f"UPDATE visits SET pedigree = {value.removeprefix(kind)}"
        connection.exec_driver_sql(said, execution_options={"no_parameters": True})


TIMES = ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"]


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_times_of_no_year_of_python_s_are_counted(
    sqlite: Database, postgresql_clinic: Clinic, kind: str
) -> None:
    clinic = postgresql_clinic
    clinic.execute(
        f"ALTER TABLE visits ADD known_on {kind}, ADD touched {kind} DEFAULT '2026-01-01'"
    )
    clinic.settings |= {"outcome_at": "known_on", "changed_since": "touched", "most_rejected": 1}
    for n, moment in enumerate([*TIMES, "2026-01-05"]):
        clinic.insert(1, seed=n, diabetic="yes", known_on=moment)
    found = clinic.pulled(sqlite)
    assert found["rejected_by_reason"] == {"bad_outcome_at": 2}
    assert sqlite.value("SELECT count(*) FROM patients WHERE labelled_at < '2026-01-07'") == 1
    assert clinic.pulled(sqlite)["compared"] == "changed"
    for moment in ("-infinity", "20000-01-01"):
        clinic.execute(f"UPDATE visits SET touched = '{moment}'")
        found = clinic.pulled(sqlite)
        assert (found["compared"], counts(found)) == ("all", {"unchanged": 3, "rejected": 2})


def test_texts_that_are_none_are_counted_or_told(sqlite: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    clinic.settings["most_rejected"] = 1
    keys = clinic.insert(4)
    for key, value in zip(keys, [f"1{chr(0)}{CANARY}", 2**63 - 1, "1" * 5000, 9e999], strict=True):
        clinic.execute(
            "UPDATE visits SET diabetic = :value WHERE visit_id = :key",
            {"value": value, "key": key},
        )
    found = clinic.pulled(sqlite)
    assert found["rejected_by_reason"] == {"bad_outcome": 4}
    clinic.execute("UPDATE visits SET diabetic = CAST(x'ff' AS TEXT)")
    refused(sqlite, clinic, 2, "a text is not UTF-8")
    clinic.execute("UPDATE visits SET diabetic = x'01'")
    refused(sqlite, clinic, 2, "diabetic (outcome)", "type bytes")
