"""Rules for Prometheus, a dashboard for Grafana and the view for monitoring tools, on what the service serves."""

import json
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from pima.settings.sections import MetricsSettings
from pima.watch.metrics import serve_metrics
from tests.support.databases import PATIENCE_SECONDS, Database, call, free_port, insert_patients, the_json
from tests.support.ledger import insert_run
from tests.support.promql import Prometheus, Vector, chosen, scraped, selectors
from tests.support.pulls import COUNTED
from tests.support.shipped import ROOT

_RULES_FILE = ROOT / "deploy" / "prometheus" / "pima.rules.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "pima.json").read_text())
RULES = {rule["alert"]: rule for rule in yaml.safe_load(_RULES_FILE.read_text())["groups"][0]["rules"]}
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]

WATCHED = ("rows", "predicted_positive", "realised_accuracy")


class Endpoint:
    """The real one, on a database of one's own, with a source that was pulled."""

    def __init__(self, database: Database) -> None:
        self.database, self._port = database, free_port()
        serve_metrics(database.engine, MetricsSettings(port=self._port), ["clinic"])

    def scrape(self) -> dict[str, Vector]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=PATIENCE_SECONDS) as answer:
            return scraped(answer.read().decode())

    def run(self, job: str, status: str, counts: str = "{}") -> None:
        now = datetime.now(UTC)
        insert_run(self.database, job, status, counts=counts, started_at=now, finished_at=now)

    def watched(self, figure: str, state: str = "usual") -> None:
        """The newest run that left this figure."""
        self.database.execute(
            "INSERT INTO monitoring"
            " (run_id, model_version, feature, figure, value, low, high, rows, reference, allowed, state)"
            " SELECT coalesce(max(run_id), 0) + 1, 1, '', :figure, 0.5, 0.4, 0.6, 300, 0.4, 0.05, :state"
            " FROM monitoring",
            {"figure": figure, "state": state},
        )

    def age(self) -> None:
        """All that has happened so far happened a month ago."""
        then = self.database.stored(_days_ago(30))
        self.database.execute("UPDATE runs SET finished_at = :then, heartbeat_at = :then", {"then": then})


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


@pytest.fixture
def endpoint(scored_database: Database) -> Endpoint:
    found = Endpoint(scored_database)
    for job in ("score", "retrain"):
        found.run(job, "succeeded", '{"predicted": 40, "rejected": 2, "already_scored": 0}')
    ended = dict.fromkeys(COUNTED, 1) | {"source": "clinic", "status": "succeeded", "error_code": None}
    found.run("pull", "succeeded", json.dumps({"sources": [ended]}))
    for figure in WATCHED:
        found.watched(figure)
    return found


def _firing(before: dict[str, Vector], after: dict[str, Vector]) -> set[str]:
    prometheus = Prometheus(before, after, datetime.now(UTC).timestamp())
    return {name for name, rule in RULES.items() if prometheus.answer(rule["expr"])}


# What is asked of the database, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


def test_each_query_asks_for_what_the_endpoint_serves(endpoint: Endpoint) -> None:
    scrape = endpoint.scrape()
    queries = [*(rule["expr"] for rule in RULES.values()), *TARGETS]
    asked = [selector for query in queries for selector in selectors(query)]
    assert [selector.prettify() for selector in asked if not chosen(selector, scrape)] == []
    # And shows everything: a metric that is added wants a panel.
    shown = {selector.name for query in TARGETS for selector in selectors(query)}
    assert {name for name in scrape if not name.endswith("_created")} == shown
    prometheus = Prometheus(scrape, scrape, datetime.now(UTC).timestamp())
    assert all(prometheus.answer(query) for query in TARGETS)


