"""Model versions and decisions about them, made up."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update

from pima.core.verdicts.verdict import VerdictFigures
from pima.store.engine import writing
from pima.store.models import registry
from pima.store.models.ledger import record_move
from pima.store.models.registry import Champion, NewVersion, as_stored
from pima.store.tables import model_versions
from tests.support.databases import Database
from tests.support.shipped import FEATURES

FIGURES = VerdictFigures(majority_correct=100, whole_rows=168, consultations=1)


def add_version(
    database: Database, data: str = "data", settings: str = "settings", reference: Any = None
) -> int:
    version = NewVersion(
        run_id=5,
        keras_artifact=b"keras\x00bytes",
        keras_sha256="k" * 64,
        compiled_artifact=b"compiled\x00bytes",
        compiled_sha256="c" * 64,
        threshold=0.375,
        seed=2**40,
        settings={"network": "five_seeds", "steps": [1, 2.5]},
        libraries={"keras": "3.15.1"},
        data_fingerprint=data,
        settings_fingerprint=settings,
        training_rows=400,
        holdout_rows=168,
        rows_left_out={"missing": 3},
        first_labelled_at=datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC),
        last_labelled_at=datetime(2026, 2, 3, tzinfo=UTC),
        metrics={"log_loss": 0.4583, "correct": 131},
        features=as_stored(FEATURES),
        training_ids=b"parquet",
        reference=reference or {},
    )
    with writing(database.engine) as connection:
        return registry.add_version(connection, version)


def hash_again(database: Database) -> None:
    """After a test has changed what a version predicts by."""
    with writing(database.engine) as connection:
        for number in registry.numbers(connection):
            stored = registry.compiled_artifact(connection, number)
            assert stored is not None
            sha256 = registry.scorer_sha256(number, stored.content or b"", stored)
            of_it = update(model_versions).where(model_versions.c.number == number)
            connection.execute(of_it.values(scorer_sha256=sha256))


def record(
    database: Database,
    verdict: str,
    from_version: int | None,
    to_version: int | None,
    challenger: int | None = None,
    data: str | None = None,
    settings: str | None = None,
    explanation: str = "",
) -> None:
    with writing(database.engine) as connection:
        record_move(
            connection,
            Champion(from_version, 0, pinned=False),
            to_version,
            verdict=verdict,
            reason="by_hand",
            explanation=explanation,
            decided_by="a test",
            challenger=challenger,
            figures=FIGURES,
            data_fingerprint=data,
            settings_fingerprint=settings,
        )
