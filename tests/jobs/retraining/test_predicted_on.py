"""Rows that are corrected once their outcome is known: models learn from the values that were
predicted on, and it is said."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from pima.core.rows.hindsight import DEVIATIONS, Corrections
from pima.core.rows.history import UNCLAIMED, Split, features_of
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.settings.reading import SHIPPED_FILE, read_settings
from pima.store.models.lineage import from_parquet
from pima.train.retraining import read_history
from tests.support.databases import Copied, Database, call, the_json
from tests.support.declared import configuration
from tests.support.patient_files import write
from tests.support.predicted_first import FIRST, LINES, predict_the_last
from tests.support.settled import NOW
from tests.support.shipped import FEATURE_NAMES, SALT

pytestmark = pytest.mark.usefixtures("each_fit_once", "without_reports")

OUTCOMES = {n: int(line.rpartition(",")[2]) for n, line in LINES.items()}
LATER = [n for n in OUTCOMES if n > FIRST]
ONES = [n for n in LATER if OUTCOMES[n]]
GLUCOSE = {n: float(line.split(",")[1]) for n, line in LINES.items()}


@pytest.fixture
def corrected(copied: Copied, trained: Path) -> Database:
    """Two hundred rows were predicted; then their outcomes came, and those with outcome 1 were
    completed."""
    return copied(_corrected, trained)


def _corrected(database: Database, trained: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        predict_the_last(database, trained, folder)
        known = write(folder, "id,outcome", *(f"{n},{OUTCOMES[n]}" for n in LATER))
        assert call(database, "load", known).exit_code == 0
    database.execute(
        f"UPDATE patients SET glucose = glucose + 60, bmi = NULL WHERE id > {FIRST} AND outcome = 1"
    )


@pytest.mark.judge
def test_models_learn_from_what_was_predicted_on_and_it_is_said(corrected: Database) -> None:
    result = the_json(call(corrected, "retrain", "--json"))
    expected = {"zeros": 0, "of_zeros": len(LATER) - len(ONES), "not_kept": 0}
    counted = expected | {"ones": len(ONES), "of_ones": len(ONES)}
    assert result["corrected"].items() >= counted.items()
    assert result["corrected"]["expected"] < len(ONES) / 1.5
    learned = _snapshot(corrected, result["challenger"])
    assert len(learned.index.intersection(ONES)) > 20
    for patient_id, glucose in learned["glucose"].items():
        assert np.isnan(glucose) if not GLUCOSE[patient_id] else glucose == GLUCOSE[patient_id]

    said = f"{len(ONES)} of {len(ONES)} rows with outcome 1, 0 of {len(LATER) - len(ONES)} with"
    told = call(corrected, "retrain").stdout
    assert f"corrected after their prediction: {said} outcome 0 (" in told
    card = call(corrected, "models", "card", str(result["challenger"])).stdout
    assert f"| corrected after their prediction | {said} outcome 0 (" in card
    (alarm,) = _told_of_corrections(corrected)
    assert "100.0% of the rows with outcome 1 were corrected after their prediction" in alarm
    assert "0.0% of those with outcome 0, of 200 settled rows" in alarm


def test_corrections_are_told_though_no_version_has_figures(corrected: Database) -> None:
    assert call(corrected, "retrain").exit_code == 0
    corrected.execute("DELETE FROM monitoring WHERE figure = 'realised_accuracy'")
    assert _told_of_corrections(corrected)


def test_honest_corrections_of_the_sickest_ring_no_alarm(corrected: Database) -> None:
    """Most of them have outcome 1, and so have most who are corrected."""
    corrected.execute(
        "UPDATE patients SET glucose = (SELECT k.glucose FROM row_history k "
        "WHERE k.patient_id = patients.id), bmi = (SELECT k.bmi FROM row_history k "
        f"WHERE k.patient_id = patients.id) WHERE id > {FIRST} AND outcome = 1"
    )
    sickest = "SELECT patient_id FROM predictions ORDER BY probability DESC LIMIT 40"
    corrected.execute(f"UPDATE patients SET age = age + 1 WHERE id IN ({sickest})")
    found = the_json(call(corrected, "retrain", "--json"))["corrected"]
    assert found.items() >= {"ones": 32, "zeros": 8, "of_ones": 71, "of_zeros": 129}.items()
    # Of all ones beside all zeros that were no luck.
    share = 40 / 200
    deviation = (share * (1 - share) * 71 * 129 / 200) ** 0.5
    assert 32 - share * 71 > DEVIATIONS * deviation
    assert not _told_of_corrections(corrected)


def _told_of_corrections(database: Database) -> list[str]:
    alarms = the_json(call(database, "status", "--json"))["alarms"]
    return [each for each in alarms if each.startswith("corrected_after_outcome: ")]


def _snapshot(database: Database, number: int) -> Any:
    content = database.value(
        f"SELECT content FROM training_snapshots WHERE model_version = {number}"
    )
    return from_parquet(bytes(content), FEATURE_NAMES)


def test_a_verdict_tells_its_figures_without_rows_that_were_never_predicted(
    corrected: Database,
) -> None:
    """A history may have been loaded with values corrected towards the outcome."""
    result = the_json(call(corrected, "retrain", "--json"))
    history = _history(corrected)
    in_time = history.holdout[~history.holdout[UNCLAIMED]]
    assert set(in_time.index) == {n for n in history.holdout.index if n > FIRST}
    scored = load_scorer(corrected.engine, result["challenger"]).model.probabilities(
        features_of(in_time)
    )
    is_one = in_time["outcome"].to_numpy() == 1
    pairs = np.sign(np.subtract.outer(scored[is_one], scored[~is_one]))
    auroc = (pairs.mean() + 1) / 2
    never = len(history.holdout) - len(in_time)
    assert (
        f"{never} of its {len(history.holdout)} rows were never predicted"
        in (result["explanation"])
    )
    assert f"on the others the challenger's AUROC is {auroc:.3f} (" in result["explanation"]
    number = str(result["challenger"])
    assert (
        f"challenger's AUROC is {auroc:.3f} (" in call(corrected, "models", "card", number).stdout
    )
    found = the_json(call(corrected, "models", "show", number, "--json"))["evidence"]
    apart = {
        each["group"]: each["rows"] for each in found["subgroups"] if each["feature"] == "Predicted"
    }
    assert apart == {"in time": len(in_time), "never": never}
    told = call(None, "health", "--why", "corrected_after_outcome").stdout
    assert 'learn_from = "predicted"' in " ".join(told.split())


ONLY_PREDICTED = SHIPPED_FILE.read_text().replace(
    'name = "outcome"', 'name = "outcome"\nlearn_from = "predicted"', 1
)
FEW = {"PIMA_RETRAIN__MINIMUM_LABELS": "100", "PIMA_RETRAIN__MINIMUM_OF_EACH_CLASS": "5"}


def test_rows_that_were_never_predicted_can_be_left_out(
    corrected: Database, tmp_path: Path
) -> None:
    before = _history(corrected)
    config = configuration(tmp_path, ONLY_PREDICTED)
    asked = ("migrate", "--config", config, "--features", "--json", "--reason", "corrected before")
    changed = the_json(call(corrected, *asked))
    assert changed["changed"] == {"outcome": ["learn_from"]}
    few = call(corrected, "retrain", "--config", config, PIMA_RETRAIN__MINIMUM_LABELS="300")
    assert few.exit_code == 3
    assert f"left out: {FIRST} labelled rows (never_predicted)" in few.stderr

    told = call(corrected, "retrain", "--dry-run", "--config", config, **FEW).stdout
    assert f"{FIRST} labelled rows were never predicted in time and are left out" in told
    result = the_json(call(corrected, "retrain", "--json", "--config", config, **FEW))
    assert result["left_out"]["never_predicted"] == FIRST
    assert result["training_rows"] + result["holdout_rows"] == len(LATER)
    assert "never predicted" not in result["explanation"]
    learned = _snapshot(corrected, result["challenger"]).index
    sides = (before.training, before.holdout)
    of_training, of_holdout = ({n for n in side.index if n > FIRST} for side in sides)
    assert set(learned) >= of_training
    assert not set(learned) & of_holdout


# As it was before rows could be left out.
FINGERPRINT = "7ae6386fb47f885ec81916f2ceb7ea9dd46d82bfb631b5e9579b529b284486ea"


def test_without_the_key_rows_and_split_are_as_they_were(corrected: Database) -> None:
    found = _history(corrected)
    assert found.fingerprint == FINGERPRINT
    assert (len(found.training), len(found.holdout), found.left_out) == (528, 240, {})
    assert "learn_from" not in str(corrected.value("SELECT declaration FROM declarations"))


def _history(database: Database) -> Split:
    settings = read_settings(None, {"PIMA_HOLDOUT__SALT": SALT})
    return read_history(database.engine, settings, SHIPPED_DECLARATION)[0]


def _fingerprint(database: Database) -> str:
    return _history(database).fingerprint


def test_what_settled_long_ago_is_learned_from_and_no_longer_counted(corrected: Database) -> None:
    found = _history(corrected)
    for days, change in (
        (301, "UPDATE predictions SET scored_at = :old"),
        (300, f"UPDATE patients SET labelled_at = :old WHERE id > {FIRST}"),
    ):
        corrected.execute(change, {"old": corrected.stored(NOW - timedelta(days=days))})
    later = _history(corrected)
    assert found.corrections.ones == len(found.today) == len(later.today) > 0
    assert later.corrections == Corrections()
    assert later.fingerprint == found.fingerprint


def test_the_fingerprint_is_that_of_uncorrected_rows_also_after_retain(
    corrected: Database,
) -> None:
    found = _fingerprint(corrected)
    # A year later nothing of what counts has gone.
    old = {"old": corrected.stored(NOW - timedelta(days=300))}
    for change in (
        "UPDATE predictions SET scored_at = :old",
        "UPDATE row_history SET replaced_at = :old",
    ):
        corrected.execute(change, old)
    assert call(corrected, "score").exit_code == 0
    ended = call(corrected, "retain", "--older-than", "200")
    assert ended.exit_code == 0, ended.stderr
    assert corrected.value("SELECT count(*) FROM predictions") == len(LATER)
    assert _fingerprint(corrected) == found
    # A row that was not corrected by then is corrected now.
    zero = next(n for n in LATER if n not in ONES)
    corrected.execute(f"UPDATE patients SET glucose = glucose + 60 WHERE id = {zero}")
    assert _fingerprint(corrected) == found
    # As if nobody had ever corrected anything.
    corrected.execute(
        "UPDATE patients SET glucose = glucose - 60, bmi = (SELECT k.bmi FROM row_history k "
        f"WHERE k.patient_id = patients.id) WHERE id IN ({zero}, {', '.join(map(str, ONES))})"
    )
    assert _fingerprint(corrected) == found
    corrected.execute("DELETE FROM row_history")
    assert _fingerprint(corrected) == found
