"""Clinics that have a score already: first champions that must beat it, and what is said of settled
outcomes, whichever of both is better."""

import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from sqlalchemy import select, update

from pima.core.declared.present_score import PresentScore
from pima.core.nights.kinds import Kind, Watched
from pima.core.rows.hindsight import Corrections
from pima.core.statistics.discrimination import TOO_FEW_OF_A_CLASS
from pima.core.statistics.estimates import Estimate
from pima.core.statistics.logistic_regression import logistic
from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import evidence
from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED as SHIPPED_DECLARED
from pima.store.engine import reading, writing
from pima.store.rows.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.store.service.monitoring import keep_figures
from pima.store.tables import promotions
from pima.watch.beside_scores import BesideScore, beside_scores
from pima.watch.realised import leave_realised
from tests.support.clinic import Clinic
from tests.support.contests import contest, contestant
from tests.support.databases import Copied, Database, call, insert_many, the_json
from tests.support.ledger import document
from tests.support.scrapes import scrape
from tests.support.shipped import SHIPPED
from tests.support.ward import WARD, WITH_WARD, install_ward, make_ward, ward_configuration

pytestmark = pytest.mark.usefixtures("equal_fits_once")
HISTORY = 568


def _visits(points_know: int = 0) -> list[dict[str, Any]]:
    """The shipped rows as visits, in their own order, with points of three features; where the
    points know, they also see the outcome through a haze: the more, the clearer."""
    made = []
    for n, line in enumerate(SHIPPED.read_text().splitlines()):
        row = [float(cell) for cell in line.split(",")]
        points = (row[0] >= 6) + 2 * (row[7] >= 40) + (row[2] >= 80)
        if points_know:
            points = (points + points_know * row[8] + n % 7) // 4
        made.append(
            {
                "visit_id": str(uuid.UUID(int=n + 1)),
                "patient_no": n + 1,
                **dict(zip(_COLUMNS, row[:8], strict=True)),
                "diabetic": "yes" if row[8] else "no",
                "points": int(points),
            }
        )
    return made


_COLUMNS = (
    "pregnancies",
    "glucose_mmol",
    "diastolic",
    "skin",
    "insulin",
    "bmi",
    "pedigree",
    "age",
)


