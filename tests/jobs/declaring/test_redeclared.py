"""What a changed declaration changes: the rows that a champion takes, what people read."""

import random
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from pima.settings.reading import SHIPPED, read_settings
from pima.store.engine import writing
from pima.store.models.registry import as_stored, features_of
from pima.store.tables import model_versions
from pima.train.retraining import read_history
from tests.support.databases import Copied, Database, Ended, call, insert_many, the_json, under_role
from tests.support.declared import DECLARED, configuration
from tests.support.shipped import SALT
from tests.support.versions import hash_again

pytestmark = pytest.mark.usefixtures("each_fit_once", "without_reports")
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


def test_the_shipped_measurements_have_no_twins_in_training_whatever_their_ranges_are(
    sqlite: Database,
) -> None:
    insert_many(sqlite, 300)  # of fifty kinds
    sqlite.execute("UPDATE patients SET outcome = id % 2")
    age = next(feature for feature in SHIPPED.features if feature.name == "age")
    settings = read_settings(None, {"PIMA_HOLDOUT__SALT": SALT})
    for changed in ({}, {"low": 17.0}, {"power": None, "high": 99.0}):
        other = msgspec.structs.replace(age, **changed)
        features = tuple(other if each is age else each for each in SHIPPED.features)
        history, *_ = read_history(
            sqlite.engine, settings, msgspec.structs.replace(SHIPPED, features=features)
        )
        assert (history.twins_kept, history.left_out["twin_of_holdout"] > 100) == (0, True)


NARROW = """
[outcome]
name = "ill"

[[feature]]
name = "a"
low = 0.01
high = 1000

[[feature]]
name = "b"
low = -10
high = 10
"""
WIDE = NARROW.replace("low = 0.01", "low = -5")
UNSCORED = "INSERT INTO patients (a, b) VALUES (0, 1), (-3, 1), (0.001, 1), (0.01, 1), (5, 1)"
"""Three of them are below the narrow range."""


def _skewed(folder: Path, rows: int, seed: int, below: int = 0) -> str:
    """So skewed an `a` that the fit takes its reciprocal; of `below` rows it is 0 or negative."""
    draw = random.Random(seed)  # noqa: S311
    lines = ["a,b,ill"]
    for row in range(rows):
        reciprocal, b = draw.uniform(0.1, 1), max(-9, min(9, draw.gauss(0, 2)))
        a = -(row % 3) if row < below else reciprocal**-2
        lines.append(
            f"{a:.4f},{b:.4f},{int(draw.random() < 1 / (1 + 2.718 ** (-b - 4 * reciprocal + 2)))}"
        )
    path = folder / f"rows-{seed}.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def powered(copied: Copied, tmp_path: Path) -> tuple[Database, str]:
    """A champion of the narrow range, under the wider one."""
    return copied(_widen), configuration(tmp_path, WIDE)


def _widen(database: Database) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(folder, NARROW)
        for job, *arguments in (("migrate",), ("load", _skewed(folder, 500, seed=1)), ("retrain",)):
            ended = call(database, job, "--config", config, *arguments)
            assert ended.exit_code == 0, ended.stderr
        assert database.value("SELECT model_version FROM champion") == 1
        configuration(folder, WIDE)
        told = call(
            database,
            "migrate",
            "--config",
            config,
            "--features",
            "--reason",
            "other units",
            "--json",
        )
        assert told.exit_code == 0, told.stderr


@on_sqlite
def test_a_version_takes_no_value_below_the_range_of_its_fit(
    powered: tuple[Database, str], tmp_path: Path
) -> None:
    """The reciprocal of 0 is none, and such a row must neither end the job nor be guessed at."""
    database, config = powered
    database.execute(UNSCORED)
    scored = call(database, "score", "--config", config, "--json")
    assert scored.exit_code == 0, scored.stderr
    assert the_json(scored)["predicted"] == 2
    assert database.execute("SELECT DISTINCT reason, field FROM rejections") == [
        ("out_of_range", "a")
    ]

    # Nor in the gate, where it would make the champion one that gives no numbers.
    assert (
        call(
            database, "load", "--config", config, _skewed(tmp_path, 300, seed=2, below=150)
        ).exit_code
        == 0
    )
    judged = the_json(call(database, "retrain", "--config", config, "--dry-run", "--json"))
    assert (
        judged["champion_scores"]["rows"] == judged["holdout_rows"] - judged["unscorable_rows"]
    ), judged
    assert judged["unscorable_rows"] > 20

    # A range that is wider yet queues nothing again that the champion can't take.
    database.execute("DELETE FROM rejections")
    database.execute("INSERT INTO patients (a, b) VALUES (0, 1), (-8, 1), (5000, 1)")
    assert the_json(call(database, "score", "--config", config, "--json"))["rejected"] == 3
    configuration(tmp_path, WIDE.replace("low = -5", "low = -9").replace("1000", "9000"))
    for asked in (("--dry-run",), ("--reason", "other units")):
        told = the_json(
            call(database, "migrate", "--config", config, "--features", *asked, "--json")
        )
        assert (told["scored_again"], told["rejected_from_now"]) == (1, {})
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (1, 0)


