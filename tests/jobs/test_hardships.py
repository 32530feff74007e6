"""What goes wrong around jobs: nobody reads what they say, two do the same at once, they are stopped as they begin."""

import fcntl
import json
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from jobs.command import Command, Result, main_of
from pima.errors import DatabaseFull
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    insert_many,
    insert_patients,
    the_json,
    until_it_tries_again,
)
from tests.support.shipped import ROOT, SHIPPED, SOUND
from tests.support.trained import install_models


@pytest.mark.parametrize("closing", ["2>/dev/full", "2>&1 >/dev/null | true", ">&- 2>&-", "| true"])
def test_a_job_whose_output_nobody_reads_does_its_work(sqlite: Database, trained: Path, closing: str) -> None:
    install_models(sqlite, trained)
    insert_patients(sqlite, 2)
    ended = in_a_shell(sqlite, "score", "--json", end=closing)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert sqlite.value("SELECT count(*) FROM predictions") == 2
    assert sqlite.value("SELECT status FROM runs") == "succeeded"


def test_a_retraining_without_any_output_keeps_its_connection(postgresql: Database) -> None:
    """The server's socket would have had the number of stderr, which a fit sends elsewhere."""
    assert call(postgresql, "load", str(SHIPPED)).exit_code == 0
    ended = in_a_shell(postgresql, "retrain", "--dry-run", end="<&- >&- 2>&-")
    status, code = postgresql.execute("SELECT status, error_code FROM runs")[0]
    assert (ended.returncode, status, code) == (0, "succeeded", None)


def in_a_shell(database: Database, *arguments: str, end: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a line of bash that ends so; the exit code is the command's, whatever it is piped into."""
    line = f"set -o pipefail; {shlex.join([sys.executable, '-m', 'jobs.' + arguments[0], *arguments[1:]])} {end}"
    given = clean_environ() | {"DATABASE_URL": database.url} | environ
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=given, capture_output=True, text=True)


