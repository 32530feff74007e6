"""Trials of tables that pima has never seen, as people make them: from a terminal and without one,
of files and of a clinic's PostgreSQL."""

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.engine import make_url

from jobs import trial
from tests.support.clinic import Clinic, clinic_at
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    Ended,
    call,
    clean_environ,
    postgresql_from,
    the_json,
)
from tests.support.every_command import SECRET, wrong
from tests.support.patient_files import write
from tests.support.shipped import ROOT

Columns = dict[str, list[Any]]
ROWS = 400


def stays() -> Columns:
    """Stays of a clinic, in words of its own: what it knows before, and what it learns after."""
    draw = random.Random(9)  # noqa: S311
    risk = [draw.gauss(0, 1) for _ in range(ROWS)]
    again = [each + draw.gauss(0, 0.8) > 0.5 for each in risk]
    return {
        "fall": [f"F-{n:04}" for n in range(ROWS)],
        "kunde": [draw.randrange(ROWS // 2) for _ in range(ROWS)],
        "ward points": [round(10 - 3 * each + draw.gauss(0, 3)) for each in risk],
        "crp": [round(50 + 9 * each + draw.gauss(0, 9), 1) for each in risk],
        "bmi": [draw.choice([0, *range(20, 40)]) for _ in range(ROWS)],
        "geschlecht": [draw.choice(["männlich", "weiblich"]) for _ in range(ROWS)],
        "late": [each * 1.0 + draw.gauss(0, 0.4) for each in again],
        "died": [draw.choice(["ja", "nein", "nein"]) for _ in range(ROWS)],
        "known_on": ["2026-03-01" if each else None for each in again],
        "back again": ["J" if each else "N" for each in again],
    }


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def command(folder: Path, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """The command in a folder of its own, whose temporary files are in `temporary` there."""
    (folder / "temporary").mkdir()
    environ = clean_environ() | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "temporary")}
    return [sys.executable, "-m", "jobs.trial", *arguments], {"cwd": folder, "env": environ}


def test_a_file_is_tried_without_a_question(tmp_path: Path) -> None:
    file = tmp_path / "Aufenthalte 2026.parquet"
    columns = stays()
    del columns["fall"]
    pq.write_table(pa.table(columns), file)
    before = file.read_bytes()
    line, how = command(tmp_path, file.name, "--outcome", "back again", "--json")
    ended = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, **how)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["rows"] == ROWS
    network, line, score = found["models"]
    assert [network[0], line[0][:15], score[0]] == ["the network", "a straight line", "ward points"]
    begun = r"On 1\d\d held-out rows, [45]\d of them with outcome 1, the network is "
    assert re.match(begun, found["answer"])
    for beside in (
        "one answer for all; ",
        "a straight line (logistic regression); ",
        "ward points.",
    ):
        assert f"than {beside}" in found["answer"]
    assert [each.split(":")[0] for each in found["left_out"]] == ['"known_on"']
    doubts = "\n".join(found["doubts"])
    for told in (
        "No column names the person",
        "No column is different in each row",
        "bmi: ",
        "late: alone it has an area under ROC above",
        '"known_on" is no outcome_at: empty in ',
    ):
        assert told in doubts
    assert 'outcome = "back again"; outcome_words = {j = 1, n = 0}' in ended.stderr
    assert '[[present_score]] name = "ward_points"' in ended.stderr
    left = sorted(path.name for path in (tmp_path / "pima-trial").iterdir())
    assert left == ["pima-report.html", "pima.toml"]
    draft = tomllib.loads((tmp_path / "pima-trial" / "pima.toml").read_text())
    assert draft["present_score"] == [{"name": "ward_points", "direction": "falling"}]
    assert (list((tmp_path / "temporary").iterdir()), file.read_bytes()) == ([], before)


