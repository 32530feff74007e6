"""Files that `load` must refuse, or take in part, and the harmless oddities that it must take as
they are."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pima.core.declared.identifiers import LARGEST_GIVEN_ID
from pima.intake.raw_rows import BLOCK_ROWS
from tests.support.databases import Database, Ended, call, insert_patients, the_json
from tests.support.patient_files import GOOD, HEADER, ID_HEADER, OTHER, THIRD, counts, load, write
from tests.support.shipped import FEATURE_NAMES, SOUND

KAGGLE = "Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,Age,Outcome"


def refused(database: Database, *arguments: str, error: str = "file_refused") -> Ended:
    """Load what must be refused: exit code 2, nothing written."""
    before = counts(database)
    ended = call(database, "load", *arguments, "--json")
    assert ended.exit_code == 2, ended
    assert the_json(ended)["error"] == error
    assert counts(database) == before
    return ended


def with_cell(column: str, cell: str) -> str:
    """A sound line but for one cell."""
    cells = GOOD.split(",")
    cells[[*FEATURE_NAMES, "outcome"].index(column)] = cell
    return ",".join(cells)


# ---- one bad line
# How a file is written is no matter of the database.

BAD_LINES: list[tuple[str | bytes, str, str | None]] = [
    (with_cell("glucose", "Canary-Smith"), "not_a_number", "glucose"),
    (with_cell("insulin", "1_000"), "not_a_number", "insulin"),
    (with_cell("glucose", '"85"Canary'), "half_written_line", None),
    (with_cell("glucose", '"85'), "half_written_line", None),  # a quote that is never closed
    (with_cell("age", "٥٠"), "not_a_number", "age"),
    (with_cell("bmi", '"33,6"'), "not_a_number", "bmi"),
    (with_cell("bmi", "nan"), "not_finite", "bmi"),
    (with_cell("bmi", "1e999"), "not_finite", "bmi"),
    (with_cell("glucose", "601"), "out_of_range", "glucose"),
    (with_cell("glucose", "-1"), "out_of_range", "glucose"),
    (with_cell("age", "0"), "out_of_range", "age"),  # a zero that is no missing value
    (with_cell("outcome", "2"), "bad_outcome", "outcome"),
    (GOOD.rpartition(",")[0], "wrong_field_count", None),
    (GOOD + ",1", "wrong_field_count", None),
    (with_cell("glucose", "1" * 1_001), "field_too_long", "glucose"),
    (with_cell("glucose", "14\x008"), "nul_byte", "glucose"),
    (with_cell("age", "fünfzig").encode("latin-1"), "not_utf8", "age"),
]


def test_bad_lines_refuse_the_file_and_partial_leaves_out_just_them(
    sqlite: Database, tmp_path: Path
) -> None:
    # A good line behind each shows that the numbering and the reading go on.
    file = write(tmp_path, HEADER, *(line for bad, *_ in BAD_LINES for line in (bad, GOOD)))
    ended = refused(sqlite, file)
    assert f"{len(BAD_LINES)} bad lines" in ended.stderr
    assert "Canary" not in ended.stderr + ended.stdout
    result = load(sqlite, file, "--partial")
    assert (result["inserted"], result["refused"]) == (len(BAD_LINES), len(BAD_LINES))
    told = [(line["line"], line["reason"], line["field"]) for line in result["bad_lines"]]
    assert told == [(2 * n, *why) for n, (_, *why) in enumerate(BAD_LINES, 1)]
    assert sqlite.execute("SELECT DISTINCT glucose FROM patients") == [(148,)]


BAD_IDS = ["0", "-7", "seven", "7.0", "+7", "", str(LARGEST_GIVEN_ID + 1), "9" * 25]


def test_bad_ids_refuse_the_file(sqlite: Database, tmp_path: Path) -> None:
    file = write(
        tmp_path, ID_HEADER, f"5,{GOOD}", *(f"{bad_id},{OTHER}" for bad_id in BAD_IDS), f"७,{OTHER}"
    )
    report = refused(sqlite, file).stderr
    assert (
        "  9 lines (3, 4, 5, 6, 7, ...): bad_id (id): an id is a whole number from 1 to "
        f"{LARGEST_GIVEN_ID}" in report
    )
    assert load(sqlite, file, "--partial")["inserted"] == 1
    assert sqlite.execute("SELECT id FROM patients") == [(5,)]


def test_an_id_that_stands_twice_far_apart_is_refused_at_its_second_line(
    sqlite: Database, tmp_path: Path
) -> None:
    lines = [f"{n},{GOOD}" for n in range(1, BLOCK_ROWS + 2)]
    file = write(tmp_path, ID_HEADER, *lines, f"1,{OTHER}")
    told = (
        f"1 bad line (--partial would load the others):\n  line {BLOCK_ROWS + 3}: duplicate_id (id)"
    )
    assert told in refused(sqlite, file).stderr
    assert load(sqlite, file, "--partial")["refused_by_reason"] == {"duplicate_id": 1}
    assert sqlite.value("SELECT glucose FROM patients WHERE id = 1") == 148


def test_bad_lines_are_counted_by_reason_with_the_first_of_them(
    sqlite: Database, tmp_path: Path
) -> None:
    lines = [GOOD, with_cell("glucose", "7177")] * 25 + [with_cell("age", "7177"), "1,2", "1,2"]
    file = write(tmp_path, HEADER, *lines)
    report = refused(sqlite, file).stderr
    missing = "or 0 or nothing where not measured"
    assert report.splitlines() == [
        (
            f"error: {file}: refused, nothing was loaded. 28 bad lines (--partial would load the "
            "others):"
        ),
        (
            "  25 lines (3, 5, 7, 9, 11, ...): out_of_range (glucose): expected 20 to 600 (mg/dL), "
            f"{missing}"
        ),
        "  line 52: out_of_range (age): expected 18 to 120 (years)",
        "  2 lines (53, 54): wrong_field_count: expected as many cells as the first line has",
    ]
    result = load(sqlite, file, "--partial")
    assert (result["inserted"], result["refused"], len(result["bad_lines"])) == (25, 28, 20)
    assert result["refused_by_reason"] == {"out_of_range": 26, "wrong_field_count": 2}
    rules = [
        (rule["reason"], rule["field"], rule["lines"], rule["first_lines"])
        for rule in result["broken_rules"]
    ]
    assert rules == [
        ("out_of_range", "glucose", 25, [3, 5, 7, 9, 11]),
        ("out_of_range", "age", 1, [52]),
        ("wrong_field_count", None, 2, [53, 54]),
    ]
    assert "7177" not in report + str(result)


# ---- bad as a whole
BAD_FILES: list[Any] = [
    pytest.param(b"", "empty_file", id="empty"),
    pytest.param(
        b",,,,,,,,\n  \n",
        "nothing but blank lines (empty_file)",
        id="a spreadsheet's blank rows only",
    ),
    pytest.param(
        f"{HEADER},name\n{GOOD},1\n".encode(),
        'Column 10 "name" .* (unknown_column)',
        id="unknown column",
    ),
    pytest.param(
        f"{HEADER},GLUCOSE\n{GOOD},1\n".encode(),
        "Column 10 .* (duplicate_column)",
        id="duplicate column",
    ),
    pytest.param(
        f"{HEADER},\n{GOOD},1\n".encode(),
        "Column 10 .* (unknown_column)",
        id="a column without a name",
    ),
    pytest.param(
        f"{HEADER.replace('bmi,', '')}\n1,85,66,29,0,0.351,31,0\n".encode(),
        "missing: bmi",
        id="no bmi",
    ),
    pytest.param(f"{GOOD},7\n".encode(), "10 fields", id="no header and ten columns"),
    pytest.param(b"6,148,Canary-Smith,35,0,33.6,0.627,50,1\n", "Column", id="no header and text"),
    pytest.param(
        f"{HEADER.replace('age', 'größe')}\n{GOOD}\n".encode("latin-1"),
        'Column 8 "gr??e": unknown (unknown_column)',
        id="Latin-1 header",
    ),
    pytest.param(f'"{HEADER}\n{GOOD}\n'.encode(), "", id="open quote in the header"),
    pytest.param(
        f"{HEADER}\n{GOOD}".encode() + b"1" * 1_000_000,
        "A line has 1,000,000 characters",
        id="no line end",
    ),
    pytest.param(
        b"PAR1" + b"\0" * 100 + b"PAR1", "Parquet", id="Parquet's frame without a content"
    ),
]


@pytest.mark.parametrize(("content", "report"), BAD_FILES)
def test_a_bad_file_is_refused(
    sqlite: Database, tmp_path: Path, content: bytes, report: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    ended = refused(sqlite, str(path))
    assert ended.stderr.startswith(f"error: {path}: refused, nothing was loaded. ")
    for part in report.split(" .* "):
        assert part in ended.stderr
    assert "Canary" not in ended.stderr


@pytest.mark.parametrize(("name", "report"), [("absent.csv", "No such file"), (".", "directory")])
def test_what_is_no_file_is_refused(
    sqlite: Database, tmp_path: Path, name: str, report: str
) -> None:
    assert report in refused(sqlite, str(tmp_path / name)).stderr


def test_a_file_of_nothing_but_ids_changes_nothing(sqlite: Database, tmp_path: Path) -> None:
    insert_patients(sqlite, 1, first_id=5)
    ended = call(sqlite, "load", write(tmp_path, "id", "5"))
    assert (ended.exit_code, "It has ids or keys and nothing else" in ended.stderr) == (2, True), (
        ended.stderr
    )
    assert sqlite.value("SELECT count(*) FROM patients") == 1


# ---- what is fine


FINE: list[Any] = [
    pytest.param(f"{GOOD}\n{OTHER}\n".encode(), id="the article's nine columns"),
    pytest.param(f"{KAGGLE}\n{GOOD}\n{OTHER}\n".encode(), id="Kaggle's header"),
    pytest.param(f"{HEADER}\n{GOOD}\n{OTHER}\n".encode("utf-8-sig"), id="byte order mark"),
    pytest.param(f"{HEADER}\n{GOOD}\n{OTHER}".encode(), id="no newline at the end"),
    pytest.param("\n".join(",".join(line.split(",")[::-1]) for line in (HEADER, GOOD, OTHER)).encode(), id="order"),
    pytest.param(f"{HEADER}\r\n{GOOD}\r\n{OTHER}\r\n".encode(), id="CRLF"),
    pytest.param(f"{HEADER}\r{GOOD}\r{OTHER}\r".encode(), id="CR"),
    pytest.param(f"\n\n{HEADER}\n\n{GOOD}\n\n\n{OTHER}\n\n".encode(), id="blank lines"),
    pytest.param((f",,\n{HEADER}\n,,,,,,,,\n{GOOD}\n , "
        f",,,,,,,\n{OTHER}\n   \n").encode(), id=("blank "
        "rows")),
    pytest.param(('"' + GOOD.replace(",", '","') + f'"\n{OTHER}\n').encode(), id="quoted numbers"),
    pytest.param((GOOD.replace(",", ", ") + " \n  "
        f"{OTHER}\n").encode(), id=("spaces around "
        "numbers")),
    pytest.param(f"{HEADER.upper().replace('_', ' ')}\n{GOOD}\n{OTHER}\n".encode(), id=("upper "
        "case "
        "and spaces")),
    pytest.param(f"{GOOD.replace('148', '1.48e2')}\n{OTHER}\n".encode(), id="an exponent"),
]  # fmt: skip


@pytest.mark.parametrize("content", FINE)
def test_a_harmless_oddity_is_fine(sqlite: Database, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fine.csv"
    path.write_bytes(content)
    assert load(sqlite, str(path))["inserted"] == 2
    columns = ", ".join((*FEATURE_NAMES, "outcome"))
    assert sqlite.execute(f"SELECT {columns} FROM patients ORDER BY id") == [
        (6, 148, 72, 35, 0, 33.6, 0.627, 50, 1),
        (1, 85, 66, 29, 0, 26.6, 0.351, 31, 0),
    ]


def test_an_empty_cell_of_a_new_patient_is_missing(sqlite: Database, tmp_path: Path) -> None:
    load(sqlite, write(tmp_path, HEADER, with_cell("glucose", ""), with_cell("outcome", "")))
    assert sqlite.execute("SELECT glucose, outcome FROM patients ORDER BY id") == [
        (None, 1),
        (148, None),
    ]
    assert sqlite.value("SELECT count(*) FROM scoring_queue") == 1


def test_a_file_whose_name_is_no_utf8_can_be_loaded(sqlite: Database, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.csv"
    Path(os.fsdecode(path)).write_text(f"{HEADER}\n{GOOD}\n1,2\n")
    ended = call(sqlite, "load", "--partial", os.fsdecode(path))
    assert ended.exit_code == 0, ended.stderr


# ---- loading twice, updates, many files


def test_the_same_file_without_ids_is_refused_the_second_time_unless_again(
    database: Database, tmp_path: Path
) -> None:
    file = write(tmp_path, HEADER, GOOD, OTHER)
    load(database, file)
    ended = refused(database, file, error="file_loaded_before")
    assert "--again" in ended.stderr
    assert f"{date.today():%Y-}" in ended.stderr  # noqa: DTZ011 (the year is enough)
    renamed = write(tmp_path, HEADER, GOOD, OTHER, name="renamed.csv")
    refused(database, renamed, error="file_loaded_before")
    refused(database, file, "--partial", error="file_loaded_before")
    other = write(tmp_path, HEADER, OTHER, name="other.csv")
    refused(database, other, other, error="file_loaded_before")
    assert load(database, file, "--again")["inserted"] == 2
    assert counts(database)[0] == 4


def test_of_a_file_without_a_good_line_nothing_was_loaded_before(
    sqlite: Database, tmp_path: Path
) -> None:
    file = write(tmp_path, HEADER, GOOD.replace(GOOD[0], "x", 1))
    for _ in range(2):
        found = load(sqlite, file, "--partial")
        assert (found["inserted"], found["refused"]) == (0, 1)


@pytest.mark.parametrize(
    "saved_anew",
    [
        pytest.param(lambda content: content.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda content: content.replace(b"\n", b"\r"), id="CR"),
        pytest.param(lambda content: b"\xef\xbb\xbf" + content, id="byte order mark"),
        pytest.param(lambda content: content.replace(b",", b", "), id="spaces"),
        pytest.param(
            lambda content: content.replace(b"\n", b"\n\n")[:-2], id="blank lines, none at the end"
        ),
        pytest.param(
            lambda content: b'"' + content.replace(b",", b'","').replace(b"\n", b'"\n"')[:-1],
            id="quotes",
        ),
    ],
)
def test_the_same_file_saved_in_another_way_is_refused_too(
    sqlite: Database, tmp_path: Path, saved_anew: Callable[[bytes], bytes]
) -> None:
    plain = Path(write(tmp_path, HEADER, GOOD, OTHER))
    other = tmp_path / "saved-anew.csv"
    other.write_bytes(saved_anew(plain.read_bytes()))
    assert load(sqlite, str(plain))["inserted"] == 2
    refused(sqlite, str(other), error="file_loaded_before")


def test_lines_that_are_broken_elsewhere_are_another_file(sqlite: Database, tmp_path: Path) -> None:
    load(sqlite, write(tmp_path, HEADER, with_cell("outcome", ""), f"1{GOOD}"))
    assert load(sqlite, write(tmp_path, HEADER, with_cell("outcome", "1"), GOOD))["inserted"] == 2


ONLY_THE_REFUSED = "load only those that were refused, corrected, in a file of their own"


def test_after_a_partial_load_a_file_without_ids_is_not_to_be_loaded_as_a_whole(
    sqlite: Database, tmp_path: Path
) -> None:
    bad = write(tmp_path, HEADER, GOOD, "1,2", name="bad.csv")
    sound = write(tmp_path, HEADER, OTHER, name="sound.csv")
    nothing_good = write(tmp_path, HEADER, "1,2", name="nothing.csv")
    with_ids = write(tmp_path, ID_HEADER, f"5,{GOOD}", "1,2", name="ids.csv")
    ended = call(sqlite, "load", "--partial", bad, sound, nothing_good, with_ids)
    assert ended.exit_code == 0
    told = [line for line in ended.stdout.splitlines() if ONLY_THE_REFUSED in line]
    assert len(told) == 1
    assert told[0].startswith(f"{bad}: its good lines are in, and it has no ids: ")
    assert load(sqlite, "--partial", "--again", bad, sound)["partly_loaded"] == [bad]


def test_the_same_file_with_ids_is_unchanged_the_second_time(
    database: Database, tmp_path: Path
) -> None:
    file = write(
        tmp_path,
        ID_HEADER,
        f"5,{GOOD}",
        f"6,{with_cell('glucose', '')}",
        f"7,{with_cell('outcome', '')}",
    )
    assert load(database, file)["inserted"] == 3
    before = database.execute(
        "SELECT id, version, updated_at, labelled_at FROM patients ORDER BY id"
    )
    result = load(database, file)
    assert (result["inserted"], result["updated"], result["unchanged"]) == (0, 0, 3)
    assert (
        database.execute("SELECT id, version, updated_at, labelled_at FROM patients ORDER BY id")
        == before
    )


def test_outcomes_arrive_in_a_file_of_ids_and_outcomes(database: Database, tmp_path: Path) -> None:
    first, second, third = insert_patients(database, 3)
    file = write(tmp_path, "id,outcome", f"{first},1", f"{third + 1},0", f"{second},0")
    assert "  line 3: new_patient_without_measurements" in refused(database, file).stderr
    result = load(database, file, "--partial")
    assert (result["inserted"], result["updated"], result["unchanged"]) == (0, 2, 0)
    rows = database.execute("SELECT id, outcome, glucose FROM patients ORDER BY id")
    assert rows == [(first, 1, 148), (second, 0, 148), (third, None, 148)]
    assert database.execute("SELECT patient_id FROM scoring_queue") == [(third,)]


def test_absent_columns_stay_and_empty_cells_become_null(
    database: Database, tmp_path: Path
) -> None:
    insert_patients(database, 2, first_id=5, outcome=1)
    result = load(database, write(tmp_path, "glucose,id,bmi", "99,5,", ",6,40"))
    assert result["updated"] == 2
    rows = database.execute("SELECT id, glucose, bmi, age, outcome FROM patients ORDER BY id")
    assert rows == [(5, 99, None, 50, 1), (6, None, 40, 50, 1)]
    # A label that is taken back: the row waits again.
    load(database, write(tmp_path, "id,outcome", "5,"))
    assert database.execute("SELECT outcome, labelled_at FROM patients WHERE id = 5") == [
        (None, None)
    ]
    assert database.execute("SELECT patient_id FROM scoring_queue") == [(5,)]


def test_many_files_are_all_loaded_or_none(database: Database, tmp_path: Path) -> None:
    first = write(tmp_path, HEADER, GOOD, name="first.csv")
    bad = write(tmp_path, HEADER, OTHER, with_cell("age", "400"), name="bad.csv")
    last = write(tmp_path, HEADER, THIRD, name="last.csv")
    report = refused(database, first, bad, last).stderr
    assert report.startswith(f"error: {bad}: refused")
    refused(database, first, last, str(tmp_path / "absent.csv"))
    result = load(database, "--partial", first, bad, last)
    assert (result["files"], result["inserted"], result["refused"]) == (3, 3, 1)
    assert result["bad_lines"] == [
        {"file": bad, "line": 3, "reason": "out_of_range", "field": "age"}
    ]
    assert counts(database) == (3, 0, 3)
    # Where on this machine they were is nobody else's business.
    assert database.execute("SELECT file_name FROM loads ORDER BY id") == [
        ("first.csv",),
        ("bad.csv",),
        ("last.csv",),
    ]


def test_a_later_file_may_update_what_an_earlier_one_brought(
    sqlite: Database, tmp_path: Path
) -> None:
    first = write(tmp_path, ID_HEADER, f"5,{with_cell('outcome', '')}", name="first.csv")
    second = write(tmp_path, "id,outcome", "5,1", name="second.csv")
    result = load(sqlite, first, second)
    assert (result["inserted"], result["updated"]) == (1, 1)
    assert counts(sqlite) == (1, 0, 2)


# ---- Parquet


def parquet(folder: Path, rows: int = 3, **changed: pa.Array | list[Any] | None) -> str:
    """Write sound rows, with some columns changed or (None) left out; the file's path."""
    columns: dict[str, Any] = {name: [value] * rows for name, value in SOUND.items()} | {
        "outcome": [0, 1, None][:rows]
    }
    columns = {name: values for name, values in (columns | changed).items() if values is not None}
    path = folder / "patients.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_a_good_parquet_file_is_loaded(sqlite: Database, tmp_path: Path) -> None:
    result = load(sqlite, parquet(tmp_path, bmi=[33.6, None, 0.0]))
    assert result["inserted"] == 3
    rows = sqlite.execute("SELECT glucose, bmi, outcome FROM patients ORDER BY id")
    assert rows == [(148, 33.6, 0), (148, None, 1), (148, 0, None)]
    assert counts(sqlite) == (3, 1, 1)
    refused(sqlite, str(tmp_path / "patients.parquet"), error="file_loaded_before")


