"""One screen of how things stand: champion, queue, last runs, realised accuracy."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from pima.store import queue, registry, runs
from pima.store.engine import reading
from pima.store.predictions import realised_accuracy

RUNS_SHOWN = 8
NEWEST_OUTCOMES = 1_000


def overview(engine: Engine) -> dict[str, Any]:
    """Everything `status` shows, read in one transaction."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        version = None
        if champion.model_version is not None:
            version = registry.read_version(connection, champion.model_version)
        waiting = queue.waiting(connection)
        realised = realised_accuracy(connection, NEWEST_OUTCOMES)
        last = runs.last_runs(connection, RUNS_SHOWN)
    return {
        "champion": {
            "version": champion.model_version,
            "pinned": champion.pinned,
            "trained_at": version and version.created_at,
            "holdout_accuracy": version and (version.metrics["holdout"] or {}).get("accuracy"),
        },
        "queue": {"rows": waiting.rows, "oldest": waiting.oldest},
        "realised": {**asdict(realised), "accuracy": realised.accuracy},
        "runs": [asdict(run) for run in last],
    }
