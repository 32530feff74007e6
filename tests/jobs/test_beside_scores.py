"""A version beside the score in use, over settled outcomes: on which scale, and what is said."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from pima.core.figures import logistic
from pima.core.present_score import PresentScore
from pima.core.watched import Watched
from pima.redeclaring import redeclare
from pima.store.engine import reading, writing
from pima.store.monitoring import keep_figures
from pima.store.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.store.tables import promotions
from pima.watch.beside_scores import BesideScore, beside_scores
from pima.watch.metrics import DatabaseFigures
from tests.support.databases import Copied, Database, call, insert_many
from tests.support.ward import WARD, WITH_WARD, install_ward, ward_configuration


def _with_outcomes(database: Database, trained: Path) -> None:
    """Version 1 has predicted 40 rows with the ward's points, and their outcomes came."""
    install_ward(database, trained)
    insert_many(database, 40, glucose="80 + n * 2")
    database.execute("UPDATE patients SET ward = id % 4")
    with TemporaryDirectory() as folder:
        config = ward_configuration(Path(folder))
        assert call(database, "score", "--config", config).exit_code == 0
    database.execute("UPDATE patients SET outcome = id % 2")


@pytest.fixture
def ward(copied: Copied, trained: Path) -> Database:
    return copied(_with_outcomes, trained)


def _kept_scale(database: Database, challenger: int, slope: float | None) -> None:
    """Put a scale of the points into the verdict on a version."""
    told = {"score": WARD.name, "name": WARD.called, "rows": 50, "as_it_stands": 0}
    scale = {"intercept": None if slope is None else -1.0, "slope": slope}
    its_own = promotions.c.challenger == challenger
    with writing(database.engine) as connection:
        kept = connection.scalar(select(promotions.c.evidence).where(its_own))
        kept = kept | {"scores": [told | {"scale": scale}]}
        connection.execute(update(promotions).where(its_own).values(evidence=kept))


def _beside(database: Database) -> list[BesideScore]:
    with reading(database.engine) as connection:
        settled = settled_outcomes(connection, NEWEST_OUTCOMES)
        return list(beside_scores(connection, settled.in_time))


def _threshold(database: Database) -> float:
    """The score's own, as a probability."""
    (told,) = _beside(database)
    return told.evidence.contestants[1].threshold


def _at(slope: float) -> float:
    return float(logistic(np.array([-1.0 + slope * 3]))[0])


def test_points_stand_beside_a_version_on_the_scale_of_its_own_verdict(ward: Database) -> None:
    """The newest scale has learned from the outcomes that it would be shown on."""
    assert _beside(ward) == []
    _kept_scale(ward, 3, slope=0.75)
    assert _threshold(ward) == pytest.approx(_at(0.75))
    _kept_scale(ward, 1, slope=0.5)
    assert _threshold(ward) == pytest.approx(_at(0.5))


def test_a_probability_needs_no_scale_and_points_take_none_of_a_probability(
    ward: Database,
) -> None:
    _kept_scale(ward, 3, slope=None)
    assert _beside(ward) == []
    _kept_scale(ward, 1, slope=0.5)
    ward.execute("UPDATE prediction_scores SET value = value / 4")
    risk = PresentScore(WARD.name, kind="probability", threshold=0.25)
    redeclare(ward.engine, replace(WITH_WARD, present_scores=(risk,)), "a test", "now a risk")
    assert _threshold(ward) == 0.25


def test_each_score_has_metrics_of_its_own(ward: Database) -> None:
    figures = [Watched("", "realised_accuracy", 0.8, 40)]
    figures += [Watched(score, "realised_auroc_gain", 0.1, 40) for score in ("ward", "risk")]
    with writing(ward.engine) as connection:
        keep_figures(connection, 77, 1, figures)
    samples = [each for family in DatabaseFigures(ward.engine).collect() for each in family.samples]
    told = [
        (each.labels["figure"], each.labels["score"])
        for each in samples
        if each.name == "pima_realised"
    ]
    assert told == [("accuracy", ""), ("auroc_gain", "risk"), ("auroc_gain", "ward")]