class _Ward:
    """A clinic with such visits, pulled into a database that declares the score."""

    def __init__(self, database: Database, clinic: Clinic, folder: Path) -> None:
        self.database, self.clinic, self.folder = database, clinic, folder
        ward_configuration(folder)
        clinic.extra = f'[declaration]\nfile = "{folder / "features.toml"}"\n'
        clinic.execute("ALTER TABLE visits ADD COLUMN points INTEGER")
        clinic.columns |= {"glucose": "glucose_mmol", "ward": "points"}

    def insert(self, visits: list[dict[str, Any]]) -> None:
        names = ", ".join(visits[0])
        marks = ", ".join(f":{name}" for name in visits[0])
        self.clinic.execute(f"INSERT INTO visits ({names}) VALUES ({marks})", visits)

    def run(self, job: str, *arguments: str, **environ: str) -> dict[str, Any]:
        ended = call(
            self.database, job, "--config", self.clinic.config, "--json", *arguments, **environ
        )
        assert ended.exit_code == 0, ended.stderr
        return the_json(ended)

    def night_and_outcomes(self, visits: list[dict[str, Any]]) -> None:
        """New visits are pulled and scored, and later their outcomes come, with other points."""
        self.insert([visit | {"diabetic": None} for visit in visits])
        self.clinic.pulled(self.database)
        assert self.run("score")["predicted"] == len(visits)
        assert self.database.value("SELECT count(*) FROM prediction_scores") == len(visits)
        self.clinic.execute(
            "UPDATE visits SET diabetic = :diabetic, points = 0 WHERE visit_id = :visit_id",
            [{name: visit[name] for name in ("diabetic", "visit_id")} for visit in visits],
        )
        self.clinic.pulled(self.database)

    def page(self) -> str:
        """The text of a report."""
        out = self.folder / "report.html"
        self.run("report", "--out", str(out))
        html = re.sub(r"<svg.*?</svg>|<style.*?</style>", "", out.read_text(), flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def ward(copied: Copied, sqlite_clinic: Clinic, tmp_path: Path) -> _Ward:
    return _Ward(copied(make_ward), sqlite_clinic, tmp_path)


def test_a_clinic_whose_score_is_beaten_reads_so(ward: _Ward) -> None:
    visits = _visits()
    ward.insert(visits[:HISTORY])
    ward.clinic.pulled(ward.database)
    first = ward.run("retrain", PIMA_GATE__FIRST_MUST_BEAT="ward", PIMA_GATE__MEASURE="log_loss")
    assert (first["verdict"], first["reason"]) == ("promoted", "first_champion")
    assert "beside the ward's points on" in first["explanation"]
    kept = document(ward.database, "SELECT evidence FROM promotions")
    (score,) = kept["scores"]
    # Nobody can say when the points of a loaded history were known.
    assert score["as_it_stands"] == score["rows"] == kept["rows"]
    pairs = [each for each in kept["pairs"] if each["role"] == "present_score"]
    assert [(each["beside"], each["rows"]) for each in pairs] == [("challenger", kept["rows"])]
    page = ward.page()
    assert "compared as soon as 10 predictions" in page
    assert "Was their score written down before the outcome was known?" in page

    ward.night_and_outcomes(visits[HISTORY:])
    ward.run("retrain")
    page = ward.page()
    told = re.search(
        r"The service is better than the ward's points by (0\.\d+) \((0\.\d+) to 0\.\d+\) in AUROC "
        r"over the newest 200 settled outcomes of the last 26 weeks\.",
        page,
    )
    assert told is not None
    assert float(told[1]) > float(told[2]) > 0
    card = " ".join(call_card(ward).split())
    assert told[0] in card
    assert told[0] in ward.run("status")["beside_scores"]
    gains = dict(
        ward.database.execute(
            "SELECT figure, value FROM monitoring WHERE feature = 'ward' AND model_version = 1"
        )
    )
    assert gains.keys() == {
        "realised_auroc_gain",
        "realised_log_loss_gain",
        "realised_net_benefit_gain",
    }
    assert gains["realised_auroc_gain"] == pytest.approx(float(told[1]), abs=5e-4)


def call_card(ward: _Ward) -> str:
    return call(ward.database, "models", "card", "1", "--config", ward.clinic.config).stdout


def test_a_clinic_whose_score_is_better_reads_so_and_may_keep_it(ward: _Ward) -> None:
    visits = _visits(points_know=8)
    ward.insert(visits[:HISTORY])
    ward.clinic.pulled(ward.database)
    for look in (1, 2):  # judged again, since the points may have been mended
        kept_out = ward.run("retrain", PIMA_GATE__FIRST_MUST_BEAT="ward")
        assert (kept_out["verdict"], kept_out["reason"]) == ("blocked", "not_better_than_score")
        assert not kept_out["judged_before"]
        assert f"is asked at look {look} at this holdout" in kept_out["explanation"]
    assert ward.database.value("SELECT model_version FROM champion") is None
    assert "it is not clearly better than the score" in ward.page()
    # Without it the same challenger is good enough, and what comes true tells.
    assert ward.run("retrain")["verdict"] == "promoted"
    ward.night_and_outcomes(visits[HISTORY:])
    assert re.search(
        r"The service is worse than the ward's points by 0\.\d+ \(0\.\d+ to 0\.\d+\) in "
        r"AUROC over the newest 200 settled outcomes of the last 26 weeks\.",
        ward.page(),
    )


@pytest.mark.judge
def test_after_the_first_look_a_model_must_be_more_clearly_better(ward: _Ward) -> None:
    visits = _visits(points_know=3)
    ward.insert(visits[:HISTORY])
    ward.clinic.pulled(ward.database)
    asked = {"PIMA_GATE__FIRST_MUST_BEAT": "ward", "PIMA_GATE__MEASURE": "log_loss"}
    tried = ward.run("retrain", "--dry-run", **asked)
    assert (tried["verdict"], tried["consultations"]) == ("promoted", 1)
    assert "below 0.1 is asked at look 1" in tried["explanation"]
    # Nobody can say when the points of a loaded history were known.
    assert "all with the score as loaded" in tried["explanation"]
    kept_out = ward.run("retrain", **asked)
    assert (kept_out["reason"], kept_out["consultations"]) == ("not_better_than_score", 2)
    assert "below 0.005 is asked at look 2" in kept_out["explanation"]
    assert kept_out["against_score"] == tried["against_score"]
    assert ward.database.value("SELECT model_version FROM champion") is None


@pytest.mark.parametrize("job", ["migrate", "status", "retrain"])
def test_a_score_to_beat_that_is_not_declared_is_told(sqlite: Database, job: str) -> None:
    ended = call(sqlite, job, "--json", PIMA_GATE__FIRST_MUST_BEAT="ward")
    assert ended.exit_code == 2
    assert "gate.first_must_beat names ward" in json.loads(ended.stdout)["message"]


def test_a_score_to_beat_that_is_given_up_keeps_out_first_champions_alone(
    copied: Copied, trained: Path
) -> None:
    asked = {"PIMA_GATE__FIRST_MUST_BEAT": "ward"}
    database = copied(install_ward, trained)
    redeclare(database.engine, SHIPPED_DECLARED, "a test", "the ward counts no points")
    assert call(database, "retrain", **asked).exit_code == 3
    database.execute("UPDATE champion SET model_version = NULL")
    assert call(database, "status", **asked).exit_code == 0
    ended = call(database, "retrain", **asked)
    assert (ended.exit_code, "first_must_beat names ward" in ended.stderr) == (2, True)


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
def settled(copied: Copied, trained: Path) -> Database:
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


def test_the_service_stands_beside_a_score_by_whichever_version_it_predicted(
    settled: Database, tmp_path: Path
) -> None:
    """Half a year has more champions than outcomes of the newest one."""
    _kept_scale(settled, 1, slope=0.5)
    _kept_scale(settled, 2, slope=0.75)
    for table in ("predictions", "prediction_scores"):
        settled.execute(f"UPDATE {table} SET model_version = 2 WHERE patient_id % 4 > 1")
    config = ward_configuration(tmp_path)
    section = _section(settled, config)
    assert (
        "in AUROC over the newest 40 settled outcomes of the last 26 weeks. Both as they stood"
        in section
    )
    assert "What the service gains on the ward's points" in section
    # None of both has learned from these outcomes on the scale of the older one.
    assert _threshold(settled) == pytest.approx(_at(0.5))
    # What is older than half a year is over.
    long_ago = {"old": settled.stored(datetime.now(UTC) - timedelta(days=200))}
    for table in ("predictions", "prediction_scores"):
        settled.execute(f"UPDATE {table} SET scored_at = :old WHERE model_version = 2", long_ago)
    settled.execute(
        """
        UPDATE patients SET labelled_at = :old
        WHERE id IN (SELECT patient_id FROM predictions WHERE model_version = 2)""",
        long_ago,
    )
    assert "in AUROC over the newest 20 settled outcomes" in _section(settled, config)


def test_points_stand_beside_a_version_on_the_scale_of_its_own_verdict(settled: Database) -> None:
    """The newest scale has learned from the outcomes that it would be shown on."""
    assert _beside(settled) == []
    _kept_scale(settled, 3, slope=0.75)
    assert _threshold(settled) == pytest.approx(_at(0.75))
    _kept_scale(settled, 1, slope=0.5)
    assert _threshold(settled) == pytest.approx(_at(0.5))


def test_a_probability_needs_no_scale_and_points_take_none_of_a_probability(
    settled: Database,
) -> None:
    _kept_scale(settled, 3, slope=None)
    assert _beside(settled) == []
    _kept_scale(settled, 1, slope=0.5)
    settled.execute("UPDATE prediction_scores SET value = value / 4")
    risk = PresentScore(WARD.name, kind="probability", threshold=0.25)
    redeclare(
        settled.engine, structs.replace(WITH_WARD, present_scores=(risk,)), "a test", "now a risk"
    )
    assert _threshold(settled) == 0.25


def test_each_score_has_metrics_of_its_own(settled: Database) -> None:
    figures = [Watched("", "realised_accuracy", 0.8, 40)]
    figures += [Watched(score, "realised_auroc_gain", 0.1, 40) for score in ("ward", "risk")]
    with writing(settled.engine) as connection:
        keep_figures(connection, 77, 1, Kind.REALISED, figures)
    told = [series[1:] for series in scrape(settled.engine) if series[0] == "pima_realised"]
    gains = [("auroc_gain", "1", score) for score in ("risk", "ward")]
    assert told == [("accuracy", "1", ""), *gains]


def test_evidence_that_was_edited_costs_only_the_gains(settled: Database) -> None:
    _kept_scale(settled, 1, slope=0.5)
    left = "SELECT DISTINCT figure FROM monitoring WHERE run_id = :run AND figure LIKE 'realised%'"
    for run, gains in ((77, True), (78, False)):
        leave_realised(settled.engine, run, Corrections())
        figures = {figure for (figure,) in settled.execute(left, {"run": run})}
        assert "realised_accuracy" in figures
        assert ("realised_auroc_gain" in figures) is gains
        with writing(settled.engine) as connection:
            connection.execute(update(promotions).values(evidence={"contestants": "edited"}))


def test_the_report_says_what_each_score_is_and_which_ones_wait(
    settled: Database, tmp_path: Path
) -> None:
    _kept_scale(settled, 1, slope=0.5)
    config = ward_configuration(tmp_path)
    with (tmp_path / "features.toml").open("a") as file:
        file.write('[[present_score]]\nname = "risk"\nlabel = "the table"\nkind = "probability"\n')
    asked = ("--features", "--reason", "and a risk")
    assert call(settled, "migrate", "--config", config, *asked).exit_code == 0
    few = "SELECT min(patient_id) FROM prediction_scores"
    settled.execute(f"DELETE FROM prediction_scores WHERE patient_id = ({few})")
    points = "Points have become probabilities"
    section = _section(settled, config)
    assert (
        "over 30 of the newest 40 settled outcomes of the last 26 weeks (of at most 10 the score was not known"
        in section
    )
    assert "outcome 1 came in 15 of these 30 rows" in section
    assert "the table: compared as soon as 10 predictions with a known score" in section
    assert "the ward's points: compared as soon" not in section
    assert points in section
    assert "declared without a threshold" not in section
    # Now the risk is the one that is known.
    settled.execute("UPDATE prediction_scores SET score = 'risk', value = value / 4")
    section = _section(settled, config)
    assert points not in section
    assert "declared without a threshold" in section


def _section(database: Database, config: str) -> str:
    """The text of the report's part about scores."""
    out = Path(config).with_name("report.html")
    assert call(database, "report", "--config", config, "--out", str(out)).exit_code == 0
    html = out.read_text().partition('<section id="score"')[2].partition("</section>")[0]
    html = re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


@pytest.mark.parametrize(
    ("gain", "rows", "told"),
    [
        (
            Estimate(0.041, 0.012, 0.07),
            180,
            (
                "The service is better than the ward's points by 0.041 (0.012 to 0.070) in AUROC over "
                "180 of the newest 200 settled outcomes of the last 26 weeks (of 20 the score was not known then)."
            ),
        ),
        (
            Estimate(-0.041, -0.07, -0.012),
            200,
            (
                "The service is worse than the ward's points by 0.041 (0.012 to 0.070) in AUROC over "
                "the newest 200 settled outcomes of the last 26 weeks."
            ),
        ),
        (
            Estimate(-0.01, -0.04, 0.02),
            190,
            (
                "The service is neither clearly better nor clearly worse than the ward's points: its "
                "gain is -0.010 (-0.040 to 0.020) in AUROC over 190 of the newest 200 settled outcomes of the last 26 weeks (of at "
                "most 10 the score was not known then)."
            ),
        ),
        (
            Estimate(0.2, reason=TOO_FEW_OF_A_CLASS),
            19,
            (
                "The AUROC of the service can't be compared with that of the ward's points over 19 of "
                "the newest 200 settled outcomes of the last 26 weeks (of 181 the score was not known then): fewer than two rows of "
                "an outcome."
            ),
        ),
    ],
)
def test_who_is_better_is_said_with_the_outcomes_that_it_rests_on(
    gain: Estimate, rows: int, told: str
) -> None:
    said = np.linspace(0.1, 0.9, 20)
    score = replace(contestant(Role.PRESENT_SCORE, said), name=WARD.called, decides=False)
    both = contest(np.arange(20) % 2, said)
    both = replace(both, contestants=(*both.contestants, score))
    pair = structs.replace(evidence(both).pairs[0], auroc_gain=gain, rows=rows)
    assert str(BesideScore(WARD, 200, pair, both)) == told
