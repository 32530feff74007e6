"""`score --from --to`: Parquet to Parquet, with and without a database."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pima.errors import DatasetRefused, FileNotWritten, OtherOutputThere
from pima.files import parts
from pima.files.model_file import content_of, model_file, read_model
from pima.files.scoring import Dataset, open_dataset, score_files, score_missing
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
from tests.support.parquet_rows import bytes_below, drawn_rows, read_parts, scored_files, write_rows
from tests.support.shipped import FEATURE_NAMES, ROOT
from tests.support.trained import install_models

ROWS = 9_001


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
    source = write_rows(
        tmp_path / "patients.parquet", table.select([*reversed(FEATURE_NAMES), "id"])
    )
    names = ", ".join(("id", *FEATURE_NAMES))
    marks = ", ".join(f":{name}" for name in ("id", *FEATURE_NAMES))
    champion.execute(f"INSERT INTO patients ({names}) VALUES ({marks})", table.to_pylist())
    assert call(champion, "score", "--batch-size", "777").exit_code == 0
    there = champion.execute(
        "SELECT patient_id, probability, predicted_class, model_version FROM predictions ORDER BY 1"
    )
    reasons = champion.execute("SELECT patient_id, reason, field FROM rejections ORDER BY 1")
    for into, database, more in (
        ("a", champion, ()),
        ("b", None, ("--model", model)),
        ("c", champion, ("--model", "2")),
    ):
        counted = scored_files(database, source, tmp_path / into, *more)
        assert (counted["rows"], counted["predicted"], counted["rejected"]) == (
            ROWS,
            len(there),
            len(reasons),
        )
        found = read_parts(tmp_path / into).to_pydict()
        assert list(zip(*found.values(), strict=True)) == there
        refused = read_parts(tmp_path / into, "rejections").to_pydict()
        assert list(zip(refused["id"], refused["reason"], refused["field"], strict=True)) == reasons
        assert refused["row_number"] == [id_ - 1 for id_ in refused["id"]]
    assert len(reasons) > 20
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
    away = ("--from", str(source), "--to", str(tmp_path / "other"), "--model", model)
    ended = call(
        None, "score", *away, DATABASE_URL="postgresql+psycopg://nobody@/away?host=/nowhere"
    )
    assert ended.exit_code == 0, ended.stderr


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few thousand rows make several parts."""
    monkeypatch.setattr(parts, "LARGEST_PART", 2_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of three files, one of them without rows, and what some program left beside them."""
    folder = tmp_path / "in"
    write_rows(folder / "day=1" / "a.parquet", drawn_rows(5_000))
    write_rows(folder / "day=2" / "a.parquet", drawn_rows(1_500, first_id=5_001))
    write_rows(folder / "day=3" / "none.parquet", drawn_rows(1).slice(0, 0))
    (folder / "_SUCCESS").touch()
    write_rows(folder / "_temporary" / "b.parquet", drawn_rows(9))
    return folder


PARTS = [
    "day=1/a-00000.parquet",
    "day=1/a-00001.parquet",
    "day=1/a-00002.parquet",
    "day=2/a-00000.parquet",
]


def test_a_run_completes_what_is_missing_and_writes_the_same(
    small_parts: None, model: str, source: Path, tmp_path: Path
) -> None:
    into = tmp_path / "out"
    counted = scored_files(None, source, into, "--model", model)
    assert (counted["rows"], counted["files"], counted["parts"], counted["parts_before"]) == (
        6_500,
        3,
        5,
        0,
    )
    assert read_parts(into).column("id").to_pylist() == sorted(
        read_parts(into).column("id").to_pylist()
    )
    written = bytes_below(into)
    assert [name for name in written if name.startswith("predictions/")]
    assert {
        f"predictions/{name}" for name in (*PARTS, "day=3/none-00000.parquet")
    } <= written.keys()
    # As a kill between two renames, and one amid a part, leave it.
    (into / "manifest.json").unlink()
    (into / "predictions" / PARTS[1]).unlink()
    (into / "predictions" / "day=1" / ".a-00001.parquet.0123abcd.part").write_bytes(b"PAR1")
    kept = (into / "predictions" / PARTS[0]).stat()
    assert scored_files(None, source, into, "--model", model)["parts_before"] == 4
    assert bytes_below(into) == written
    assert (into / "predictions" / PARTS[0]).stat() == kept
    assert scored_files(None, source, into, "--model", model)["parts_before"] == 5


def test_the_manifest_tells_the_model_the_inputs_and_the_counts(
    small_parts: None, champion: Database, source: Path, tmp_path: Path
) -> None:
    counted = scored_files(champion, source, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    stored = champion.value("SELECT compiled_sha256 FROM model_versions WHERE number = 2")
    assert (manifest["model_version"], manifest["compiled_sha256"], manifest["threshold"]) == (
        2,
        stored,
        0.5,
    )
    assert [(told["name"], told["rows"], told["keys"]) for told in manifest["inputs"]] == [
        ("day=1/a.parquet", 5_000, ["id"]),
        ("day=2/a.parquet", 1_500, ["id"]),
        ("day=3/none.parquet", 0, ["id"]),
    ]
    assert manifest["inputs"][0]["bytes"] == (source / "day=1" / "a.parquet").stat().st_size
    assert [part["rows"] for part in manifest["parts"]] == [2_000, 2_000, 1_000, 1_500, 0]
    for name in ("rows", "predicted", "rejected", "rejected_by_reason"):
        assert manifest[name] == counted[name]
    assert (manifest["predicted"], manifest["rejected"]) == (
        read_parts(tmp_path / "out").num_rows,
        read_parts(tmp_path / "out", "rejections").num_rows,
    )


def test_what_this_run_would_not_have_written_is_refused(
    small_parts: None, champion: Database, source: Path, tmp_path: Path
) -> None:
    into = tmp_path / "out"
    scored_files(champion, source, into)
    written = bytes_below(into)

    def refused(*more: str) -> str:
        found = scored_files(champion, source, into, *more, exit_code=3)
        assert found["error"] == "other_output_there"
        return str(found["message"])

    assert "scored by another model" in refused("--model", "3")
    assert "with other keys" in refused("--key", "age")
    assert bytes_below(into) == written
    write_rows(source / "day=2" / "a.parquet", drawn_rows(1_500, first_id=5_001, seed=2))
    assert "made of day=2/a.parquet as it was before" in refused()
    (source / "day=2" / "a.parquet").unlink()
    assert "day=2/a-00000.parquet is no part of this dataset" in refused()
    write_rows(source / "day=2" / "a.parquet", drawn_rows(1_500, first_id=5_001))
    (into / "predictions" / PARTS[0]).write_bytes(b"PAR1")
    assert "not written by this release of pima" in refused()


@pytest.mark.usefixtures("small_parts")
def test_what_another_model_scores_into_the_same_folder_meanwhile_is_not_taken_for_ones_own(
    champion: Database, source: Path, tmp_path: Path
) -> None:
    into, never = tmp_path / "out", StopRequest()
    first, second = (
        open_dataset(
            str(source), str(into), read_model(into, model_file(champion.engine, number)), []
        )
        for number in (1, 2)
    )
    list(score_missing(first, never))
    next(score_missing(second, never))
    with pytest.raises(OtherOutputThere, match="scored by another model"):
        score_files(first, ())
    assert not (into / "manifest.json").exists()
    assert score_files(first, score_missing(first, never))["predicted"] == read_parts(into).num_rows
    assert set(read_parts(into)["model_version"].to_pylist()) == {1}


def _opened(source: Path, into: Path, model: str) -> Dataset:
    return open_dataset(
        str(source), str(into), read_model(Path(model), content_of(Path(model))), []
    )


def test_an_output_that_lacks_a_part_has_no_manifest_until_it_is_written(
    model: str, tmp_path: Path
) -> None:
    source, into = (
        write_rows(tmp_path / "in" / "patients.parquet", drawn_rows(10)),
        tmp_path / "out",
    )
    scored_files(None, source, into, "--model", model)
    written = bytes_below(into)
    (into / "predictions" / "patients-00000.parquet").unlink()
    with pytest.raises(FileNotWritten, match="it or its rejections were removed"):
        score_files(_opened(source, into, model), ())
    assert "manifest.json" not in bytes_below(into)
    scored_files(None, source, into, "--model", model)
    assert bytes_below(into) == written


def test_a_file_that_is_changed_while_it_is_scored_is_told(model: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in" / "patients.parquet", drawn_rows(10))
    found = _opened(source, tmp_path / "out", model)
    before = source.read_bytes()
    source.unlink()
    source.write_bytes(before)  # of the same bytes, which nobody can know without reading it
    with pytest.raises(DatasetRefused, match="was changed while"):
        score_files(found, score_missing(found, StopRequest()))
    assert not list((tmp_path / "out").rglob("*.parquet"))
    found = _opened(source, tmp_path / "out", model)
    list(score_missing(found, StopRequest()))
    os.utime(source, ns=(1, 1))  # behind its parts
    with pytest.raises(DatasetRefused, match="was changed while"):
        score_files(found, ())
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_file_with_the_same_footer_and_another_value_is_another_file(
    model: str, tmp_path: Path
) -> None:
    source, into = tmp_path / "in" / "patients.parquet", tmp_path / "out"
    source.parent.mkdir()
    table = drawn_rows(5_000)

    def write(first_glucose: float) -> bytes:
        glucose = [first_glucose, 50.0, 150.0, *table.column("glucose").to_pylist()[3:]]
        corrected = table.set_column(
            table.column_names.index("glucose"), "glucose", pa.array(glucose)
        )
        pq.write_table(corrected, source, use_dictionary=False, compression="none")
        return source.read_bytes()

    before = write(100.0)
    scored_files(None, source, into, "--model", model)
    written = bytes_below(into)
    after = write(120.0)
    footer = -8 - int.from_bytes(before[-8:-4], "little")
    assert (len(after), after[footer:], after == before) == (len(before), before[footer:], False)
    refused = scored_files(None, source, into, "--model", model, exit_code=3)
    assert "made of patients.parquet as it was before" in str(refused["message"])
    assert bytes_below(into) == written


def test_a_file_of_any_name_is_taken(model: str, source: Path, tmp_path: Path) -> None:
    (source / "day=2" / "a.parquet").rename(source / "rows.pq")
    assert scored_files(None, source / "rows.pq", tmp_path / "b", "--model", model)["rows"] == 1_500
    assert (tmp_path / "b" / "predictions" / "rows.pq-00000.parquet").exists()


def test_keys_are_kept_as_they_are(model: str, tmp_path: Path) -> None:
    table = drawn_rows(3).drop_columns("id")
    table = table.set_column(table.column_names.index("age"), "age", pa.array([40, 4_000, 50]))
    keys = {
        "visit no": pa.array(
            ["a", None, "c"], pa.string_view()
        ),  # of this type pyarrow can't pick rows
        "raw": pa.array([b"1", b"2", b"3"], pa.binary_view()),
        "Source": pa.array(["w"] * 3),
        "source_key": pa.array([b"1", b"2", b"3"]),
    }
    for name, values in keys.items():
        table = table.append_column(name, values)
    source = write_rows(tmp_path / "visits.parquet", table)
    scored_files(None, source, tmp_path / "a", "--model", model)
    written = ["probability", "predicted_class", "model_version"]
    assert read_parts(tmp_path / "a").column_names == ["Source", "source_key", *written]
    named = ("--key", "visit no", "--key", "raw", "--key", "age")
    assert scored_files(None, source, tmp_path / "b", "--model", model, *named)["rejected"] == 1
    kept = {
        folder: read_parts(tmp_path / "b", folder).to_pylist()
        for folder in ("predictions", "rejections")
    }
    told = {
        folder: [(row["visit no"], row["raw"], row["age"]) for row in rows]
        for folder, rows in kept.items()
    }
    assert told == {
        "predictions": [("a", b"1", 40), ("c", b"3", 50)],
        "rejections": [(None, b"2", 4_000)],
    }


def test_what_can_not_be_scored_is_refused_before_anything_is_written(
    model: str, tmp_path: Path
) -> None:
    sound = drawn_rows(3)

    def refused(table: pa.Table, *more: str) -> str:
        source = tmp_path / "in"
        write_rows(source / "a.parquet", sound)
        write_rows(source / "b.parquet", table)
        found = scored_files(None, source, tmp_path / "out", "--model", model, *more, exit_code=2)
        assert not (tmp_path / "out").exists()
        return str(found["message"])

    assert "b.parquet: can't be scored, it lacks bmi, age." in refused(
        sound.drop_columns(["bmi", "age"])
    )
    assert "b.parquet: can't be scored, it has other keys" in refused(
        sound.rename_columns({"id": "source_key"})
    )
    assert "two of its columns mean age" in refused(sound.append_column("Age", sound.column("age")))
    text = sound.drop_columns("bmi").append_column("bmi", pa.array(["44.40625"] * 3))
    assert "its column bmi holds string, not numbers" in refused(text)
    assert "it has no column ward" in refused(sound, "--key", "ward")
    anonymous = write_rows(tmp_path / "c.parquet", sound.drop_columns("id"))
    found = scored_files(None, anonymous, tmp_path / "out", "--model", model, exit_code=2)
    assert "no column says whose its rows are" in str(found["message"])
    (tmp_path / "in" / "b.parquet").write_bytes(b"PAR1PAR1")
    assert "no readable Parquet" in str(
        scored_files(None, tmp_path / "in", tmp_path / "out", "--model", model, exit_code=2)
    )
    (tmp_path / "empty").mkdir()
    for folder, told in (
        ("empty", "there is no Parquet file"),
        ("nowhere", "No such file or directory"),
    ):
        assert told in str(
            scored_files(None, tmp_path / folder, tmp_path / "out", "--model", model, exit_code=2)
        )


def test_options_that_contradict_each_other_are_wrong_usage(
    champion: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = drawn_rows(3)
    write_rows(
        tmp_path / "a" / "a.parquet", table.append_column("probability", table.column("age"))
    )
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / "config" / "pima.toml")
    for line in (
        "--from a",
        "--model 1",
        "--from a --to b --limit 3",
        "--from a --to b --key probability",
    ):
        ended = call(champion, "score", "--config", config, "--json", *line.split())
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage"), ended.stderr


def test_without_a_champion_files_are_not_scored(sqlite: Database, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", drawn_rows(3))
    assert scored_files(sqlite, source, tmp_path / "out", exit_code=3)["error"] == "no_champion"
    assert (
        scored_files(sqlite, source, tmp_path / "out", "--model", "7", exit_code=2)["error"]
        == "no_such_version"
    )


def test_numbers_of_every_kind_are_measurements(model: str, tmp_path: Path) -> None:
    table = drawn_rows(200, seed=3)
    whole = _each_feature(table, pc.round)
    scored_files(
        None, write_rows(tmp_path / "whole.parquet", whole), tmp_path / "whole", "--model", model
    )
    for kind in (pa.int16(), pa.float32(), pa.decimal128(9, 2)):
        cast = _each_feature(whole, lambda column, kind=kind: column.cast(kind))
        scored_files(
            None,
            write_rows(tmp_path / "cast.parquet", cast),
            tmp_path / str(kind),
            "--model",
            model,
        )
        assert read_parts(tmp_path / str(kind)) == read_parts(tmp_path / "whole")


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
    refused = read_parts(tmp_path / "out", "rejections")
    assert refused.select(["row_number", "reason", "field"]).to_pylist() == [
        {"row_number": 0, "reason": "not_finite", "field": "glucose"},
        {"row_number": 1, "reason": "out_of_range", "field": "glucose"},
    ]
    assert read_parts(tmp_path / "out").column("id").to_pylist() == [3]
    assert "7177" not in str(bytes_below(tmp_path / "out"))


def test_asked_to_stop_it_leaves_whole_parts_and_is_completed_later(
    model: str, tmp_path: Path
) -> None:
    table = drawn_rows(20_000)
    source = tmp_path / "in"
    for name in range(20):
        path = source / f"{name:02}.parquet"
        path.hardlink_to(source / "00.parquet") if name else write_rows(path, table, 20_000)
    into = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "jobs.score",
        "--from",
        str(source),
        "--to",
        str(into),
        "--model",
        model,
        "--json",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((into / "predictions" / "01-00000.parquet").exists, process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(stdout)["error"]) == (143, "interrupted"), stderr
    left = [path.name for path in into.rglob("*") if path.is_file()]
    assert not [name for name in left if name.startswith(".") or name == "manifest.json"]
    before = len(list((into / "predictions").iterdir()))
    assert 2 <= before < 20
    counted = scored_files(None, source, into, "--model", model)
    assert (counted["parts"], counted["parts_before"], counted["rows"]) == (20, before, 400_000)


def test_a_part_that_can_not_be_written_leaves_nothing_half_done(
    model: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "a.parquet", drawn_rows(20_000))
    line = (
        f"ulimit -f 20; exec {sys.executable} -m jobs.score --from {source} --to "
        f"{tmp_path / 'out'} --model {model}"
    )
    ended = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, env=clean_environ(), capture_output=True, text=True
    )
    assert ended.returncode == 1, ended.stderr
    assert "a-00000.parquet could not be written: File too large." in ended.stderr
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_an_error_amid_a_file_is_told(model: str, source: Path, tmp_path: Path) -> None:
    rows = (source / "day=2" / "a.parquet").read_bytes()
    (source / "day=2" / "a.parquet").write_bytes(
        rows[:4] + bytes(len(rows) // 2) + rows[4 + len(rows) // 2 :]
    )
    found = scored_files(None, source, tmp_path / "out", "--model", model, exit_code=2)
    assert "a.parquet: can't be scored, it can't be read beyond row" in str(found["message"])
    assert not (tmp_path / "out" / "manifest.json").exists()


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
    assert "a.parquet: can't be scored, it can't be read beyond row 0" in str(found["message"])


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
