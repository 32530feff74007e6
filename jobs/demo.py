"""python -m jobs.demo: everything on the shipped data: load, retrain, score, read, and compare with
the outcomes.

Takes a minute at most.

Every step is one of the other commands, run as a person would run it, on a new SQLite file under
./pima-demo.
"""

import argparse
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.command import Result, end_with, let_go_of, prepare_output
from pima.errors import (
    DONE,
    FAILED,
    INTERRUPTED_BY_CTRL_C,
    REFUSED,
    WRONG,
    PimaError,
    StepFailed,
    WrongUsage,
)
from pima.logs import write_line

FOLDER = Path("pima-demo")
SHIPPED = Path(__file__).resolve().parents[1] / "pima" / "data" / "pima.csv"
# The article trains on all 768 rows and then tests on the last 200 of them.
HISTORY_ROWS = 568

# Means over seeds, measured on the same 200 rows; docs/measured/accuracy.md says how.
COMPARED = (
    ("the article, as it reports itself (its test rows are among its training rows)", "71 %"),
    ("the article's recipe fitted without the test rows, 20 epochs (mean of ten seeds)", "63.8 %"),
    ("the same, 50 epochs (mean over seeds)", "64.1 %"),
)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the demo and return its exit code."""
    argparse.ArgumentParser(prog="python -m jobs.demo", description=__doc__).parse_args(
        list(arguments)
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare_output()
    try:
        exit_code = _demo(Console(), environ)
        sys.stdout.flush()
        return exit_code
    except KeyboardInterrupt:
        write_line("stopped by Ctrl-C")
        return INTERRUPTED_BY_CTRL_C
    except OSError as error:
        let_go_of(sys.stdout)
        what = f"{FOLDER} or standard output can't be written: {error.strerror}"
        write_line(f"failed: {what}. Run it where there is room, and a right to write.")
        return FAILED


def _demo(console: Console, environ: Mapping[str, str]) -> int:
    if FOLDER.is_symlink() or FOLDER.is_file():
        console.print(
            f"{FOLDER} is there and is no folder of its own: the demo would empty it. Move it "
            "away first."
        )
        return WRONG
    history, new, outcomes = _written_files()
    database = FOLDER / "pima.db"
    report = FOLDER / "report.html"
    url = f"sqlite:///{database}"
    run = partial(_run, environ, url)
    try:
        run("make the schema", "migrate")
        run(f"load {HISTORY_ROWS} patients with known outcomes", "load", str(history))
        run("train, judge on the holdout, promote", "retrain")
        run("load 200 new patients, outcomes unknown", "load", str(new))
        run("score what waits on the queue", "score")
        console.print(_predictions(database))
        run("load the 200 outcomes, now known", "load", str(outcomes))
        status = run("compare predictions and outcomes", "status")
        run("write a report on all of it", "report", "--out", str(report))
    except PimaError as failure:
        console.print(f"\nfailed: {failure}", style="bold red")
        return FAILED
    console.print(_comparison(status["realised"]))
    print(f"\nThe report, for any browser: {report}")
    print(
        f"The database stays in {database} until the next demo replaces it. To look around, from "
        "this folder:"
    )
    # Plain print: the console would wrap the lines at the terminal's width.
    print(f"export DATABASE_URL={url}\npython -m jobs.status")
    print(
        "python -c 'import pandas; print(pandas.read_sql("
        f""""SELECT * FROM current_predictions LIMIT 5", "{url}"))'"""
    )
    return DONE


def _written_files() -> tuple[Path, Path, Path]:
    """Write the history with outcomes, the new patients without outcomes, and their outcomes as
    they arrive later."""
    history, new, outcomes = (
        FOLDER / name for name in ("history.csv", "new-patients.csv", "outcomes.csv")
    )
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    history.write_text("\n".join(lines[:HISTORY_ROWS]) + "\n", encoding="utf-8")
    divided = [line.rpartition(",") for line in lines[HISTORY_ROWS:]]
    new.write_text(
        "".join(f"{measurements},\n" for measurements, _, _ in divided), encoding="utf-8"
    )
    arriving = (
        f"{HISTORY_ROWS + n},{outcome}\n" for n, (_, _, outcome) in enumerate(divided, start=1)
    )
    outcomes.write_text("id,outcome\n" + "".join(arriving), encoding="utf-8")
    return history, new, outcomes


def _run(environ: Mapping[str, str], url: str, title: str, job: str, *arguments: str) -> Result:
    print(f"{title} (python -m jobs.{job})", flush=True)
    return run_step(environ, {"DATABASE_URL": url}, job, *arguments)


def run_step(
    environ: Mapping[str, str], ours: Mapping[str, str], job: str, *arguments: str
) -> Result:
    """Run a command with no settings but `ours`, and return its JSON result. Raises WrongUsage if
    it refused what it was given, else StepFailed."""
    others = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("DATABASE_URL", "PIMA_"))
    }
    command = [sys.executable, "-m", f"jobs.{job}", "--json", *arguments]
    ended = subprocess.run(
        command, env={**others, **ours}, capture_output=True, text=True, check=False
    )
    result: Result = json.loads(ended.stdout or "{}")
    if ended.returncode in (WRONG, REFUSED):
        raise WrongUsage(what=result["message"])
    if ended.returncode != DONE:
        said = result.get("message", ended.stderr)
        raise StepFailed(job=job, ended_with=ended.returncode, said=said)
    return result


def _predictions(database: Path) -> Table:
    """The first predictions, read by a statement that any SQL client can send."""
    columns = ("patient_id", "probability", "predicted_class", "model_version", "scored_at")
    table = Table(*columns, title="SELECT ... FROM current_predictions ORDER BY patient_id LIMIT 5")
    with sqlite3.connect(database) as connection:
        statement = (
            f"SELECT {', '.join(columns)} FROM current_predictions ORDER BY patient_id LIMIT 5"
        )
        for patient_id, probability, *rest in connection.execute(statement):
            table.add_row(str(patient_id), f"{probability:.3f}", *map(str, rest))
    connection.close()
    return table


def _comparison(realised: dict[str, Any]) -> Table:
    table = Table("on the article's 200 test rows", "accuracy", title="What came true")
    table.add_row(
        f"pima: predicted before the outcome was known ({realised['correct']} of "
        f"{realised['outcomes']})",
        f"{realised['accuracy']:.1%}".replace("%", " %"),
        style="bold",
    )
    for what, accuracy in COMPARED:
        table.add_row(what, accuracy)
    return table


if __name__ == "__main__":
    end_with(main)
