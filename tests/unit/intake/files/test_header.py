"""The header of a patient file: all that is wrong with it at once, and no cell that may be a
patient's."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pima.errors import FileRefused
from pima.intake.files.header import read_header
from pima.intake.files.opened_file import plain_file
from pima.intake.files.patient_file import open_patient_file
from pima.settings.reading import SHIPPED
from tests.support.rows_of_blocks import as_tuples
from tests.support.shipped import FEATURE_NAMES

COLUMNS = (*FEATURE_NAMES, "outcome")
NAMES = ",".join(COLUMNS)
GOOD = "6,148,72,35,0,33.6,0.627,50,1"
KNOWN = f"Known columns: id, {', '.join(COLUMNS)}, outcome_at, index_at, acted_at, source, source_key, person_key."
KNOWN += " --ignore and its name leave a column out."


def refusal(header: str, *ignored: str) -> str:
    with pytest.raises(FileRefused) as caught:
        read_header("patients.csv", header.split(","), SHIPPED, ignored)
    return str(caught.value.facts["report"])


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert refusal("id,Glu,BMI,visit date,Body_Mass_Index,bmi,").splitlines() == [
        "Its header can't be used as it is:",
        '  Column 2 "Glu": unknown (unknown_column); is glucose meant?',
        '  Column 4 "visit date": unknown (unknown_column)',
        '  Column 5 "Body_Mass_Index": unknown (unknown_column); is bmi meant?',
        "  Column 6: bmi for the second time (duplicate_column)",
        '  Column 7 "": unknown (unknown_column)',
        KNOWN,
    ]


NO_HEADERS = [
    "id,Canary,7177",
    "id,Canary,-7177.5",
    "id,Canary,7177mg",
    "id,Canary,<7177",
    "id,Canary,2026-11-25",
    "id,Canary,nan",
    "Canary,Smith",
    "Canary,7177,72,35,0,33.6,0.627,50,1",
    "",
]


@pytest.mark.parametrize("line", NO_HEADERS)
def test_a_line_that_may_be_a_row_is_not_shown(line: str) -> None:
    report = refusal(line)
    assert "may be a patient's row" in report
    assert "unknown (unknown_column)" in report
    assert refusal(line, "ward").startswith('--ignore "ward": it has no such column')
    for part in ("Canary", "Smith", "7177", "2026", "nan"):
        assert part not in report.replace(KNOWN, "") + refusal(line, "ward")


def test_names_are_shown_without_control_characters_and_not_without_end() -> None:
    report = refusal("id,evil\x1b[31m\rname\u202e,gr\udcf6\udcdfe," + "x" * 500)
    assert '"evil?[31m?name?"' in report
    assert '"gr??e"' in report
    assert f'"{"x" * 40}..."' in report
    assert "x" * 41 not in report
    assert all(character.isprintable() for character in report.replace("\n", ""))


def test_a_second_column_of_one_name_is_told_beside_numbers_too() -> None:
    assert "  Column 3: age for the second time (duplicate_column)" in refusal("7177,age,AGE")


# ---- --ignore


def test_ignored_columns_are_left_out_whatever_stands_in_them(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes(
        f"Visit Date,{NAMES},name\n".encode() + b'"1,5",' + GOOD.encode() + b",Sm\xefth\n\n,1,2\n"
    )
    file = open_patient_file(plain_file(path), SHIPPED, ["visit date", " NAME"])
    assert file.columns == COLUMNS
    ((block, not_rows),) = file.blocks()
    assert as_tuples(block) == [(2, None, 6.0, 148.0, 72.0, 35.0, 0.0, 33.6, 0.627, 50.0, 1)]
    assert [(bad.line, bad.reason) for bad in not_rows] == [(4, "wrong_field_count")]


def test_a_parquet_files_ignored_columns_may_hold_anything(tmp_path: Path) -> None:
    columns = {
        "name": ["a", "b"],
        "age": [50, 60],
        "visit": pa.array([{"x": 1}, None]),
        " Id": [1, 2],
    }
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    file = open_patient_file(plain_file(tmp_path / "p.parquet"), SHIPPED, ["name", "visit"])
    assert file.columns == ("age", "id")
    ((block, _),) = file.blocks()
    assert as_tuples(block) == [(1, 1, *[None] * 7, 50.0, None), (2, 2, *[None] * 7, 60.0, None)]


def test_outcomes_and_second_columns_can_be_ignored() -> None:
    assert read_header("f", ["id", "age", "Outcome"], SHIPPED, ["outcome"]).columns == ("id", "age")
    header = read_header("f", ["id", "age", "age_", "Class", "Outcome"], SHIPPED, ["age_", "class"])
    assert (header.columns, header.positions, header.width) == (
        ("id", "age", "outcome"),
        (0, 1, 4),
        5,
    )


def test_ids_can_not_be_ignored_nor_what_is_not_there() -> None:
    assert "(needed_column)" in refusal("ID ,glucose,age", "id")
    assert (
        refusal("id,age,ward", "ward", "visit\x1b")
        == '--ignore "visit?": it has no such column (unknown_column).'
    )


def test_a_file_without_a_header_has_nothing_to_ignore(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text(f"{GOOD}\n")
    with pytest.raises(FileRefused, match="--ignore: it has no column names"):
        open_patient_file(plain_file(tmp_path / "patients.csv"), SHIPPED, ["ward"])