@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_what_it_could_not_take_is_scored_by_the_version_that_wins(
    powered: tuple[Database, str], tmp_path: Path
) -> None:
    """Under the roles, and beside a clinic that is deleting one of these rows."""
    database, config = powered
    database.execute(UNSCORED)
    assert the_json(call(database, "score", "--config", config, "--json"))["rejected"] == 3
    assert (
        call(
            database, "load", "--config", config, _skewed(tmp_path, 300, seed=2, below=150)
        ).exit_code
        == 0
    )
    # It loses for certain.
    database.execute("UPDATE model_versions SET compiled_artifact = NULL")
    assert call(database, "migrate", "--roles", "--config", config).exit_code == 0
    scorer, trainer = under_role(database, "pima_scorer"), under_role(database, "pima_trainer")
    with database.engine.connect() as clinic:
        clinic.execute(
            text("DELETE FROM patients WHERE id = (SELECT min(patient_id) FROM rejections)")
        )
        ended = call(trainer, "retrain", "--config", config, "--json")
        clinic.commit()
    judged = the_json(ended)
    assert (judged["verdict"], judged["reason"]) == ("promoted", "champion_unloadable")
    assert _left_out(ended) == 1
    scored = the_json(call(scorer, "score", "--config", config, "--json"))
    assert (scored["model_version"], scored["predicted"], scored["rejected"]) == (2, 2, 0)


def _left_out(ended: Ended) -> int:
    """The rejected rows that it says others are changing."""
    assert ended.exit_code == 0, ended.stderr
    told = re.search(r"wait for `python -m jobs\.requeue --rejected`.*rows=(\d+)", ended.stderr)
    return int(told[1]) if told else 0


WIDER = DECLARED.replace("low = 0.1\n", "low = -5\n")


@pytest.fixture
def widened(declared_database: Database, tmp_path: Path) -> tuple[Database, str]:
    """Under the wider range, version 1 is champion and can't take what version 2 can, which was
    fitted on it."""
    config = configuration(tmp_path, WIDER)
    reason = ("--features", "--reason", "other units")
    assert call(declared_database, "migrate", "--config", config, *reason).exit_code == 0
    with writing(declared_database.engine) as connection:
        features: list[dict[str, Any]] = as_stored(features_of(connection, 2))
        [creatinine] = [feature for feature in features if feature["name"] == "creatinine"]
        creatinine["low"] = -5
        fitted_on_it = (
            model_versions.update().where(model_versions.c.number == 2).values(features=features)
        )
        connection.execute(fitted_on_it)
    hash_again(declared_database)
    declared_database.execute(
        'INSERT INTO patients ("order", creatinine) VALUES (3, -3), (3, 99), (3, 1)'
    )
    scored = the_json(call(declared_database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (1, 2)
    return declared_database, config


def _move(database: Database, config: str, *how: str) -> None:
    assert call(database, "models", *how, "--reason", "a test", "--config", config).exit_code == 0


def _waiting(database: Database) -> int:
    found: int = database.value("SELECT count(*) FROM scoring_queue")
    return found


def test_the_rows_that_a_champion_rejected_wait_for_one_of_other_rules(
    widened: tuple[Database, str],
) -> None:
    database, config = widened
    _move(database, config, "promote", "3")  # by the same rules
    assert _waiting(database) == 0
    _move(database, config, "promote", "2")
    assert (_waiting(database), database.value("SELECT count(*) FROM rejections")) == (2, 0)
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["model_version"], scored["predicted"], scored["rejected"]) == (2, 1, 1)
    assert database.execute("SELECT DISTINCT model_version FROM predictions ORDER BY 1") == [
        (1,),
        (2,),
    ]
    _move(database, config, "rollback")
    assert _waiting(database) == 1  # the one that neither can take; what was predicted stays
    call(database, "score", "--config", config)
    assert database.execute("SELECT patient_id, field FROM rejections") == [(2, "creatinine")]


@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_of_the_rejected_rows_those_that_a_clinic_is_changing_are_left_to_it(
    widened: tuple[Database, str],
) -> None:
    database, config = widened
    assert call(database, "migrate", "--roles", "--config", config).exit_code == 0
    operator = under_role(database, "pima_operator")
    with database.engine.connect() as clinic:
        clinic.execute(text("UPDATE patients SET outcome = 1 WHERE id = 1"))
        ended = call(operator, "models", "promote", "2", "--reason", "a test", "--config", config)
        assert (_left_out(ended), _waiting(database)) == (1, 1)
        assert the_json(call(database, "score", "--config", config, "--json"))["rejected"] == 1
        clinic.execute(text("DELETE FROM patients WHERE id = 2"))
        ended = call(operator, "models", "rollback", "--reason", "a test", "--config", config)
        assert (_left_out(ended), _waiting(database)) == (2, 0)
        clinic.commit()
    call(database, "requeue", "--rejected", "--config", config)
    assert _waiting(database) == 0
