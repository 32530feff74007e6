"""Two clinics that have a score already: in one pima is better, in the other the score is, and
both are told so."""

import json
import re
import uuid
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED as SHIPPED_DECLARED
from tests.support.clinic import Clinic
from tests.support.databases import Copied, Database, call, the_json
from tests.support.ledger import document
from tests.support.shipped import SHIPPED
from tests.support.ward import install_ward, make_ward, ward_configuration

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
        r"Version 1 is better than the ward's points by (0\.\d+) \((0\.\d+) to 0\.\d+\) in AUROC "
        r"over 200 settled outcomes\.",
        page,
    )
    assert told is not None
    assert float(told[1]) > float(told[2]) > 0
    assert told[0] in " ".join(call_card(ward).split())
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
    number = ward.database.value("SELECT model_version FROM champion")
    assert re.search(
        rf"Version {number} is worse than the ward's points by 0\.\d+ \(0\.\d+ to 0\.\d+\) in "
        r"AUROC over 200 settled outcomes\.",
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
