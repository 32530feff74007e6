"""What a changed declaration may change about a verdict, and what people are told, on both databases."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from pima.settings.reading import SHIPPED, read_settings
from pima.train.retraining import read_history
from tests.support.databases import Database, call, insert_many, the_json
from tests.support.declared import configuration
from tests.support.shipped import SALT

pytestmark = pytest.mark.usefixtures("equal_fits_once")

POWERS_DECLARED = """
[outcome]
name = "ill"

[[feature]]
name = "a"
low = 0
high = 100
power = 1

[[feature]]
name = "b"
low = -10
high = 10
power = 1
"""


def _rows(folder: Path, rows: int, seed: int) -> str:
    draw = random.Random(seed)  # noqa: S311
    lines = ["a,b,ill"]
    for _ in range(rows):
        a, b = draw.uniform(0, 100), draw.uniform(-4, 4)
        lines.append(f"{a:.3f},{b:.3f},{int(draw.gauss(b + (a - 50) / 20, 1) > 0)}")
    path = folder / f"rows-{seed}.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_range_that_plays_no_part_brings_nothing_back_that_was_rolled_back(
    empty_database: Database, tmp_path: Path
) -> None:
    database, config = empty_database, configuration(tmp_path, POWERS_DECLARED)
    by_log_loss = {"PIMA_GATE__MEASURE": "log_loss"}
    assert call(database, "migrate", "--config", config).exit_code == 0
    for seed, rows in enumerate((130, 900)):
        assert call(database, "load", "--config", config, _rows(tmp_path, rows, seed)).exit_code == 0
        fitted = call(database, "retrain", "--config", config, "--json", **by_log_loss)
        assert the_json(fitted)["verdict"] == "promoted", fitted.stderr
    assert call(database, "models", "rollback", "--reason", "bad", "--config", config).exit_code == 0

    configuration(tmp_path, POWERS_DECLARED.replace("low = 0\n", "low = -1\n"))
    assert call(database, "migrate", "--features", "--reason", "no part", "--config", config).exit_code == 0
    again = the_json(call(database, "retrain", "--config", config, "--json", **by_log_loss))
    assert (again["verdict"], again["reason"]) == ("blocked", "rolled_back_before")
    assert database.value("SELECT model_version FROM champion") == 1


@pytest.mark.parametrize("changed", [{"low": 17.0}, {"power": None, "high": 99.0}])
def test_the_shipped_measurements_have_no_twins_in_training_whatever_their_ranges_are(
    database: Database, changed: dict[str, object]
) -> None:
    insert_many(database, 300)  # of fifty kinds
    database.execute("UPDATE patients SET outcome = id % 2")
    age = next(feature for feature in SHIPPED.features if feature.name == "age")
    others = tuple(msgspec.structs.replace(each, **changed) if each is age else each for each in SHIPPED.features)
    settings = read_settings(None, {"PIMA_HOLDOUT__SALT": SALT})
    for features in (SHIPPED.features, others):
        history, *_ = read_history(database.engine, settings, msgspec.structs.replace(SHIPPED, features=features))
        assert (history.twins_kept, history.left_out["twin_of_holdout"] > 100) == (0, True)


COARSE = """
[outcome]
name = "ill"

[[feature]]
name = "age"
low = 0
high = 120

[[feature]]
name = "sex"
kind = "category"
codes = { 0 = "male", 1 = "female" }
"""


def test_that_twins_are_kept_is_said_on_the_terminal_and_in_the_log(empty_database: Database, tmp_path: Path) -> None:
    database, config = empty_database, configuration(tmp_path, COARSE)
    file = tmp_path / "coarse.csv"
    draw = random.Random(3)  # noqa: S311
    rows = [(draw.randrange(50, 70), draw.randrange(2)) for _ in range(300)]
    file.write_text("age,sex,ill\n" + "".join(f"{age},{sex},{int(draw.random() < age / 120)}\n" for age, sex in rows))
    assert call(database, "migrate", "--config", config).exit_code == 0
    assert call(database, "load", "--config", config, str(file)).exit_code == 0
    ended = call(database, "retrain", "--dry-run", "--config", config, PIMA_LOGS__FORMAT="json")
    assert ended.exit_code == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    warnings = [line for line in lines if line["level"] == "warning"]
    assert len(warnings) == 1, ended.stderr
    kept = warnings[0]["twins_kept"]
    assert kept > 0.9 * warnings[0]["training_rows"]
    assert f"{kept} of them have exactly the features of a holdout row" in ended.stdout
