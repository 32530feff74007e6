"""Files that are loaded while somebody else loads them, or deletes their rows."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    insert_patients,
    until_it_tries_again,
)
from tests.support.shipped import SHIPPED, SOUND


def test_of_two_loads_of_one_file_at_once_the_second_is_refused(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    file.write_text(SHIPPED.read_text() * 4)
    processes = [database.start("load", "--json", str(file)) for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], ended
    assert database.value("SELECT count(*) FROM patients") == 4 * 768


_WHOLE = f"id,{','.join(SOUND)}\n7,{','.join(map(str, SOUND.values()))}\n"


@pytest.mark.parametrize(
    ("lines", "exit_code", "patients"), [("id,outcome\n7,1\n", 2, 0), (_WHOLE, 0, 1)]
)
def test_a_patient_whose_deletion_is_under_way_comes_back_as_a_whole_row_alone(
    postgresql: Database, tmp_path: Path, lines: str, exit_code: int, patients: int
) -> None:
    insert_patients(postgresql, 1, first_id=7)
    path = tmp_path / "rows.csv"
    path.write_text(lines)
    with postgresql.engine.connect() as deletion:
        deletion.execute(text("DELETE FROM patients WHERE id = 7"))
        process = postgresql.start("load", str(path))
        until_it_tries_again(process)
        deletion.commit()
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "new_patient_without_measurements" in stderr) == (
        exit_code,
        exit_code == 2,
    )
    assert postgresql.value("SELECT count(*) FROM patients") == patients
