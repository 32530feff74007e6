"""What a pull costs: of rows that are all new, of all rows of which few have changed, and of what
has changed alone.

Beside it `jobs.load` of the same rows, and COPY from the source to a file: of the mapped columns,
or of all keys and the rows that have changed, which is what the last kind of pull reads.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.engine import make_url

from benches.speed.clinics import clinic_at, insert_visits, peak_of_pull, run_pull
from benches.speed.databases import execute, on_server, postgresql_database, psql, value
from benches.speed.measure import Line, ratio, run_job, seconds, side_by_side
from benches.speed.place import Place
from pima.settings.reading import SHIPPED
from tests.support.clinic import COLUMNS, MMOL, Clinic

CHANGES = 1_000
MAPPED = """visit_id, patient_no, diabetic, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi, pedigree, age"""
MEGABYTES = 250
PEAK = "peak memory of jobs.pull, MB"
STAGED = "its temporary tables, MB on disk"
LONG_AGO = "2026-01-01T00:00:00Z"
"""When the rows of the source were changed that are not any more."""


@dataclass(frozen=True)
class Ground:
    """A clinic's database, pima's on the same server, and the clinic's rows as a file for
    `load`."""

    clinic: Clinic
    url: str
    """Of pima's database."""
    file: Path
    rows: int


def pull(place: Place) -> list[Line]:
    """A million rows: all of them new, then 1,000 of them changed."""
    ground = _ground(place, place.rows)
    psql(
        ground.clinic.url,
        f"\\copy (SELECT {_as_loaded()} FROM visits) TO '{ground.file}' WITH (FORMAT csv, HEADER)",
    )
    lines = [*_first(ground), *_changed(ground), *_changed_alone(ground)]
    _give_back(place, ground)
    return lines


def memory(place: Place) -> list[Line]:
    """Ten times as many rows: what the two pulls need."""
    ground = _ground(place, 10 * place.rows)
    first = _peaks(ground)
    _make_differ(ground)
    later = _peaks(ground)
    _give_back(place, ground)
    return [
        *_lines_of_peaks(_first_of(ground), first),
        *_lines_of_peaks(_changed_of(ground), later),
    ]


def _first_of(ground: Ground) -> str:
    return f"first pull of {ground.rows:,} rows, PostgreSQL"


def _changed_of(ground: Ground) -> str:
    return f"pull of {ground.rows:,} rows of which {CHANGES:,} have changed, PostgreSQL"


def _give_back(place: Place, ground: Ground) -> None:
    ground.clinic.engine.dispose()
    for name in ("pull_clinic", "pull_ours"):
        place.drop(name)


def _ground(place: Place, rows: int) -> Ground:
    on_server(place.uri, "CREATE DATABASE pull_clinic")
    url = make_url(place.uri).set(drivername="postgresql+psycopg", database="pull_clinic")
    clinic = clinic_at(
        url.render_as_string(hide_password=False), place.folder / f"clinic_of_{rows}"
    )
    insert_visits(clinic, rows)
    clinic.execute(f"ALTER TABLE visits ADD COLUMN updated_at timestamptz DEFAULT '{LONG_AGO}'")
    execute(clinic.url, "VACUUM ANALYZE")
    file = place.folder / "visits_to_load.csv"
    return Ground(clinic, postgresql_database(place.uri, "pull_ours", place.trained), file, rows)


def _as_loaded() -> str:
    """The mapped columns under the names and in the units of a file."""
    columns = {
        name: how["column"] if isinstance(how, dict) else how for name, how in COLUMNS.items()
    }
    measured = ", ".join(f"{columns[name]} AS {name}" for name in SHIPPED.names)
    in_unit = measured.replace("glucose_mmol", f"glucose_mmol * {MMOL}::float8")
    return (
        f"'clinic' AS source, visit_id AS source_key, patient_no AS person_key, {in_unit}, NULL "
        "AS outcome"
    )


def _first(ground: Ground) -> list[Line]:
    took = side_by_side(
        {
            "load": partial(run_job, "load", ground.url, str(ground.file)),
            "pull": partial(run_pull, ground.clinic, ground.url),
        },
        partial(_empty, ground.url),
        partial(_all_there, ground),
        rounds=3,
    )
    _empty(ground.url)
    peaks = _peaks(ground)
    what = _first_of(ground)
    return [
        ratio(f"{what} / load of the same rows", took, "pull", "load", "<=", 1.3),
        seconds(f"{what}, seconds", took["pull"]),
        *_lines_of_peaks(what, peaks),
    ]


def _empty(url: str) -> None:
    execute(url, "TRUNCATE patients, scoring_queue, row_keys, source_pulls", "CHECKPOINT")


