"""What goes wrong around jobs: nobody reads what they say, two do the same at once, they are
stopped as they begin."""

import fcntl
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from jobs.command import Command, Result, main_of
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    insert_patients,
    the_json,
    until_it_tries_again,
)
from tests.support.shipped import ROOT, SHIPPED, SOUND
from tests.support.trained import install_models


@pytest.mark.parametrize("closing", ["2>/dev/full", ">&- 2>&-", "| true"])
def test_a_job_whose_output_nobody_reads_does_its_work(
    sqlite: Database, trained: Path, closing: str
) -> None:
    install_models(sqlite, trained)
    insert_patients(sqlite, 2)
    ended = in_a_shell(sqlite, "score", "--json", end=closing)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert sqlite.value("SELECT count(*) FROM predictions") == 2
    assert sqlite.value("SELECT status FROM runs") == "succeeded"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_for_the_log_changes_no_exit_code(sqlite: Database, unbuffered: str) -> None:
    nobody = "postgresql+psycopg://someone@127.0.0.1:1/nowhere"
    for command, exit_code, url in (
        (("status",), 0, {}),
        (("score", "--x"), 2, {}),
        (("score",), 75, {"DATABASE_URL": nobody}),
    ):
        ended = in_a_shell(sqlite, *command, end="2>/dev/full", PYTHONUNBUFFERED=unbuffered, **url)
        assert ended.returncode == exit_code, command


def test_a_retraining_without_any_output_keeps_its_connection(postgresql: Database) -> None:
    """The server's socket would have had the number of stderr, which a fit sends elsewhere."""
    assert call(postgresql, "load", str(SHIPPED)).exit_code == 0
    ended = in_a_shell(postgresql, "retrain", "--dry-run", end="<&- >&- 2>&-")
    status, code = postgresql.execute("SELECT status, error_code FROM runs")[0]
    assert (ended.returncode, status, code) == (0, "succeeded", None)


def in_a_shell(
    database: Database, *arguments: str, end: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a line of bash that ends so; the exit code is the command's, whatever it is
    piped into."""
    line = (
        "set -o pipefail; "
        f"{shlex.join([sys.executable, '-m', 'jobs.' + arguments[0], *arguments[1:]])} {end}"
    )
    given = clean_environ() | {"DATABASE_URL": database.url} | environ
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=given, capture_output=True, text=True)


# The failure comes at the flush, or at each write: of text, of an object, of a table.
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        (("score", "--json"), ""),
        (("load", str(SHIPPED)), ""),
        (("status",), "1"),
        (("status", "--help"), ""),
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
    assert sqlite.value("SELECT count(*) FROM patients") == (
        768 if command == ("load", str(SHIPPED)) else 0
    )
    assert sqlite.value("SELECT count(*) FROM runs WHERE status <> 'succeeded'") == 0


def test_a_defect_s_json_has_a_message_without_the_error_s_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(_command: Command) -> Result:
        raise ZeroDivisionError("Canary-Smith")

    exit_code = main_of("jobs.status", "", work, print, needs_schema=False)(["--json"], {})
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (exit_code, told["error"]) == (1, "unexpected_ZeroDivisionError")
    assert re.fullmatch(
        r"ZeroDivisionError at test_hardships\.py:\d+; this is a defect of pima, .*",
        told["message"],
    )
    assert "Canary" not in shown.out + shown.err


def test_a_database_without_room_says_so_and_keeps_what_was_committed(
    sqlite: Database, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    file.write_text(SHIPPED.read_text() * 10)
    size = Path(make_url(sqlite.url).database or "").stat().st_size
    end = f"; ulimit -f {size // 1024 + 40}; {sys.executable} -m jobs.load --json --again {file}"
    ended = in_a_shell(sqlite, "load", "--json", str(SHIPPED), end=end)
    told = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, told["error"]) == (1, "database_full"), ended.stderr
    assert "Make room" in told["message"]
    assert sqlite.value("SELECT count(*) FROM patients") == 768


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [(("status",), 0), (("load", "--help"), 0), (("models", "show", "99", "--json"), 2)],
)
def test_a_closed_pipe_is_no_failure_and_hides_none(
    sqlite: Database, command: tuple[str, ...], exit_code: int
) -> None:
    ended = in_a_shell(sqlite, *command, end="| true", PYTHONUNBUFFERED="")
    assert (ended.returncode, ended.stderr.count("Traceback")) == (exit_code, 0), ended.stderr


def test_a_failure_keeps_its_exit_code_where_it_can_not_be_written(sqlite: Database) -> None:
    ended = in_a_shell(sqlite, "models", "shew", "99", "--json", end=">/dev/full")
    assert (ended.returncode, "done" in ended.stderr, "Traceback" in ended.stderr) == (
        2,
        False,
        False,
    )


def test_letters_that_the_terminal_does_not_know_are_written_as_escapes(
    sqlite: Database, trained: Path
) -> None:
    install_models(sqlite, trained)
    assert call(sqlite, "models", "promote", "2", "--reason", "größer").exit_code == 0
    ended = in_a_shell(sqlite, "models", "show", "2", end="", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert r"gr\xf6\xdfer" in ended.stdout


def test_of_two_loads_of_one_file_at_once_the_second_is_refused(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    file.write_text(SHIPPED.read_text() * 4)
    processes = [database.start("load", "--json", str(file)) for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], ended
    assert database.value("SELECT count(*) FROM patients") == 4 * 768


_WHOLE = f"id,{','.join(SOUND)}\n7,{','.join(map(str, SOUND.values()))}\n"


@pytest.mark.parametrize(
    ("lines", "exit_code", "patients"), [("id,outcome\n7,1\n", 2, 0), (_WHOLE, 0, 1)]
)
def test_a_patient_whose_deletion_is_under_way_comes_back_as_a_whole_row_alone(
    postgresql: Database, tmp_path: Path, lines: str, exit_code: int, patients: int
) -> None:
    insert_patients(postgresql, 1, first_id=7)
    path = tmp_path / "rows.csv"
    path.write_text(lines)
    with postgresql.engine.connect() as deletion:
        deletion.execute(text("DELETE FROM patients WHERE id = 7"))
        process = postgresql.start("load", str(path))
        until_it_tries_again(process)
        deletion.commit()
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "new_patient_without_measurements" in stderr) == (
        exit_code,
        exit_code == 2,
    )
    assert postgresql.value("SELECT count(*) FROM patients") == patients


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


def test_roles_on_sqlite_are_refused_before_anything_is_migrated(tmp_path: Path) -> None:
    ended = call(None, "migrate", "--roles", DATABASE_URL=f"sqlite:///{tmp_path}/pima.db")
    assert (ended.exit_code, "SQLite knows no roles" in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "pima.db").exists()


@pytest.mark.parametrize("module", ["jobs.load", "jobs.demo"])
def test_ctrl_c_during_the_imports_ends_a_command_without_a_traceback(module: str) -> None:
    """Held among them: it tells each through a pipe that nobody empties, so it can't get to the end
    of them."""
    command = [sys.executable, "-X", "importtime", "-m", module, "--help"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=clean_environ(), stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stderr is not None
    fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    while not process.stderr.readline().rstrip().endswith(b" jobs"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGINT
    assert b"Traceback" not in stderr
