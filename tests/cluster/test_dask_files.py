"""`score --input --output --dask`: files scored by workers that know no database."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster, Dask, NewCluster
from tests.support.databases import PATIENCE_SECONDS, Database, clean_environ, wait_for
from tests.support.parquet_rows import bytes_below, drawn_rows, scored_files, write_rows
from tests.support.shipped import ROOT

FILES, ROWS = 40, 100_000


@pytest.fixture
def cluster(new_cluster: NewCluster) -> Cluster:
    made = new_cluster()
    made.add_workers(2)
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files of which each takes long enough for something to happen meanwhile."""
    first = write_rows(tmp_path / "in" / "00.parquet", drawn_rows(ROWS), ROWS)
    for number in range(1, FILES):
        (tmp_path / "in" / f"{number:02}.parquet").hardlink_to(first)
    return tmp_path / "in"


def test_workers_write_what_one_process_writes(
    champion: Database, dask: Dask, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted_by_one = scored_files(champion, source, tmp_path / "one")
    monkeypatch.chdir(tmp_path)  # the workers stand elsewhere
    config = ("--config", str(ROOT / "config" / "pima.toml"))
    assert scored_files(champion, "in", "many", *dask.option, *config) == counted_by_one
    assert bytes_below(tmp_path / "many") == bytes_below(tmp_path / "one")
    # What is missing is completed, by a version or a model file.
    (tmp_path / "many" / "03.parquet").unlink()
    again = scored_files(champion, "in", "many", *dask.option, "--model", "1", *config)
    assert (again["files"], again["files_before"]) == (1, FILES - 1)
    assert bytes_below(tmp_path / "many") == bytes_below(tmp_path / "one")


def test_an_error_of_a_worker_is_told(
    champion: Database, dask: Dask, source: Path, tmp_path: Path
) -> None:
    damaged = source / "07.parquet"
    rows = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(rows[:4] + bytes(len(rows) // 2) + rows[4 + len(rows) // 2 :])
    found = scored_files(champion, source, tmp_path / "out", *dask.option, exit_code=2)
    assert found["error"] == "file_refused"
    assert "07.parquet: refused, nothing was loaded. It can't be read beyond" in str(
        found["message"]
    )
    assert not list((tmp_path / "out").glob("*07*"))


def _start(database: Database, source: Path, into: Path, dask: Dask) -> subprocess.Popen[str]:
    options = ["--input", str(source), "--output", str(into), "--json", *dask.option]
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.score", *options],
        cwd=ROOT,
        env=clean_environ() | {"DATABASE_URL": database.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _written(folder: Path) -> int:
    return len(list(folder.glob("[0-9]*.parquet")))


@pytest.mark.campaign
def test_workers_that_are_killed_leave_nothing_out(
    champion: Database, dask: Dask, source: Path, tmp_path: Path, at_length: bool
) -> None:
    scored_files(champion, source, tmp_path / "one")
    for attempt in range(25 if at_length else 1):
        into = tmp_path / f"many-{attempt}"
        process = _start(champion, source, into, dask)
        for least in (1 + attempt % 3, 5):
            wait_for(lambda least=least, into=into: _written(into) >= least, process)
            dask.kill_one(process, attempt)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, stderr
        counted = json.loads(stdout)
        assert (counted["files"], counted["rows"]) == (FILES, FILES * ROWS)
        assert bytes_below(into) == bytes_below(tmp_path / "one")


def test_asked_to_stop_the_workers_leave_whole_files(
    champion: Database, dask: Dask, source: Path, tmp_path: Path
) -> None:
    process = _start(champion, source, tmp_path / "out", dask)
    wait_for(lambda: _written(tmp_path / "out") >= 1, process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(stdout)["error"]) == (143, "interrupted"), stderr
    before = _written(tmp_path / "out")
    assert before == len(list((tmp_path / "out").iterdir())) < FILES
    again = scored_files(champion, source, tmp_path / "out", *dask.option)
    assert again["files_before"] == before
