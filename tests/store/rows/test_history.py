"""The labelled history as the retraining reads it, on both databases."""

import math
import time

import numpy as np
import pandas as pd
import pytest

from pima.core.rows.history import below, ranked, ranks, split, with_sides
from pima.store.engine import clock, reading
from pima.store.models.registry import HoldoutRule
from pima.store.rows import histories
from pima.store.rows.histories import keys_of, labelled_history
from pima.store.rows.settling import settling
from tests.support.databases import Database, insert_patients
from tests.support.labelled import in_holdout
from tests.support.shipped import FEATURE_NAMES, FEATURES, SALT, SHIPPED_DECLARATION, SOUND

RULE = HoldoutRule(SALT, 0.30)
TYPES = dict.fromkeys(FEATURE_NAMES, "float64") | {
    "outcome": "int8",
    "labelled_at": "datetime64[ms, UTC]",
    "Over": "datetime64[ms, UTC]",
    "Person": "UInt64",
    "Keyed": "bool",
    "Side": "category",
}


def _history(database: Database) -> pd.DataFrame:
    with reading(database.engine) as connection:
        settled = settling(connection, SHIPPED_DECLARATION.outcome, clock(connection))
        found, *_ = labelled_history(connection, SHIPPED_DECLARATION, RULE, settled)
    assert found.dtypes.astype(str).to_dict() == TYPES
    assert (found.index.name, str(found.index.dtype)) == ("id", "int64")
    return found


def _called(first: list[str], persons: list[str | None]) -> pd.DataFrame:
    return ranked(first, persons, SALT)


def test_labelled_rows_come_by_id_with_null_kept_apart_from_nan(database: Database) -> None:
    largest = 2**62
    insert_patients(database, 1, first_id=largest, outcome=1)
    insert_patients(database, 1, first_id=7, outcome=0, glucose=None, insulin=None)
    insert_patients(database, 1, first_id=5)
    # SQLite turns a NaN into NULL on its way in; PostgreSQL keeps it.
    insert_patients(
        database, 1, first_id=6, outcome=1, bmi=math.nan if database.kind == "postgresql" else 1e300
    )
    history = _history(database)
    assert history.index.tolist() == [6, 7, largest]
    assert history["outcome"].tolist() == [1, 0, 1]
    assert history.loc[largest, list(FEATURE_NAMES)].tolist() == [
        float(SOUND[name]) for name in FEATURE_NAMES
    ]
    measured = history[list(FEATURE_NAMES)].isna()
    assert {patient_id: set(row.index[row]) for patient_id, row in measured.iterrows()} == {
        6: set(),
        7: {"glucose", "insulin"},
        largest: set(),
    }
    # NaN stands for NULL. What is no number is not finite either, and keeps its row out.
    assert history.loc[6, "bmi"] == (math.inf if database.kind == "postgresql" else 1e300)
    assert split(history, FEATURES).left_out == {
        "not_finite" if database.kind == "postgresql" else "out_of_range": 1
    }
    assert (
        abs(history["labelled_at"] - pd.Timestamp(time.time(), unit="s", tz="UTC"))
        < pd.Timedelta("2min")
    ).all()


def test_a_history_of_several_blocks_is_whole_and_in_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "_BLOCK_ROWS", 400)
    count = 900
    names = ", ".join(FEATURE_NAMES)
    database.execute(f"""
        INSERT INTO patients ({names}, outcome)
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers
            WHERE n < {count})
        SELECT 1, n, 70, 20, NULL, 30, 0.5, 40, n % 2 FROM numbers ORDER BY n""")
    history = _history(database)
    assert history.index.is_monotonic_increasing
    assert history["glucose"].tolist() == list(range(1, count + 1))
    assert (history["outcome"] == history["glucose"] % 2).all()
    assert history[list(FEATURE_NAMES)].isna().sum().tolist() == [0, 0, 0, 0, count, 0, 0, 0]


# ---- keys


def test_without_keys_rows_go_by_their_ids(database: Database) -> None:
    insert_patients(database, 40, outcome=1)
    history = _history(database)
    assert history["Person"].isna().all()
    assert not history["Keyed"].any()
    held = in_holdout(history.index.to_numpy(), SALT, 0.30)
    assert history["Side"].tolist() == np.where(held, "holdout", "training").tolist()


