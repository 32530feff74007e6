"""A clinic that acts on predictions, and means the risk without acting: whom it acted on is left
out of what is learned, judged and told, counted by reason."""

import re
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

from pima.core.nights.drift import Reference
from pima.report.version_facts import read_facts
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED_FILE, read_settings
from pima.settings.reading import declared as declared_in
from pima.settings.sections import Settings
from pima.store.engine import reading, writing
from pima.store.models.registry import prevalences, reference_of
from pima.train.retraining import read_history
from tests.support.databases import (
    Copied,
    Database,
    call,
    insert_many,
    insert_patients,
    the_json,
    under_role,
)
from tests.support.declared import configuration
from tests.support.ledger import insert_run
from tests.support.patient_files import HEADER, write
from tests.support.predicted_first import FIRST, LINES, predict_the_last
from tests.support.settled import NOW, ago, row
from tests.support.shipped import SALT, SOUND

BY_SQL = range(FIRST + 1, FIRST + 31)
BY_FILE = range(FIRST + 31, FIRST + 51)


def declared(if_acted: str) -> str:
    return SHIPPED_FILE.read_text().replace("meaning =", f'if_acted = "{if_acted}"\nmeaning =', 1)


@pytest.fixture
def acting(copied: Copied, trained: Path) -> Database:
    """Two hundred rows were predicted; then fifty of these people were called, and all outcomes
    came."""
    return copied(_acting, trained)


