"""`models card` on both databases: its figures are those of the evidence."""

from pathlib import Path

from pima.core.wording import FIGURES
from tests.support.databases import Database, call, the_json
from tests.support.declared import configuration


def test_a_card_has_the_figures_that_stand_beside_the_verdict(scored_database: Database) -> None:
    shown = the_json(call(scored_database, "models", "show", "2", "--json"))
    card = the_json(call(scored_database, "models", "card", "2", "--json"))
    document, version = shown["evidence"], shown["version"]
    assert (card["version"], card["champion"], card["judged"]["against"]) == (2, False, 1)
    assert [card["data"][name] for name in ("training_rows", "holdout_rows")] == [
        version[name] for name in ("training_rows", "holdout_rows")
    ]
    assert (card["evidence"]["rows"], card["evidence"]["positive"]) == (document["rows"], document["positive"])
    for name, found in zip(FIGURES, card["evidence"]["figures"], strict=True):
        for role, key in (("challenger", "figure"), ("champion", "before")):
            assert found[key] == {"reason": None} | document[role][name]
    assert [(each["feature"], each["group"], each["rows"]) for each in card["evidence"]["subgroups"]] == [
        (each["feature"], each["group"], each["rows"]) for each in document["subgroups"]
    ]
    assert any(change.startswith("training rows: ") for change in card["changes"])
    told = call(scored_database, "models", "card", "2").stdout
    assert told.startswith("# Model card: version 2\n\nNot the champion on ")
    auroc = document["challenger"]["auroc"]
    assert f"| area under ROC | {auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f}) |" in told


def test_a_first_version_changed_nothing_and_a_version_without_evidence_has_a_card(scored_database: Database) -> None:
    assert "It is the first" in call(scored_database, "models", "card", "1").stdout
    scored_database.execute("UPDATE promotions SET evidence = NULL")
    card = the_json(call(scored_database, "models", "card", "1", "--json"))
    assert (card["champion"], card["evidence"], card["changes"]) == (True, None, [])
    assert "None are kept for this version." in call(scored_database, "models", "card", "1").stdout
    assert the_json(call(scored_database, "models", "card", "9", "--json"))["error"] == "no_such_version"


def test_a_card_is_of_the_features_that_are_declared(declared_database: Database, trained_on_declared: Path) -> None:
    config = configuration(trained_on_declared.parent)
    card = the_json(call(declared_database, "models", "card", "1", "--json", "--config", config))
    assert [each["name"] for each in card["inputs"]] == ["order", "creatinine", "temperature", "smoking"]
    assert card["inputs"][3]["values"] == "0 never, 1 former, 2 current"
    assert card["outcome"] == "back in hospital within thirty days"
