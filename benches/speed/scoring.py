"""Scoring a night's rows: against the database alone, against scripts, and how memory and history
weigh."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benches.speed.databases import (
    PREDICTION_COLUMNS,
    assert_scored,
    fill_history,
    fill_queue,
    postgresql_database,
    psql,
    sqlite_database,
)
from benches.speed.measure import (
    Line,
    Ran,
    Took,
    ratio,
    run_job,
    run_peer,
    run_process,
    run_timed,
    seconds,
    side_by_side,
)
from benches.speed.place import Place

MILLION = 1_000_000
# What takes minutes for a million rows is run on a part, and rows a second are compared.
PART = 200_000


def on_postgresql(place: Place) -> list[Line]:
    """One statement, COPY out and in, the tuned script and ours, interleaved; the naive script on a
    part."""
    url = postgresql_database(place.uri, "scoring", place.trained)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "predictions.bin")
        fill_queue(url, MILLION)
        run_peer("ours", url)
        run_peer("keras_agrees", url, place.champion)
        psql(url, f"\\copy predictions ({PREDICTION_COLUMNS}) TO '{rows}' WITH (FORMAT binary)")
        peers: dict[str, Callable[[], Ran]] = {
            "statement": partial(run_peer, "statement", url),
            "tuned": partial(run_peer, "tuned", url, place.champion),
            "ours": partial(run_peer, "ours", url),
            "COPY": partial(_raw_copy, url, rows),
        }
        took = side_by_side(peers, partial(fill_queue, url, MILLION), partial(_check, url, MILLION))
    part = _beside_naive(place, url)
    shares = [ran.model_share for ran in took["ours"].rounds]
    night = "1,000,000 rows, PostgreSQL"
    single = f"{night}: the in-database statement on one connection / ours on two"
    share = f"{night}: the model's share of the wall time"
    return [
        ratio(single, took, "statement", "ours", ">=", 0.85, 1.2),
        ratio(f"{night}: the tuned, unsafe script / ours", took, "tuned", "ours", ">=", 1.0, 1.3),
        ratio(f"{night}: COPY out + COPY in by psql / ours", took, "COPY", "ours", ">=", 0.6),
        ratio("200,000 rows, PostgreSQL: the naive script / ours", part, "naive", "ours", ">=", 12),
        Line(share, median(shares), "<=", 0.05, least=min(shares), most=max(shares)),
        seconds(f"{night}: ours, seconds", took["ours"]),
        seconds(f"{night}: the statement, seconds", took["statement"]),
        Line(f"{night}: the tuned script, peak MB", took["tuned"].peak_mb),
        seconds("200,000 rows, PostgreSQL: the naive script, seconds", part["naive"]),
    ]


def _raw_copy(url: str, rows: Path) -> Ran:
    out = psql(url, "COPY scoring_queue TO STDOUT WITH (FORMAT binary)")
    back = psql(
        url, f"\\copy predictions ({PREDICTION_COLUMNS}) FROM '{rows}' WITH (FORMAT binary)"
    )
    return Ran(out.seconds + back.seconds)


def _check(url: str, rows: int, peer: str) -> None:
    """What claims nothing leaves the queue as it was."""
    assert_scored(url, rows, emptied=peer not in ("tuned", "COPY", "naive"))


def _beside_naive(place: Place, url: str) -> Took:
    peers = {"naive": partial(run_timed, place.naive, url), "ours": partial(run_peer, "ours", url)}
    return side_by_side(peers, partial(fill_queue, url, PART), partial(_check, url, PART))


def on_sqlite(place: Place) -> list[Line]:
    """SQLite's own statements and ours, interleaved; the naive script on a part."""
    url = sqlite_database(place.folder, "scoring", place.trained)
    peers = {name: partial(run_peer, name, url) for name in ("engine_itself", "ours")}
    took = side_by_side(peers, partial(fill_queue, url, MILLION), partial(_check, url, MILLION))
    part = _beside_naive(place, url)
    run_peer("keras_agrees", url, place.champion)
    night = "1,000,000 rows, SQLite"
    own = f"{night}: its own INSERT ... SELECT and DELETE / ours"
    return [
        ratio(own, took, "engine_itself", "ours", ">=", 0.18, 0.35),
        ratio("200,000 rows, SQLite: the naive script / ours", part, "naive", "ours", ">=", 5),
        seconds(f"{night}: ours, seconds", took["ours"]),
        seconds(f"{night}: its own statements, seconds", took["engine_itself"]),
    ]


