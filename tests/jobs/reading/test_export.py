"""Exports on both databases: what is in them, in each format, and what they leave alone."""

import csv
import io
import json
import re
import signal
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.extras.export import document_cell, export, text_cell, write_csv
from pima.runs.stop_request import StopRequest
from pima.store.engine import reading
from pima.store.rows import exported
from pima.store.rows.exported import ALL_PREDICTIONS, EXPORTS, exported_rows, statement_of
from tests.support.databases import (
    Database,
    call,
    insert_patients,
    the_json,
    under_role,
    wait_for,
)

OLD, NEW = (
    datetime(2026, 1, 5, 2, 15, tzinfo=UTC),
    datetime(2026, 2, 5, 2, 15, 0, 500_000, tzinfo=UTC),
)
FORMULA = "=1+2"
RUN = ("=", "+", "-", "@", "＝")


@pytest.fixture
def told(database: Database) -> Database:
    """Two patients, one from a source, with a prediction and a rejection each; a run and a
    decision."""
    insert_patients(database, 1, first_id=1)
    insert_patients(database, 1, first_id=2, source="ward", source_key=FORMULA)
    for patient, run, probability, moment in ((1, 7, 0.676, OLD), (2, 8, 0.25, NEW)):
        _predict(database, patient, probability, moment, run)
        # Of a version before, since which its row was corrected.
        at = {"at": database.stored(moment)}
        database.execute(
            f"INSERT INTO rejections VALUES ({patient}, 0, {run}, 'missing', 'bmi', :at)", at
        )
    columns = "job, trigger, attempt, status, counts, host, error_line, started_at"
    run = "'score', 'manual', 1, 'failed', '{\"predicted\": 1}', 'here', '-x', :at"
    database.execute(f"INSERT INTO runs ({columns}) VALUES ({run})", {"at": database.stored(NEW)})
    columns = (
        "verdict, reason, explanation, challenger, champion_sequence, figures, evidence, "
        "decided_by, decided_at"
    )
    decision = "'promoted', 'first', 'The first.', 3, 1, '{\"a\": 1}', '{\"b\": 2}', 'retrain', :at"
    database.execute(
        f"INSERT INTO promotions ({columns}) VALUES ({decision})", {"at": database.stored(NEW)}
    )
    return database


def _predict(
    database: Database, patient: int, probability: float, moment: datetime, run: int, model: int = 3
) -> None:
    """The prediction of the row as it stands."""
    values = f"id, version, {model}, {run}, {probability}, {int(probability >= 0.5)}, 0.5, :at"
    at = {"at": database.stored(moment)}
    database.execute(
        f"INSERT INTO predictions SELECT {values} FROM patients WHERE id = {patient}", at
    )


@pytest.fixture
def visits(database: Database) -> Database:
    """Six rows, each with a prediction: visits of two people, and rows of which no person is known.
    Two are corrected, one of them scored again; one is deleted; one has been scored by two
    models."""
    insert_patients(database, 1, first_id=1, source="ward", source_key="v1", person_key="ann")
    insert_patients(database, 1, first_id=2, source="ward", source_key="v2", person_key="ann")
    insert_patients(database, 1, first_id=3, source="ward", source_key="v3")
    insert_patients(database, 1, first_id=4, person_key="bob")
    insert_patients(database, 1, first_id=5)
    insert_patients(database, 1, first_id=6)
    for patient in range(1, 7):
        _predict(database, patient, 0.25, OLD, run=7)
    _predict(database, 6, 0.75, NEW, run=8, model=4)
    database.execute("UPDATE patients SET glucose = glucose + 1 WHERE id IN (2, 4)")
    _predict(database, 4, 0.75, NEW, run=8)
    database.execute("DELETE FROM patients WHERE id = 3")
    return database


