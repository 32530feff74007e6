"""Groups that no model sees, in verdicts: their figures, who was learned from, and the margin."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pima.core.rows.history import features_of
from pima.redeclaring import redeclare
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED
from pima.settings.sections import Settings
from pima.store.engine import reading
from pima.store.models.lineage import kept_rows
from pima.train.retraining import read_history
from tests.support.databases import Copied, Database, call, the_json
from tests.support.groups import WITH_GROUPS, group_configuration
from tests.support.ledger import document
from tests.support.trained import install_models, load_shipped

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")


@pytest.fixture
def grouped(copied: Copied, trained: Path, tmp_path: Path) -> tuple[Database, str]:
    """The shipped rows, all labelled, with a champion and groups; and the settings."""
    database = copied(load_shipped)
    install_models(database, trained, champion=1)
    redeclare(database.engine, WITH_GROUPS, "a test", "is it fair?")
    # Whoever writes by SQL may write what is no code.
    database.execute("""
        UPDATE patients SET years = id % 9,
            language = CASE WHEN id % 10 = 0 THEN 7 WHEN id % 10 = 1 THEN NULL ELSE id % 2 END""")
    return database, group_configuration(tmp_path)


def newest_evidence(database: Database) -> Any:
    newest = "SELECT evidence FROM promotions WHERE evidence IS NOT NULL ORDER BY id DESC LIMIT 1"
    return document(database, newest)


def subgroups_of(evidence: Any, name: str) -> dict[str, Any]:
    return {
        each["group"]: each["rows"] for each in evidence["subgroups"] if each["feature"] == name
    }


def test_a_verdict_has_the_figures_of_each_group_and_no_model_has_seen_it(
    grouped: tuple[Database, str],
) -> None:
    database, config = grouped
    bare = read_history(database.engine, Settings(), SHIPPED)[0]
    result = the_json(call(database, "retrain", "--config", config, "--json"))
    found = newest_evidence(database)
    history = read_history(database.engine, Settings(), WITH_GROUPS)[0]
    assert history.fingerprint == bare.fingerprint
    members = document(database, "SELECT patient_ids FROM test_sets")
    ids = np.array(members)
    others = int(np.isin(ids % 10, (0, 1)).sum())
    odd = int((ids % 2).sum()) - int((ids % 10 == 1).sum())
    assert subgroups_of(found, "language") == {
        "German": len(ids) - others - odd,
        "Turkish": odd,
        "missing": others,
    }
    assert subgroups_of(found, "years")["1 to under 5"] == int(np.isin(ids % 9, (1, 2, 3, 4)).sum())
    # Beside the inputs' own, and behind them.
    names = list(dict.fromkeys(each["feature"] for each in found["subgroups"]))
    assert names == [*SHIPPED.names, "language", "years"]
    learned = history.training.index.to_numpy()
    language, years = found["groups"]
    assert (language["group"], language["name"]) == ("language", "first language")
    assert dict(language["training"])["missing"] == int(np.isin(learned % 10, (0, 1)).sum())
    assert sum(dict(years["training"]).values()) == result["training_rows"]
    with reading(database.engine) as connection:
        snapshot = kept_rows(connection, result["challenger"])
    assert {"language", "years"}.isdisjoint(snapshot.columns)


def test_nothing_that_shows_a_verdict_tells_how_few_of_a_group_have_an_outcome(
    grouped: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = grouped
    few = "outcome = 1 AND id % 20 = 0 OR outcome = 0 AND id % 3 = 0"
    database.execute(f"UPDATE patients SET language = CASE WHEN {few} THEN 1 ELSE 0 END")
    number = the_json(call(database, "retrain", "--config", config, "--json"))["challenger"]
    stored = newest_evidence(database)["subgroups"]
    # The other group would tell it.
    assert not [each for each in stored if each["feature"] == "language"]
    # Somebody else may have few, too, of a feature.
    assert [each for each in stored if each["positive"] is not None and each["positive"] < 10]
    shown = the_json(call(database, "models", "show", str(number), "--config", config, "--json"))
    for each in shown["evidence"]["subgroups"]:
        if each["positive"] is None:
            assert each["treat_all"] is None
        else:
            assert min(each["positive"], each["rows"] - each["positive"]) >= 10
    card = call(database, "models", "card", str(number), "--config", config).stdout
    table = card.partition("## Subgroups")[2].partition("\n## ")[0]
    ones = [line.split(" | ")[2] for line in table.splitlines() if line.startswith("| ")][1:]
    assert "under 10" in ones
    assert all(each in ("-", "under 10") or int(each) >= 10 for each in ones)
    page = tmp_path / "report.html"
    process = database.start("report", "--config", config, "--out", str(page))
    process.communicate()
    assert process.returncode == 0
    beside = re.findall(r"number\">\d+\*? \((.*?)\)</td>", page.read_text())
    assert "under 10" in beside
    assert all(each == "under 10" or int(each) >= 10 for each in beside)


def test_a_challenger_that_is_worse_in_a_group_is_kept_out_by_the_margin(
    grouped: tuple[Database, str],
) -> None:
    database, config = grouped
    approved = {"PIMA_GATE__APPROVE": "true"}
    first = the_json(call(database, "retrain", "--config", config, "--json", **approved))
    assert first["reason"] == "awaits_approval"
    members = document(database, "SELECT patient_ids FROM test_sets")
    holdout = read_history(database.engine, Settings(), SHIPPED)[0].holdout.loc[members]
    right = []
    for number in (1, first["challenger"]):
        scorer = load_scorer(database.engine, number)
        called = scorer.model.probabilities(features_of(holdout)) >= scorer.threshold
        right.append(called == holdout["outcome"].to_numpy(bool))
    lost_first = np.argsort(right[1].astype(int) - right[0].astype(int), kind="stable")
    worst = holdout.index.to_numpy()[lost_first[:50]].tolist()
    lost = int((right[0] & ~right[1]).sum())
    assert lost > 3
    database.execute("UPDATE patients SET language = 0")
    database.execute(f"UPDATE patients SET language = 2 WHERE id IN {tuple(worst)}")
    # Another question to the same data is another look.
    margin = {"PIMA_GATE__SUBGROUP_MARGIN": "0.05"} | approved
    result = the_json(call(database, "retrain", "--config", config, "--json", **margin))
    assert (result["verdict"], result["reason"]) == ("blocked", "subgroup_worse")
    told = result["worst_subgroup"]
    assert (told["feature"], told["group"], told["rows"]) == ("language", "another", 50)
    assert told["gain"] == pytest.approx(-lost / 50)
    assert "(language another, 50 rows: " in result["explanation"]
    assert the_json(call(database, "retrain", "--config", config, "--json", **margin))[
        "judged_before"
    ]