@on_sqlite
def test_each_rule_fires_for_what_it_is_about_and_for_nothing_else(endpoint: Endpoint) -> None:
    well = endpoint.scrape()
    assert _firing(well, well) == set()
    assert _firing(well, {}) == {"PimaSilent"}

    endpoint.run("score", "succeeded", '{"predicted": 70, "rejected": 17, "already_scored": 0}')
    assert _firing(well, endpoint.scrape()) == set()
    endpoint.run("score", "succeeded", '{"predicted": 10, "rejected": 10, "already_scored": 0}')
    assert _firing(well, endpoint.scrape()) == {"PimaManyRejected"}

    before = endpoint.scrape()
    for status in ("interrupted", "try_again_later", "skipped"):
        endpoint.run("retrain", status)
    assert _firing(before, endpoint.scrape()) == set()
    endpoint.run("retrain", "crashed")
    assert _firing(before, endpoint.scrape()) == {"PimaJobFailed"}

    drifted = endpoint.scrape()
    endpoint.watched("predicted_positive", "alert")
    assert _firing(drifted, endpoint.scrape()) == {"PimaDrift"}
    endpoint.watched("predicted_positive")
    endpoint.watched("realised_accuracy", "alert")
    assert _firing(drifted, endpoint.scrape()) == {"PimaCameTrueLess"}
    endpoint.watched("realised_accuracy")

    left = {"number": 1, "causes": [{"source": "", "reason": "missing", "column": "age", "rows": 60}]}
    endpoint.run("score", "succeeded", json.dumps({"unpredicted": left}))
    assert _firing(drifted, endpoint.scrape()) == {"PimaNoPrediction"}
    endpoint.run("score", "succeeded", json.dumps({"unpredicted": left | {"number": 2, "predicted": 240}}))
    assert _firing(drifted, endpoint.scrape()) == set()

    insert_patients(endpoint.database, 1)
    endpoint.age()
    old = endpoint.scrape()
    assert _firing(old, old) == {"PimaScoringLate", "PimaRetrainingLate", "PimaSourceLate"}
    endpoint.database.execute(
        "UPDATE scoring_queue SET enqueued_at = :then", {"then": endpoint.database.stored(_days_ago(3))}
    )
    waiting = endpoint.scrape()
    assert _firing(waiting, waiting) - _firing(old, old) == {"PimaQueueOld"}

    endpoint.database.execute("UPDATE champion SET model_version = NULL")
    without = endpoint.scrape()
    assert _firing(waiting, without) - _firing(waiting, waiting) == {"PimaNoChampion", "PimaChampionChanged"}
    endpoint.database.execute("ALTER TABLE runs RENAME TO runs_away")
    away = endpoint.scrape()
    assert _firing(away, away) == {"PimaDatabaseAway"}


def test_the_view_has_each_prediction_with_the_outcome_that_came_after_it(scored_database: Database) -> None:
    database = scored_database
    first, second, third, _ = insert_patients(database, 4)
    assert call(database, "score").exit_code == 0
    database.execute("UPDATE patients SET outcome = 1 WHERE id = :id", {"id": first})
    database.execute("UPDATE patients SET outcome = 0 WHERE id = :id", {"id": second})
    database.execute("DELETE FROM patients WHERE id = :id", {"id": third})
    found = database.execute("SELECT model_id, timestamp, prediction, label FROM monitored_predictions")
    assert sorted(row[3] for row in found if row[3] is not None) == [0, 1]
    assert len(found) == 4
    stored = database.execute("SELECT model_version, scored_at, probability FROM predictions")
    assert sorted(row[:3] for row in found) == sorted(stored)
    # An outcome that was known before is none that the prediction could be wrong about.
    database.execute("UPDATE predictions SET scored_at = :later", {"later": database.stored(_days_ago(-1))})
    assert {row[0] for row in database.execute("SELECT label FROM monitored_predictions")} == {None}


def test_without_its_extra_nothing_is_mirrored_and_nothing_is_where_pima_is(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    ended = call(sqlite, "mirror", "--json", PIMA_MLFLOW__TRACKING_URI="sqlite:///mlflow.db")
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "extra_missing")
    assert "names pima's own database" in call(sqlite, "mirror", PIMA_MLFLOW__TRACKING_URI=sqlite.url).stderr
    assert "mlflow.tracking_uri is not set" in call(sqlite, "mirror").stderr
