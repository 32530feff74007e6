"""What a pull of all of a source costs: of rows that are all new, and of rows of which few have changed.

Beside it `jobs.load` of the same rows, and COPY of the mapped columns from the source to a file.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.engine import make_url

from pima.settings.reading import SHIPPED
from tests.bench.speed.clinics import clinic_at, insert_visits, peak_of_pull, run_pull
from tests.bench.speed.databases import execute, on_server, postgresql_database, psql, value
from tests.bench.speed.measure import Line, ratio, run_job, seconds, side_by_side
from tests.bench.speed.place import Place
from tests.support.clinic import COLUMNS, MMOL, Clinic

CHANGES = 1_000
MAPPED = """visit_id, patient_no, diabetic, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi, pedigree, age"""
MEGABYTES = 250
PEAK = "peak memory of jobs.pull, MB"


@dataclass(frozen=True)
class Ground:
    """A clinic's database, pima's on the same server, and the clinic's rows as a file for `load`."""

    clinic: Clinic
    url: str
    """Of pima's database."""
    file: Path
    rows: int


def pull(place: Place) -> list[Line]:
    """A million rows: all of them new, then 1,000 of them changed."""
    ground = _ground(place)
    lines = [*_first(ground), *_changed(ground)]
    ground.clinic.engine.dispose()
    for name in ("pull_clinic", "pull_ours"):
        place.drop(name)
    return lines


def _ground(place: Place) -> Ground:
    on_server(place.uri, "CREATE DATABASE pull_clinic")
    url = make_url(place.uri).set(drivername="postgresql+psycopg", database="pull_clinic")
    clinic = clinic_at(url.render_as_string(hide_password=False), place.folder / "pull_clinic")
    insert_visits(clinic, place.rows)
    execute(clinic.url, "VACUUM ANALYZE")
    file = place.folder / "visits_to_load.csv"
    psql(clinic.url, f"\\copy (SELECT {_as_loaded()} FROM visits) TO '{file}' WITH (FORMAT csv, HEADER)")
    return Ground(clinic, postgresql_database(place.uri, "pull_ours", place.trained), file, place.rows)


def _as_loaded() -> str:
    """The mapped columns under the names and in the units of a file."""
    columns = {name: how["column"] if isinstance(how, dict) else how for name, how in COLUMNS.items()}
    measured = ", ".join(f"{columns[name]} AS {name}" for name in SHIPPED.names)
    in_unit = measured.replace("glucose_mmol", f"glucose_mmol * {MMOL}::float8")
    return f"'clinic' AS source, visit_id AS source_key, patient_no AS person_key, {in_unit}, NULL AS outcome"


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
    peak = peak_of_pull(ground.clinic, ground.url)
    what = f"first pull of {ground.rows:,} rows, PostgreSQL"
    return [
        ratio(f"{what} / load of the same rows", took, "pull", "load", "<=", 1.3),
        seconds(f"{what}, seconds", took["pull"]),
        Line(f"{what}: {PEAK}", peak, "<=", MEGABYTES),
    ]


def _empty(url: str) -> None:
    execute(url, "TRUNCATE patients, scoring_queue, row_keys, source_pulls", "CHECKPOINT")


def _all_there(ground: Ground, _peer: str) -> None:
    for table in ("patients", "scoring_queue", "row_keys"):
        assert value(ground.url, f"SELECT count(*) FROM {table}") == ground.rows


def _changed(ground: Ground) -> list[Line]:
    """Ours are made to differ: so the clinic's rows, and the file of them, are the same in each round."""
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
    peak = peak_of_pull(ground.clinic, ground.url)
    what = f"pull of {ground.rows:,} rows of which {CHANGES:,} have changed, PostgreSQL"
    return [
        ratio(f"{what} / load of the same rows", took, "pull", "load", "<=", 0.4),
        ratio(f"{what} / COPY of the mapped columns to a file", took, "pull", "COPY", "<=", 8, 5),
        seconds(f"{what}, seconds", took["pull"]),
        seconds(f"load of {ground.rows:,} CSV rows of which {CHANGES:,} have changed, seconds", took["load"]),
        Line(f"{what}: {PEAK}", peak, "<=", MEGABYTES),
    ]


def _make_differ(ground: Ground) -> None:
    every = ground.rows // CHANGES
    some = f"SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM patients) AS p WHERE n % {every} = 0"
    execute(
        ground.url,
        f"UPDATE patients SET age = CASE WHEN age > 60 THEN 21 ELSE age + 1 END WHERE id IN ({some} LIMIT {CHANGES})",
        "TRUNCATE scoring_queue",
        "CHECKPOINT",
    )


def _all_mended(ground: Ground, peer: str) -> None:
    if peer != "COPY":
        assert value(ground.url, "SELECT count(*) FROM scoring_queue") >= CHANGES  # type: ignore[operator]
