"""One fit on the training side of a database's history, in a process of its own; prints one JSON
object.

`python -m benches.accuracy.large_fit ours|boosting`, the database in DATABASE_URL: read and
parted by the code of `jobs.retrain`, so that both fits see its rows.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import pandas as pd

from pima.core.rows.history import features_of
from pima.settings.reading import SHIPPED, read_settings
from pima.store.urls import make_engine
from pima.train.retraining import read_history


def main(which: str) -> None:
    """Tell rows and seconds."""
    settings = read_settings(None, {})
    engine = make_engine(os.environ["DATABASE_URL"], settings.database)
    start = time.perf_counter()
    history, *_ = read_history(engine, settings, SHIPPED)
    read = time.perf_counter()
    fit = {"ours": _ours, "boosting": _boosting}[which]()
    imported = time.perf_counter()
    fit(history.training)
    fitted = time.perf_counter()
    seconds = {
        "read_seconds": read - start,
        "import_seconds": imported - read,
        "fit_seconds": fitted - imported,
    }
    print(json.dumps({"training_rows": len(history.training)} | seconds))


def _boosting() -> Callable[[pd.DataFrame], None]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    def fit(training: pd.DataFrame) -> None:
        HistGradientBoostingClassifier(random_state=0).fit(
            features_of(training), training["outcome"].to_numpy()
        )

    return fit


def _ours() -> Callable[[pd.DataFrame], None]:
    from benches.accuracy.candidates import ours
    from benches.accuracy.shipped import Rows

    candidate = ours()

    def fit(training: pd.DataFrame) -> None:
        features = features_of(training)
        candidate.fit(Rows(features, features, training["outcome"].to_numpy()), 0)

    return fit


if __name__ == "__main__":
    main(sys.argv[1])
