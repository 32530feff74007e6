"""A version beside the score in use, over settled outcomes: on which scale, and what is said."""

import re
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from pima.core.declared.present_score import PresentScore
from pima.core.nights.kinds import Kind, Watched
from pima.core.rows.hindsight import Corrections
from pima.core.verdicts.logistic import logistic
from pima.redeclaring import redeclare
from pima.store.engine import reading, writing
from pima.store.rows.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.store.service.monitoring import keep_figures
from pima.store.tables import promotions
from pima.watch.beside_scores import BesideScore, beside_scores
from pima.watch.metrics import DatabaseFigures
from pima.watch.realised import leave_realised
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
        keep_figures(connection, 77, 1, Kind.REALISED, figures)
    samples = [each for family in DatabaseFigures(ward.engine).collect() for each in family.samples]
    told = [
        (each.labels["figure"], each.labels["score"])
        for each in samples
        if each.name == "pima_realised"
    ]
    assert told == [("accuracy", ""), ("auroc_gain", "risk"), ("auroc_gain", "ward")]


def test_evidence_that_was_edited_costs_only_the_gains(ward: Database) -> None:
    _kept_scale(ward, 1, slope=0.5)
    left = "SELECT DISTINCT figure FROM monitoring WHERE run_id = :run AND figure LIKE 'realised%'"
    for run, gains in ((77, True), (78, False)):
        leave_realised(ward.engine, run, Corrections())
        figures = {figure for (figure,) in ward.execute(left, {"run": run})}
        assert "realised_accuracy" in figures
        assert ("realised_auroc_gain" in figures) is gains
        with writing(ward.engine) as connection:
            connection.execute(update(promotions).values(evidence={"contestants": "edited"}))


def test_the_report_says_what_each_score_is_and_which_ones_wait(
    ward: Database, tmp_path: Path
) -> None:
    _kept_scale(ward, 1, slope=0.5)
    config = ward_configuration(tmp_path)
    with (tmp_path / "features.toml").open("a") as file:
        file.write('[[present_score]]\nname = "risk"\nlabel = "the table"\nkind = "probability"\n')
    asked = ("--features", "--reason", "and a risk")
    assert call(ward, "migrate", "--config", config, *asked).exit_code == 0
    few = "SELECT min(patient_id) FROM prediction_scores"
    ward.execute(f"DELETE FROM prediction_scores WHERE patient_id = ({few})")
    points = "Points have become probabilities"
    section = _section(ward, config)
    assert "over 30 of 40 settled outcomes (of at most 10 the score was not known" in section
    assert "outcome 1 came in 15 of these 30 rows" in section
    assert "the table: compared as soon as 10 predictions with a known score" in section
    assert "the ward's points: compared as soon" not in section
    assert points in section
    assert "declared without a threshold" not in section
    # Now the risk is the one that is known.
    ward.execute("UPDATE prediction_scores SET score = 'risk', value = value / 4")
    section = _section(ward, config)
    assert points not in section
    assert "declared without a threshold" in section


def _section(database: Database, config: str) -> str:
    """The text of the report's part about scores."""
    out = Path(config).with_name("report.html")
    assert call(database, "report", "--config", config, "--out", str(out)).exit_code == 0
    html = out.read_text().partition('<section id="score"')[2].partition("</section>")[0]
    html = re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
