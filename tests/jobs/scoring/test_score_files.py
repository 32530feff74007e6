"""`score --input --output`: CSV and Parquet, with and without a database."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pima.errors import FileRefused
from pima.files.model_file import content_of, read_model
from pima.files.scoring import files_to_score, score_files
from pima.runs.stop_request import StopRequest
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    the_json,
    wait_for,
)
from tests.support.declared import configuration
from tests.support.parquet_rows import (
    bytes_below,
    drawn_rows,
    predicted,
    read_scored,
    rejected,
    scored_files,
    write_rows,
)
from tests.support.shipped import FEATURE_NAMES, ROOT, SHIPPED
from tests.support.trained import install_models

ROWS = 25_001
"""More than a block."""
FILES = 20


@pytest.fixture
def champion(sqlite: Database, trained: Path) -> Database:
    """A SQLite file with the trained versions, version 2 being champion."""
    install_models(sqlite, trained, champion=2)
    return sqlite


@pytest.fixture
def model(champion: Database, tmp_path: Path) -> str:
    """Version 2 as a model file."""
    path = tmp_path / "version-2.pima"
    assert call(champion, "models", "export", "2", "--out", str(path)).exit_code == 0
    return str(path)


def test_files_get_bit_for_bit_the_predictions_that_rows_of_the_database_get(
    champion: Database, model: str, tmp_path: Path
) -> None:
    table = drawn_rows(ROWS)
    source = tmp_path / "in"
    write_rows(source / "patients.parquet", table.select([*reversed(FEATURE_NAMES), "id"]))
    pa.csv.write_csv(table, source / "patients.csv")
    names = ", ".join(("id", *FEATURE_NAMES))
    marks = ", ".join(f":{name}" for name in ("id", *FEATURE_NAMES))
    champion.execute(f"INSERT INTO patients ({names}) VALUES ({marks})", table.to_pylist())
    assert call(champion, "score", "--batch-size", "777").exit_code == 0
    there = champion.execute(
        "SELECT patient_id, probability, predicted_class, model_version FROM predictions ORDER BY 1"
    )
    reasons = champion.execute("SELECT patient_id, reason, field FROM rejections ORDER BY 1")
    assert len(reasons) > 20
    for into, database, more in (
        ("a", champion, ()),
        ("b", None, ("--model", model)),
        ("c", champion, ("--model", "2")),
    ):
        counted = scored_files(database, source, tmp_path / into, *more)
        assert (counted["files"], counted["rows"], counted["rejected"]) == (
            2,
            2 * ROWS,
            2 * len(reasons),
        )
        written = pq.read_table(tmp_path / into / "patients.parquet")
        assert written.column("row").to_pylist() == [*range(1, ROWS + 1)]
        found = predicted(written).select(["id", "probability", "predicted_class", "model_version"])
        assert list(zip(*found.to_pydict().values(), strict=True)) == there
        refused = rejected(written).select(["id", "reason", "field"]).to_pydict()
        assert list(zip(*refused.values(), strict=True)) == reasons
        # A CSV file has a header, so its first row is its second line.
        lines = csv.reader((tmp_path / into / "patients.csv").read_text().splitlines())
        assert next(lines) == written.column_names
        assert [
            (int(line) - 1, int(id_), float(probability) if probability else None, reason or None)
            for line, id_, probability, _, _, reason, _ in lines
        ] == [
            (row["row"], row["id"], row["probability"], row["reason"])
            for row in written.to_pylist()
        ]
    assert bytes_below(tmp_path / "a") == bytes_below(tmp_path / "b") == bytes_below(tmp_path / "c")
    assert champion.value("SELECT count(*) FROM runs") == 1  # files are no run of the nightly job


def test_with_a_model_file_no_database_is_asked_for_or_made(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "in" / "patients.parquet", drawn_rows(10))
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "config").mkdir(parents=True)
    (elsewhere / "config" / "pima.toml").touch()
    monkeypatch.chdir(elsewhere)
    scored_files(None, source, tmp_path / "out", "--model", model)
    assert [path.name for path in elsewhere.iterdir()] == ["config"]
    away = ("--input", str(source), "--output", str(tmp_path / "other"), "--model", model)
    ended = call(
        None, "score", *away, DATABASE_URL="postgresql+psycopg://nobody@/away?host=/nowhere"
    )
    assert ended.exit_code == 0, ended.stderr


# ---- Which files, and once


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of three files, one of them without rows, and what some program left beside them."""
    folder = tmp_path / "in"
    write_rows(folder / "a.parquet", drawn_rows(5_000))
    folder.joinpath("b.csv").write_text("\ufeff" + ",".join(FEATURE_NAMES) + "\n\n")
    (folder / "c.CSV").write_bytes(SHIPPED.read_bytes())  # as the article has it, without a header
    (folder / "_SUCCESS").touch()
    write_rows(folder / "_temporary" / "b.parquet", drawn_rows(9))
    (folder / ".gone").symlink_to(folder / "nowhere")
    return folder


