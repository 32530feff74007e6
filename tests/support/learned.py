"""Retrainings, whom they learned from, and whom they were judged on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pima.core.holdout import below, ranks
from pima.train.snapshot import from_parquet
from tests.support.databases import Database, call, the_json
from tests.support.ledger import document
from tests.support.patient_files import write
from tests.support.shipped import FEATURE_NAMES, SALT, SHIPPED

ARTICLE, FIVE_SEEDS = {"PIMA_RETRAIN__NETWORK": "article"}, {"PIMA_RETRAIN__NETWORK": "five_seeds"}
LINES = SHIPPED.read_text().split()


def load(database: Database, folder: Path, header: str, lines: Iterator[str]) -> None:
    """Of a file of these."""
    ended = call(database, "load", write(folder, header, *lines))
    assert ended.exit_code == 0, ended.stderr


def retrain(database: Database, *arguments: str, **environ: str) -> dict[str, Any]:
    """With everything in the holdout for a test set."""
    ended = call(database, "retrain", "--json", *arguments, **environ, PIMA_GATE__WINDOW="all")
    assert ended.exit_code == 0, ended.stderr
    return the_json(ended)


def judged_on(database: Database) -> set[int]:
    """The test set of the last verdict."""
    last = """
        SELECT t.patient_ids FROM promotions p JOIN test_sets t ON t.fingerprint = p.test_set_fingerprint
        ORDER BY p.id DESC LIMIT 1"""
    return set(document(database, last))


def is_held(name: str, share: float = 0.30) -> bool:
    """Whether who is called so is held out."""
    return bool(below(ranks([name.encode()], SALT), share)[0])


def learned_from(database: Database, number: int) -> set[int]:
    """The rows of a version's snapshot."""
    content = database.value(f"SELECT content FROM training_snapshots WHERE model_version = {number}")
    return set(from_parquet(bytes(content), FEATURE_NAMES).index)