def test_rows_without_any_value_are_no_patients(sqlite: Database, tmp_path: Path) -> None:
    columns = {name: [value, None] for name, value in SOUND.items()} | {"outcome": [1, None]}
    assert load(sqlite, parquet(tmp_path, **columns))["inserted"] == 1
    assert load(sqlite, write(tmp_path, ID_HEADER, f"5,{GOOD}", ",,,,,,,,,"))["inserted"] == 1


def test_an_outcome_may_have_any_type_that_holds_0_and_1(sqlite: Database, tmp_path: Path) -> None:
    numbers = pa.array([0, 1, None])
    for outcome in (
        numbers.cast(pa.bool_()),
        numbers.cast(pa.float64()),
        numbers.cast(pa.decimal128(20, 1)),
    ):
        sqlite.execute("DELETE FROM patients")
        load(sqlite, "--again", parquet(tmp_path, outcome=outcome))
        assert sqlite.execute("SELECT outcome FROM patients ORDER BY id") == [(0,), (1,), (None,)]


@pytest.mark.parametrize(
    ("changed", "report"),
    [
        ({"bmi": [30.0, float("nan"), float("inf")]}, "  2 lines (2, 3): not_finite (bmi)"),
        ({"outcome": [0.5, 1.0, 2.0]}, "  2 lines (1, 3): bad_outcome (outcome)"),
        ({"id": [5, None, 5]}, "  line 2: bad_id (id)"),
        ({"id": [5, None, 5]}, "  line 3: duplicate_id (id)"),
        (
            {"id": pa.array([LARGEST_GIVEN_ID + 1, 0, 2**63], pa.uint64())},
            "  3 lines (1, 2, 3): bad_id (id)",
        ),
        (
            {"id": pa.array([5, 6, 7], pa.float32())},
            "The column id holds float (not_a_number). Expected integers, or doubles",
        ),
        (
            {"glucose": ["148", "Canary-Smith", "1"]},
            "The column glucose holds string (not_a_number)",
        ),
        ({"name": [1, 2, 3]}, 'Column 10 "name": unknown (unknown_column)'),
        ({"Glucose": [1, 2, 3]}, "(duplicate_column)"),
        ({"bmi": None}, "missing: bmi"),
        (
            {"id": [5, 6, 7], "bmi": None},
            "  3 lines (1, 2, 3): new_patient_without_measurements (bmi)",
        ),
    ],
)
def test_a_bad_parquet_file_is_refused(
    sqlite: Database, tmp_path: Path, changed: dict[str, Any], report: str
) -> None:
    ended = refused(sqlite, parquet(tmp_path, **changed))
    assert report in ended.stderr
    assert "Canary" not in ended.stderr


