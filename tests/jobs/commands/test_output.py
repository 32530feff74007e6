"""What a command says: where nobody reads it, where the disk is full, and where it is stopped as it
begins."""

import fcntl
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.command import Command, Result, main_of
from tests.support.databases import PATIENCE_SECONDS, Database, call, clean_environ, insert_patients
from tests.support.shell import in_a_shell
from tests.support.shipped import ROOT, SHIPPED
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
        r"ZeroDivisionError at test_output\.py:\d+; this is a defect of pima, .*",
        told["message"],
    )
    assert "Canary" not in shown.out + shown.err


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
