"""Reading patient files without a database: columns, blocks, line numbers, reasons."""

import csv
import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pima.core.declared.identifiers import LARGEST_GIVEN_ID
from pima.core.rows.validation import CODES, MISSING, OUT_OF_RANGE, UNKNOWN_CODE
from pima.errors import FileRefused
from pima.intake.files.bad_lines import EXPECTED, broken_rules_of, report
from pima.intake.files.opened_file import file_hash, plain_file
from pima.intake.files.patient_file import PatientFile, open_patient_file
from pima.intake.raw_rows import BLOCK_ROWS, BadLine
from pima.settings.reading import SHIPPED
from tests.support.rows_of_blocks import as_tuples
from tests.support.shipped import FEATURE_NAMES, FEATURES

HEADER = ",".join((*FEATURE_NAMES, "outcome"))
GOOD = "6,148,72,35,0,33.6,0.627,50,1"


def opened(folder: Path, content: str | bytes, name: str = "patients.csv") -> PatientFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_patient_file(plain_file(path), SHIPPED)


def read(
    folder: Path, content: str | bytes, name: str = "patients.csv"
) -> tuple[list[tuple[object, ...]], list[BadLine]]:
    blocks = list(opened(folder, content, name).blocks())
    return [row for rows, _ in blocks for row in as_tuples(rows)], [
        line for _, bad in blocks for line in bad
    ]


def read_parquet(
    folder: Path, table: dict[str, Any], **how: Any
) -> tuple[list[tuple[object, ...]], list[BadLine]]:
    content = io.BytesIO()
    pq.write_table(pa.table(table), content, **how)
    return read(folder, content.getvalue(), "patients.parquet")


def test_a_file_is_known_by_its_name_its_hash_and_its_columns(tmp_path: Path) -> None:
    content = f"ID, Blood Pressure ,outcome\n7,72,1\n"  # noqa: F541
    file = opened(tmp_path, content)
    assert (file.name, file.sha256) == (
        str(tmp_path / "patients.csv"),
        hashlib.sha256(content.replace(" ", "").encode()).hexdigest(),
    )
    assert file.columns == ("id", "blood_pressure", "outcome")
    assert file.called_by == "id"
    assert file.absent_measurements == tuple(
        name for name in FEATURE_NAMES if name != "blood_pressure"
    )


def test_rows_hold_line_id_measurements_in_the_tables_order_and_outcome(tmp_path: Path) -> None:
    rows, bad = read(tmp_path, "outcome,age,id\n,50,7\n1,,8\n")
    assert bad == []
    assert rows == [(2, 7, *[None] * 7, 50.0, None), (3, 8, *[None] * 8, 1)]


def test_lines_are_counted_as_an_editor_shows_them(tmp_path: Path) -> None:
    rows, bad = read(tmp_path, f"\n{HEADER}\r\n\n{GOOD}\n\n\n1,2\n{GOOD}")
    assert [row[0] for row in rows] == [4, 8]
    assert bad == [BadLine(7, "wrong_field_count")]


def test_lines_are_counted_on_over_many_blocks(tmp_path: Path) -> None:
    lines = [GOOD] * (2 * BLOCK_ROWS + 3)
    for spoilt in (0, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS + 2):
        lines[spoilt] = "1,2"
    rows, bad = read(tmp_path, "\n".join([HEADER, *lines]))
    assert [line.line for line in bad] == [2, BLOCK_ROWS + 1, BLOCK_ROWS + 2, 2 * BLOCK_ROWS + 4]
    assert len(rows) == 2 * BLOCK_ROWS - 1
    assert rows[-1][0] == 2 * BLOCK_ROWS + 3