@pytest.fixture
def clinic(server: str, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic's PostgreSQL with stays."""
    for database in postgresql_from(server, "template1"):
        for found in clinic_at("postgresql", database.url, tmp_path):
            found.execute("""CREATE TABLE stays (fall TEXT, kunde INTEGER, "ward points" SMALLINT,
                crp NUMERIC(6,1), bmi REAL, geschlecht TEXT, late DOUBLE PRECISION, died TEXT,
                known_on DATE, "back again" TEXT)""")
            marks = ", ".join(f":p{n}" for n in range(10))
            values = [
                {f"p{n}": value for n, value in enumerate(row.values())} for row in rows_of(stays())
            ]
            found.execute(f"INSERT INTO stays VALUES ({marks})", values)
            yield found


def test_a_table_is_tried_with_three_questions_and_its_draft_is_pulled_by(
    clinic: Clinic, sqlite: Database, tmp_path: Path
) -> None:
    state = "SELECT count(*), max(xmin::text), (SELECT count(*) FROM pg_class) FROM stays"
    before = clinic.execute(state)
    line, how = command(tmp_path, clinic.url, "--table", "public.stays")
    terminal, ours = pty.openpty()
    shown = b""
    with subprocess.Popen(line, stdin=ours, stderr=ours, stdout=subprocess.PIPE, **how) as process:
        os.close(ours)
        os.write(terminal, b"back again\nkunde\nlate, known_on\n")
        out_of_time = Timer(PATIENCE_SECONDS, process.kill)
        out_of_time.start()
        # A terminal that nobody reads holds 15,600 bytes of the running clock: then the command
        # waits for its reader. Reading fails once the command has closed the other end.
        with suppress(OSError):
            while read := os.read(terminal, 1_000):
                shown += read
        stdout, _ = process.communicate()
        out_of_time.cancel()
    os.close(terminal)
    assert b"Which column is the outcome? Enter takes died." in shown
    assert process.returncode == 0, shown
    assert b'- person = "kunde" # ' in stdout, stdout
    assert len(stdout.splitlines()) <= 20
    assert '"late": left out, as you said' in (tmp_path / "pima-trial" / "pima.toml").read_text()
    assert clinic.execute(state) == before
    config = str(tmp_path / "pima-trial" / "pima.toml")
    (source,) = tomllib.loads(Path(config).read_text())["source"]
    assert (source["table"], source["outcome"]) == ("public.stays", "back again")
    new = f"sqlite:///{tmp_path / 'new.db'}"
    for job in ("migrate", "pull"):
        url = {"PIMA_SOURCE__TRIAL__URL": clinic.url, "DATABASE_URL": new}
        ended = call(None, job, "--json", "--config", config, **url)
        assert ended.exit_code == 0, ended.stderr
    assert the_json(ended)["sources"][0]["inserted"] == ROWS


def tried(*arguments: str) -> Ended:
    """Of this process, whose steps are processes of their own."""
    return call(None, "trial", "--yes", *arguments, PYTHONPATH=str(ROOT))


def written(folder: Path, columns: Columns) -> str:
    lines = (
        ",".join("" if cell is None else str(cell) for cell in row.values())
        for row in rows_of(columns)
    )
    return write(folder, ",".join(columns), *lines)


def test_a_trial_that_is_stopped_says_what_stays(tmp_path: Path) -> None:
    line, how = command(tmp_path, "-")
    pipes: Any = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, **pipes, **how) as process:
        assert process.stderr.readline() == b"reads the table ...\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, told
    assert b"stopped: asked by a signal; the table is as it was, and there is no draft" in told
    left = [*(tmp_path / "temporary").iterdir(), *(tmp_path / "pima-trial").iterdir()]
    assert left == []


def test_what_can_not_be_tried_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = stays()
    url = f"postgresql://u:{SECRET}@127.0.0.1:1/db"
    for arguments, told in (
        ((url,), "a database's URL with --table TABLE"),
        (("a.csv", "--table", "stays"), "a database's URL with --table TABLE"),
        (("absent.csv",), "absent.csv: refused"),
        ((f"nosuch://{SECRET}", "--table", "stays"), "no dialect is installed: nosuch"),
        ((f"sqlite:///{tmp_path}/absent.db", "--table", "stays"), "there is no such file"),
    ):
        wrong(tried(*arguments), told)
    line = written(tmp_path, {"Meier": ["Huber"] * 200, "J": ["N"] * 200, "j": ["N"] * 200})
    wrong(shown := tried(line), "names differ, case aside")
    assert not {"J", "j"} & set(re.split(r"\W+", shown.stdout + shown.stderr))
    again, none = ("--outcome", "back again"), ("kunde", "crp", "bmi", "geschlecht")
    for table, options, told in (
        ({name: each[:60] for name, each in columns.items()}, (), "It has 60 rows. Expected 100"),
        ({name: columns[name] for name in none}, (), "no column has two values such as yes and no"),
        (columns, ("--outcome", "nosuch"), "no column of a name that you gave"),
        (columns, ("--outcome", "crp"), "--outcome names another one"),
        (columns | {"back again": ["J", "N"] * 30 + [None] * (ROWS - 60)}, again, "labelled"),
    ):
        wrong(tried(written(tmp_path, table), *options), told)
    # Rows are drawn over the whole file, of which the first ones may all be without an outcome.
    monkeypatch.setattr(trial, "_MOST_ROWS", 160)
    late = columns | {"back again": [None] * 200 + columns["back again"][200:]}
    drawn = [tried(written(tmp_path, late), *again).stderr.splitlines()[-1] for _ in range(2)]
    assert re.search(r"\b[6-9]\d usable labelled", drawn[0]), drawn
    assert drawn[0] == drawn[1]
    assert list((tmp_path / "pima-trial").iterdir()) == []
    (tmp_path / "pima-trial" / "pima.toml").write_text("mine")
    wrong(tried(written(tmp_path, columns)), "pima-trial/pima.toml: it is there already")
    assert (tmp_path / "pima-trial" / "pima.toml").read_text() == "mine"
    assert make_url(url).password == SECRET