def test_each_labelled_row_comes_with_what_it_was_called_first_and_its_person_by_now(
    database: Database,
) -> None:
    insert_patients(database, 1, first_id=5, outcome=0)
    insert_patients(database, 1, first_id=6, outcome=1, source="clinic", source_key="v6")
    insert_patients(database, 1, first_id=7, outcome=1, person_key="one")
    insert_patients(database, 1, first_id=8, outcome=0, person_key="of its own, then a person's")
    insert_patients(database, 1, first_id=9, source="clinic", source_key="v9")  # without an outcome
    database.execute("UPDATE patients SET person_key = 'two' WHERE id IN (6, 7)")
    database.execute("UPDATE patients SET person_key = NULL WHERE id = 8")
    history = _history(database)
    first = ["5", "source clinic v6", "person one", "person of its own, then a person's"]
    persons = [None, "two", "two", None]
    assert history.index.tolist() == [5, 6, 7, 8]
    called = _called(first, persons)
    pd.testing.assert_frame_equal(
        history[["Person", "Keyed"]].reset_index(drop=True), called[["Person", "Keyed"]]
    )
    renamed = [_called([name], ["two"]) for name in first[1:3]]
    pd.testing.assert_series_equal(
        history["Side"],
        with_sides(called.set_index(history.index), pd.concat(renamed), 0.30)["Side"],
    )


def _written_anew(database: Database, patient_id: int) -> None:
    """As by a tool that knows of no persons."""
    columns = ", ".join(("id", *FEATURE_NAMES, "outcome"))
    row = database.execute(f"SELECT {columns} FROM patients WHERE id = {patient_id}")[0]
    values = ", ".join("NULL" if value is None else str(value) for value in row)
    if database.kind == "postgresql":
        database.execute(f"DELETE FROM patients WHERE id = {patient_id}")
    words = "INSERT" if database.kind == "postgresql" else "INSERT OR REPLACE"
    database.execute(f"{words} INTO patients ({columns}) VALUES ({values})")


def test_a_row_that_is_written_anew_without_its_person_is_that_person_s_still(
    database: Database,
) -> None:
    for patient_id in range(1, 41):
        insert_patients(
            database, 1, first_id=patient_id, outcome=patient_id % 2, age=20 + patient_id
        )
        insert_patients(
            database,
            1,
            first_id=100 + patient_id,
            outcome=1,
            person_key=f"p{patient_id}",
            bmi=20 + patient_id,
        )
    database.execute("UPDATE patients SET person_key = 'p' || id WHERE id <= 40")
    before = split(_history(database), FEATURES)
    assert before.left_out["side_undecided"] > 10
    for patient_id in range(1, 41):
        _written_anew(database, patient_id)
        _written_anew(database, 100 + patient_id)
    assert database.value("SELECT count(person_key) FROM patients") == 0
    after = split(_history(database), FEATURES)
    assert after.left_out == before.left_out
    for side in ("training", "holdout"):
        assert getattr(after, side).index.tolist() == getattr(before, side).index.tolist()


@pytest.mark.parametrize("became", ["DELETE FROM patients", "UPDATE patients SET outcome = NULL"])
def test_what_was_first_called_otherwise_than_by_its_person_counts_whatever_became_of_it(
    database: Database, became: str
) -> None:
    held = [n for n in range(1, 60) if _is_held(str(n))][:2]
    person, always = [f"p{n}" for n in range(60) if not _is_held(f"person p{n}")][:2]
    insert_patients(database, 1, first_id=held[0], outcome=1)
    insert_patients(database, 1, first_id=held[1], outcome=1, person_key=always)
    insert_patients(database, 1, first_id=101, outcome=1, person_key=person)
    insert_patients(database, 1, first_id=102, outcome=0, person_key=always)
    assert _history(database)["Side"].to_dict() == {
        held[0]: "holdout",
        held[1]: "training",
        101: "training",
        102: "training",
    }
    database.execute(f"UPDATE patients SET person_key = '{person}' WHERE id = {held[0]}")
    database.execute(f"{became} WHERE id = {held[0]}")
    assert _history(database)["Side"].to_dict() == {
        held[1]: "training",
        101: "undecided",
        102: "training",
    }


def _is_held(name: str) -> bool:
    return bool(below(ranks([name.encode()], SALT), 0.30)[0])


def test_what_rows_were_called_and_whose_they_were_is_found_by_their_ids_though_they_are_gone(
    database: Database,
) -> None:
    insert_patients(database, 3, first_id=1)
    with reading(database.engine) as connection:
        assert keys_of(connection, np.array([1, 2]), SALT).empty
    insert_patients(database, 1, first_id=4, person_key="four")
    insert_patients(database, 1, first_id=5, source="clinic", source_key="v5")
    database.execute("UPDATE patients SET person_key = 'two' WHERE id = 2")
    database.execute("DELETE FROM patients")
    with reading(database.engine) as connection:
        keys = keys_of(connection, np.array([1, 2, 5, 9]), SALT)
    # Row 1 has never had a key, nor has one that never was.
    called = _called(["2", "source clinic v5"], ["two", None]).set_index(
        pd.Index([2, 5], name="id")
    )
    pd.testing.assert_frame_equal(keys.sort_index(), called)
