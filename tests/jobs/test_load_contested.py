"""Rows that a clinic's own software writes while a file is loaded: nobody is ended for waiting in a circle."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.store import contested
from tests.support.databases import PATIENCE_SECONDS, Database, call, insert_patients, the_json, until_it_tries_again
from tests.support.patient_files import GOOD, ID_HEADER, KEYED, UNKNOWN, write
from tests.support.rows import COLUMNS, VALUES, assert_queue_is_true


def ages(tmp_path: Path, ids: list[int]) -> str:
    return write(tmp_path, "id,age", *(f"{each},90" for each in ids))


def test_a_writer_that_goes_through_the_rows_in_another_order_is_not_ended(
    postgresql: Database, tmp_path: Path
) -> None:
    first, *_, last = ids = insert_patients(postgresql, 50)
    with postgresql.engine.begin() as writer:
        writer.execute(text("UPDATE patients SET glucose = 99 WHERE id = :id"), {"id": last})
        process = postgresql.start("load", "--json", ages(tmp_path, ids))
        until_it_tries_again(process)
        writer.execute(text("UPDATE patients SET glucose = 99 WHERE id = :id"), {"id": first})
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(stdout)["updated"]) == (0, 50)
    assert postgresql.execute("SELECT min(age), count(*) FILTER (WHERE glucose = 99) FROM patients") == [(90, 2)]
    assert_queue_is_true(postgresql)


@pytest.mark.parametrize("held", ["glucose = 99", "outcome = 1"])
def test_rows_that_are_not_given_back_are_for_later(
    postgresql: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr(contested, "PAUSES_SECONDS", (0.01, 0.01))
    ids = insert_patients(postgresql, 3)
    file = ages(tmp_path, ids)
    with postgresql.engine.begin() as writer:
        writer.execute(text(f"UPDATE patients SET {held} WHERE id = 2"))
        ended = call(postgresql, "load", "--json", file)
        assert (ended.exit_code, the_json(ended)["error"]) == (75, "rows_contested")
        assert ended.stderr.count("tried again") == 2
        # What it does not have to change is not in its way.
        assert call(postgresql, "load", write(tmp_path, "id,age", "1,90", "2,50")).exit_code == 0
    assert postgresql.execute("SELECT id, age FROM patients ORDER BY id") == [(1, 90), (2, 50), (3, 50)]
    assert call(postgresql, "load", file).exit_code == 0


@pytest.mark.parametrize("by", ["id", "key"])
def test_whoever_inserts_the_same_rows_is_not_waited_for(postgresql: Database, tmp_path: Path, by: str) -> None:
    header, line = (ID_HEADER, "7,{}") if by == "id" else (KEYED, "clinic,a,{}")
    file = write(tmp_path, header, line.format(GOOD), line.replace("7", "8").replace("a,", "b,").format(UNKNOWN))
    with postgresql.engine.begin() as writer:
        writer.execute(
            text(f"""INSERT INTO patients (id, {COLUMNS}, source, source_key)
                 VALUES (7, {VALUES}, {"NULL, NULL" if by == "id" else "'clinic', 'a'"})""")
        )
        process = postgresql.start("load", "--json", file)
        until_it_tries_again(process)
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    counted = json.loads(stdout)
    assert (counted["inserted"], counted["updated"]) == (1, 1)
    assert postgresql.execute("SELECT id, outcome FROM patients ORDER BY id") == [(7, 1), (8, None)]
    assert_queue_is_true(postgresql)
