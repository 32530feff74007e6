"""What surrounds scoring: load, status, requeue, retrain, and a hundred nights of the queue."""

import logging
import random
import time
from functools import partial
from pathlib import Path
from shutil import copyfile

import structlog

from benches.speed.databases import (
    MEASURED,
    QUEUE_COLUMNS,
    execute,
    on_server,
    postgresql_database,
    psql,
    series,
    value,
)
from benches.speed.measure import Line, ratio, run_job, run_process, seconds, side_by_side
from benches.speed.place import Place
from pima.runs.recorded_run import OpenRun
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.settings.reading import SHIPPED
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.service.runs import start_run
from pima.store.urls import make_engine

COLUMNS = ", ".join((*SHIPPED.names, "outcome"))


def load(place: Place) -> list[Line]:
    """A CSV file of 1e6 new, unlabelled patients; the queue's triggers fire for both."""
    url = postgresql_database(place.uri, "loading", place.trained)
    path = place.folder / "patients.csv"
    write_patients(path, 1_000_000)
    peers = {
        "COPY": partial(
            psql, url, f"\\copy patients ({COLUMNS}) FROM '{path}' WITH (FORMAT csv, HEADER)"
        ),
        "load": partial(run_job, "load", url, "--again", str(path)),
    }

    def check(_peer: str) -> None:
        for table in ("patients", "scoring_queue"):
            assert value(url, f"SELECT count(*) FROM {table}") == 1_000_000

    took = side_by_side(
        peers, partial(execute, url, "TRUNCATE patients, scoring_queue", "CHECKPOINT"), check
    )
    place.drop("loading")
    return [
        ratio(
            "load of 1,000,000 CSV rows: psql's COPY / jobs.load", took, "COPY", "load", ">=", 0.4
        ),
        seconds("load of 1,000,000 CSV rows, seconds", took["load"]),
    ]


def write_patients(path: Path, rows: int) -> None:
    drawn = random.Random(1)  # noqa: S311 (figures for a benchmark)
    with path.open("w") as file:
        file.write(COLUMNS.replace(" ", "") + "\n")
        for _ in range(rows):
            whole = [drawn.randint(0, 15), *(drawn.randint(50, 110) for _ in range(4))]
            bmi, pedigree = drawn.randint(200, 500) / 10, drawn.randint(80, 2400) / 1000
            file.write(",".join(map(str, (*whole, bmi, pedigree, drawn.randint(21, 81)))) + ",\n")


def status(place: Place) -> list[Line]:
    """The screen over 1e4 and over 1e7 patients with their predictions, after a night, which counts
    what came true by day."""
    few, many = place.history(10_000), place.history(10_000_000)
    for url in (few, many):
        run_job("score", url)
    took = side_by_side(
        {
            "status, 10,000": partial(run_job, "status", few),
            "status, 10,000,000": partial(run_job, "status", many),
        }
    )
    small, large = (measured.median for measured in took.values())
    return [
        Line(
            "status: seconds more on 10,000,000 rows of history than on 10,000",
            large - small,
            "<=",
            0.3,
        )
    ]


def requeue(place: Place) -> list[Line]:
    """A repair with nothing to mend over 1e7 patients, against reading the table once."""
    url = place.history(10_000_000)
    scan = "SET max_parallel_workers_per_gather = 0; SELECT count(bmi) FROM patients"
    took = side_by_side(
        {"sequential scan": partial(psql, url, scan), "requeue": partial(run_job, "requeue", url)}
    )
    assert value(url, "SELECT count(*) FROM scoring_queue") == 0
    what = "requeue on 10,000,000 rows, nothing to mend / one sequential scan"
    return [
        ratio(what, took, "requeue", "sequential scan", "<=", 3),
        seconds("requeue on 10,000,000 rows, seconds", took["requeue"]),
    ]


_RETRAIN_WITHOUT_EXTRA = """import runpy, sys
sys.modules["jinja2"] = None
runpy.run_module("jobs.retrain", run_name="__main__")"""


def retrain(place: Place) -> list[Line]:
    """The weekly job on the shipped rows, as a dry run, so that each round does the same; and with
    the report that it leaves, beside an installation without the extra, where a champion and a
    challenger are to be drawn."""
    url = f"sqlite:///{place.trained}"
    keras = [place.python, "-c", "import keras"]
    fit = partial(run_job, "retrain", url, "--dry-run")
    took = side_by_side({"import keras": partial(run_process, keras, url), "retrain": fit})
    week = place.folder / "week.db"
    weekly = f"sqlite:///{week}"

    def a_week_on() -> None:
        """As the first retraining left it, and an outcome corrected since: without news nothing
        would be fitted."""
        copyfile(place.trained, week)
        execute(weekly, "UPDATE patients SET outcome = 1 - outcome WHERE id = 1")

    bare = partial(run_process, [place.python, "-c", _RETRAIN_WITHOUT_EXTRA], weekly)
    reported = side_by_side(
        {"without": bare, "with": partial(run_job, "retrain", weekly)}, a_week_on
    )
    assert value(weekly, "SELECT count(*) FROM reports") == 2, (
        "the first retraining's and this one's"
    )
    return [
        ratio(
            "retrain of 768 rows, whole process / import keras",
            took,
            "retrain",
            "import keras",
            "<=",
            2.5,
        ),
        ratio(
            "retrain with its report / without the extra `report`",
            reported,
            "with",
            "without",
            "<=",
            1.3,
        ),
    ]


def _wait_for_autovacuum(url: str) -> None:
    """A day lies between two nights, and autovacuum looks once a minute."""
    done = "SELECT n_dead_tup = 0 FROM pg_stat_user_tables WHERE relname = 'scoring_queue'"
    until = time.monotonic() + 60
    while not value(url, done):
        assert time.monotonic() < until, "autovacuum did not come"
        time.sleep(0.05)


def nights(place: Place) -> list[Line]:
    """100 nights of 1e5 rows, with autovacuum looking every second and once between them: the full
    queue's size."""
    on_server(place.uri, "ALTER SYSTEM SET autovacuum_naptime = '1s'", "SELECT pg_reload_conf()")
    url = postgresql_database(place.uri, "nights", place.trained)
    engine = make_engine(url, DatabaseSettings())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sizes = []
    for night in range(100):
        first = night * 100_000 + 1
        rows = f"SELECT n, n, {MEASURED} FROM {series(url, first, first + 99_999)}"
        execute(url, f"INSERT INTO scoring_queue ({QUEUE_COLUMNS}) {rows}")
        sizes.append(int(str(value(url, "SELECT pg_total_relation_size('scoring_queue')"))))
        with writing(engine) as connection:
            run = OpenRun(start_run(connection, "score", "manual", None, "benchmark") or 0)
        score_queue(engine, run, ScoreOptions(20_000, workers=2), StopRequest())
        engine.dispose()  # as a process's end does: only then the server knows what it left behind
        _wait_for_autovacuum(url)
    assert value(url, "SELECT count(*) FROM predictions") == 10_000_000
    place.drop("nights")
    on_server(place.uri, "ALTER SYSTEM RESET autovacuum_naptime", "SELECT pg_reload_conf()")
    return [
        Line(
            "100 nights of 100,000 rows: the full queue's size on the last 5 / on the first 5",
            max(sizes[-5:]) / max(sizes[:5]),
            "<=",
            1.0,
        ),
        Line("the full queue and its index on the 100th night, MB", sizes[-1] / 2**20),
    ]
