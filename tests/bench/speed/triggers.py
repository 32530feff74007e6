"""What the triggers on `patients` cost a writer: the present ones beside those of the schema before, revision 0004."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings, HoldoutSettings
from pima.store.engine import make_engine
from pima.store.schema import migrate
from tests.bench.speed.around import COLUMNS, write_patients
from tests.bench.speed.databases import execute, on_server, plain, psql, value
from tests.bench.speed.measure import Line, Ran, ratio, seconds, side_by_side
from tests.bench.speed.place import Place

ROWS = 500_000
BEFORE = "0004"


def triggers(place: Place) -> list[Line]:
    """500,000 unlabelled patients by one COPY, and one by one, a statement each; then all of them corrected."""
    path = place.folder / "patients.csv"
    write_patients(path, ROWS)
    urls = {"before": _database(place, "triggers_before", BEFORE), "after": _database(place, "triggers_after", "head")}
    lines = []
    for how, insert in (("one COPY", _copy), ("a statement each", _one_by_one)):
        took = side_by_side(
            {name: partial(insert, url, path) for name, url in urls.items()},
            partial(_empty, urls),
            lambda name: _check(urls[name]),
        )
        lines += [
            ratio(
                f"500,000 inserts by {how}: triggers / those of revision {BEFORE}", took, "after", "before", "<=", 1.3
            ),
            seconds(f"500,000 inserts by {how}, seconds", took["after"]),
        ]
    for url in urls.values():
        execute(url, "TRUNCATE patients, scoring_queue", f"INSERT INTO patients ({COLUMNS}) SELECT * FROM arriving")
    corrected = {name: partial(psql, url, "UPDATE patients SET glucose = glucose + 1") for name, url in urls.items()}
    took = side_by_side(corrected, partial(_vacuum, urls), lambda name: _check(urls[name]))
    what = f"500,000 rows corrected by one UPDATE: triggers / those of revision {BEFORE}"
    lines.append(replace(ratio(what, took, "after", "before", "<=", 0), target=None))
    for name in ("triggers_before", "triggers_after"):
        place.drop(name)
    return lines


def _database(place: Place, name: str, revision: str) -> str:
    on_server(place.uri, f"CREATE DATABASE {name}")
    url = make_url(place.uri).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    engine = make_engine(url, DatabaseSettings())
    migrate(engine, HoldoutSettings(salt="a salt for benchmarks"), to=revision)
    engine.dispose()
    return url


def _empty(urls: dict[str, str]) -> None:
    for url in urls.values():
        execute(url, "TRUNCATE patients, scoring_queue", "CHECKPOINT")


def _vacuum(urls: dict[str, str]) -> None:
    for url in urls.values():
        execute(url, "VACUUM patients, scoring_queue", "CHECKPOINT")


def _check(url: str) -> None:
    for table in ("patients", "scoring_queue"):
        assert value(url, f"SELECT count(*) FROM {table}") == ROWS


def _copy(url: str, path: Path) -> Ran:
    return psql(url, f"\\copy patients ({COLUMNS}) FROM '{path}' WITH (FORMAT csv, HEADER)")


def _one_by_one(url: str, path: Path) -> Ran:
    """On the server's side, so that no round trip hides what the triggers cost."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(f"CREATE UNLOGGED TABLE IF NOT EXISTS arriving AS SELECT {COLUMNS} FROM patients LIMIT 0")
        connection.execute("TRUNCATE arriving")
        with (
            path.open("rb") as file,
            connection.cursor().copy(f"COPY arriving ({COLUMNS}) FROM STDIN WITH (FORMAT csv, HEADER)") as copy,
        ):
            while block := file.read(1 << 20):
                copy.write(block)
    loop = f"""DO $$ DECLARE r RECORD; BEGIN
        FOR r IN SELECT * FROM arriving LOOP
            INSERT INTO patients ({COLUMNS}) VALUES ({", ".join("r." + name for name in COLUMNS.split(", "))});
        END LOOP; END $$"""
    return psql(url, loop)
