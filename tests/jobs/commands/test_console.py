"""The command `pima` of a wheel, as the script that pip makes of it starts it: each job behaves as
by itself."""

import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.databases import PATIENCE_SECONDS, Ended, call, clean_environ, wait_for
from tests.support.reference import COMMANDS
from tests.support.shipped import ROOT, SHIPPED

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `pima` in a folder that holds a package `jobs` of somebody else."""
    script = tmp_path / "bin" / "pima"
    script.parent.mkdir()
    script.write_text("import sys\nfrom jobs.console import main\nsys.exit(main())\n")
    theirs = tmp_path / "folder" / "jobs"
    theirs.mkdir(parents=True)
    (theirs / "__init__.py").write_text("raise AssertionError('theirs')\n")
    shutil.copytree(ROOT / "config", theirs.parent / "config")
    environ = clean_environ() | {"PYTHONPATH": str(ROOT), "PIMA_LOGS__FORMAT": "text"}

    def begun(*arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, str(script), *arguments]
        return subprocess.Popen(
            command, cwd=theirs.parent, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    return begun


def _ended(started: subprocess.Popen[str], stdin: str = "") -> tuple[int, str, str]:
    shown, said = started.communicate(stdin, timeout=PATIENCE_SECONDS)
    return started.returncode, shown, said


def test_alone_it_lists_every_job_with_what_it_does(start: Start) -> None:
    exit_code, shown, said = _ended(start())
    assert (exit_code, said) == (0, "")
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    assert [name for name in listed if name in COMMANDS] == COMMANDS
    assert "\n  load       loads patients from CSV or Parquet files\n" in shown
    assert f"docs, deploy and locks are in {ROOT}\n" in shown
    assert _ended(start("--help")) == (0, shown, "")


ASKED = "--no-such-option"


@pytest.mark.parametrize("job", ["demo", "retrain"])
def test_a_job_is_reached_with_its_options(start: Start, job: str) -> None:
    exit_code, shown, said = _ended(start(job, ASKED))
    told = f"usage: python -m jobs.{job} "
    assert (exit_code, shown, told in said) == (2, "", True), said
    if job != "demo":  # which leaves wrong usage to argparse, and that ends the process
        assert call(None, job, ASKED) == Ended(exit_code, shown, said)


@pytest.mark.parametrize("job", COMMANDS)
def test_what_it_becomes_is_every_job(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the module's own last lines, in this process: a process for each takes half a second."""
    monkeypatch.delitem(sys.modules, f"jobs.{job}", raising=False)
    monkeypatch.setattr(sys, "argv", ["pima", ASKED])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"jobs.{job}", run_name="__main__")
    shown = capsys.readouterr()
    told = f"usage: python -m jobs.{job} "
    assert (ended.value.code, shown.out, told in shown.err) == (2, "", True), shown.err


@pytest.mark.parametrize("other", ["scroe", "command", "../jobs/score", "--no-such-option"])
def test_what_is_no_job_ends_with_2_and_is_not_repeated(start: Start, other: str) -> None:
    exit_code, shown, said = _ended(start(other))
    assert (exit_code, shown) == (2, "")
    assert said == "error: the first word is no job's name. `pima` alone lists the jobs\n"


def test_stdin_and_exit_codes_are_those_of_the_job(start: Start) -> None:
    drafted = _ended(start("suggest", "-"), SHIPPED.read_text())
    assert (drafted[0], "[[feature]]" in drafted[1]) == (0, True), drafted
    exit_code, _, said = _ended(start("health"))
    assert exit_code == 1, said


def test_a_signal_reaches_the_job_itself(start: Start) -> None:
    scheduler = start("scheduler")
    try:
        wait_for(lambda: "jobs.scheduler" in _command_line(scheduler.pid), scheduler)
        assert scheduler.stderr is not None
        first = scheduler.stderr.readline()
        scheduler.send_signal(signal.SIGTERM)
        exit_code, _, said = _ended(scheduler)
        assert exit_code == 0, first + said
    finally:
        scheduler.kill()


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
