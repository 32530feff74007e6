"""Visits of persons: verdict and evidence take sums by person, and report and card say so."""

from pathlib import Path

import numpy as np
import pytest

from pima.core.outcomes.realised import ON_TOP, came_true
from pima.core.rows.history import features_of
from pima.core.statistics.estimates import Estimate, in_words
from pima.report import contents, version_facts
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED as DECLARED
from pima.settings.sections import Settings
from pima.train.retraining import read_history
from pima.watch import overview
from pima.watch.realised import BY_NEWEST
from tests.support.databases import Database, call, the_json
from tests.support.ledger import document
from tests.support.patient_files import HEADER, write
from tests.support.shipped import SHIPPED

pytestmark = pytest.mark.usefixtures("each_fit_once")
VISITS = 4


def _of_persons() -> list[str]:
    """The shipped rows as visits of persons, each of whom has alike ones."""
    rows = [line.split(",") for line in SHIPPED.read_text().split()]
    rows.sort(key=lambda row: (row[8], float(row[1])))
    return [f"clinic,v{n},p{n // VISITS},{','.join(row)}" for n, row in enumerate(rows)]


def test_a_verdict_on_visits_of_persons_is_by_persons(database: Database, tmp_path: Path) -> None:
    visits = write(tmp_path, f"source,source_key,person_key,{HEADER}", *_of_persons())
    assert call(database, "load", visits).exit_code == 0
    ended = the_json(call(database, "retrain", "--json", PIMA_GATE__WINDOW="all"))
    kept = document(database, "SELECT evidence FROM promotions")
    holdout = read_history(database.engine, Settings(), DECLARED)[0].holdout
    persons = holdout["Person"].nunique()
    assert kept["rows"] == len(holdout) > 3 * persons
    told = f"intervals and p by {persons} persons, not by rows"
    assert told in ended["explanation"]

    scorer = load_scorer(database.engine, ended["challenger"])
    probabilities = scorer.model.probabilities(features_of(holdout))
    judged = (probabilities, scorer.threshold, holdout["outcome"].to_numpy())
    numbers = np.unique(holdout["Person"].to_numpy(np.uint64), return_inverse=True)[1]
    by_person = came_true(*judged, persons=numbers).figures
    by_visit = came_true(*judged).figures
    (model,) = kept["contestants"]
    for name in ("auroc", "log_loss", "brier", "sensitivity", "specificity"):
        found = Estimate(**model[name])
        expected = by_person[name]
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-4)
        assert found.high - found.low > 1.1 * (by_visit[name].high - by_visit[name].low), name
    report = tmp_path / "report.html"
    assert call(database, "report", "--out", str(report)).exit_code == 0
    card = call(database, "models", "card", str(ended["challenger"])).stdout
    for page in (report.read_text(), card):
        assert told in page
        assert "visits of persons" in page


def test_what_came_true_is_by_persons_while_it_is_known_whose_the_visits_are(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = f"source,source_key,person_key,{HEADER}"
    visits = [line.rsplit(",", 1) for line in _of_persons()]
    history = [",".join(each) for n, each in enumerate(visits) if n // VISITS % 3]
    new = [each for n, each in enumerate(visits) if not n // VISITS % 3]
    assert call(database, "load", write(tmp_path, header, *history)).exit_code == 0
    judged = the_json(call(database, "retrain", "--json", PIMA_GATE__MEASURE="log_loss"))
    assert judged["verdict"] == "promoted", judged
    version = judged["challenger"]
    waiting = write(tmp_path, header.removesuffix(",outcome"), *(each for each, _ in new))
    assert call(database, "load", waiting).exit_code == 0
    assert the_json(call(database, "score", "--json"))["predicted"] == len(new)
    outcomes = (f"{','.join(each.split(',')[:2])},{outcome}" for each, outcome in new)
    came = write(tmp_path, "source,source_key,outcome", *outcomes)
    assert call(database, "load", came).exit_code == 0

    def told() -> dict[str, Estimate]:
        found = the_json(call(database, "status", "--json"))["standing"]["figures"]
        return {name: Estimate(**found[name]) for name in ON_TOP}

    by_person = told()
    card = call(database, "models", "card", str(version)).stdout
    for name, words in (("area under ROC", "auroc"), ("sensitivity", "sensitivity")):
        assert f"| {name} | {in_words(by_person[words], 3)}" in card
    assert BY_NEWEST not in card
    report = str(tmp_path / "report.html")
    for room in (overview, version_facts, contents):
        monkeypatch.setattr(room, "NEWEST_OUTCOMES", len(new) - 1)
    assert call(database, "report", "--out", report).exit_code == 0
    card = call(database, "models", "card", str(version)).stdout
    status = call(database, "status", COLUMNS="300").stdout
    for shown in (card, status, Path(report).read_text()):
        assert BY_NEWEST in " ".join(shown.split())
    monkeypatch.undo()
    database.execute("UPDATE patients SET person_key = NULL")
    for name, by_visit in told().items():
        found = by_person[name]
        assert found.value == pytest.approx(by_visit.value)
        assert found.low < by_visit.low < by_visit.high <= found.high, name
        assert found.high - found.low > 1.05 * (by_visit.high - by_visit.low), name