def test_a_parquet_file_without_rows_is_refused(sqlite: Database, tmp_path: Path) -> None:
    assert "empty_file" in refused(sqlite, parquet(tmp_path, rows=0)).stderr


def test_a_damaged_parquet_file_is_refused(sqlite: Database, tmp_path: Path) -> None:
    path = Path(parquet(tmp_path))
    whole = path.read_bytes()
    # Cut, cut in its footer, overwritten in the middle, and with a name that is no UTF-8.
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-6],
        whole[:4] + b"\xff" * 300 + whole[304:],
        whole.replace(b"outcome", b"outc\xf6me"),
    ):
        path.write_bytes(damaged)
        assert "half_written_line" in refused(sqlite, str(path)).stderr


def test_parquet_ids_may_be_whole_floats_and_no_decimals(sqlite: Database, tmp_path: Path) -> None:
    insert_patients(sqlite, 2, first_id=1)
    floats, decimals = tmp_path / "floats.parquet", tmp_path / "decimals.parquet"
    outcome = pa.array([1, 0])
    pq.write_table(pa.table({"id": pa.array([1.0, 2.0]), "outcome": outcome}), floats)
    pq.write_table(
        pa.table({"id": pa.array([1, 2]).cast(pa.decimal128(20, 0)), "outcome": outcome}), decimals
    )
    assert the_json(call(sqlite, "load", "--json", str(floats)))["updated"] == 2
    refused = call(sqlite, "load", str(decimals))
    assert (refused.exit_code, "The column id holds" in refused.stderr) == (2, True)