def _acting(database: Database, trained: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        predict_the_last(database, trained, folder)
        at = {"now": database.value("SELECT max(scored_at) FROM predictions")}
        ids = f"id BETWEEN {BY_SQL.start} AND {BY_SQL.stop - 1}"
        database.execute(f"UPDATE patients SET acted_at = :now WHERE {ids}", at)
        called = re.sub(r"\+00:00$|Z$", "", str(at["now"]))
        calls = write(folder, "id,acted_at", *(f"{n},{called}Z" for n in BY_FILE))
        assert call(database, "load", calls).exit_code == 0
        _outcomes_come(database, folder)


def _outcomes_come(database: Database, folder: Path) -> None:
    known = [f"{n},{LINES[n].rpartition(',')[2]}" for n in LINES if n > FIRST]
    assert call(database, "load", write(folder, "id,outcome", *known)).exit_code == 0


def _never_acting(database: Database, trained: Path) -> None:
    with TemporaryDirectory() as folder:
        predict_the_last(database, trained, Path(folder))
        _outcomes_come(database, Path(folder))


def test_a_clinic_that_never_acts_gets_the_same_fit_and_verdict(
    copied: Copied, trained: Path, tmp_path: Path
) -> None:
    people = np.random.default_rng(3).uniform(20, 60, (200, 8)).astype(np.float32)
    found = []
    for words in (SHIPPED_FILE.read_text(), declared("unknown")):
        database = copied(_never_acting, trained)
        config = configuration(tmp_path, words)
        redeclare = ("migrate", "--features", "--reason", "the risk without a call")
        assert call(database, *redeclare, "--config", config).exit_code == 0
        assert call(database, "retrain", "--config", config).exit_code == 0
        (verdict,) = database.execute("""
            SELECT v.training_ids_sha256, v.data_fingerprint, v.threshold, v.metrics, v.rows_left_out,
                v.reference, p.verdict, p.reason, p.explanation, p.figures, p.evidence,
                p.test_set_fingerprint
            FROM promotions p JOIN model_versions v ON v.number = p.challenger
            ORDER BY p.id DESC LIMIT 1""")
        # Not by the hash of its bytes: these hold names that a process counts up.
        newest = load_scorer(
            database.engine, database.value("SELECT max(number) FROM model_versions")
        )
        found.append((verdict, newest.model.probabilities(people).tobytes()))
        database.engine.dispose()
    without, unknown = found
    assert unknown == without


def test_whom_a_clinic_acted_on_is_left_out_from_file_to_report(
    acting: Database, tmp_path: Path
) -> None:
    counts = the_json(call(acting, "retrain", "--dry-run", "--json"))
    assert "acted_upon" not in counts["left_out"]
    config = configuration(tmp_path, declared("unknown"))
    redeclare = ("migrate", "--features", "--json", "--reason", "the risk without a call")
    changed = the_json(call(acting, *redeclare, "--config", config))
    assert changed["changed"] == {"outcome": ["if_acted"]}
    without = the_json(call(acting, "retrain", "--dry-run", "--json", "--config", config))
    assert without["left_out"]["acted_upon"] == 50
    rows = [counts["training_rows"] + counts["holdout_rows"] for counts in (counts, without)]
    assert rows[0] - rows[1] == 50
    assert call(acting, "retrain", "--config", config).exit_code == 0
    newest = "SELECT rows_left_out FROM model_versions ORDER BY number DESC LIMIT 1"
    assert '"acted_upon": 50' in str(acting.value(newest)).replace("'", '"')
    # Drift compares a night, which has such rows, with all rows on the side of training.
    number = acting.value("SELECT max(number) FROM model_versions")
    with reading(acting.engine) as connection:
        newest_reference = msgspec.convert(reference_of(connection, number), Reference)
        # The same answer for everybody, which alarms compare with, is of those learned from.
        constant = prevalences(connection, {number})[number]
    assert constant == newest_reference.cases / without["training_rows"]
    people, *_ = read_facts(acting.engine, number, Settings()).people
    training_rows = without["training_rows"]
    beside = counts["training_rows"] - training_rows
    assert people[:2] == ("rows", f"{training_rows:,}; inputs with {beside:,} acted upon")
    assert newest_reference.rows == without["training_rows"]
    assert newest_reference.probability.known == counts["training_rows"]
    assert newest_reference.features[0].known == counts["training_rows"]
    status = the_json(call(acting, "status", "--json", "--config", config))
    assert status["realised"]["acted_upon"] == 50
    assert status["standing"]["outcomes"] == len(LINES) - FIRST - 50
    shown = " ".join(call(acting, "status", "--config", config).stdout.split())
    assert "50 rows apart, acted upon" in shown
    page = tmp_path / "report.html"
    assert call(acting, "report", "--out", str(page), "--config", config).exit_code == 0
    html = " ".join(page.read_text().split())
    assert "Apart are 50 rows on which somebody acted before the outcome" in html
    assert "acted upon: 50" in html


@pytest.mark.parametrize("learn_from", ["all", "predicted"])
def test_drift_takes_what_was_acted_upon_as_it_was_predicted_on(
    acting: Database, tmp_path: Path, learn_from: str
) -> None:
    acting.execute("UPDATE patients SET glucose = glucose + 60 WHERE acted_at IS NOT NULL")
    known = {"at": acting.stored(ago(1)), "later": acting.stored(NOW)}
    acting.execute("UPDATE patients SET acted_at = :at, labelled_at = :later WHERE id < 40", known)
    words = declared("unknown").replace("if_acted", f'learn_from = "{learn_from}"\nif_acted', 1)
    config = configuration(tmp_path, words)
    redeclare = ("migrate", "--features", "--reason", "the risk without a call")
    assert call(acting, *redeclare, "--config", config).exit_code == 0
    settings = read_settings(Path(config), {"PIMA_HOLDOUT__SALT": SALT})
    history, *_ = read_history(acting.engine, settings, declared_in(Path(config), settings))
    values = history.acted_upon["glucose"].fillna(0).to_dict()
    assert values == {n: float(LINES[n].split(",")[1]) for n in values}
    assert len([n for n in values if n > FIRST]) > 30
    assert (min(values) < 40) == (learn_from == "all")


def _lived(database: Database, of_twenty: int) -> None:
    """Ten weeks of rows predicted 1 on which somebody acted the next day, but for one in twenty or
    so; all had outcome 1 who were left alone, and of the others none."""
    draw = np.random.default_rng(3)
    rows = []
    for n in range(400):
        known = NOW - (NOW - ago(7)) * (1 + n // 40) - (NOW - ago(n % 5))
        is_left = n % 20 >= of_twenty
        acted = None if is_left else database.stored(known - (NOW - ago(1)))
        rows.append(
            {
                "id": 10_000 + n,
                "outcome": int(is_left),
                "known": database.stored(known),
                "scored": database.stored(known - (NOW - ago(2))),
                "acted": acted,
                "p": float(draw.uniform(0.8, 0.99)),
            }
        )
    names = ", ".join(SOUND)
    values = ", ".join(map(str, SOUND.values()))
    with writing(database.engine) as connection:
        for statement in (
            f"INSERT INTO patients (id, {names}) VALUES (:id, {values})",
            """INSERT INTO predictions (patient_id, patient_version, model_version, run_id,
                probability, predicted_class, threshold, scored_at)
            SELECT id, version, 1, 1, :p, 1, 0.5, :scored FROM patients WHERE id = :id""",
            """UPDATE patients SET acted_at = :acted, outcome = :outcome, labelled_at = :known
                WHERE id = :id""",
        ):
            connection.execute(text(statement), rows)


def _night(database: Database, config: str) -> None:
    insert_many(database, 1)
    ended = call(database, "score", "--config", config)
    assert (ended.exit_code, "monitoring is incomplete" in ended.stderr) == (0, False)


@pytest.mark.parametrize(("of_twenty", "state"), [(19, "alert"), (17, "usual")])
def test_that_hardly_anybody_is_left_alone_is_told_and_no_alarm_rests_on_the_others(
    scored_database: Database, tmp_path: Path, of_twenty: int, state: str
) -> None:
    config = configuration(tmp_path, declared("unknown"))
    redeclare = ("migrate", "--features", "--reason", "the risk without a call")
    assert call(scored_database, *redeclare, "--config", config).exit_code == 0
    _lived(scored_database, of_twenty)
    insert_run(scored_database, "retrain", "succeeded", finished_at=NOW)
    database = scored_database
    if database.kind == "postgresql":
        assert call(database, "migrate", "--roles", "--config", config).exit_code == 0
        database = under_role(database, "pima_scorer")
    _night(database, config)
    left = "SELECT state, rows, value FROM monitoring WHERE figure = 'hardly_left_alone'"
    ((found, rows, value),) = scored_database.execute(left)
    assert (found, rows, value) == (state, 400, pytest.approx(1 - of_twenty / 20))
    alarms = "SELECT figure FROM monitoring WHERE kind = 'settled' AND state = 'alert'"
    told = [figure for (figure,) in scored_database.execute(alarms)]
    assert told == (["hardly_left_alone"] if state == "alert" else [])
    ended = call(scored_database, "health", "--config", config)
    is_said = "of 400 rows that were predicted 1 and whose outcome was due" in ended.stderr
    assert is_said == (state == "alert")


def test_where_they_count_the_same_outcomes_alarm(
    scored_database: Database, tmp_path: Path
) -> None:
    config = configuration(tmp_path, declared("counts"))
    redeclare = ("migrate", "--features", "--reason", "the risk under care")
    assert call(scored_database, *redeclare, "--config", config).exit_code == 0
    _lived(scored_database, 19)
    _night(scored_database, config)
    alarms = "SELECT figure FROM monitoring WHERE kind = 'settled' AND state = 'alert'"
    assert ("outcome_less_frequent",) in scored_database.execute(alarms)


def test_without_a_time_of_the_outcome_a_source_is_refused(
    sqlite: Database, tmp_path: Path
) -> None:
    path = Path(configuration(tmp_path, declared("unknown")))
    source = '[[source]]\nname = "clinic"\ntable = "t"\nkey = "id"\noutcome = "ill"\n'
    columns = '[source.columns]\nglucose = "glucose"\n'
    path.write_text(f"{path.read_text()}{source}{columns}")
    ended = call(sqlite, "migrate", "--config", str(path))
    assert ended.exit_code == 2
    assert 'outcome_at is not there, and outcome.if_acted is "unknown"' in ended.stderr
    path.write_text(path.read_text().replace(columns, f'outcome_at = "at"\n{columns}'))
    assert "outcome_at" not in call(sqlite, "migrate", "--config", str(path)).stderr


def test_a_file_says_when_its_outcomes_became_known(database: Database, tmp_path: Path) -> None:
    insert_patients(database, 4)
    known = "SELECT outcome, labelled_at FROM patients ORDER BY id"
    file = write(
        tmp_path,
        "id,outcome,Outcome At",
        "1,1,2026-03-01",
        "2,0,2026-03-02 10:00",
        "3,,2026-03-02",
        "4,0,",
    )
    result = the_json(call(database, "load", "--json", file))
    assert (result["updated"], result["unchanged"]) == (3, 1)
    first, second, third, fourth = database.execute(known)
    assert [str(at)[:19].replace("T", " ") for _, at in (first, second)] == [
        "2026-03-01 23:59:59",
        "2026-03-02 10:00:00",
    ]
    assert (third, fourth[0], fourth[1] is None) == ((None, None), 0, False)
    assert the_json(call(database, "load", "--json", file))["unchanged"] == 4
    ended = call(database, "load", write(tmp_path, "id,outcome,outcome_at", "1,1,soon"))
    assert (ended.exit_code, "bad_outcome_at (outcome_at)" in ended.stderr) == (2, True)
    ended = call(database, "load", write(tmp_path, "id,outcome_at", "1,2026-03-01"))
    assert (ended.exit_code, "outcome_at without outcome" in ended.stderr) == (2, True)


def test_outcomes_of_known_rows_without_their_times_are_refused_where_it_matters(
    sqlite: Database, tmp_path: Path
) -> None:
    config = configuration(tmp_path, declared("unknown"))
    redeclare = ("migrate", "--features", "--reason", "the risk without a call")
    assert call(sqlite, *redeclare, "--config", config).exit_code == 0
    history = write(tmp_path, f"id,{HEADER}", *(f"{n},{LINES[n]}" for n in range(1, 20)))
    assert call(sqlite, "load", "--config", config, history).exit_code == 0
    ended = call(sqlite, "load", "--config", config, write(tmp_path, "id,outcome", "1,1"))
    assert ended.exit_code == 2
    assert "It has outcomes without outcome_at (needed_column)" in ended.stderr
    timed = write(tmp_path, "id,outcome,outcome_at", "1,1,2026-03-01")
    assert call(sqlite, "load", "--config", config, timed).exit_code == 0


@pytest.mark.judge
@pytest.mark.parametrize("horizon", ['horizon = "30 days"\n', ""], ids=["waits", "known"])
def test_what_was_acted_upon_stays_so_where_old_predictions_and_values_are_removed(
    database: Database, tmp_path: Path, horizon: str
) -> None:
    words = declared("unknown").replace("if_acted", f"{horizon}if_acted", 1)
    config = configuration(tmp_path, words)
    redeclare = ("migrate", "--features", "--reason", "the risk without a call")
    assert call(database, *redeclare, "--config", config).exit_code == 0
    row(database, ago(402), None)
    for days in (401, 399):
        at = {"at": database.stored(ago(days))}
        database.execute(
            """INSERT INTO predictions (patient_id, patient_version, model_version, run_id,
                probability, predicted_class, threshold, scored_at)
            SELECT id, version, 1, 1, 0.25, 0, 0.5, :at FROM patients""",
            at,
        )
        # Whoever is treated is measured again.
        database.execute("UPDATE patients SET glucose = glucose + 1")
        database.execute("UPDATE row_history SET replaced_at = :at", at)
    _acted_and_known(database, ago(400))
    assert _rows_acted_upon(database, config) == 1
    for _ in range(2):
        ended = call(database, "retain", "--older-than", "365", "--config", config)
        assert ended.exit_code == 0
    assert database.value("SELECT count(*) FROM predictions") == 2
    assert _rows_acted_upon(database, config) == 1
    _acted_and_known(database, ago(401.5))
    assert _rows_acted_upon(database, config) == 0


def _acted_and_known(database: Database, at: datetime) -> None:
    moments = {"at": database.stored(at), "known": database.stored(ago(390))}
    database.execute(
        "UPDATE patients SET acted_at = :at, outcome = 1, labelled_at = :known", moments
    )


def _rows_acted_upon(database: Database, config: str) -> int:
    settings = read_settings(Path(config), {"PIMA_HOLDOUT__SALT": SALT})
    kept = declared_in(Path(config), settings)
    history, *_ = read_history(database.engine, settings, kept)
    return history.left_out.get("acted_upon", 0)