# The failure comes at the flush, or at each write: of text, of an object, of a table.
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        (("score", "--json"), ""),
        (("load", str(SHIPPED)), ""),
        (("status",), "1"),
        (("status", "--json"), "1"),
        (("models", "list"), "1"),
    ],
)
def test_a_result_that_could_not_be_written_is_no_success(
    sqlite: Database, trained: Path, command: tuple[str, ...], unbuffered: str
) -> None:
    install_models(sqlite, trained)
    ended = in_a_shell(sqlite, *command, end=">/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert ended.returncode == 1
    assert "could not be written" in ended.stderr
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    # What the command had to do is done all the same.
    assert sqlite.value("SELECT count(*) FROM patients") == (768 if command == ("load", str(SHIPPED)) else 0)
    assert sqlite.value("SELECT count(*) FROM runs WHERE status <> 'succeeded'") == 0


@pytest.mark.parametrize(("command", "unbuffered"), [(("status", "--help"), ""), (("models", "--help"), "1")])
def test_a_help_that_could_not_be_written_is_no_success(
    sqlite: Database, command: tuple[str, ...], unbuffered: str
) -> None:
    ended = in_a_shell(sqlite, *command, end=">/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (ended.returncode, "No space left on device" in ended.stderr) == (1, True), ended.stderr


def test_a_defect_s_json_has_a_message_without_the_error_s_text(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_command: Command) -> Result:
        raise ZeroDivisionError("Canary-Smith")

    exit_code = main_of("jobs.status", "", work, print, needs_schema=False)(["--json"], {})
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (exit_code, told["error"]) == (1, "unexpected_ZeroDivisionError")
    assert re.fullmatch(r"ZeroDivisionError at test_hardships\.py:\d+; this is a defect of pima, .*", told["message"])
    assert "Canary" not in shown.out + shown.err


def test_a_database_without_room_says_so_and_keeps_what_was_committed(sqlite: Database, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text(SHIPPED.read_text() * 10)
    size = Path(make_url(sqlite.url).database or "").stat().st_size
    end = f"; ulimit -f {size // 1024 + 40}; {sys.executable} -m jobs.load --json --again {file}"
    ended = in_a_shell(sqlite, "load", "--json", str(SHIPPED), end=end)
    told = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, told["error"]) == (1, "database_full"), ended.stderr
    assert "Make room" in told["message"]
    assert sqlite.value("SELECT count(*) FROM patients") == 768


def test_a_file_that_may_not_grow_is_full(sqlite: Database) -> None:
    def may_not_grow(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes as many as there are

    event.listen(sqlite.engine, "connect", may_not_grow)
    sqlite.engine.dispose()
    with pytest.raises(DatabaseFull, match="SQLITE_FULL"):
        insert_many(sqlite, 10_000)
    assert sqlite.value("SELECT count(*) FROM patients") == 0


@pytest.mark.parametrize(
    "command", [("status",), ("models", "list"), ("score", "--json"), ("load", "--help")], ids=" ".join
)
def test_a_closed_pipe_is_no_failure(sqlite: Database, trained: Path, command: tuple[str, ...]) -> None:
    install_models(sqlite, trained)
    ended = in_a_shell(sqlite, *command, end="| true", PYTHONUNBUFFERED="")
    assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stderr


@pytest.mark.parametrize("end", [">/dev/full", "| true"])
def test_a_failure_keeps_its_exit_code_when_nobody_reads(sqlite: Database, end: str) -> None:
    for subcommand in ("show", "shew"):
        ended = in_a_shell(sqlite, "models", subcommand, "99", "--json", end=end)
        assert (ended.returncode, "done" in ended.stderr, "Traceback" in ended.stderr) == (2, False, False)


def test_letters_that_the_terminal_does_not_know_are_written_as_escapes(sqlite: Database, trained: Path) -> None:
    install_models(sqlite, trained)
    assert in_a_shell(sqlite, "models", "promote", "2", "--reason", "größer", end="").returncode == 0
    ended = in_a_shell(sqlite, "models", "show", "2", end="", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert r"gr\xf6\xdfer" in ended.stdout


def test_of_two_loads_of_one_file_at_once_the_second_is_refused(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text(SHIPPED.read_text() * 10)
    processes = [database.start("load", "--json", str(file)) for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], ended
    assert database.value("SELECT count(*) FROM patients") == 7680


def test_two_loads_of_the_same_new_ids_both_succeed(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    lines = SHIPPED.read_text().splitlines()
    header = "id,pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age,outcome"
    file.write_text("\n".join([header, *(f"{n},{lines[n % 768]}" for n in range(1, 5001))]) + "\n")
    processes = [database.start("load", "--json", str(file)) for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert sorted(json.loads(stdout)["inserted"] for stdout, _ in ended) == [0, 5000]


def test_a_patient_whose_deletion_is_under_way_does_not_come_back_with_an_outcome(
    postgresql: Database, tmp_path: Path
) -> None:
    insert_patients(postgresql, 1, first_id=7)
    path = tmp_path / "outcomes.csv"
    path.write_text("id,outcome\n7,1\n")
    with postgresql.engine.connect() as deletion:
        deletion.execute(text("DELETE FROM patients WHERE id = 7"))
        process = postgresql.start("load", str(path))
        until_it_tries_again(process)
        deletion.commit()
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "new_patient_without_measurements" in stderr
    assert postgresql.value("SELECT count(*) FROM patients") == 0


def test_a_whole_row_of_a_patient_whose_deletion_is_under_way_is_a_new_patient(
    postgresql: Database, tmp_path: Path
) -> None:
    insert_patients(postgresql, 2, first_id=7, glucose=90)
    values = ",".join(map(str, SOUND.values()))
    path = tmp_path / "rows.csv"
    path.write_text(f"id,{','.join(SOUND)}\n7,{values}\n8,{values}\n")
    with postgresql.engine.connect() as deletion:
        deletion.execute(text("DELETE FROM patients WHERE id = 7"))
        process = postgresql.start("load", "--json", str(path))
        until_it_tries_again(process)
        deletion.commit()
        stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    result = json.loads(stdout)
    assert [result[name] for name in ("inserted", "updated", "unchanged")] == [1, 1, 0]


def test_parquet_ids_may_be_whole_floats_and_no_decimals(database: Database, tmp_path: Path) -> None:
    insert_patients(database, 2, first_id=1)
    floats, decimals = tmp_path / "floats.parquet", tmp_path / "decimals.parquet"
    outcome = pa.array([1, 0])
    pq.write_table(pa.table({"id": pa.array([1.0, 2.0]), "outcome": outcome}), floats)
    pq.write_table(pa.table({"id": pa.array([1, 2]).cast(pa.decimal128(20, 0)), "outcome": outcome}), decimals)
    assert the_json(call(database, "load", "--json", str(floats)))["updated"] == 2
    refused = call(database, "load", str(decimals))
    assert (refused.exit_code, "The column id holds" in refused.stderr) == (2, True)


def test_a_parquet_file_with_damaged_names_is_refused(sqlite: Database, tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"id": [1], "outcome": [1]}), path)
    path.write_bytes(path.read_bytes().replace(b"outcome", b"outc\xf6me"))
    assert call(sqlite, "load", str(path)).exit_code == 2


def test_roles_on_sqlite_are_refused_before_anything_is_migrated(tmp_path: Path) -> None:
    ended = call(None, "migrate", "--roles", DATABASE_URL=f"sqlite:///{tmp_path}/pima.db")
    assert (ended.exit_code, "SQLite knows no roles" in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "pima.db").exists()


@pytest.mark.parametrize("module", ["jobs.load", "jobs.demo"])
def test_ctrl_c_during_the_imports_ends_a_command_without_a_traceback(module: str) -> None:
    """Held among them: it tells each through a pipe that nobody empties, so it can't get to the end of them."""
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environ(), stderr=subprocess.PIPE, bufsize=0)
    assert process.stderr is not None
    fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    while not process.stderr.readline().rstrip().endswith(b" jobs"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGINT
    assert b"Traceback" not in stderr
