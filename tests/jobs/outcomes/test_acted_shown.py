"""On whom a clinic acted is shown, in status, report, card and metrics; nothing is read of it where
nobody has declared what it means."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, text

from pima.settings.reading import SHIPPED_FILE
from pima.store.engine import clock, reading, writing
from pima.store.models.registry import newest_declaration
from pima.store.rows.settled import settled_outcomes
from pima.store.rows.settling import settling
from pima.watch.acted_upon import acted_upon
from pima.watch.realised import last_week
from tests.support.databases import Database, call, the_json
from tests.support.declared import configuration
from tests.support.settled import NOW, ago, predict, row
from tests.support.shipped import SOUND

SIDES = ("acted on where predicted 0", "acted on where predicted 1")
APART = tuple(f"outcome 1 where predicted 1 and {name}" for name in ("acted on", "left alone"))
JUDGED = tuple(
    f"observed/expected where predicted 1 and {name}" for name in ("acted on", "left alone")
)


def redeclared(database: Database, folder: Path, if_acted: str | None) -> str:
    words = '\nhorizon = "30 days"\nmeaning ='
    if if_acted:
        words = f'\nif_acted = "{if_acted}"{words}'
    path = configuration(folder, SHIPPED_FILE.read_text().replace("\nmeaning =", words, 1))
    redeclare = ("migrate", "--features", "--reason", "which risk is meant")
    assert call(database, *redeclare, "--config", path).exit_code == 0
    return path


def _lived(database: Database) -> None:
    """Twenty weeks of a thousand rows with the probability 0.4 to 0.6 that is true. On seven in ten
    of those predicted 1 somebody acted, on most of them the next day, and nobody of them had
    outcome 1 but for one in five. On two more somebody had acted before, or did after the
    outcome."""
    draw = np.random.default_rng(3)
    rows = []
    for n in range(1000):
        p = 0.4 + 0.2 * ((n % 500) + 0.5) / 500
        is_called = p >= 0.5
        is_acted = is_called and n % 10 < 7
        index = NOW - (NOW - ago(38)) - (NOW - ago(n % 140))
        outcome = int(draw.random() < (0.2 if is_acted else p))
        days = {0: 7, 7: -1, 8: 21}.get(n % 10, 1)
        acted = index + (NOW - ago(days))
        rows.append(
            {
                "id": 10_000 + n,
                "outcome": outcome,
                "index": database.stored(index),
                "known": database.stored(index + (NOW - ago(20))),
                "acted": database.stored(acted) if is_called and n % 10 < 9 else None,
                "p": p,
                "glucose": 70 + n % 100,
                "age": 25 + n // 100,
                "class": int(is_called),
            }
        )
    values = {name: str(value) for name, value in SOUND.items()}
    values |= {"glucose": ":glucose", "age": ":age"}
    with writing(database.engine) as connection:
        for statement in (
            f"""INSERT INTO patients (id, index_at, {", ".join(values)})
            VALUES (:id, :index, {", ".join(values.values())})""",
            """INSERT INTO predictions (patient_id, patient_version, model_version, run_id,
                probability, predicted_class, threshold, scored_at)
            SELECT id, version, 1, 1, :p, :class, 0.5, :index FROM patients WHERE id = :id""",
            """UPDATE patients SET acted_at = :acted, outcome = :outcome, labelled_at = :known
                WHERE id = :id""",
        ):
            connection.execute(text(statement), rows)


@pytest.mark.parametrize("if_acted", ["counts", "unknown"])
def test_on_whom_somebody_acted_is_shown(
    scored_database: Database, tmp_path: Path, if_acted: str
) -> None:
    database = scored_database
    config = redeclared(database, tmp_path, if_acted)
    _lived(database)
    acted = the_json(call(database, "status", "--json", "--config", config))["acted"]
    found = {each["name"]: each for each in acted["figures"]}
    assert [found[name]["rows"] for name in SIDES] == [500, 500]
    assert [found[name]["figure"]["value"] for name in SIDES] == [0, pytest.approx(0.7)]
    jump = found["jump at threshold"]
    assert jump["rows"] == 1000
    assert -0.4 < jump["figure"]["value"] < -0.1
    parts = [found[name]["figure"]["value"] for name in APART if name in found]
    assert len(parts) == (2 if if_acted == "counts" else 0)
    judged = [found[name]["figure"]["value"] for name in JUDGED if name in found]
    assert [round(value, 1) for value in judged] == ([0.4, 1.0] if parts else [])
    late, others, *differ = acted["remarks"]
    assert len(differ) == len(parts) / 2
    assert late.startswith("On 50 of 350 somebody acted later than a tenth of the horizon")
    assert others == (
        "On 100 more somebody acted before the first prediction, or after the outcome or horizon. "
        "They count as left alone."
    )
    shown = " ".join(call(database, "status", "--config", config).stdout.split())
    told = "acted upon 0.00 (0.00 to 0.01) of 500 predicted 0; 0.70 (0.66 to 0.74) of"
    assert told in shown
    page = tmp_path / "report.html"
    assert call(database, "report", "--out", str(page), "--config", config).exit_code == 0
    card = call(database, "models", "card", "1", "--config", config).stdout
    assert "\u2013-" not in page.read_text()  # as from -0.31 to -0.07
    for words in (*acted["remarks"], *found):
        assert words in page.read_text()
        assert words in card
    assert call(database, "retrain", "--config", config).exit_code == 0
    kept = "SELECT value, rows FROM monitoring WHERE figure = 'realised_acted_on_where_predicted_1'"
    assert database.execute(kept) == [(pytest.approx(0.7), 500)]


@pytest.mark.parametrize("if_acted", [None, "counts"])
def test_nothing_is_read_of_an_action_where_it_is_not_declared_what_it_means(
    scored_database: Database, tmp_path: Path, if_acted: str | None
) -> None:
    config = redeclared(scored_database, tmp_path, if_acted)
    _lived(scored_database)
    said: list[str] = []
    with reading(scored_database.engine) as connection:
        event.listen(connection, "before_cursor_execute", lambda *given: said.append(given[2]))
        found = settled_outcomes(connection, 10_000)
        now = clock(connection)
        told = acted_upon(connection, found, last_week(found, now))
    assert (told is None) == (if_acted is None)
    assert any("acted_at" in statement for statement in said) == (told is not None)
    status = call(scored_database, "status", "--config", config).stdout
    assert ("acted upon" in status) == (told is not None)
    card = call(scored_database, "models", "card", "1", "--config", config).stdout
    assert ("Acted upon" in card) == (told is not None)


def test_only_the_weeks_on_top_are_told(scored_database: Database, tmp_path: Path) -> None:
    redeclared(scored_database, tmp_path, "unknown")
    _lived(scored_database)
    with reading(scored_database.engine) as connection:
        found = settled_outcomes(connection, 10_000)
        last = last_week(found, clock(connection))
        earlier = acted_upon(connection, found, last - 15)
        assert acted_upon(connection, found, last - 40) is None
    assert earlier is not None
    assert 0 < earlier.figures[-1].rows < 400


def test_no_jump_rests_on_those_acted_on_in_weeks_that_are_hardly_followed_up(
    database: Database, tmp_path: Path
) -> None:
    redeclared(database, tmp_path, "unknown")
    for n in range(40):
        is_acted = n % 2 == 0
        patient_id = row(database, ago(45), ago(32) if is_acted or n < 8 else None, int(n % 3 == 0))
        predict(database, patient_id, ago(45))
        if is_acted:
            at = {"id": patient_id, "at": database.stored(ago(44))}
            database.execute("UPDATE patients SET acted_at = :at WHERE id = :id", at)
    with reading(database.engine) as connection:
        found = settled_outcomes(connection, 10_000)
        told = acted_upon(connection, found, last_week(found, clock(connection)))
    assert (found.in_time, found.acted_upon, len(found.left_out)) == ([], [], 24)
    assert told is not None
    assert (str(told), told.figures[-1].figure.value) == (
        "0.50 (0.35 to 0.65) of 40 predicted 0",
        None,
    )


def test_a_week_in_which_somebody_acted_on_all_is_no_week_to_follow_up(
    database: Database, tmp_path: Path
) -> None:
    config = redeclared(database, tmp_path, "unknown")
    for n in range(24):
        is_acted = n % 2 == 0
        begun = ago(60 if is_acted else 45)
        patient_id = row(database, begun, ago(12), int(n % 3 == 0))
        predict(database, patient_id, begun)
        if is_acted:
            at = {"id": patient_id, "at": database.stored(ago(59))}
            database.execute("UPDATE patients SET acted_at = :at WHERE id = :id", at)
    told = call(database, "status", "--config", config)
    assert (told.exit_code, "followed up 100.0% of 12 rows" in " ".join(told.stdout.split())) == (
        0,
        True,
    )
    with reading(database.engine) as connection:
        weeks = settled_outcomes(connection, 10_000).follow_up.weeks
        rule = settling(connection, newest_declaration(connection).outcome, clock(connection))
    assert weeks == rule.follow_up.weeks
    assert [each.rows for each in weeks] == [12]


def test_the_report_says_as_status_does_which_jump_there_are_too_few_rows_to_tell(
    database: Database, tmp_path: Path
) -> None:
    config = redeclared(database, tmp_path, "counts")
    for n in range(60):
        patient_id = row(database, ago(45), ago(12), int(n % 3 == 0))
        predict(database, patient_id, ago(45), 0.4 + n / 300)
        at = {"id": patient_id, "at": database.stored(ago(44))}
        database.execute("UPDATE patients SET acted_at = :at WHERE id = :id", at)
    page = tmp_path / "report.html"
    assert call(database, "report", "--out", str(page), "--config", config).exit_code == 0
    assert "none: too few to tell less than 0." in page.read_text()


def test_where_somebody_acted_on_all_it_is_said_why_no_outcome_counts(
    database: Database, tmp_path: Path
) -> None:
    config = redeclared(database, tmp_path, "unknown")
    for n in range(12):
        patient_id = row(database, ago(45), ago(12), n % 2)
        predict(database, patient_id, ago(45))
        at = {"id": patient_id, "at": database.stored(ago(44))}
        database.execute("UPDATE patients SET acted_at = :at WHERE id = :id", at)
    why = "12 outcomes of predictions have settled; none counts, since somebody acted on all"
    assert why in " ".join(call(database, "status", "--config", config).stdout.split())
    page = tmp_path / "report.html"
    assert call(database, "report", "--out", str(page), "--config", config).exit_code == 0
    html = page.read_text()
    assert why in html
    assert "No outcome has come" not in html
    assert "no prediction has a settled outcome" not in html


@pytest.mark.parametrize("if_acted", ["counts", "unknown"])
def test_it_is_said_where_a_prediction_after_acting_is_told(
    database: Database, tmp_path: Path, if_acted: str
) -> None:
    redeclared(database, tmp_path, if_acted)
    for n in range(20):
        patient_id = row(database, ago(45), ago(12), n % 2)
        for days, probability in ((45, 0.75), (43, 0.25)):
            predict(database, patient_id, ago(days), probability)
        at = {"id": patient_id, "at": database.stored(ago(44))}
        database.execute("UPDATE patients SET acted_at = :at WHERE id = :id", at)
    database.execute("UPDATE predictions SET predicted_class = 1 WHERE probability > 0.5")
    with reading(database.engine) as connection:
        found = settled_outcomes(connection, 10_000)
        told = acted_upon(connection, found, last_week(found, clock(connection)))
    assert told is not None
    said = "20 of those acted on were predicted again before the outcome, and count by that."
    expected = {"counts": ("0", (said,)), "unknown": ("1", ())}[if_acted]
    assert (str(told)[-1], told.remarks) == expected
