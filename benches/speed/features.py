"""What more features cost: scoring a queue of rows with forty declared numbers beside the same rows
with eight."""

from functools import partial
from pathlib import Path

import numpy as np
from sqlalchemy.engine import make_url

from benches.speed.databases import draw_above_all, execute, on_server, series, value
from benches.speed.measure import Line, ratio, run_job, seconds, side_by_side
from benches.speed.place import Place
from pima.settings.reading import read_declaration
from pima.settings.sections import DatabaseSettings, HoldoutSettings
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import Database
from tests.support.trained import install_models

ROWS = 200_000
FEW, MANY = 8, 40
_TRAINED_ON = 600


def features(place: Place) -> list[Line]:
    """Whole processes of `jobs.score`."""
    configured = {count: _configured(place, count) for count in (FEW, MANY)}
    urls = {count: _database(place, config, count) for count, config in configured.items()}
    peers = {
        f"{count} features": partial(run_job, "score", urls[count], "--config", str(config))
        for count, config in configured.items()
    }
    took = side_by_side(
        peers, partial(_fill, urls), lambda peer: _check(urls[int(peer.split()[0])])
    )
    for count in urls:
        place.drop(_name(count))
    many, few = f"{MANY} features", f"{FEW} features"
    return [
        ratio(
            f"{ROWS:,} rows, PostgreSQL: {many} / {few}, whole processes", took, many, few, "<=", 3
        ),
        seconds(f"{ROWS:,} rows, PostgreSQL: {many}, seconds", took[many]),
    ]


def _name(count: int) -> str:
    return f"features_{count}"


def _configured(place: Place, count: int) -> Path:
    """A settings file that declares so many numbers."""
    each = [
        f'[[feature]]\nname = "x{n}"\nlow = 0\nhigh = 100\nmay_be_missing = true\n'
        for n in range(count)
    ]
    path = place.folder / f"{_name(count)}.toml"
    path.write_text('[outcome]\nname = "ill"\n' + "".join(each))
    return path


def _database(place: Place, config: Path, count: int) -> str:
    """A migrated database with a champion that was really trained on so many numbers; its URL."""
    trained = place.folder / f"{_name(count)}.db"
    for job, *arguments in (("migrate",), ("load", str(_history(place, count))), ("retrain",)):
        run_job(job, f"sqlite:///{trained}", *arguments, "--config", str(config))
    on_server(place.uri, f"CREATE DATABASE {_name(count)}")
    url = make_url(place.uri).set(drivername="postgresql+psycopg", database=_name(count))
    engine = make_engine(url.render_as_string(hide_password=False), DatabaseSettings())
    migrate(
        engine, HoldoutSettings(salt="a salt for benchmarks"), declared=read_declaration(config)
    )
    database = Database("postgresql", url.render_as_string(hide_password=False), engine)
    install_models(database, trained)
    engine.dispose()
    draw_above_all(database.url)
    return database.url


def _history(place: Place, count: int) -> Path:
    """Labelled rows whose outcome goes by the first number."""
    draw = np.random.default_rng(count)
    values = draw.uniform(0, 100, (_TRAINED_ON, count)).round(2)
    outcomes = (values[:, 0] + draw.normal(0, 20, _TRAINED_ON) > 50).astype(int)
    lines = [
        ",".join(map(str, [*row, outcome]))
        for row, outcome in zip(values.tolist(), outcomes, strict=True)
    ]
    path = place.folder / f"{_name(count)}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _fill(urls: dict[int, str]) -> None:
    """Rows without a pattern that a page could be compressed by; every third first number is
    NULL."""
    for count, url in urls.items():
        names = ", ".join(f"x{n}" for n in range(count))
        values = ", ".join(
            [
                "CASE WHEN n % 3 = 0 THEN NULL ELSE n % 90 END",
                *(f"n % {60 + n}" for n in range(1, count)),
            ]
        )
        insert = f"""INSERT INTO scoring_queue (patient_id, patient_version, {names})
            SELECT n, n, {values} FROM {series(url, 1, ROWS)}"""
        execute(url, "TRUNCATE scoring_queue, predictions", insert, "CHECKPOINT")


def _check(url: str) -> None:
    assert value(url, "SELECT count(*) FROM predictions") == ROWS
    assert value(url, "SELECT count(*) FROM scoring_queue") == 0
