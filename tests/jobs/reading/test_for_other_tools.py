"""Rules for Prometheus, a dashboard for Grafana and the view for monitoring tools, on what the
service serves."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pima.settings.sections import MetricsSettings
from pima.watch.metrics import serve_metrics
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    free_port,
    insert_patients,
)
from tests.support.ledger import insert_run
from tests.support.pulls import COUNTED
from tests.support.scrapes import reads
from tests.support.shipped import ROOT

_RULES_FILE = ROOT / "deploy" / "prometheus" / "pima.rules.yaml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "pima.json").read_text())
RULES = [rule["expr"] for rule in yaml.safe_load(_RULES_FILE.read_text())["groups"][0]["rules"]]
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def _scraped(database: Database, folder: Path) -> dict[str, list[dict[str, str]]]:
    """The real endpoint's answer, of a database with a source that was pulled: name -> the labels
    of its series."""
    config = folder / "clinic.toml"
    config.write_text(
        '[[source]]\nname = "clinic"\ntable = "visits"\nkey = "id"\ncolumns = { age = "age" }\n'
    )
    port = free_port()
    serve_metrics(database.engine, MetricsSettings(port=port), reads(str(config)))
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS
    ) as answer:
        text = answer.read().decode()
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def _selectors(query: str) -> list[Any]:
    """Every series that a query asks for."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def _is_served(selector: Any, scrape: dict[str, list[dict[str, str]]]) -> bool:
    def matches(matcher: Any, value: str) -> bool:
        is_equal = matcher.op == promql_parser.MatchOp.Equal
        return (
            value == matcher.value if is_equal else re.fullmatch(matcher.value, value) is not None
        )

    series, wanted = scrape.get(selector.name, []), selector.matchers.matchers
    return any(all(matches(m, labels.get(m.name, "")) for m in wanted) for labels in series)


def test_each_query_asks_for_what_the_endpoint_serves(
    scored_database: Database, tmp_path: Path
) -> None:
    """No scheduler has run there, which is an alarm."""
    database, now = scored_database, datetime.now(UTC)
    ended = dict.fromkeys(COUNTED, 1) | {
        "source": "clinic",
        "status": "succeeded",
        "error_code": None,
    }
    for job, counts in (("score", {}), ("retrain", {}), ("pull", {"sources": [ended]})):
        insert_run(
            database, job, "succeeded", counts=json.dumps(counts), started_at=now, finished_at=now
        )
    figures = {
        "rows": "volume",
        "predicted_positive": "night",
        "realised_accuracy": "realised",
        "no_better_than_constant": "settled",
    }
    for run, (figure, kind) in enumerate(figures.items(), 1):
        database.execute(
            "INSERT INTO monitoring (run_id, model_version, feature, figure, kind, value, low, high, "
            f"rows, reference, allowed, state) VALUES ({run}, 1, '', '{figure}', '{kind}', 0.5, "
            "0.4, 0.6, 300, 0.4, 0.05, 'usual')"
        )
    scrape = _scraped(database, tmp_path)
    asked = [selector for query in (*RULES, *TARGETS) for selector in _selectors(query)]
    assert [selector.prettify() for selector in asked if not _is_served(selector, scrape)] == []
    # And shows everything: a metric that is added wants a panel.
    shown = {selector.name for query in TARGETS for selector in _selectors(query)}
    assert {name for name in scrape if not name.endswith("_created")} == shown


def test_the_view_has_each_prediction_with_the_outcome_that_came_after_it(
    scored_database: Database,
) -> None:
    database = scored_database
    first, second, third, _ = insert_patients(database, 4)
    assert call(database, "score").exit_code == 0
    database.execute("UPDATE patients SET outcome = 1 WHERE id = :id", {"id": first})
    database.execute("UPDATE patients SET outcome = 0 WHERE id = :id", {"id": second})
    database.execute("DELETE FROM patients WHERE id = :id", {"id": third})
    found = database.execute(
        "SELECT model_id, timestamp, prediction, label FROM monitored_predictions"
    )
    assert sorted(row[3] for row in found if row[3] is not None) == [0, 1]
    assert len(found) == 4
    stored = database.execute("SELECT model_version, scored_at, probability FROM predictions")
    assert sorted(row[:3] for row in found) == sorted(stored)
    # An outcome that was known before is none that the prediction could be wrong about.
    database.execute(
        "UPDATE predictions SET scored_at = :later",
        {"later": database.stored(datetime.now(UTC) + timedelta(days=1))},
    )
    assert {row[0] for row in database.execute("SELECT label FROM monitored_predictions")} == {None}
