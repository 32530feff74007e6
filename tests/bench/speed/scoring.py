"""Scoring a night's rows: against the database alone, against scripts, and how memory and history weigh."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.speed.databases import (
    PREDICTION_COLUMNS,
    fill_history,
    fill_queue,
    postgresql_database,
    psql,
    sqlite_database,
    value,
)
from tests.bench.speed.measure import Line, Ran, ratio, run_job, run_peer, run_process, side_by_side
from tests.bench.speed.place import Place

MILLION = 1_000_000
# What takes minutes for a million rows is run on a part, and rows a second are compared.
PART = 200_000


def on_postgresql(place: Place) -> list[Line]:
    """One statement, COPY out and in, the tuned script and ours, interleaved; the naive script on a part."""
    url = postgresql_database(place.uri, "scoring", place.trained)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "predictions.bin")
        fill_queue(url, MILLION)
        run_peer("ours", url)
        assert value(url, "SELECT count(*) FROM predictions") == MILLION
        psql(url, f"\\copy predictions ({PREDICTION_COLUMNS}) TO '{rows}' WITH (FORMAT binary)")
        peers: dict[str, Callable[[], Ran]] = {
            name: partial(run_peer, name, url) for name in ("statement", "tuned", "ours")
        }
        peers["COPY"] = partial(_raw_copy, url, rows)
        took = side_by_side(peers, partial(fill_queue, url, MILLION))
    part = side_by_side(
        {name: partial(run_peer, name, url) for name in ("naive", "ours")}, partial(fill_queue, url, PART)
    )
    model = side_by_side({"model": partial(run_peer, "model", url)})["model"].median
    ours = took["ours"].median
    night = "1,000,000 rows, PostgreSQL"
    return [
        Line(
            f"{night}: the in-database statement on one connection / ours on two",
            ratio(took, "statement", "ours"),
            ">=",
            0.85,
            1.2,
        ),
        Line(f"{night}: the tuned, unsafe script / ours", ratio(took, "tuned", "ours"), ">=", 1.0, 1.3),
        Line(f"{night}: COPY out + COPY in by psql / ours", ratio(took, "COPY", "ours"), ">=", 0.6),
        Line("200,000 rows, PostgreSQL: the naive script / ours", ratio(part, "naive", "ours"), ">=", 12),
        Line(f"{night}: the model's share of the wall time", model / ours, "<=", 0.05),
        Line(f"{night}: ours, seconds", ours),
        Line(f"{night}: the statement, seconds", took["statement"].median),
        Line(f"{night}: the tuned script, peak MB", max(took["tuned"].peak_mb)),
        Line("200,000 rows, PostgreSQL: the naive script, seconds", part["naive"].median),
    ]


def _peers(url: str, *names: str) -> dict[str, Callable[[], Ran]]:
    return {name: partial(run_peer, name, url) for name in names}


def _raw_copy(url: str, rows: Path) -> Ran:
    out = psql(url, "COPY scoring_queue TO STDOUT WITH (FORMAT binary)")
    back = psql(url, f"\\copy predictions ({PREDICTION_COLUMNS}) FROM '{rows}' WITH (FORMAT binary)")
    return Ran(out.seconds + back.seconds, max(out.peak_mb, back.peak_mb))


def on_sqlite(place: Place) -> list[Line]:
    """SQLite's own statements and ours, interleaved; the naive script on a part."""
    url = sqlite_database(place.folder, "scoring", place.trained)
    took = side_by_side(_peers(url, "engine_itself", "ours"), partial(fill_queue, url, MILLION))
    part = side_by_side(
        {name: partial(run_peer, name, url) for name in ("naive", "ours")}, partial(fill_queue, url, PART)
    )
    ours = took["ours"].median
    night = "1,000,000 rows, SQLite"
    return [
        Line(
            f"{night}: its own INSERT ... SELECT and DELETE / ours",
            ratio(took, "engine_itself", "ours"),
            ">=",
            0.18,
            0.35,
        ),
        Line("200,000 rows, SQLite: the naive script / ours", ratio(part, "naive", "ours"), ">=", 5),
        Line(f"{night}: ours, seconds", ours),
        Line(f"{night}: its own statements, seconds", took["engine_itself"].median),
    ]


def memory(place: Place) -> list[Line]:
    """`python -m jobs.score`: peak resident set at 1e5 and at 1e7 rows."""
    url = postgresql_database(place.uri, "memory", place.trained)
    peak = {}
    for rows in (100_000, 10 * MILLION):
        fill_queue(url, rows)
        peak[rows] = run_job("score", url, PIMA_DATABASE__STATEMENT_TIMEOUT_SECONDS="60").peak_mb
        assert value(url, "SELECT count(*) FROM predictions") == rows
    place.drop("memory")
    few, many = peak.values()
    return [
        Line("10,000,000 rows, PostgreSQL: peak memory of jobs.score, MB", many, "<=", 250),
        Line("PostgreSQL: what the peak grows by from 100,000 to 10,000,000 rows, MB", many - few, "<=", 20),
    ]


def history(place: Place) -> list[Line]:
    """1e4 new rows over 1e5, 1e6 and 1e7 predictions made before, interleaved."""
    lines = []
    sizes = (100_000, MILLION, 10 * MILLION)
    for kind, make in (("PostgreSQL", place.history), ("SQLite", partial(_sqlite_history, place))):
        peers = {f"{kind}, {rows:,} before": partial(_new_rows, make(rows), rows) for rows in sizes}
        few, _, many = (measured.median for measured in side_by_side(peers, rounds=31).values())
        what = f"10,000 new rows, {kind}: time over 10,000,000 predictions made before / over 100,000"
        lines.append(Line(what, many / few, "<=", 1.25))
    return lines


def _sqlite_history(place: Place, rows: int) -> str:
    url = sqlite_database(place.folder, f"history_{rows}", place.trained)
    fill_history(url, rows, patients=False)
    return url


def _new_rows(url: str, after: int) -> Ran:
    fill_queue(url, 10_000, after)
    return run_peer("ours", url)


def processes(place: Place) -> list[Line]:
    """Whole processes: an empty queue, and 10,000 rows against the naive script."""
    url = postgresql_database(place.uri, "processes", place.trained)
    bare = """import os, sqlalchemy
with sqlalchemy.create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 1"))"""
    empty = side_by_side(
        {"bare": partial(run_process, [place.python, "-c", bare], url), "empty queue": partial(run_job, "score", url)},
        rounds=9,
    )
    script = [place.python, "-m", "tests.bench.speed.peers", "naive"]
    full = side_by_side(
        {"naive": partial(run_process, script, url), "10,000 rows": partial(run_job, "score", url)},
        partial(fill_queue, url, 10_000),
    )
    return [
        Line(
            "jobs.score on an empty queue / bare Python with SQLAlchemy and SELECT 1",
            ratio(empty, "empty queue", "bare"),
            "<=",
            1.75,
            1.4,
        ),
        Line(
            "10,000 rows, whole processes: the naive script / jobs.score",
            ratio(full, "naive", "10,000 rows"),
            ">=",
            6,
        ),
        Line("jobs.score on an empty queue, seconds", empty["empty queue"].median),
        Line("jobs.score on 10,000 rows, seconds", full["10,000 rows"].median),
    ]