def test_a_file_whose_output_is_there_is_passed_over(
    model: str, source: Path, tmp_path: Path
) -> None:
    into = tmp_path / "out"
    counted = scored_files(None, source, into, "--model", model)
    assert (counted["files"], counted["rows"], counted["files_before"]) == (3, 5_768, 0)
    written = bytes_below(into)
    assert sorted(written) == ["a.parquet", "b.csv", "c.CSV"]
    assert written["b.csv"] == b"row,probability,predicted_class,model_version,reason,field\n"
    assert written["c.CSV"].count(b"\n") == 769
    (into / "a.parquet").unlink()
    # As a kill leaves it.
    (into / ".a.parquet.0123abcd.part").write_bytes(b"PAR1")
    before = (into / "c.CSV").stat()
    counted = scored_files(None, source, into, "--model", model)
    assert (counted["files"], counted["rows"], counted["files_before"]) == (1, 5_000, 2)
    assert bytes_below(into) == written
    assert (into / "c.CSV").stat() == before
    told = call(None, "score", "--input", str(source), "--output", str(into), "--model", model)
    assert told.stdout == (
        "0 rows of 0 files: 0 predicted by model version 2, 0 rejected; 3 files passed over, whose "
        "output is there\n"
    )


def test_a_file_that_was_changed_behind_its_output_is_told(
    model: str, source: Path, tmp_path: Path
) -> None:
    into = tmp_path / "out"
    scored_files(None, source, into, "--model", model)
    written = bytes_below(into)
    write_rows(source / "a.parquet", drawn_rows(6_000))
    told = scored_files(None, source, into, "--model", model, exit_code=3)
    assert told["error"] == "other_output_there"
    assert "a.parquet is older than the file that it was made of" in str(told["message"])
    assert bytes_below(into) == written


