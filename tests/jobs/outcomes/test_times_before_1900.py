"""Outcomes whose time lies before 1900, as the triggers once took them, and versions that learned
from such."""

from itertools import product

import pytest

from pima.store.database import database_of
from tests.support.databases import Database, call, insert_patients, the_json, without_triggers

pytestmark = pytest.mark.usefixtures("each_fit_once", "without_reports")
EARLY = {
    "sqlite": ["-4587-10-26T12:00:00.000Z", "0044-03-15T00:00:00.000Z"],
    "postgresql": ["-infinity", "0044-03-15 BC"],
}


NOT_KNOWN = {
    "sqlite": ("1899-12-31T23:59:59.999Z", "-0043-03-15T00:00:00.000Z", "45991", "soon"),
    "postgresql": ("1899-12-31 23:59:59.999 UTC", "0044-03-15 BC", "-infinity", "infinity"),
}


def test_whatever_is_written_so_becomes_now(database: Database) -> None:
    stamped = (
        f"SELECT labelled_at BETWEEN recorded_at AND {database_of(database.engine).now} FROM "
        "patients"
    )
    for outcome, moment in product((None, 1), NOT_KNOWN[database.kind]):
        insert_patients(database, 1, outcome=outcome, labelled_at=moment)
        assert database.value(stamped) == (None if outcome is None else True)
        database.execute(
            "UPDATE patients SET outcome = 0, labelled_at = :moment", {"moment": moment}
        )
        assert database.value("SELECT labelled_at = updated_at FROM patients")
        database.execute("DELETE FROM patients")


def test_outcomes_known_before_1900_end_no_retraining_and_status_counts_them(
    history: Database,
) -> None:
    with without_triggers(history):
        for patient_id, moment in enumerate(EARLY[history.kind], start=1):
            parameters = {"id": patient_id, "moment": moment}
            history.execute("UPDATE patients SET labelled_at = :moment WHERE id = :id", parameters)
    assert call(history, "retrain", PIMA_RETRAIN__NETWORK="article").exit_code == 0
    assert str(history.value("SELECT first_labelled_at FROM model_versions")).startswith(
        "1900-01-01"
    )
    assert "2 outcomes known before 1900" in call(history, "status", COLUMNS="200").stdout
    history.execute(
        "UPDATE patients SET labelled_at = recorded_at WHERE labelled_at < '1900-01-02'"
    )
    assert the_json(call(history, "status", "--json"))["outcomes_before_1900"] == 0


def test_a_version_that_learned_from_such_can_be_read(scored_database: Database) -> None:
    early = {"early": EARLY[scored_database.kind][0]}
    for table in ("model_versions", "test_sets"):
        scored_database.execute(
            f"UPDATE {table} SET first_labelled_at = :early, last_labelled_at = :early", early
        )
    for command in (
        ("status",),
        ("models", "list"),
        ("models", "show", "1"),
        ("models", "card", "1"),
    ):
        assert call(scored_database, *command).exit_code == 0, command