def _lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_predictions_come_with_the_key_of_their_source_and_no_cell_that_a_spreadsheet_runs(
    told: Database,
) -> None:
    ended = call(told, "export", "predictions")
    assert ended.exit_code == 0, ended.stderr
    header, *rows = ended.stdout.splitlines()
    assert header == (
        "patient_id,source,source_key,person_key,patient_version,model_version,run_id,probability,predicted_class,threshold,scored_at,superseded,deleted,suspended"
    )
    assert rows == [
        "1,,,,1,3,7,0.676,1,0.5,2026-01-05T02:15:00Z,false,false,false",
        "2,ward,'=1+2,,2,3,8,0.25,0,0.5,2026-02-05T02:15:00.500000Z,false,false,false",
    ]


SHOWN = (
    "patient_id",
    "source_key",
    "person_key",
    "patient_version",
    "model_version",
    "superseded",
    "deleted",
)


def _shown(visits: Database, *more: str) -> list[tuple[str, ...]]:
    return [
        tuple(line[name] for name in SHOWN)
        for line in _lines(call(visits, "export", "predictions", *more).stdout)
    ]


def test_one_prediction_a_row_says_whose_it_is_and_whether_the_row_is_still_as_it_was_scored(
    visits: Database,
) -> None:
    as_they_stand = _shown(visits)
    assert as_they_stand == [
        ("1", "v1", "ann", "1", "3", "false", "false"),
        ("2", "v2", "ann", "2", "3", "true", "false"),
        ("3", "v3", "", "3", "3", "false", "true"),
        ("4", "", "bob", "8", "3", "false", "false"),
        ("5", "", "", "5", "3", "false", "false"),
        ("6", "", "", "6", "4", "false", "false"),
    ]
    # Of all of them, one was made before a correction, and one by an earlier model.
    before = [
        ("4", "", "bob", "4", "3", "true", "false"),
        ("6", "", "", "6", "3", "false", "false"),
    ]
    assert _shown(visits, "--all") == sorted([*as_they_stand, *before])


def test_a_prediction_comes_with_the_values_that_it_was_made_from(
    visits: Database, tmp_path: Path
) -> None:
    """Those of rows that are deleted, and those that nothing has kept, are missing."""
    visits.execute("UPDATE patients SET glucose = 90 WHERE id = 5")
    visits.execute("DELETE FROM row_history WHERE patient_id = 5")
    told = call(visits, "export", "predictions", "--all", "--values").stdout
    glucose = [(line["patient_id"], line["value_of_glucose"]) for line in _lines(told)]
    assert glucose == [
        ("1", "148.0"),
        ("2", "148.0"),
        ("3", ""),
        ("4", "148.0"),
        ("4", "149.0"),
        ("5", ""),
        ("6", "148.0"),
        ("6", "148.0"),
    ]
    path = tmp_path / "values.parquet"
    asked = ("--values", "--format", "parquet", "--out", str(path))
    assert call(visits, "export", "predictions", *asked).exit_code == 0
    found = pq.read_table(path)
    assert found["value_of_age"].to_pylist() == [50, 50, None, 50, None, 50]
    assert call(visits, "export", "rejections", "--values").exit_code == 2


@given(st.text(st.sampled_from("=+-@＝'\";,\t\r\n a")))
def test_no_cell_is_run_whatever_divides_cells_and_every_text_can_be_had_back(text: str) -> None:
    told = text_cell(text)
    assert re.sub(r"(\A|(?<=[;\t\r\n]))'", "", told) == text
    written = io.BytesIO()
    write_csv(written, (), [[(1, told, {"a": text})]])
    for cell in [told, *re.split(r"[;\t\r\n]", written.getvalue().decode())]:
        assert not cell.startswith(RUN)
        assert not cell.lstrip('"').startswith(RUN) or cell == told
    assert json.loads(document_cell({"a": text})) == {"a": text}