def test_a_file_that_is_changed_while_it_is_scored_is_told(model: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in" / "patients.parquet", drawn_rows(10))

    class ChangesIt(StopRequest):
        def check(self) -> None:
            os.utime(source, ns=(1, 1))

    files = files_to_score(source, tmp_path / "out")
    with pytest.raises(FileRefused, match="was changed while"):
        list(score_files(files, read_model(Path(model), content_of(Path(model))), ChangesIt()))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_or_killed_it_leaves_whole_files_and_is_completed_later(
    model: str, tmp_path: Path, how: signal.Signals
) -> None:
    table = drawn_rows(20_000)
    source = tmp_path / "in"
    for name in range(FILES):
        path = source / f"{name:02}.parquet"
        path.hardlink_to(source / "00.parquet") if name else write_rows(path, table, 20_000)
    into = tmp_path / "out"
    options = ["--input", str(source), "--output", str(into), "--model", model, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.score", *options],
        cwd=ROOT,
        env=clean_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((into / "01.parquet").exists, process)
    process.send_signal(how)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    if how == signal.SIGTERM:
        assert (process.returncode, json.loads(stdout)["error"]) == (143, "interrupted"), stderr
        assert not list(into.glob(".*"))
    whole = list(into.glob("*.parquet"))
    assert 2 <= len(whole) < FILES
    assert {pq.read_metadata(path).num_rows for path in whole} == {20_000}
    counted = scored_files(None, source, into, "--model", model)
    assert (counted["files"], counted["files_before"]) == (FILES - len(whole), len(whole))
    assert sorted(path.name for path in into.iterdir()) == [
        f"{name:02}.parquet" for name in range(FILES)
    ]
    assert len({path.read_bytes() for path in into.iterdir()}) == 1


def test_a_file_that_can_not_be_written_leaves_nothing_half_done(
    model: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "a.parquet", drawn_rows(20_000))
    line = (
        f"ulimit -f 20; exec {sys.executable} -m jobs.score --input {source} --output "
        f"{tmp_path / 'out'} --model {model}"
    )
    ended = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, env=clean_environ(), capture_output=True, text=True
    )
    assert ended.returncode == 1, ended.stderr
    assert "a.parquet could not be written: File too large." in ended.stderr
    assert list((tmp_path / "out").iterdir()) == []


# ---- What is refused


def test_what_can_not_be_scored_is_refused_before_anything_is_written(
    model: str, tmp_path: Path
) -> None:
    sound = drawn_rows(3)
    source = tmp_path / "in"

    def refused() -> str:
        found = scored_files(None, source, tmp_path / "out", "--model", model, exit_code=2)
        assert not (tmp_path / "out").exists()
        return str(found["message"])

    def table_refused(table: pa.Table) -> str:
        write_rows(source / "a.parquet", sound)
        write_rows(source / "b.parquet", table)
        return refused()

    assert "No such file or directory" in refused()
    source.mkdir()
    assert "there is no file in this folder" in refused()
    assert "b.parquet: refused, nothing was loaded. It lacks bmi, age." in table_refused(
        sound.drop_columns(["bmi", "age"])
    )
    twice = sound.append_column("Age", sound.column("age"))
    assert "age for the second time" in table_refused(twice)
    text = sound.drop_columns("bmi").append_column("bmi", pa.array(["44.40625"] * 3))
    told = table_refused(text)
    assert "The column bmi holds string" in told
    assert "44.40625" not in told
    (source / "b.parquet").write_bytes(b"PAR1PAR1")
    assert "no readable Parquet" in refused()
    (source / "b.parquet").unlink()
    (source / "notes.txt").write_text("Seen by Dr. Canary\n")
    told = refused()
    assert "notes.txt: refused, nothing was loaded. It lacks pregnancies" in told
    assert "Canary" not in told
    (source / "notes.txt").unlink()
    (source / "day=2").mkdir()
    assert "day=2: refused, nothing was loaded. It can't be read: Is a directory." in refused()
    (source / "day=2").rmdir()
    (source / "b.parquet").symlink_to(source / "not mounted")
    assert "b.parquet: refused, nothing was loaded. It can't be read: No such file" in refused()


@contextmanager
def _as_somebody_without_rights() -> Iterator[None]:
    """Root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_the_user_may_not_read_is_told(model: str, tmp_path: Path) -> None:
    config = ("--config", str(ROOT / "config" / "pima.toml"))
    with TemporaryDirectory(dir="/var/tmp") as made:  # nobody else may look below those of tests
        Path(made).chmod(0o755)
        copied = str(shutil.copy(model, made))
        Path(copied).chmod(0o644)
        file = write_rows(Path(made) / "in" / "a.parquet", drawn_rows(3))
        scored_files(None, file, tmp_path / "out", "--model", model)  # imports what nobody could
        for path in (file.parent, file):
            path.chmod(0o000)
            with _as_somebody_without_rights():
                told = scored_files(
                    None, file.parent, Path(made) / "out", "--model", copied, *config, exit_code=2
                )
            path.chmod(0o755)
            assert f"{path}: " in str(told["message"])
            assert "Permission denied" in str(told["message"])


@pytest.mark.parametrize(
    ("rows", "into"),
    [("in", "in"), ("in/../in", "link/out"), ("link", "in"), ("in/a.parquet", "in")],
)
def test_an_output_beside_the_input_is_refused(
    model: str, source: Path, tmp_path: Path, rows: str, into: str
) -> None:
    (tmp_path / "link").symlink_to("in")
    before = bytes_below(source)
    told = scored_files(None, tmp_path / rows, tmp_path / into, "--model", model, exit_code=2)
    assert "--output is where --input lies" in str(told["message"])
    assert bytes_below(source) == before


def test_options_that_contradict_each_other_are_wrong_usage(
    champion: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "a" / "a.parquet", drawn_rows(3))
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "config" / "pima.toml")
    for line in ("--input a", "--output b", "--model 1", "--input a --output b --limit 3"):
        ended = call(champion, "score", "--config", config, "--json", *line.split())
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage"), ended.stderr


def test_without_a_champion_files_are_not_scored(sqlite: Database, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", drawn_rows(3))
    assert scored_files(sqlite, source, tmp_path / "out", exit_code=3)["error"] == "no_champion"
    assert (
        scored_files(sqlite, source, tmp_path / "out", "--model", "7", exit_code=2)["error"]
        == "no_such_version"
    )


def test_an_error_amid_a_file_is_told(model: str, source: Path, tmp_path: Path) -> None:
    rows = (source / "a.parquet").read_bytes()
    half = len(rows) // 2
    (source / "b.parquet").write_bytes(rows[:4] + bytes(half) + rows[4 + half :])
    found = scored_files(None, source, tmp_path / "out", "--model", model, exit_code=2)
    assert "b.parquet: refused, nothing was loaded. It can't be read beyond row" in str(
        found["message"]
    )
    assert sorted(bytes_below(tmp_path / "out")) == ["a.parquet", "b.csv"]


@pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
def test_a_label_that_is_not_utf8_is_told(
    declared_database: Database, trained_on_declared: Path, tmp_path: Path
) -> None:
    labels = pa.array([b"never", b"Qu\xe9"]).view(pa.string())
    rows = {
        "id": [1, 2],
        "order": [1, 1],
        "creatinine": [1, 1],
        "temperature": [37, 37],
        "smoking": labels,
    }
    source = write_rows(tmp_path / "a.parquet", pa.table(rows))
    config = configuration(trained_on_declared.parent)
    found = scored_files(
        declared_database, source, tmp_path / "out", "--config", config, exit_code=2
    )
    assert "It can't be read beyond row 0" in str(found["message"])


# ---- Cells and keys


def test_lines_that_are_no_rows_are_rejected_each_and_keys_stay_as_they_are(
    model: str, tmp_path: Path
) -> None:
    head = ",".join(["ward", "Source_Key", "person_key", *FEATURE_NAMES])
    sound = "1,120,70,30,0,31.5,0.4,33"
    lines = [
        head.encode(),
        f"7,=1,a b,{sound}".encode(),
        b"",
        f'7,"A, 17",,{sound}'.encode(),
        b"7,3",
        f"7,M\udcfcller,x,{sound}".encode(errors="surrogateescape"),
        f"7,5,x,{sound.replace('120', '7177.0625')}".encode(),
        b'7,"half',
    ]
    source = tmp_path / "in" / "visits.csv"
    source.parent.mkdir()
    source.write_bytes(b"\r\n".join(lines))
    counted = scored_files(None, source, tmp_path / "out", "--model", model)
    assert counted["rejected_by_reason"] == {
        "half_written_line": 1,
        "out_of_range": 1,
        "wrong_field_count": 1,
    }
    assert (counted["rows"], counted["predicted"]) == (6, 3)
    written = (tmp_path / "out" / "visits.csv").read_bytes()
    assert b"7177" not in written
    rows = list(csv.DictReader(written.decode(errors="surrogateescape").splitlines()))
    assert [(row["row"], row["source_key"], row["person_key"], row["reason"]) for row in rows] == [
        ("2", "=1", "a b", ""),
        ("4", "A, 17", "", ""),
        ("5", "", "", "wrong_field_count"),
        ("6", "M\udcfcller", "x", ""),
        ("7", "5", "x", "out_of_range"),
        ("8", "", "", "half_written_line"),
    ]
    assert [row["field"] for row in rows if row["field"]] == ["glucose"]
    assert len({row["probability"] for row in rows}) == 2


def test_keys_of_parquet_keep_their_types(model: str, tmp_path: Path) -> None:
    table = drawn_rows(3)
    keys = {
        "Source": pa.array(["w"] * 3).dictionary_encode(),
        "source_key": pa.array(["a", None, "c"], pa.string_view()),
        "person_key": pa.nulls(3),
    }
    for name, values in keys.items():
        table = table.append_column(name, values)
    source = write_rows(tmp_path / "visits.parquet", table)
    scored_files(None, source, tmp_path / "out", "--model", model)
    written = read_scored(tmp_path / "out")
    assert written.select(["id", "source", "source_key", "person_key"]).to_pylist() == [
        {"id": n + 1, "source": "w", "source_key": key, "person_key": None}
        for n, key in enumerate(["a", None, "c"])
    ]
    assert [written.schema.field(name).type for name in ("id", "source", "person_key")] == [
        pa.int64(),
        pa.string(),
        pa.string(),
    ]


def test_numbers_of_every_kind_are_measurements(model: str, tmp_path: Path) -> None:
    table = drawn_rows(200, seed=3)
    whole = _each_feature(table, pc.round)
    scored_files(
        None, write_rows(tmp_path / "rows.parquet", whole), tmp_path / "whole", "--model", model
    )
    for kind in (pa.int16(), pa.float32(), pa.decimal128(9, 2)):
        cast = _each_feature(whole, lambda column, kind=kind: column.cast(kind))
        scored_files(
            None,
            write_rows(tmp_path / "rows.parquet", cast),
            tmp_path / str(kind),
            "--model",
            model,
        )
        assert read_scored(tmp_path / str(kind)) == read_scored(tmp_path / "whole")


def _each_feature(
    table: pa.Table, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]
) -> pa.Table:
    return pa.table(
        {"id": table.column("id")} | {name: change(table.column(name)) for name in FEATURE_NAMES}
    )


def test_a_nan_is_no_missing_value_and_no_value_is_told(model: str, tmp_path: Path) -> None:
    table = drawn_rows(3)
    odd = table.drop_columns(["glucose", "bmi"]).append_column(
        "glucose", pa.array([float("nan"), 7177.0625, None])
    )
    source = write_rows(
        tmp_path / "a.parquet", odd.append_column("bmi", pa.array([44.40625, 44.40625, 44.40625]))
    )
    scored_files(None, source, tmp_path / "out", "--model", model)
    written = read_scored(tmp_path / "out")
    assert rejected(written).select(["row", "reason", "field"]).to_pylist() == [
        {"row": 1, "reason": "not_finite", "field": "glucose"},
        {"row": 2, "reason": "out_of_range", "field": "glucose"},
    ]
    assert predicted(written).column("id").to_pylist() == [3]
    assert "7177" not in str(bytes_below(tmp_path / "out"))


NO_THRESHOLDS = (float("inf"), -0.001, 1.001, float("nan"))
"""JSON writes the first as 1e400, too."""


def test_a_model_file_that_is_not_as_it_was_written_is_refused(model: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", drawn_rows(3))
    content, damaged = Path(model).read_bytes(), tmp_path / "damaged.pima"
    for changed, why in (
        (content[:-100] + b"x" + content[-99:], "its contents are not those that were written"),
        (content[:-100], "its contents are not those that were written"),
        (b"PAR1" + content, "it is no model file"),
        (_sealed(content, threshold="a half"), "another release"),
        *((_sealed(content, threshold=t), "not a number from 0 to 1") for t in NO_THRESHOLDS),
        (_sealed(content, features=[{"name": "weight"}]), "can't be used by this release"),
        (_sealed(content, features=[]), "can't be used by this release"),
    ):
        damaged.write_bytes(changed)
        found = scored_files(None, source, tmp_path / "out", "--model", str(damaged), exit_code=2)
        assert (found["error"], why in str(found["message"])) == ("model_file_refused", True), found
    assert not (tmp_path / "out").exists()


def _sealed(content: bytes, **changed: object) -> bytes:
    """With other facts, and the right hash over them."""
    body = json.dumps(json.loads(content.partition(b"\n")[2]) | changed).encode()
    return f"pima model 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body