def memory(place: Place) -> list[Line]:
    """`python -m jobs.score`: peak resident set at 1e5 and at 1e7 rows, one run each."""
    url = postgresql_database(place.uri, "memory", place.trained)
    peak = {}
    for rows in (100_000, 10 * MILLION):
        fill_queue(url, rows)
        peak[rows] = run_timed([place.python, "benches/speed/peak.py", "jobs.score"], url).peak_mb
        assert_scored(url, rows)
    place.drop("memory")
    few, many = peak.values()
    return [
        Line("10,000,000 rows, PostgreSQL: peak memory of jobs.score, MB", many, "<=", 250),
        Line(
            "PostgreSQL: what the peak grows by from 100,000 to 10,000,000 rows, MB",
            many - few,
            "<=",
            20,
        ),
    ]


def history(place: Place) -> list[Line]:
    """1e4 new rows over 1e5, 1e6 and 1e7 predictions made before, interleaved."""
    lines = []
    sizes = (100_000, MILLION, 10 * MILLION)
    for kind, make in (("PostgreSQL", place.history), ("SQLite", partial(_sqlite_history, place))):
        peers = {f"{kind}, {rows:,} before": partial(_new_rows, make(rows), rows) for rows in sizes}
        few, _, many = peers
        what = (
            f"10,000 new rows, {kind}: time over 10,000,000 predictions made before / over 100,000"
        )
        lines.append(ratio(what, side_by_side(peers, rounds=31), many, few, "<=", 1.25))
    return lines


def _sqlite_history(place: Place, rows: int) -> str:
    url = sqlite_database(place.folder, f"history_{rows}", place.trained)
    fill_history(url, rows, patients=False)
    return url


def _new_rows(url: str, after: int) -> Ran:
    fill_queue(url, 10_000, after)
    ran = run_peer("ours", url)
    assert_scored(url, 10_000, after)
    return ran


def processes(place: Place) -> list[Line]:
    """Whole processes: an empty queue on either database, and 10,000 rows against the naive
    script."""
    url = postgresql_database(place.uri, "processes", place.trained)
    on_an_empty_queue = [
        *_empty_queue(place, "PostgreSQL", url),
        *_empty_queue(place, "SQLite", sqlite_database(place.folder, "processes", place.trained)),
    ]
    peers = {
        "naive": partial(run_process, place.naive, url),
        "10,000 rows": partial(run_job, "score", url),
    }
    full = side_by_side(peers, partial(fill_queue, url, 10_000), partial(_check, url, 10_000))
    whole = "10,000 rows, whole processes: the naive script / jobs.score"
    return [
        *on_an_empty_queue,
        ratio(whole, full, "naive", "10,000 rows", ">=", 6),
        seconds("jobs.score on 10,000 rows, seconds", full["10,000 rows"]),
    ]


def _empty_queue(place: Place, kind: str, url: str) -> list[Line]:
    bare = """import os, sqlalchemy
with sqlalchemy.create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 1"))"""
    peers = {
        "bare": partial(run_process, [place.python, "-c", bare], url),
        "score": partial(run_job, "score", url),
    }
    took = side_by_side(peers, rounds=15)
    return [
        ratio(
            f"jobs.score on an empty queue, {kind} / bare Python with SQLAlchemy and SELECT 1",
            took,
            "score",
            "bare",
            "<=",
            1.6,
        ),
        seconds(f"jobs.score on an empty queue, {kind}, seconds", took["score"]),
    ]
