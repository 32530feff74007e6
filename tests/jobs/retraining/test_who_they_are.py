"""Who the people are that a version learned from, was judged on and predicts now; and what a card
says of the service as it stands."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pima.settings.reading import SHIPPED_FILE
from tests.support.databases import Database, call, insert_many, the_json
from tests.support.declared import configuration
from tests.support.ledger import document
from tests.support.shipped import SHIPPED

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")


def people_on_card(told: str) -> Mapping[str, list[str]]:
    """The cells of each row of the table."""
    part = told.partition("## Who these people are")[2].partition("## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows}


def near(cell: str, exact: float, by: float) -> None:
    assert abs(float(cell.split()[0]) - exact) < by, cell


def test_all_three_stand_beside_one_another_and_no_group_of_fewer_than_ten(
    database: Database,
) -> None:
    assert call(database, "load", str(SHIPPED)).exit_code == 0
    result = the_json(call(database, "retrain", "--json"))
    insert_many(database, 60)
    assert call(database, "score").exit_code == 0
    people = people_on_card(call(database, "models", "card").stdout)
    members = document(database, "SELECT patient_ids FROM test_sets")
    test_set = f"FROM patients WHERE id IN ({', '.join(map(str, members))})"
    assert people["rows"] == [f"{result['training_rows']}", f"{len(members)}", "60"]
    known = database.execute(f"SELECT glucose {test_set} AND glucose > 0 ORDER BY glucose")
    near(people["glucose"][1], known[len(known) // 2][0], 5)
    lacking = database.value(f"SELECT count(*) {test_set} AND coalesce(insulin, 0) = 0")
    assert people["insulin"][1].endswith(f"; missing: {100 * lacking / len(members):.0f} %")
    # Of 60 rows the glucose is 101 to 149 and 100 again.
    near(people["glucose"][2], 125, 8)
    assert people["outcome 1"][2] == "not known"
    assert people["bmi"][0].endswith("; missing: fewer than 10")
    kept = document(database, "SELECT evidence FROM promotions WHERE evidence IS NOT NULL")
    assert kept["inputs"]["glucose"] == people["glucose"][1]


def test_the_last_weeks_count_what_another_version_predicted_and_nothing_older(
    scored_database: Database,
) -> None:
    insert_many(scored_database, 40)
    assert call(scored_database, "score").exit_code == 0
    people = people_on_card(call(scored_database, "models", "card", "2").stdout)
    assert people["rows"][2] == "40"
    near(people["glucose"][2], 120, 8)
    scored_database.execute(
        "UPDATE runs SET started_at = :then",
        {"then": scored_database.stored(datetime.now(UTC) - timedelta(days=29))},
    )
    people = people_on_card(call(scored_database, "models", "card", "2").stdout)
    assert people["rows"][2] == people["glucose"][2] == "not counted"
    # A verdict of an earlier release did not count its test set, and a reference may be damaged.
    scored_database.execute("UPDATE promotions SET evidence = NULL")
    scored_database.execute("UPDATE model_versions SET reference = '{}'")
    people = people_on_card(call(scored_database, "models", "card", "2").stdout)
    assert people["rows"] == people["glucose"] == ["not counted"] * 3


def test_a_card_tells_the_outcome_as_it_was_declared_when_its_version_was_made(
    scored_database: Database, tmp_path: Path
) -> None:
    shipped = SHIPPED_FILE.read_text()
    config = configuration(tmp_path, shipped.replace(" within five years", " in 30 days"))
    changed = ("migrate", "--features", "--reason", "another question", "--config", config)
    assert call(scored_database, *changed).exit_code == 0
    told = the_json(call(scored_database, "models", "card", "1", "--json", "--config", config))
    assert told["outcome"].startswith("diabetes within five years")


def test_a_card_says_what_rings_what_the_gate_asks_and_that_a_person_has_stopped_it(
    scored_database: Database, tmp_path: Path
) -> None:
    config = configuration(tmp_path, SHIPPED_FILE.read_text())
    told = call(scored_database, "models", "card", "--config", config).stdout
    assert "Nobody here has chosen from where on to act: predictions are 1 from 0.5 on" in told
    assert "Today nobody has stopped or pinned it." in told
    assert "(`gate.subgroup_margin` is off)" in told
    ended = call(scored_database, "models", "suspend", "--reason", "a test", "--config", config)
    assert ended.exit_code == 0
    with Path(config).open("a") as file:
        file.write("[gate]\nsubgroup_margin = 0.1\n")
    told = call(scored_database, "models", "card", "--config", config).stdout
    in_short = told.partition("## Limits")[0]
    assert "A person has suspended the model since 20" in in_short
    answered = dict(re.findall(r"^\| (\S+) \|.*\| (.*) \|$", told, re.MULTILINE))
    assert "no subgroup or declared group may lose more than 0.1" in answered["14"]
    assert "suspended the model since" in answered["9(ii)"]
    assert "`models suspend`" in answered["9(ii)"]
    assert "No horizon is declared: it counts as soon as it is known" in answered["8a"]
    assert answered["8(ii)"].startswith("Not known yet: fewer than 10 of its predictions")
