"""What `load` is given in place of a plain file: pipes, devices, compressed files, other encodings
and delimiters."""

import bz2
import gzip
import lzma
import os
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pima.intake.files.opened_file import readable_again
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


# ---- other formats
# --------------------------------------------------------------------------------------------------


def zipped(content: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("patients.csv", content)
    return file.getvalue()


TABBED = CONTENT.replace(b".", b",,").replace(b",", b"\t").replace(b"\t\t", b",")
SEMICOLONS = CONTENT.replace(b",", b";").replace(b".", b",")
QUOTED = b'"' + HEADER.strip().replace(b",", b'";"') + b'"\n'
OTHER_KINDS: list[tuple[bytes, str]] = [
    (bz2.compress(CONTENT), "compressed, and not with gzip"),
    (lzma.compress(CONTENT), "compressed, and not with gzip"),
    (pa.Codec("zstd").compress(CONTENT, asbytes=True), "compressed, and not with gzip"),
    (zipped(CONTENT), "a workbook, such as of Excel, or a zip archive"),
    (bytes.fromhex("d0cf11e0a1b11ae1"), "a workbook, such as of Excel"),
    (CONTENT.decode().encode("utf-16"), "text in UTF-16"),
    (CONTENT.decode().encode("utf-16-le"), "text in UTF-16"),
    (CONTENT.decode().encode("utf-16-be"), "text in UTF-16"),
    (CONTENT.replace(b",", b";"), "separated by semicolons"),
    (SEMICOLONS, "separated by semicolons"),
    (QUOTED + SEMICOLONS, "separated by semicolons"),
    (CONTENT.replace(b",", b"|"), "separated by vertical bars"),
    (TABBED, "separated by tabs"),
    (b"# Canary\n" + CONTENT, "Line 1 is no header"),
    (b"Canary Smith\n" + CONTENT, "Line 1 is no header"),
    (b"<!DOCTYPE html>\n<html><p>Canary, Smith", "Line 1 is no header"),
]


def test_another_format_is_named(sqlite: Database, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    for content, report in OTHER_KINDS:
        path.write_bytes(content)
        ended = call(sqlite, "load", str(path))
        assert (ended.exit_code, report in ended.stderr, "Canary" in ended.stderr) == (
            2,
            True,
            False,
        ), ended.stderr
    assert patients(sqlite) == 0


def test_a_file_compressed_with_gzip_is_the_file_in_it(sqlite: Database, tmp_path: Path) -> None:
    path, plain = tmp_path / "patients.csv.gz", tmp_path / "patients.csv"
    path.write_bytes(gzip.compress(CONTENT))
    plain.write_bytes(CONTENT)
    assert call(sqlite, "load", str(path)).exit_code == 0
    assert patients(sqlite) == 768
    again = call(sqlite, "load", "--json", str(plain))
    assert (again.exit_code, "file_loaded_before" in again.stdout) == (2, True)
    path.write_bytes(gzip.compress(CONTENT)[:-20])
    cut_off = call(sqlite, "load", "--again", str(path))
    assert (cut_off.exit_code, "not whole (compressed_file)" in cut_off.stderr) == (2, True)
    assert patients(sqlite) == 768


def archived(name: str, content: bytes) -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, BytesIO(content))
    return file.getvalue()


LONG = CONTENT * 300
NO_TABLES: list[tuple[bytes, str]] = [
    (b"ward,bed\n" + LONG, "Line 1 is no header"),
    (archived("patients.csv", LONG), "It is no text, such as an archive"),
    (bytes(len(LONG)), "It is no text"),
    (b"7" * len(LONG), "(field_too_long)"),
]


def test_what_is_no_table_is_told_before_all_of_it_is_unpacked(
    sqlite: Database, tmp_path: Path
) -> None:
    """The end of each is lacking, which whoever unpacks all of it would find."""
    path = tmp_path / "patients.csv.gz"
    for content, report in NO_TABLES:
        path.write_bytes(gzip.compress(content, 1)[:-20])
        ended = call(sqlite, "load", str(path))
        assert (ended.exit_code, report in ended.stderr) == (2, True), ended.stderr
    ended = call(None, "suggest", str(path))
    assert (ended.exit_code, "(field_too_long)" in ended.stderr) == (2, True), ended.stderr


def test_a_long_file_is_unpacked_whole(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv.gz"
    path.write_bytes(gzip.compress(LONG, 1))
    looked_at: list[bytes] = []
    with readable_again(path, lambda file: looked_at.append(file.path.read_bytes())) as file:
        assert file.path.read_bytes() == LONG
    assert looked_at == [LONG[:4_000_000]]
