"""The peers of the scoring benchmark, each run in a process of its own: python -m
benches.speed.peers NAME.

Prints the seconds of its work (imports and the first connection left out), the process's peak
memory, and of `ours` the model's share of those seconds.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benches.speed.databases import MEASURED, PREDICTION_COLUMNS, file_of, plain, series
from benches.speed.peak import peak_mb

if TYPE_CHECKING:
    from sqlalchemy import Engine

URL = os.environ["DATABASE_URL"]
FORMULA = "1 / (1 + exp(-((glucose - 120) / 30 + (bmi - 30) / 10)))"
SCORED = f"""patient_id, patient_version, 1, 1, probability, CASE WHEN probability >= 0.5 THEN 1
    ELSE 0 END, 0.5
    FROM (SELECT patient_id, patient_version, {FORMULA} AS probability FROM"""


def statement() -> Callable[[], None]:
    """PostgreSQL alone: one statement drains the queue into a formula; one connection, no model."""
    import psycopg

    connection = psycopg.connect(plain(URL))

    def work() -> None:
        connection.execute(f"""WITH claimed AS (DELETE FROM scoring_queue RETURNING *)
            INSERT INTO predictions ({PREDICTION_COLUMNS}) SELECT {SCORED} claimed) AS scored""")
        connection.commit()

    return work


def engine_itself() -> Callable[[], None]:
    """SQLite alone: INSERT ... SELECT with the formula, then DELETE, in one transaction."""
    connection = sqlite3.connect(file_of(URL), isolation_level=None)

    def work() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"INSERT INTO predictions ({PREDICTION_COLUMNS}) SELECT {SCORED} scoring_queue)"
        )
        connection.execute("DELETE FROM scoring_queue")
        connection.execute("COMMIT")

    return work


def ours() -> Callable[[], None]:
    """What `jobs.score` does with its defaults, from the first look at the queue to the last
    commit."""
    import pima.scoring
    from pima.logs import configure_logs
    from pima.runs.recorded_run import OpenRun
    from pima.runs.stop_request import StopRequest
    from pima.settings.sections import Settings
    from pima.store.engine import writing
    from pima.store.service.runs import start_run
    from pima.store.urls import make_engine

    settings = Settings()
    configure_logs("json")
    engine = make_engine(URL, settings.database)
    with writing(engine) as connection:
        run = OpenRun(start_run(connection, "score", "manual", None, "benchmark") or 0)
    options = pima.scoring.ScoreOptions(settings.score.batch_rows, workers=settings.score.workers)
    load = pima.scoring.load_scorer

    def load_and_listen(engine: "Engine", version: int) -> pima.scoring.Scorer:
        scorer = load(engine, version)
        scorer.model.probabilities = _timed(scorer.model.probabilities)  # type: ignore[method-assign]
        return scorer

    pima.scoring.load_scorer = load_and_listen
    return lambda: pima.scoring.score_queue(engine, run, options, StopRequest())


model_seconds: list[float] = []


def _timed(call: Callable[..., object]) -> Callable[..., object]:
    """The same, each call's time kept."""

    def timed(*arguments: object) -> object:
        began = time.perf_counter()
        result = call(*arguments)
        model_seconds.append(time.perf_counter() - began)
        return result

    return timed


def tuned() -> Callable[[], None]:
    """The naive script, tuned: Arrow both ways over ADBC and a large batch; no claim, and a rerun
    would double."""
    import adbc_driver_postgresql.dbapi
    import keras
    import pandas as pd

    from benches.speed.naive import FEATURES, as_predictions

    model = keras.saving.load_model(sys.argv[2])
    connection = adbc_driver_postgresql.dbapi.connect(plain(URL))

    def work() -> None:
        columns = ", ".join(["patient_id", "patient_version", *FEATURES])
        rows = pd.read_sql(f"SELECT {columns} FROM scoring_queue", connection)
        probability = model.predict(rows[FEATURES].to_numpy("float32"), verbose=0, batch_size=8192)[
            :, 0
        ]
        as_predictions(rows, probability).to_sql(
            "predictions", connection, if_exists="append", index=False
        )

    return work


def keras_agrees() -> Callable[[], None]:
    """No peer but a check: the first 10,000 predictions in the database are those of the Keras
    model."""
    import keras
    import numpy as np
    import sqlalchemy

    model = keras.saving.load_model(sys.argv[2])
    with sqlalchemy.create_engine(URL).connect() as connection:
        statement = (
            "SELECT probability FROM predictions WHERE patient_id <= 10000 ORDER BY patient_id"
        )
        predicted = np.array(connection.execute(sqlalchemy.text(statement)).scalars().all())
        rows = connection.execute(
            sqlalchemy.text(f"SELECT {MEASURED} FROM {series(URL, 1, 10_000)} ORDER BY n")
        )
        features = np.array([tuple(row) for row in rows], dtype=np.float64).astype(np.float32)
    expected = model.predict(features, verbose=0)[:, 0]

    def work() -> None:
        assert len(predicted) == len(expected)
        assert np.abs(predicted - expected).max() < 1e-5

    return work


PEERS = {peer.__name__: peer for peer in (statement, engine_itself, ours, tuned, keras_agrees)}

if __name__ == "__main__":
    work = PEERS[sys.argv[1]]()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    told = {"seconds": seconds, "peak_mb": peak_mb()}
    print(json.dumps(told | {"model_share": sum(model_seconds) / seconds}))