def test_a_line_that_is_too_long_for_a_row_is_bad_and_one_that_has_no_end_refuses_the_file(
    tmp_path: Path,
) -> None:
    rows, bad = read(
        tmp_path, f"{HEADER}\n{GOOD}\n6,{'1' * 200_000},72,35,0,33.6,0.627,50,1\n{GOOD}\n1,2\n"
    )
    assert [(line.line, line.reason) for line in bad] == [
        (3, "field_too_long"),
        (5, "wrong_field_count"),
    ]
    assert [row[0] for row in rows] == [2, 4]
    with pytest.raises(FileRefused, match="A line has 1,000,000 characters or more"):
        read(tmp_path, f"{HEADER}\n{'x' * 1_000_000}{GOOD}\n")


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "endless.csv"
    with path.open("wb") as file:
        file.write(f"{HEADER}\n".encode())
        for _ in range(30):
            file.write(b"1" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(FileRefused):
        list(open_patient_file(plain_file(path), SHIPPED).blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_the_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for blocks in (1, 3):
        file = opened(tmp_path, f"{HEADER}\n" + f"{GOOD}\n" * (blocks * BLOCK_ROWS))
        tracemalloc.start()
        for _ in file.blocks():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("6,148,72,35,0,33.6,0.627,50,", "half_written_line"),
        ("6,148,", "half_written_line"),
        (",,,", "half_written_line"),
        ("6,14", "wrong_field_count"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, BLOCK_ROWS - 1, BLOCK_ROWS])
def test_a_last_line_that_was_cut_off_is_bad_wherever_the_blocks_end(
    tmp_path: Path, ending: str, reason: str, before: int
) -> None:
    rows, bad = read(tmp_path, f"{HEADER}\n" + f"{GOOD}\n" * before + ending)
    assert len(rows) == before
    assert [(line.line, line.reason) for line in bad] == [(before + 2, reason)]


def test_the_first_broken_column_is_named(tmp_path: Path) -> None:
    _, bad = read(tmp_path, f"{HEADER}\n6,700,72,35,0,900,0.627,nan,1\n6,148,72,x,0,y,0.627,50,1\n")
    assert [(line.reason, line.field) for line in sorted(bad, key=lambda line: line.line)] == [
        ("out_of_range", "glucose"),
        ("not_a_number", "skin_thickness"),
    ]


@pytest.mark.parametrize("text", ["1", "007", " 7 ", str(LARGEST_GIVEN_ID), str(2**53 + 1)])
def test_an_id_keeps_all_its_digits(tmp_path: Path, text: str) -> None:
    rows, bad = read(tmp_path, f"id,age\n{text},50\n")
    assert bad == []
    assert rows[0][1] == int(text)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300)
    | st.text(alphabet='0123456789.,"\n\r- eE+_xnaif\x00ü', max_size=300).map(str.encode)
)
def test_whatever_the_bytes_are_a_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    for start in (b"", HEADER.encode() + b"\n", b"id,outcome\n"):
        try:
            rows, bad = read(tmp_path, start + content)
        except FileRefused:
            continue
        lines = [row[0] for row in rows] + [line.line for line in bad]
        assert len(set(lines)) == len(lines)
        assert all(
            1 <= line <= (start + content).count(b"\n") + (start + content).count(b"\r") + 1
            for line in lines
        )
        for _, patient_id, *measured, outcome in rows:
            assert patient_id is None or 0 < patient_id <= LARGEST_GIVEN_ID
            assert outcome in (None, 0, 1)
            for value, feature in zip(measured, FEATURES, strict=True):
                sound = value is None or feature.low <= value <= feature.high
                assert sound or (value == 0 and feature.zero_is_missing)


_cells = st.none() | st.floats(20, 60).map(lambda value: round(value, 3))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(
        st.tuples(*[_cells] * 4, st.sampled_from([None, 0, 1])), min_size=1, max_size=20
    ),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv_and_parquet_of_the_same_table_give_the_same_rows(
    tmp_path: Path, table: list[tuple[float | None, ...]], quoting: int, end: str
) -> None:
    names = ("glucose", "bmi", "age", "insulin", "outcome")
    numbered = [(n, *row) for n, row in enumerate(table, start=1)]
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerows([("id", *names), *numbered])
    from_csv, bad = read(tmp_path, text.getvalue())
    assert bad == []
    columns = dict(zip(("id", *names), map(list, zip(*numbered, strict=True)), strict=True))
    from_parquet, _ = read_parquet(tmp_path, columns)
    assert [row[1:] for row in from_csv] == [row[1:] for row in from_parquet]
    assert [row[0] for row in from_parquet] == list(range(1, len(table) + 1))
    by_name = dict(zip(("line", "id", *FEATURE_NAMES, "outcome"), from_csv[0], strict=True))
    assert tuple(by_name[name] for name in names) == table[0]


def test_parquet_rows_are_counted_over_row_groups(tmp_path: Path) -> None:
    ages = [50] * (BLOCK_ROWS + 10)
    ages[4], ages[BLOCK_ROWS + 4] = 500, 500
    _, bad = read_parquet(tmp_path, {"id": range(1, len(ages) + 1), "age": ages}, row_group_size=7)
    assert bad == [
        BadLine(5, "out_of_range", "age"),
        BadLine(BLOCK_ROWS + 5, "out_of_range", "age"),
    ]


@pytest.mark.parametrize("place", range(-3, 4))
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n\n", b" \r\n \r\n", b'"\n'])
def test_a_file_s_text_has_one_hash_wherever_it_is_cut_for_reading(
    line_end: bytes, place: int
) -> None:
    line = b"1" * ((1 << 20) - 8 + place)
    other = b"\xef\xbb\xbf" + b"\n" + line + line_end + b"6,148" + line_end + b"1,2"
    plain = line + b"\n6,148\n1,2\n"
    assert file_hash(io.BytesIO(other), is_text=True) == hashlib.sha256(plain).hexdigest()


# ---- what is told of bad lines


def test_what_would_have_been_right_is_told_of_each_rule() -> None:
    rules = [BadLine(n, reason) for n, reason in enumerate(EXPECTED, start=2)]
    for rule in broken_rules_of(rules, FEATURES):
        assert rule.expected.startswith(("expected ", "an id is ", "a cell has at most ")), rule
    assert str(report([BadLine(n, "bad_outcome") for n in range(1, 8_001)], FEATURES)).startswith(
        "8,000 bad lines ("
    )


def test_what_would_have_been_right_is_known_of_each_fault_of_a_cell() -> None:
    by_the_feature = {"", MISSING, OUT_OF_RANGE, UNKNOWN_CODE}
    assert {*CODES} - by_the_feature <= EXPECTED.keys()