def test_only_what_is_of_that_day_or_later_is_exported(visits: Database) -> None:
    for since, *more, ids in (
        ("2026-02-05", "46"),
        ("2026-02-05T02:15", "46"),
        ("2026-02-05T04:00+01:00", ""),
        ("2026-02-05", "--all", "46"),
        ("2026-01-05", "--all", "12344566"),
    ):
        found = _lines(call(visits, "export", "predictions", "--since", since, *more).stdout)
        assert [line["patient_id"] for line in found] == list(ids)


def test_the_other_tables_are_exported_too(told: Database) -> None:
    for what, more, expected in (
        (
            "rejections",
            ("--since", "2026-02-01"),
            ("patient_id=2", "source_key='=1+2", "reason=missing", "field=bmi"),
        ),
        ("runs", (), ("job=score", "status=failed", "error_line='-x", 'counts={"predicted": 1}')),
        ("verdicts", (), ("challenger=3", "explanation=The first.", 'figures={"a": 1}')),
    ):
        (line,) = _lines(call(told, "export", what, *more).stdout)
        assert {f"{name}={cell}" for name, cell in line.items()} >= set(expected)
        assert "evidence" not in line


def test_parquet_has_typed_columns_and_times_in_utc(told: Database, tmp_path: Path) -> None:
    path = tmp_path / "new.parquet"
    found = the_json(
        call(told, "export", "predictions", "--format", "parquet", "--out", str(path), "--json")
    )
    assert found == {
        "exported": "predictions",
        "format": "parquet",
        "since": None,
        "rows": 2,
        "path": str(path),
    }
    path = tmp_path / "all.parquet"
    found = the_json(
        call(
            told,
            "export",
            "predictions",
            "--all",
            "--format",
            "parquet",
            "--out",
            str(path),
            "--json",
        )
    )
    assert (found["exported"], found["rows"]) == ("all predictions", 2)
    table = pq.read_table(path)
    assert table.schema.field("scored_at").type == pa.timestamp("us", tz="UTC")
    types = {
        "patient_id": pa.int64(),
        "probability": pa.float64(),
        "source_key": pa.string(),
        "deleted": pa.bool_(),
    }
    assert {name: table.schema.field(name).type for name in types} == types
    # A file of columns is no spreadsheet's: its texts are as they are.
    assert tuple(table.to_pylist()[1].values()) == (
        *(2, "ward", FORMULA, None, 2, 3, 8, 0.25, 0, 0.5, NEW, False, False, False),
    )
    for what in ("rejections", "runs", "verdicts"):
        path = tmp_path / f"{what}.parquet"
        assert call(told, "export", what, "--format", "parquet", "--out", str(path)).exit_code == 0
        assert pq.read_metadata(path).num_rows == len(_lines(call(told, "export", what).stdout))
    counts = pq.read_table(path, columns=["figures"]).to_pylist()
    assert counts == [{"figures": '{"a": 1}'}]


def test_a_file_is_there_when_it_is_whole_and_not_when_it_does_not_become_so(
    told: Database, tmp_path: Path
) -> None:
    path = tmp_path / "out.csv"
    told.execute("ALTER TABLE rejections RENAME TO gone")
    ended = call(told, "export", "rejections", "--out", str(path))
    assert (ended.exit_code, list(tmp_path.glob("*out*"))) == (2, [])
    told.execute("ALTER TABLE gone RENAME TO rejections")
    assert call(told, "export", "rejections", "--out", str(path)).stdout == f"{path}: 2 rows\n"
    assert path.read_text() == call(told, "export", "rejections").stdout
    assert [each.name for each in tmp_path.glob("*out*")] == ["out.csv"]
    assert "it is there already" in call(told, "export", "rejections", "--out", str(path)).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("patients",),
        ("predictions", "--format", "fhir"),
        ("rejections", "--all"),
        ("runs", "--format", "parquet"),
        ("runs", "--json"),
        ("runs", "--since", "yesterday"),
        ("runs", "--out", "/nowhere/at/all"),
        ("runs", "--out", "/dev/null"),
    ],
    ids=" ".join,
)
def test_what_makes_no_file_is_wrong_usage(sqlite: Database, arguments: tuple[str, ...]) -> None:
    assert call(sqlite, "export", *arguments).exit_code == 2


