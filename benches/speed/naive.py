"""The script that most would write: pandas read_sql, model.predict, to_sql, and nothing claimed.

python benches/speed/naive.py MODEL.keras; prints the seconds of its work and imports nothing of
this project.
"""

import json
import os
import sys
import time

import keras
import numpy as np
import pandas as pd
import sqlalchemy

FEATURES = [
    "pregnancies",
    "glucose",
    "blood_pressure",
    "skin_thickness",
    "insulin",
    "bmi",
    "diabetes_pedigree",
    "age",
]


def as_predictions(rows: pd.DataFrame, probability: np.ndarray) -> pd.DataFrame:
    """Rows for the table `predictions`."""
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


if __name__ == "__main__":
    engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"])
    model = keras.saving.load_model(sys.argv[1])
    began = time.perf_counter()
    rows = pd.read_sql("SELECT * FROM scoring_queue", engine)
    probability = model.predict(rows[FEATURES].to_numpy("float32"), verbose=0)[:, 0]
    as_predictions(rows, probability).to_sql("predictions", engine, if_exists="append", index=False)
    print(json.dumps({"seconds": time.perf_counter() - began}))
