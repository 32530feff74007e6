"""Why a row has its prediction, asked by the command."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pima.core.nights.kinds import OUTCOME_ALARMS
from pima.core.rows.history import features_of
from pima.scorer import load_scorer
from pima.store.models.lineage import version_with_rows
from tests.support.databases import Copied, Database, call, insert_many, insert_patients, the_json
from tests.support.declared import configuration
from tests.support.shipped import FEATURE_NAMES, SOUND
from tests.support.trained import load_shipped

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")
# What is asked of the database, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)

NAME = "Canary-Smith"


@pytest.fixture
def explained(copied: Copied) -> Database:
    """The shipped rows with their champion, whose snapshot is kept."""
    return copied(_retrained)


def _retrained(database: Database) -> None:
    load_shipped(database)
    assert call(database, "retrain").exit_code == 0


@on_sqlite
def test_a_row_is_explained_in_figures_that_add_up_and_in_words(explained: Database) -> None:
    (patient_id,) = insert_patients(explained, 1, pregnancies=3)
    found = the_json(call(explained, "explain", str(patient_id), "--json"))
    row = np.array(
        [
            [
                np.nan if name == "insulin" else (SOUND | {"pregnancies": 3})[name]
                for name in FEATURE_NAMES
            ]
        ]
    )
    probability = load_scorer(explained.engine, 1).model.probabilities(row.astype(np.float32))[0]
    assert found["probability"] == pytest.approx(probability, abs=1e-6)
    moved = {each["feature"]: each for each in found["contributions"]}
    assert moved.keys() == set(FEATURE_NAMES)
    gained = sum(each["contribution"] for each in moved.values())
    assert gained == pytest.approx(found["probability"] - found["mean_probability"], abs=1e-5)
    sizes = [abs(each["contribution"]) for each in found["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    assert (found["exact"], found["background_rows"], moved["glucose"]["error"]) == (
        True,
        100,
        None,
    )
    assert (
        moved["glucose"]["words"] == f"glucose 148 mg/dL: {moved['glucose']['contribution']:+.2f}"
    )
    assert (moved["bmi"]["value"], moved["insulin"]["value"]) == (33.6, None)
    assert moved["insulin"]["words"].startswith("insulin missing: ")
    assert moved["pregnancies"]["words"].startswith("pregnancies 3: ")
    ended = call(explained, "explain", str(patient_id))
    told = ended.stdout.splitlines()
    assert told[1].startswith(
        f"By this model about {100 * probability:.0f} of 100 such patients will have outcome 1: "
        "diabetes "
    )
    assert [line.strip() for line in told if line.startswith("  ")][:3] == [
        each["words"] for each in found["contributions"][:3]
    ]
    assert "148" not in ended.stderr
    # The background is of the rows that the version learned from.
    version, learned = version_with_rows(explained.engine, 1)
    drawn = np.random.default_rng(version.seed).permutation(len(learned))[:100]
    mean = load_scorer(explained.engine, 1).model.probabilities(features_of(learned)[drawn]).mean()
    assert found["mean_probability"] == pytest.approx(mean, abs=1e-6)


def test_the_stored_prediction_is_explained_from_the_values_that_it_was_made_from(
    explained: Database,
) -> None:
    (patient_id,) = insert_patients(explained, 1)
    assert call(explained, "score").exit_code == 0
    row = f"WHERE id = {patient_id}"
    explained.execute(f"UPDATE patients SET glucose = 100, bmi = 33.6, age = NULL {row}")
    found = the_json(call(explained, "explain", str(patient_id), "--json"))
    stored = explained.execute("SELECT patient_version, probability FROM predictions")
    assert stored == [(found["patient_version"], pytest.approx(found["probability"], abs=1e-6))]
    values = {each["feature"]: each["value"] for each in found["contributions"]}
    assert (values["glucose"], values["age"]) == (148, 50)
    assert found["differs_today"] == [
        "glucose 148 mg/dL then, 100 mg/dL today",
        "age 50 years then, missing today",
    ]
    told = call(explained, "explain", str(patient_id)).stdout
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert told.startswith(f"patient {patient_id}, predicted on {today}, by version 1: ")
    version = found["patient_version"]
    assert f"Corrected since, after version {version} of the row: glucose 148 mg/dL then" in told

    explained.execute(f"UPDATE patients SET age = 50 {row}")
    explained.execute("DELETE FROM row_history")
    found = the_json(call(explained, "explain", str(patient_id), "--json"))
    assert (found["scored_at"], found["differs_today"]) == (None, [])
    told = call(explained, "explain", str(patient_id)).stdout
    assert told.startswith(f"patient {patient_id}, as it stands, by version 1: ")
    explained.execute("UPDATE predictions SET model_version = 9")
    found = the_json(call(explained, "explain", str(patient_id), "--json"))
    assert (found["model_version"], found["scored_at"]) == (1, None)


def test_beside_the_probability_stands_what_came_true_of_the_version_and_its_alarms(
    explained: Database,
) -> None:
    (asked,) = insert_patients(explained, 1)
    not_known = "Whether that holds is not known yet: it has {} settled outcomes."
    assert _so_far(explained, asked) == [not_known.format(0)]
    insert_many(explained, 40, glucose="80 + n * 2")
    assert call(explained, "score").exit_code == 0
    outcome_up_to = "UPDATE patients SET outcome = id % 2 WHERE id > :asked AND id <= :last"
    explained.execute(outcome_up_to, {"asked": asked, "last": asked + 9})
    assert _so_far(explained, asked) == [not_known.format(9)]
    explained.execute(outcome_up_to, {"asked": asked, "last": asked + 40})
    ratio = explained.value("""
        SELECT sum(outcome) / sum(probability) FROM patients
        JOIN predictions ON patient_id = id WHERE outcome IS NOT NULL""")
    (known,) = _so_far(explained, asked)
    assert known.startswith(f"Over 40 settled outcomes its observed / expected is {ratio:.2f} (")
    assert known.endswith("); 1 is best.")
    # The alarm of another version is not one of this probability.
    for figure, version in ((OUTCOME_ALARMS[0], 1), ("rows", 9)):
        explained.execute(
            "UPDATE monitoring SET state = 'alert', value = 0.5, reference = 0.3, model_version = "
            ":version WHERE figure = :figure",
            {"figure": figure, "version": version},
        )
    first, alarm = _so_far(explained, asked)
    assert first == known
    assert alarm.startswith(f"An alarm is open: {OUTCOME_ALARMS[0]}: the same answer for everybody")


def _so_far(database: Database, patient_id: int) -> list[str]:
    """What stands below the probability's meaning."""
    found = the_json(call(database, "explain", str(patient_id), "--json"))["so_far"]
    told = call(database, "explain", str(patient_id)).stdout.splitlines()
    assert told[2 : 3 + len(found)] == [*found, ""]
    return found


