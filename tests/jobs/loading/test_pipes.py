"""What `load` is given through pipes, sockets and devices, which can be read only once."""

import gzip
import os
import signal
import socket
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PATIENCE_SECONDS, Database, Ended, call, clean_environ, the_json
from tests.support.shipped import ROOT, SHIPPED

CONTENT = SHIPPED.read_bytes()
HEADER = b"Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,Age,Outcome\n"


def in_a_shell(database: Database, line: str, **environ: str) -> Ended:
    """Run a line of bash; `python` in it is this one."""
    given = clean_environ() | {"DATABASE_URL": database.url, "PIMA_LOGS__FORMAT": "text"} | environ
    given["PATH"] = f"{Path(sys.executable).parent}:{given['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", line],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert "Traceback" not in ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def patients(database: Database) -> int:
    found: int = database.value("SELECT count(*) FROM patients")
    return found


@pytest.mark.parametrize(
    "line",
    [
        f"python -m jobs.load --json - < {SHIPPED}",
        f"tail -n +301 {SHIPPED} | python -m jobs.load --json <(head -n 300 {SHIPPED}) /dev/stdin",
    ],
    ids=["a redirected file as -", "two pipes at once"],
)
def test_what_can_be_read_only_once_is_loaded(sqlite: Database, line: str) -> None:
    ended = in_a_shell(sqlite, line)
    assert ended.exit_code == 0, ended.stderr
    assert the_json(ended)["inserted"] == 768
    names = [name for (name,) in sqlite.execute("SELECT file_name FROM loads")]
    assert len(names) == line.count(str(SHIPPED))
    assert all(name == "stdin" or name.isdigit() for name in names), names


def test_a_stdin_that_can_not_be_opened_again_is_loaded(sqlite: Database) -> None:
    """A socket can't be, by nobody; by somebody else neither a pipe."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "jobs.load", "--json", "/dev/stdin"]
    environ = clean_environ() | {"DATABASE_URL": sqlite.url}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=theirs, stdout=subprocess.PIPE, text=True
    )
    theirs.close()
    with ours:
        ours.sendall(CONTENT)
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert the_json(Ended(process.returncode, stdout, ""))["inserted"] == 768


def test_a_fifo_is_loaded_once_its_writer_comes(sqlite: Database, tmp_path: Path) -> None:
    fifo = tmp_path / "patients.csv"
    os.mkfifo(fifo)
    process = sqlite.start("load", "--json", str(fifo))
    fifo.write_bytes(CONTENT)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert the_json(Ended(0, stdout, stderr))["inserted"] == 768
    # The same content is known again, whatever it comes through.
    ended = call(sqlite, "load", "--json", str(SHIPPED))
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "file_loaded_before")
    assert patients(sqlite) == 768


def test_a_parquet_file_through_a_pipe_or_compressed_is_loaded(
    sqlite: Database, tmp_path: Path
) -> None:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    pq.write_table(pa_csv.read_csv(BytesIO(HEADER + CONTENT)), tmp_path / "p.parquet")
    ended = in_a_shell(sqlite, f"cat {tmp_path}/p.parquet | python -m jobs.load --json /dev/stdin")
    assert the_json(ended)["inserted"] == 768, ended.stderr
    (tmp_path / "p.gz").write_bytes(gzip.compress((tmp_path / "p.parquet").read_bytes()))
    again = call(sqlite, "load", "--json", "--again", f"{tmp_path}/p.gz")
    assert the_json(again)["inserted"] == 768, again.stderr


def test_a_load_that_waits_for_a_pipe_stops_when_it_is_asked_to(
    sqlite: Database, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    environ = clean_environ() | {"DATABASE_URL": sqlite.url, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "jobs.load", "--json", "/dev/stdin"]
    pipes: Any = {
        "stdin": reading,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    process = subprocess.Popen(command, cwd=ROOT, env=environ, **pipes)
    os.close(reading)
    # More than a pipe holds: it has been read in part once this is written.
    os.write(writing, CONTENT * 10)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(writing)
    assert process.returncode == 143, stderr
    told = the_json(Ended(143, stdout, stderr))
    assert told == {
        "error": "interrupted",
        "message": "stopped: asked by a signal; what was committed stays",
    }
    assert patients(sqlite) == 0
    # What was kept of it had no name, so that nothing stays however the process ends.
    assert [path.name for path in tmp_path.iterdir() if path.name != "pima.db"] == []


def test_a_pipe_that_cannot_be_kept_says_so(sqlite: Database) -> None:
    ended = in_a_shell(sqlite, f"ulimit -f 8; cat {SHIPPED} | python -m jobs.load /dev/stdin")
    assert ended.exit_code == 1
    assert "a temporary file could not be written: File too large" in ended.stderr
    assert "TMPDIR" in ended.stderr


def test_what_is_no_file_is_refused_at_once(sqlite: Database) -> None:
    ended = in_a_shell(sqlite, "python -m jobs.load /dev/stdin < /dev/null")
    assert (ended.exit_code, "empty_file" in ended.stderr) == (2, True)
