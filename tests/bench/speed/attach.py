"""What attaching costs a clinic's own writes, and what a pull of an attached source costs."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.bench.speed.databases import execute, postgresql_database, psql, value
from tests.bench.speed.measure import Line, Ran, ratio, run_process, seconds, side_by_side
from tests.bench.speed.place import Place
from tests.jobs.clinic import KINDS, TABLE, URL, Clinic, engine_of

COPIED, COMMITS, STATEMENTS, HISTORY, CHANGES = 500_000, 5_000, 100_000, 1_000_000, 1_000
COLUMNS = "visit_id, patient_no, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi, pedigree, age, sex"
VISIT = """gen_random_uuid(), n / 2, n % 15, 4 + n % 70 * 0.1, 50 + n % 50, 20 + n % 30,
    CASE WHEN n % 3 = 0 THEN NULL ELSE 50 + n % 90 END, 20 + n % 200 * 0.1, 0.1 + n % 100 * 0.01, 21 + n % 60, 'F'"""
# On the server's side, so that no round trip hides what the triggers cost.
ONE_BY_ONE = f"""DO $$ BEGIN
    FOR n IN 1..{{}} LOOP
        INSERT INTO visits ({COLUMNS}) VALUES ({VISIT});
        {{}}
    END LOOP; END $$"""


def attach(place: Place) -> list[Line]:
    """A clinic's table with and without the triggers; then 1,000 changes of 1,000,000 attached rows."""
    return [*_writes(place), *_pull(place)]


def _writes(place: Place) -> list[Line]:
    clinics = {name: _clinic(place, f"attach_{name}") for name in ("attached", "plain")}
    _run("attach", clinics["attached"], "clinic")
    path = place.folder / "visits.csv"
    clinics["plain"].execute(f"INSERT INTO visits ({COLUMNS}) SELECT {VISIT} FROM generate_series(1, {COPIED}) n")
    psql(clinics["plain"].url, f"\\copy (SELECT {COLUMNS} FROM visits) TO '{path}' WITH (FORMAT csv)")
    copy = f"\\copy visits ({COLUMNS}) FROM '{path}' WITH (FORMAT csv)"
    ways = (
        (f"{COPIED:,} inserts by one COPY", copy, COPIED, 2),
        (f"{COMMITS:,} inserts, a commit each", ONE_BY_ONE.format(COMMITS, "COMMIT;"), COMMITS, 1.3),
        (
            f"{STATEMENTS:,} inserts in one transaction, a statement each",
            ONE_BY_ONE.format(STATEMENTS, ""),
            STATEMENTS,
            None,
        ),
    )
    lines = []
    for what, command, rows, most in ways:
        took = side_by_side(
            {name: partial(psql, clinic.url, command) for name, clinic in clinics.items()},
            partial(_empty, clinics),
            _counter(clinics, rows),
        )
        line = ratio(f"{what}: attached table / the same without", took, "attached", "plain", "<=", most or 0)
        lines += [replace(line, target=most), seconds(f"{what} into the attached table, seconds", took["attached"])]
    for name, clinic in clinics.items():
        clinic.engine.dispose()
        place.drop(f"attach_{name}")
    return lines


def _clinic(place: Place, name: str) -> Clinic:
    """A table of visits in a database of pima's own."""
    url, folder = postgresql_database(place.uri, name, place.trained), place.folder / name
    folder.mkdir()
    clinic = Clinic("postgresql", url, engine_of(url), folder)
    clinic.execute(TABLE.format(**KINDS["postgresql"]))
    return clinic


def _run(job: str, clinic: Clinic, *arguments: str) -> Ran:
    job_of = [sys.executable, "-m", f"jobs.{job}", "--config", clinic.config, *arguments]
    return run_process(["env", f"{URL}={clinic.url}", *job_of], clinic.url)


def _empty(clinics: dict[str, Clinic]) -> None:
    for clinic in clinics.values():
        execute(clinic.url, "TRUNCATE visits, source_changes", "CHECKPOINT")


def _counter(clinics: dict[str, Clinic], rows: int) -> Callable[[str], None]:
    def check(name: str) -> None:
        assert value(clinics[name].url, "SELECT count(*) FROM visits") == rows
        noted = value(clinics[name].url, "SELECT count(*) FROM source_changes WHERE source_key IS NOT NULL")
        assert noted == (rows if name == "attached" else 0)

    return check


def _pull(place: Place) -> list[Line]:
    """Beyond what Python and the imports take, which is all that --help does."""
    clinic = _clinic(place, "attach_pulled")
    clinic.execute(f"INSERT INTO visits ({COLUMNS}) SELECT {VISIT} FROM generate_series(1, {HISTORY}) n")
    _run("attach", clinic, "clinic")
    _run("pull", clinic)
    execute(clinic.url, "VACUUM ANALYZE")
    change = f"""UPDATE visits SET age = 21 + (age + 1) % 60
        WHERE visit_id IN (SELECT visit_id FROM visits TABLESAMPLE BERNOULLI (1) LIMIT {CHANGES})"""
    took = side_by_side(
        {"start": partial(_run, "pull", clinic, "--help"), "pull": partial(_run, "pull", clinic)},
        partial(execute, clinic.url, "TRUNCATE scoring_queue", change, "CHECKPOINT"),
        partial(_all_taken_in, clinic.url),
    )
    clinic.engine.dispose()
    place.drop("attach_pulled")
    beyond = took["pull"].median - took["start"].median
    what = f"pull of {CHANGES:,} changes among {HISTORY:,} attached rows"
    return [
        Line(f"{what}: seconds beyond the start", beyond, "<=", 2),
        seconds(f"{what}, seconds in all", took["pull"]),
    ]


def _all_taken_in(url: str, peer: str) -> None:
    """What was touched before the start alone was measured waits as well."""
    if peer == "pull":
        assert value(url, "SELECT count(*) FROM source_changes") == 0
        assert (
            value(url, "SELECT counts -> 'sources' -> 0 ->> 'compared' FROM runs ORDER BY id DESC LIMIT 1") == "touched"
        )
        assert CHANGES <= int(str(value(url, "SELECT count(*) FROM scoring_queue"))) <= 2 * CHANGES
