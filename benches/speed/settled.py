"""What came true, looked at by people and machines, over so many settled predictions of rows with a
horizon: counted by day, whatever their number."""

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benches.speed.databases import (
    MEASURED,
    PREDICTED,
    PREDICTION_COLUMNS,
    QUEUE_COLUMNS,
    draw_above_all,
    execute,
    file_of,
    postgresql_database,
    series,
    sqlite_database,
    value,
)
from benches.speed.measure import Line, Ran, run_job, side_by_side
from benches.speed.place import Place
from pima.settings.reading import SHIPPED_FILE
from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.databases import Database, without_triggers
from tests.support.declared import redeclared

DAYS = 1_500
"""Over which the rows came; the last ones two days ago."""
WAITS = SHIPPED_FILE.read_text().replace("meaning =", 'horizon = "30 days"\nmeaning =', 1)
KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
OF_A_DAY = """INSERT INTO changed_outcomes (labelled_at, index_at)
    SELECT labelled_at, index_at FROM patients
    WHERE outcome IS NOT NULL AND id > {after} AND id <= {last}"""
LOOKS = {"status": (), "alert": ("--dry-run",)}


def settled(place: Place) -> list[Line]:
    """Looks and counts over 1e4, 1e6 and 1e7 rows, in processor seconds: those say more where
    others use the machine, too. The server's are among them."""
    return [line for kind in KINDS for line in _on(place, kind)]


def _on(place: Place, kind: str) -> Iterator[Line]:
    sizes = sorted({10_000, place.rows, 10 * place.rows})
    databases = {}
    for rows in sizes:
        url, settings = databases[rows] = settled_database(place, kind, rows)
        run = partial(_run, kind, url, settings, "score")
        yield _line(f"the first count of {rows:,} rows", kind, run().processor_seconds)
        execute(
            url,
            "DELETE FROM monitoring WHERE kind = 'settled'",
            OF_A_DAY.format(after=rows * (DAYS - 33) // DAYS, last=rows * (DAYS - 32) // DAYS),
        )
        yield _line(f"the count a day later, of {rows:,} rows", kind, run().processor_seconds)
    for job, arguments in LOOKS.items():
        took = side_by_side(
            {
                f"{job}, {rows:,} rows": partial(_run, kind, url, settings, job, *arguments)
                for rows, (url, settings) in databases.items()
            }
        )
        few, *others = (
            statistics.median(ran.processor_seconds for ran in each.rounds)
            for each in took.values()
        )
        yield _line(f"{job} over {sizes[0]:,} settled rows", kind, few)
        for rows, many in zip(sizes[1:], others, strict=True):
            line = _line(f"{job}: more over {rows:,} settled rows", kind, many - few)
            yield replace(line, sense="<=", target=0.3)
    for rows, (url, _) in databases.items():
        if kind == "sqlite":
            file_of(url).unlink()
        else:
            place.drop(f"settled_{rows}")


def _line(what: str, kind: str, seconds: float) -> Line:
    return Line(f"{what}, {KINDS[kind]}, processor seconds", seconds)


def _run(kind: str, url: str, settings: Path, job: str, *arguments: str) -> Ran:
    before = 0.0 if kind == "sqlite" else _of_server(url)
    ran = run_job(job, url, "--config", str(settings), *arguments)
    if kind == "postgresql":
        time.sleep(0.2)  # until the server has seen its processes end
        used = _of_server(url) - before
        ran = replace(ran, processor_seconds=ran.processor_seconds + used)
    return ran


def _of_server(url: str) -> float:
    """Processor seconds of all processes of the server that have ended."""
    folder = Path(str(value(url, "SHOW data_directory")))
    process = (folder / "postmaster.pid").read_text().split()[0]
    figures = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(figures[13]) + int(figures[14])) / os.sysconf("SC_CLK_TCK")


def settled_database(place: Place, kind: str, rows: int) -> tuple[str, Path]:
    """A database with so many rows, 19 of 20 with an outcome, all predicted in time; its URL,
    and the settings that declare their horizon."""
    name = f"settled_{rows}"
    if kind == "sqlite":
        url = sqlite_database(place.folder, name, place.trained)
    else:
        url = postgresql_database(place.uri, name, place.trained)
    database = Database(kind, url, make_engine(url, DatabaseSettings()))
    redeclared(database, place.folder, WAITS)
    settings = place.folder / "waits.toml"
    settings.write_text('[declaration]\nfile = "other.toml"\n')
    moment = f"now() - interval '1 day' * ({{}} + {DAYS} * (1 - n / {rows}.0))"
    if kind == "sqlite":
        since = f"julianday('now') - {{}} - {DAYS} * (1 - n / {rows}.0)"
        moment = f"strftime('%Y-%m-%dT%H:%M:%fZ', {since})"
    known = f"CASE WHEN n % 20 > 0 THEN {moment.format(1)} END"
    outcome = "CASE WHEN n % 20 > 0 THEN CASE WHEN n % 3 = 0 THEN 1 ELSE 0 END END"
    columns = QUEUE_COLUMNS.partition("patient_version,")[2]
    with without_triggers(database):
        execute(
            url,
            f"""INSERT INTO patients (id, version, person_key, {columns}, outcome, index_at,
                labelled_at)
                SELECT n, n, 'person ' || n / 2, {MEASURED}, {outcome}, {moment.format(2)}, {known}
                FROM {series(url, 1, rows)}""",
            f"""INSERT INTO predictions ({PREDICTION_COLUMNS}, scored_at)
                SELECT {PREDICTED}, index_at FROM (SELECT id AS n, index_at FROM patients) AS s""",
        )
        if kind == "postgresql":
            # Autovacuum gives way to it, but not to whoever makes triggers.
            execute(url, "VACUUM ANALYZE", "CHECKPOINT")
            draw_above_all(url)
    database.engine.dispose()
    return url, settings