@on_sqlite
def test_a_row_is_found_by_its_source_and_its_key(explained: Database, tmp_path: Path) -> None:
    mapped = "\n".join(f'{name} = "{name}"' for name in FEATURE_NAMES)
    config = tmp_path / "pima.toml"
    config.write_text(
        f'[[source]]\nname = "ward"\ntable = "visits"\nkey = "id"\n[source.columns]\n{mapped}\n'
    )
    (patient_id,) = insert_patients(explained, 1, source="ward", source_key=NAME)
    found = the_json(
        call(explained, "explain", "ward", f"{NAME} ", "--json", "--config", str(config))
    )
    assert found["patient_id"] == patient_id
    for called, code in (
        (("ward", f"{NAME}-Jones"), "no_such_row"),
        (("elsewhere", NAME), "wrong_usage"),
    ):
        ended = call(explained, "explain", *called, "--json", "--config", str(config))
        assert (ended.exit_code, the_json(ended)["error"]) == (2, code)
        assert NAME not in ended.stdout + ended.stderr
    config.write_text(config.read_text().replace('key = "id"', 'key = "id"\nkey_type = "integer"'))
    (patient_id,) = insert_patients(explained, 1, source="ward", source_key="7")
    found = the_json(call(explained, "explain", "ward", "+007", "--json", "--config", str(config)))
    assert found["patient_id"] == patient_id
    ended = call(explained, "explain", "ward", NAME, "--json", "--config", str(config))
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")


@on_sqlite
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (NAME,),
        ("-1",),
        ("1.5",),
        ("9" * 30,),
        ("0" * 20 + "1" * 5_000,),
        ("1", "2", "3"),
        ("1", "--all", "x.parquet"),
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_a_call_that_names_no_row_is_wrong_usage(
    scored_database: Database, arguments: tuple[str, ...]
) -> None:
    ended = call(scored_database, "explain", *arguments, "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
    assert NAME not in ended.stdout + ended.stderr


@on_sqlite
def test_what_can_not_be_explained_is_told(explained: Database) -> None:
    (rejected,) = insert_patients(explained, 1, bmi=4444.40625)
    ended = call(explained, "explain", str(rejected), "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (3, "row_cannot_be_scored")
    assert "bmi broke the rule out_of_range" in ended.stderr
    assert "4444" not in ended.stdout + ended.stderr
    unknown = call(explained, "explain", "999999", "--json")
    assert (unknown.exit_code, the_json(unknown)["error"]) == (2, "no_such_row")
    explained.execute("DELETE FROM training_snapshots")
    ended = call(explained, "explain", "1", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "snapshot_not_kept")
    explained.execute("UPDATE champion SET model_version = NULL")
    ended = call(explained, "explain", "1", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (3, "no_champion")


def test_categories_are_told_by_their_labels(
    declared_database: Database, trained_on_declared: Path
) -> None:
    declared_database.execute('INSERT INTO patients (id, "order", smoking) VALUES (7, 3, 1)')
    config = configuration(trained_on_declared.parent)
    newest = (
        "SELECT content, sha256, rows FROM training_snapshots ORDER BY model_version DESC LIMIT 1"
    )
    with closing(sqlite3.connect(trained_on_declared)) as connection:
        content, sha256, rows = connection.execute(newest).fetchone()
    declared_database.execute(
        "INSERT INTO training_snapshots (model_version, content, sha256, rows) VALUES (1, "
        ":content, :sha256, :rows)",
        {"content": content, "sha256": sha256, "rows": rows},
    )
    found = the_json(call(declared_database, "explain", "7", "--json", "--config", config))
    words = {each["feature"]: each["words"].partition(":")[0] for each in found["contributions"]}
    assert words["smoking"] == "smoking former"
    assert words["order"] == "order 3"
    assert words["temperature"] == "temperature missing"
    assert found["meaning"].endswith("will have outcome 1: back in hospital within thirty days.")
    told = call(declared_database, "explain", "7", "--config", config).stdout
    assert f"  1 other feature: {found['contributions'][3]['contribution']:+.2f}\n" in told
