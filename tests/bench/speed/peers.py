"""The peers of the scoring benchmark, each run in a process of its own: python -m tests.bench.speed.peers NAME.

Prints the seconds of its work (imports and the first connection left out) and the process's peak memory.
"""

import json
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable

from tests.bench.speed.databases import PREDICTION_COLUMNS, file_of, plain

URL = os.environ["DATABASE_URL"]
FEATURES = "pregnancies, glucose, blood_pressure, skin_thickness, insulin, bmi, diabetes_pedigree, age"
FORMULA = "1 / (1 + exp(-((glucose - 120) / 30 + (bmi - 30) / 10)))"
SCORED = f"""patient_id, patient_version, 1, 1, probability, CASE WHEN probability >= 0.5 THEN 1 ELSE 0 END, 0.5
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
        connection.execute(f"INSERT INTO predictions ({PREDICTION_COLUMNS}) SELECT {SCORED} scoring_queue)")
        connection.execute("DELETE FROM scoring_queue")
        connection.execute("COMMIT")

    return work


def ours() -> Callable[[], None]:
    """What `jobs.score` does with its defaults, from the first look at the queue to the last commit."""
    from pima.ledger import OpenRun
    from pima.logs import configure_logs
    from pima.scoring import ScoreOptions, score_queue
    from pima.settings import Settings
    from pima.stopping import StopRequest
    from pima.store.engine import make_engine, writing
    from pima.store.runs import start_run

    settings = Settings()
    configure_logs("json")
    engine = make_engine(URL, settings.database)
    with writing(engine) as connection:
        run = OpenRun(start_run(connection, "score", "manual", None, "benchmark") or 0)
    options = ScoreOptions(settings.score.batch_rows, workers=settings.score.workers)
    return lambda: score_queue(engine, run, options, StopRequest())


def model() -> Callable[[], None]:
    """The model's own share of `ours`: the same million rows through it, batch by batch, from memory."""
    import numpy as np

    from pima.scoring import load_scorer
    from pima.settings import Settings
    from pima.store.engine import make_engine

    scorer = load_scorer(make_engine(URL, Settings().database), 1)
    features = np.random.default_rng(1).uniform(20, 100, (Settings().score.batch_rows, 8)).astype(np.float32)
    batches = 1_000_000 // len(features)

    def work() -> None:
        for _ in range(batches):
            scorer.model.probabilities(features)

    return work


def naive() -> Callable[[], None]:
    """The script that most would write: pandas read_sql, model.predict, to_sql, and no claim."""
    import pandas as pd
    import sqlalchemy

    predict = _keras_model()
    engine = sqlalchemy.create_engine(URL)

    def work() -> None:
        rows = pd.read_sql("SELECT * FROM scoring_queue", engine)
        probability = predict(rows[FEATURES.split(", ")].to_numpy("float32"))
        _as_predictions(rows, probability).to_sql("predictions", engine, if_exists="append", index=False)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM scoring_queue"))

    return work


def tuned() -> Callable[[], None]:
    """The same, tuned: Arrow both ways over ADBC and a large batch; still no claim, and a rerun would double."""
    import adbc_driver_postgresql.dbapi
    import pandas as pd

    predict = _keras_model()
    connection = adbc_driver_postgresql.dbapi.connect(plain(URL))

    def work() -> None:
        rows = pd.read_sql(f"SELECT patient_id, patient_version, {FEATURES} FROM scoring_queue", connection)
        probability = predict(rows[FEATURES.split(", ")].to_numpy("float32"), batch_size=8192)
        _as_predictions(rows, probability).to_sql("predictions", connection, if_exists="append", index=False)

    return work


def _as_predictions(rows: "object", probability: "object") -> "object":
    import pandas as pd

    return pd.DataFrame(
        {
            "patient_id": rows["patient_id"],
            "patient_version": rows["patient_version"],
            "model_version": 1,
            "run_id": 1,
            "probability": probability.astype("float64"),
            "predicted_class": (probability >= 0.5).astype("int32"),
            "threshold": 0.5,
        }
    )


def _keras_model() -> Callable[..., "object"]:
    """Our own champion in its Keras form, as the script's author would have it on disk."""
    import tempfile
    from pathlib import Path

    from pima.settings import Settings
    from pima.store import registry
    from pima.store.engine import make_engine, reading

    with reading(make_engine(URL, Settings().database)) as connection:
        stored = registry.keras_artifact(connection, 1)
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(stored.content)
        loaded = keras.saving.load_model(path)
    return lambda features, **options: loaded.predict(features, verbose=0, **options)[:, 0]


PEERS = {peer.__name__: peer for peer in (statement, engine_itself, ours, model, naive, tuned)}

if __name__ == "__main__":
    work = PEERS[sys.argv[1]]()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
