"""Rows that a file calls by a source and its key there, or by a person: measurements as well as
outcomes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.databases import Database, call, insert_patients
from tests.support.patient_files import GOOD, HEADER, KEYED, OTHER, THIRD, UNKNOWN, load, write
from tests.support.rows import assert_queue_is_true
from tests.support.shipped import FEATURE_NAMES


def rows(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT id, source, source_key, person_key, glucose, outcome FROM patients ORDER BY id"
    )


def refusal(database: Database, *arguments: str) -> str:
    """Why a file is refused, of which nothing is loaded then."""
    before = rows(database)
    ended = call(database, "load", *arguments)
    assert ended.exit_code == 2, ended.stderr
    assert rows(database) == before
    return ended.stderr


def test_measurements_by_key_are_new_then_known_then_corrected(
    database: Database, tmp_path: Path
) -> None:
    path = write(tmp_path, KEYED, f"clinic,v 1,{UNKNOWN}", f"lab,v 1,{OTHER}")
    result = load(database, path)
    assert (result["inserted"], result["updated"], result["unchanged"]) == (2, 0, 0)
    assert rows(database) == [(1, "clinic", "v 1", None, 148, None), (2, "lab", "v 1", None, 85, 0)]
    assert_queue_is_true(database)
    version = database.value("SELECT version FROM patients WHERE id = 1")
    result = load(database, path)  # a second time, since rows with keys are updates
    assert (result["inserted"], result["updated"], result["unchanged"]) == (0, 0, 2)
    assert database.value("SELECT version FROM patients WHERE id = 1") == version
    corrected = write(tmp_path, "source_key,glucose,source", "v 1,99,clinic")
    assert load(database, corrected)["updated"] == 1
    assert rows(database)[0] == (1, "clinic", "v 1", None, 99, None)
    assert database.value("SELECT version FROM patients WHERE id = 1") > version


def test_what_was_deleted_and_comes_again_has_its_old_id(
    database: Database, tmp_path: Path
) -> None:
    path = write(tmp_path, KEYED, f"clinic,a,{UNKNOWN}", f"clinic,b,{UNKNOWN}")
    load(database, path)
    database.execute("DELETE FROM patients WHERE source_key = 'a'")
    insert_patients(database, 1)
    result = load(database, write(tmp_path, KEYED, f"clinic,c,{OTHER}", f"clinic,a,{UNKNOWN}"))
    assert (result["inserted"], result["updated"], result["unchanged"]) == (2, 0, 0)
    assert [row[:3] for row in rows(database)] == [
        (1, "clinic", "a"),
        (2, "clinic", "b"),
        (3, None, None),
        (4, "clinic", "c"),
    ]
    assert_queue_is_true(database)


def test_persons_come_with_ids_with_keys_and_without(database: Database, tmp_path: Path) -> None:
    load(database, write(tmp_path, f"person_key,{HEADER}", f"p1,{GOOD}", f",{OTHER}"))
    load(database, write(tmp_path, f"id,person_key,{HEADER}", f"7,p 7 ,{THIRD}"))
    load(
        database, write(tmp_path, f"person_key,{KEYED}", f"p1,clinic,a,{GOOD}", f",clinic,b,{GOOD}")
    )
    assert [row[:4] for row in rows(database)] == [
        (1, None, None, "p1"),
        (2, None, None, None),
        (7, None, None, "p 7"),
        (8, "clinic", "a", "p1"),
        (9, "clinic", "b", None),
    ]
    assert load(database, write(tmp_path, "id,person_key", "2,p2", "7,"))["updated"] == 2
    assert (
        load(database, write(tmp_path, "source,source_key,person_key", "clinic,b,p2"))["updated"]
        == 1
    )
    assert [row[3] for row in rows(database)] == ["p1", "p2", None, "p1", "p2"]
    kept = database.execute("SELECT patient_id, side_key FROM row_keys ORDER BY patient_id")
    assert kept == [
        (1, "person p1"),
        (2, "2"),
        (7, "person p 7"),
        (8, "person p1"),
        (9, "source clinic b"),
    ]


def test_ids_and_keys_in_parquet(database: Database, tmp_path: Path) -> None:
    columns: dict[str, Any] = {name: [1.0, 2.0] for name in FEATURE_NAMES} | {
        "age": [50, 51],
        "glucose": [100, 101],
    }
    columns |= {"bmi": [30.0, 31.0], "blood_pressure": [70, 71]}
    columns |= {
        "source": pa.array(["clinic", "clinic"]).dictionary_encode(),
        "source_key": ["A", "b "],
    }
    columns |= {"person_key": pa.array([None, None], pa.null())}
    path = tmp_path / "visits.parquet"
    pq.write_table(pa.table(columns), path)
    assert load(database, str(path))["inserted"] == 2
    assert [row[1:5] for row in rows(database)] == [
        ("clinic", "A", None, 100),
        ("clinic", "b", None, 101),
    ]
    pq.write_table(pa.table(columns | {"source_key": [1, 2]}), path)
    assert "source_key holds int64 (not_text). Expected text." in refusal(database, str(path))
    pq.write_table(pa.table(columns | {"source_key": ["c", None]}), path)
    assert "line 2: bad_source_key (source_key)" in refusal(database, str(path))


# ---- sources that the settings declare

UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.fixture
def declared(tmp_path: Path) -> tuple[str, str]:
    """The option that names settings with three sources."""
    keys = {
        "clinic": 'key = "visit"\nkey_type = "integer"\nperson = "number"\nperson_type = "integer"',
        "ward": 'key = "visit"\nkey_type = "uuid"',
        "site": 'key = ["house", "visit"]\nkey_type = ["integer", "text"]',
    }
    mapped = "\n".join(f'{name} = "{name}"' for name in FEATURE_NAMES)
    sources = [
        f'[[source]]\nname = "{n}"\ntable = "t"\n{key}\n[source.columns]\n{mapped}\n'
        for n, key in keys.items()
    ]
    path = tmp_path / "sources.toml"
    path.write_text("\n".join(sources))
    return "--config", str(path)


def test_keys_of_a_declared_source_are_read_by_their_type(
    database: Database, tmp_path: Path, declared: tuple[str, str]
) -> None:
    for key in ("7", "8", "9", "11"):  # as a pull has them
        insert_patients(database, 1, source="clinic", source_key=key)
    insert_patients(database, 1, source="ward", source_key=UUID)
    insert_patients(database, 1, source="site", source_key='["7","a"]')
    spelled = [
        "clinic,007",
        "clinic,+8",
        "clinic,9.0",
        "clinic,0011",
        f"ward,{UUID.upper()}",
        'site,"[""07"", ""a""]"',
    ]
    before = [row[:3] for row in rows(database)]
    corrected = write(tmp_path, "source,source_key,glucose", *(f"{key},99" for key in spelled))
    assert load(database, *declared, corrected)["updated"] == 6
    parquet = tmp_path / "visits.parquet"
    pq.write_table(
        pa.table({"source": ["clinic"], "source_key": ["007"], "glucose": [98.0]}), parquet
    )
    assert load(database, *declared, str(parquet))["updated"] == 1
    assert [row[:3] for row in rows(database)] == before
    # Of a source that is not declared a key is text, letter for letter, and so is a person without
    # a source.
    path = write(
        tmp_path,
        f"person_key,{KEYED}",
        f"007,clinic,012,{GOOD}",
        f"007,lab,007,{GOOD}",
        f",ward,{UUID},{OTHER}",
    )
    assert load(database, *declared, path)["inserted"] == 2
    assert [row[1:4] for row in rows(database)[6:]] == [
        ("clinic", "12", "7"),
        ("lab", "007", "007"),
    ]
    # Beside an id alone it is spelled as the row's source has it.
    lab = rows(database)[7][0]
    persons = write(tmp_path, "id,person_key", "1,7", "2,007", "3,A-7", "4,", f"{lab},0012")
    assert "  2 lines (3, 4): bad_person_key (person_key)" in refusal(database, *declared, persons)
    assert load(database, *declared, "--partial", persons)["updated"] == 2
    assert [row[3] for row in rows(database)] == ["7", *[None] * 5, "7", "0012"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            f",clinic,CANARY-7,{GOOD}",
            "bad_source_key (source_key): expected text of at most 200 bytes in each line; of a",
        ),
        (f",site,7,{GOOD}", "bad_source_key (source_key)"),
        (
            f"CANARY-7,clinic,8,{GOOD}",
            "bad_person_key (person_key): expected text of at most 200 bytes, or nothing",
        ),
        (f",clinic,007,{OTHER}", "duplicate_source_key (source_key)"),
    ],
)
def test_a_key_that_is_not_of_its_type_is_a_bad_line_and_one_key_spelled_twice_is_a_duplicate(
    sqlite: Database, tmp_path: Path, declared: tuple[str, str], line: str, told: str
) -> None:
    path = write(tmp_path, f"person_key,{KEYED}", f",clinic,7,{GOOD}", line)
    message = refusal(sqlite, *declared, path)
    assert (f"line 3: {told}" in message, "CANARY" in message) == (True, False), message
    result = load(sqlite, *declared, "--partial", path)
    assert (result["inserted"], result["refused"]) == (1, 1)
    assert rows(sqlite)[0][:3] == (1, "clinic", "7")


# ---- what is refused


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            f"clinic,,{GOOD}",
            "line 3: bad_source_key (source_key): expected text of at most 200 bytes in each line",
        ),
        (f"clinic,{'x' * 201},{GOOD}", "line 3: bad_source_key (source_key)"),
        (f"clinic,a\0b,{GOOD}", "line 3: bad_source_key (source_key)"),
        (f",z,{GOOD}", "line 3: bad_source (source): expected a lower-case letter, then"),
        (f"The Clinic,z,{GOOD}", "line 3: bad_source (source)"),
        (
            f"clinic,a  ,{OTHER}",
            "line 3: duplicate_source_key (source_key): expected each key of a source once",
        ),
        (f"clinic,z,{GOOD},1", "line 3: wrong_field_count"),
        (f"clinic,z,{GOOD.replace('148', 'much')}", "line 3: not_a_number (glucose)"),
        (
            "clinic,z\udcff,".encode(errors="surrogateescape") + GOOD.encode(),
            "line 3: bad_source_key (source_key)",
        ),
    ],
)
def test_a_bad_key_refuses_the_file_or_its_line(
    sqlite: Database, tmp_path: Path, line: str | bytes, told: str
) -> None:
    path = write(tmp_path, KEYED, f"clinic,a,{GOOD}", line, f"lab,a,{GOOD}")
    assert told in refusal(sqlite, path)
    result = load(sqlite, "--partial", path)
    assert (result["inserted"], result["refused"]) == (2, 1)
    assert [row[1:3] for row in rows(sqlite)] == [("clinic", "a"), ("lab", "a")]


def test_an_outcome_of_a_key_that_nobody_has_makes_no_patient(
    database: Database, tmp_path: Path
) -> None:
    load(database, write(tmp_path, KEYED, f"clinic,a,{UNKNOWN}", f"clinic,b,{UNKNOWN}"))
    database.execute("DELETE FROM patients WHERE source_key = 'b'")
    path = write(tmp_path, "source,source_key,outcome", "clinic,a,1", "clinic,b,1", "lab,a,1")
    told = refusal(database, path)
    assert (
        "2 lines (3, 4): new_patient_without_measurements (pregnancies): expected a known "
        "patient's id or key" in told
    )
    result = load(database, "--partial", path)
    assert (result["updated"], result["refused"]) == (1, 2)
    assert [row[-1] for row in rows(database)] == [1]
    assert_queue_is_true(database)


@pytest.mark.parametrize(
    ("header", "row", "told"),
    [
        (f"id,{KEYED}", f"1,clinic,a,{GOOD}", "It has id and source (two_keys)"),
        (f"source,{HEADER}", f"clinic,{GOOD}", "It has source without source_key (half_a_key)"),
        (f"source_key,{HEADER}", f"a,{GOOD}", "It has source_key without source (half_a_key)"),
        ("source,source_key", "clinic,a", "It has ids or keys and nothing else"),
        ("person_key,outcome", "p,1", "Without an id column every row is a new patient"),
        ("source,source_key,person_key", "clinic,a,p", "new_patient_without_measurements"),
        (
            f"source key,{KEYED}",
            f"a,clinic,a,{GOOD}",
            "source_key for the second time (duplicate_column)",
        ),
    ],
)
def test_columns_that_do_not_say_whose_the_rows_are(
    sqlite: Database, tmp_path: Path, header: str, row: str, told: str
) -> None:
    assert told in refusal(sqlite, write(tmp_path, header, row))


def test_of_id_and_key_one_can_be_left_out(sqlite: Database, tmp_path: Path) -> None:
    path = write(tmp_path, f"id,{KEYED}", f"5,clinic,a,{GOOD}")
    assert load(sqlite, "--ignore", "source", "--ignore", "source_key", path)["inserted"] == 1
    assert load(sqlite, "--ignore", "id", path)["inserted"] == 1
    assert [row[:3] for row in rows(sqlite)] == [(5, None, None), (6, "clinic", "a")]