BLOCK_ROWS = 500


@pytest.mark.parametrize("what", ["predictions", ALL_PREDICTIONS])
def test_the_memory_of_an_export_is_no_matter_of_its_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(exported, "_BLOCK_ROWS", BLOCK_ROWS)
    _peak(database, what, 1)  # fills the caches, which stay
    few, many = _peak(database, what, 2), _peak(database, what, 6)
    assert many < 1.5 * few


def _peak(database: Database, what: str, blocks: int) -> int:
    """Bytes that Python held at most while so many blocks were exported."""
    database.execute("DELETE FROM predictions")
    series = (
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < "
        f"{blocks * BLOCK_ROWS})"
    )
    columns = (
        "patient_id, patient_version, model_version, run_id, probability, predicted_class, "
        "threshold"
    )
    database.execute(
        f"INSERT INTO predictions ({columns}) {series} SELECT n, n, 1, 1, 0.5, 1, 0.5 FROM s"
    )
    with Path("/dev/null").open("wb") as file:
        tracemalloc.start()
        found = export(database.engine, what, "csv", None, file, StopRequest())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found.rows == blocks * BLOCK_ROWS
    return peak


@pytest.mark.parametrize("what", ["predictions", ALL_PREDICTIONS])
def test_sqlite_sorts_no_rows_for_an_export(sqlite: Database, what: str) -> None:
    """It would keep them all before it gives the first."""
    asked = statement_of(EXPORTS[what], None).compile(sqlite.engine)
    plan = sqlite.execute(f"EXPLAIN QUERY PLAN {asked}")
    assert len(plan) > 1
    assert [step for *_, step in plan if "TEMP B-TREE" in step] == []


def test_a_server_keeps_the_rows_that_are_not_asked_for_yet(postgresql: Database) -> None:
    columns = "job, trigger, attempt, status, counts, host"
    postgresql.execute(
        f"INSERT INTO runs ({columns}) VALUES ('score', 'manual', 1, 'failed', '{{}}', 'here')"
    )
    with reading(postgresql.engine) as connection:
        next(exported_rows(connection, EXPORTS["runs"], None))
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_cursors").scalar() == 1


def test_each_export_works_under_its_role_and_the_reader_s_shows_no_more(
    postgresql: Database, tmp_path: Path
) -> None:
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    insert_patients(postgresql, 1)
    reader, operator = (
        under_role(postgresql, "pima_reader"),
        under_role(postgresql, "pima_operator"),
    )
    for what in (("predictions",), ("predictions", "--all"), ("rejections",)):
        for allowed in (reader, operator):
            ended = call(allowed, "export", *what)
            assert ended.exit_code == 0, ended.stderr
    for what in ("runs", "verdicts"):
        assert call(operator, "export", what).exit_code == 0
        assert (
            the_json(call(reader, "export", what, "--out", str(tmp_path / "out"), "--json"))[
                "error"
            ]
            == "right_missing"
        )


def test_what_a_killed_export_had_written_goes_with_the_next(
    postgresql: Database, tmp_path: Path
) -> None:
    arguments = ("predictions", "--out", str(tmp_path / "rows.csv"))
    with postgresql.engine.begin() as other:
        other.exec_driver_sql("LOCK TABLE predictions")
        process = postgresql.start("export", *arguments)
        wait_for(lambda: list(tmp_path.glob(".rows.csv.*.part")), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (half,) = tmp_path.iterdir()
    others = [tmp_path / name for name in (".rows.parquet.0123abcd.part", ".rows.csv.part")]
    for each in others:
        each.touch()
    assert call(postgresql, "export", *arguments).exit_code == 0
    assert not half.exists()
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "rows.csv"])
