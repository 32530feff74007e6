"""What attaching costs a clinic's own writes, and what a pull of an attached source costs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.bench.speed.clinics import COLUMNS, VISIT, clinic_beside, insert_visits, run_with
from tests.bench.speed.databases import execute, psql, value
from tests.bench.speed.measure import Line, ratio, seconds, side_by_side
from tests.bench.speed.place import Place
from tests.jobs.clinic import Clinic

CHANGES = 1_000
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
    clinics = {name: clinic_beside(place, f"attach_{name}") for name in ("attached", "plain")}
    run_with("attach", clinics["attached"], "clinic")
    path = place.folder / "visits.csv"
    copied, commits, statements = place.rows // 2, place.rows // 200, place.rows // 10
    insert_visits(clinics["plain"], copied)
    psql(clinics["plain"].url, f"\\copy (SELECT {COLUMNS} FROM visits) TO '{path}' WITH (FORMAT csv)")
    copy = f"\\copy visits ({COLUMNS}) FROM '{path}' WITH (FORMAT csv)"
    ways = (
        (f"{copied:,} inserts by one COPY", copy, copied, 2),
        (f"{commits:,} inserts, a commit each", ONE_BY_ONE.format(commits, "COMMIT;"), commits, 1.3),
        (
            f"{statements:,} inserts in one transaction, a statement each",
            ONE_BY_ONE.format(statements, ""),
            statements,
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
    clinic = clinic_beside(place, "attach_pulled")
    insert_visits(clinic, place.rows)
    run_with("attach", clinic, "clinic")
    run_with("pull", clinic)
    execute(clinic.url, "VACUUM ANALYZE")
    percent = min(100, 1_000 * CHANGES / place.rows)
    change = f"""UPDATE visits SET age = 21 + (age + 1) % 60
        WHERE visit_id IN (SELECT visit_id FROM visits TABLESAMPLE BERNOULLI ({percent}) LIMIT {CHANGES})"""
    took = side_by_side(
        {"start": partial(run_with, "pull", clinic, "--help"), "pull": partial(run_with, "pull", clinic)},
        partial(execute, clinic.url, "TRUNCATE scoring_queue", change, "CHECKPOINT"),
        partial(_all_taken_in, clinic.url),
    )
    clinic.engine.dispose()
    place.drop("attach_pulled")
    beyond = took["pull"].median - took["start"].median
    what = f"pull of {CHANGES:,} changes among {place.rows:,} attached rows"
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
