"""The tables as the code knows them. The migrations make them; a test holds the two equal.

`patients` and `scoring_queue` have a column for each declared feature besides. Those are made from the declaration, and
so stand in no list here.
"""

from collections.abc import Iterable

from sqlalchemy import Column, MetaData

from pima.store.tables.models import (
    champion,
    declarations,
    model_versions,
    promotions,
    reports,
    test_sets,
    training_snapshots,
)
from pima.store.tables.parts import metadata
from pima.store.tables.rows import (
    IS_LABELLED,
    NEWEST_FIRST,
    forgotten,
    loads,
    patients,
    row_keys,
    scoring_queue,
    source_pulls,
    source_rejections,
)
from pima.store.tables.scored import monitoring, predictions, rejections, tallies
from pima.store.tables.service import alerts, installation, leases, removed_runs, runs, schedules
from pima.store.types import Real

__all__ = [
    "IS_LABELLED",
    "NEWEST_FIRST",
    "TABLES",
    "VIEWS",
    "WITH_FEATURES",
    "alerts",
    "champion",
    "declarations",
    "forgotten",
    "installation",
    "leases",
    "loads",
    "metadata",
    "model_versions",
    "monitoring",
    "patients",
    "predictions",
    "promotions",
    "rejections",
    "removed_runs",
    "reports",
    "row_keys",
    "runs",
    "schedules",
    "scoring_queue",
    "source_pulls",
    "source_rejections",
    "tallies",
    "test_sets",
    "training_snapshots",
    "with_features",
]

TABLES = tuple(metadata.tables.values())

VIEWS = {
    "current_predictions": ("champion", "patients", "predictions", "rejections", "row_keys", "source_rejections"),
    "patient_versions": ("patients",),
    "monitored_predictions": ("patients", "predictions"),
}
"""Each view -> the tables that it reads."""

WITH_FEATURES = ("patients", "scoring_queue")
"""The tables that have a column of type Real for each feature, declared or retired."""


def with_features(columns: Iterable[str]) -> MetaData:
    """Copies of the tables, with these features' columns."""
    whole = MetaData(naming_convention=metadata.naming_convention)
    for table in TABLES:
        table.to_metadata(whole)
    for name in WITH_FEATURES:
        for column in columns:
            whole.tables[name].append_column(Column(column, Real))
    return whole
