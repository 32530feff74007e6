"""Ids that a pull and a load draw: above all that rows have, and all that are kept for rows that are gone."""

import pytest

from pima.core.identifiers import LARGEST_ID
from tests.support.clinic import Clinic
from tests.support.databases import Database, insert_patients
from tests.support.pulls import counts


def set_counter(database: Database, to: int) -> None:
    """As somebody does by hand, or by a restore without it."""
    if database.kind == "sqlite":
        database.execute("UPDATE sqlite_sequence SET seq = :to WHERE name = 'patients'", {"to": to})
    else:
        database.execute("SELECT setval(pg_get_serial_sequence('patients', 'id'), :to)", {"to": max(to, 1)})


def ids(database: Database) -> dict[str, int]:
    """By the source's key."""
    return dict(database.execute("SELECT source_key, id FROM patients WHERE source_key IS NOT NULL"))


def test_a_pull_draws_above_what_others_gave(database: Database, sqlite_clinic: Clinic) -> None:
    sqlite_clinic.insert(3)
    insert_patients(database, 1, first_id=2)
    insert_patients(database, 1, first_id=1_000_000)
    assert counts(sqlite_clinic.pulled(database)) == {"inserted": 3}
    assert sorted(ids(database).values()) == [1_000_001, 1_000_002, 1_000_003]
    assert insert_patients(database, 1) == [1_000_004]


@pytest.mark.parametrize("counter", [0, 2**63 - 1])
def test_a_kept_id_is_given_to_no_other_row(database: Database, sqlite_clinic: Clinic, counter: int) -> None:
    clinic = sqlite_clinic
    keys = clinic.insert(3)
    clinic.pulled(database)
    before = ids(database)
    database.execute("DELETE FROM patients")
    set_counter(database, counter)
    clinic.execute("UPDATE visits SET visit_id = 'gone ' || visit_id")
    clinic.settings |= {"key_type": "text"}
    (other,) = clinic.insert(1, seed=2)
    clinic.execute("DELETE FROM visits WHERE visit_id LIKE 'gone%'")
    assert counts(clinic.pulled(database)) == {"inserted": 1}
    assert max(before.values()) < ids(database)[other] < LARGEST_ID
    clinic.insert(3)
    assert counts(clinic.pulled(database)) == {"inserted": 3, "unchanged": 1}
    assert {key: ids(database)[key] for key in keys} == before


def test_a_kept_id_that_another_row_has_by_now_is_told(database: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    keys = clinic.insert(2)
    clinic.pulled(database)
    kept = ids(database)
    database.execute("DELETE FROM patients")
    insert_patients(database, 1, first_id=kept[keys[0]], glucose=99)
    ended = clinic.pull(database)
    assert (ended.exit_code, f"(1 row, by id: {kept[keys[0]]})" in ended.stderr) == (2, True), ended.stderr
    assert database.execute("SELECT glucose, source_key FROM patients") == [(99, None)]
    database.execute("DELETE FROM patients")
    assert insert_patients(database, 1, glucose=99) == [max(kept.values()) + 1]
    assert counts(clinic.pulled(database)) == {"inserted": 2}
    assert {key: ids(database)[key] for key in keys} == kept