def _all_there(ground: Ground, _peer: str) -> None:
    for table in ("patients", "scoring_queue", "row_keys"):
        assert value(ground.url, f"SELECT count(*) FROM {table}") == ground.rows


def _changed(ground: Ground) -> list[Line]:
    """Ours are made to differ: so the clinic's rows, and the file of them, are the same in each
    round."""
    execute(ground.url, "VACUUM ANALYZE")
    copy = f"\\copy (SELECT {MAPPED} FROM visits) TO '{ground.file.with_suffix('.copied')}'"
    took = side_by_side(
        {
            "COPY": partial(psql, ground.clinic.url, copy),
            "load": partial(run_job, "load", ground.url, str(ground.file)),
            "pull": partial(run_pull, ground.clinic, ground.url),
        },
        partial(_make_differ, ground),
        partial(_all_mended, ground),
    )
    _make_differ(ground)
    peaks = _peaks(ground)
    what = _changed_of(ground)
    return [
        ratio(f"{what} / load of the same rows", took, "pull", "load", "<=", 0.4),
        ratio(f"{what} / COPY of the mapped columns to a file", took, "pull", "COPY", "<=", 11, 9),
        seconds(f"{what}, seconds", took["pull"]),
        seconds(
            f"load of {ground.rows:,} CSV rows of which {CHANGES:,} have changed, seconds",
            took["load"],
        ),
        *_lines_of_peaks(what, peaks),
    ]


def _peaks(ground: Ground) -> tuple[float, float]:
    """MB: the largest resident set of a pull, and its temporary tables when they were largest."""
    tables = (
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'pima_staging%' "
        "AND relkind = 'r'"
    )
    largest = 0.0
    with ThreadPoolExecutor(1) as executor:
        pulled = executor.submit(peak_of_pull, ground.clinic, ground.url)
        while not pulled.done():
            largest = max(largest, float(str(value(ground.url, tables) or 0)))
            time.sleep(0.1)
    return pulled.result(), largest / 2**20


def _lines_of_peaks(what: str, peaks: tuple[float, float]) -> list[Line]:
    memory, tables = peaks
    return [Line(f"{what}: {PEAK}", memory, "<=", MEGABYTES), Line(f"{what}: {STAGED}", tables)]


def _changed_alone(ground: Ground) -> list[Line]:
    """The source tells which rows have changed. Before each round the same ones of the clinic's are
    changed again."""
    ground.clinic.settings["changed_since"] = "updated_at"
    run_pull(ground.clinic, ground.url)
    copied = ground.file.with_suffix(".copied")
    copies = (
        f"\\copy (SELECT visit_id FROM visits) TO '{copied}'",
        f"\\copy (SELECT {MAPPED} FROM visits WHERE updated_at > '{LONG_AGO}') TO '{copied}'",
    )
    took = side_by_side(
        {
            "COPY": partial(psql, ground.clinic.url, *copies),
            "pull": partial(run_pull, ground.clinic, ground.url),
        },
        partial(_change, ground),
        partial(_all_mended, ground),
    )
    _change(ground)
    peaks = _peaks(ground)
    what = f"pull by changed_since of {CHANGES:,} of {ground.rows:,} rows, PostgreSQL"
    return [
        ratio(
            f"{what} / COPY of all keys and the changed rows to files",
            took,
            "pull",
            "COPY",
            "<=",
            8,
        ),
        seconds(f"{what}, seconds", took["pull"]),
        *_lines_of_peaks(what, peaks),
    ]


def _change(ground: Ground) -> None:
    some = f"SELECT visit_id FROM visits ORDER BY visit_id LIMIT {CHANGES}"
    execute(
        ground.clinic.url,
        "UPDATE visits SET age = CASE WHEN age > 60 THEN 21 ELSE age + 1 END, updated_at = "
        f"clock_timestamp() WHERE visit_id IN ({some})",
    )
    execute(ground.url, "TRUNCATE scoring_queue", "CHECKPOINT")


def _make_differ(ground: Ground) -> None:
    every = ground.rows // CHANGES
    some = (
        "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM patients) AS p "
        f"WHERE n % {every} = 0"
    )
    execute(
        ground.url,
        "UPDATE patients SET age = CASE WHEN age > 60 THEN 21 ELSE age + 1 END WHERE id IN "
        f"({some} LIMIT {CHANGES})",
        "TRUNCATE scoring_queue",
        "CHECKPOINT",
    )


def _all_mended(ground: Ground, peer: str) -> None:
    if peer != "COPY":
        assert value(ground.url, ("SELECT count(*) FROM scoring_queue")) >= CHANGES  # type: ignore[operator]
