"""Which rows somebody acted on between their first prediction and their outcome, and where they
count, as the declaration says."""

from datetime import datetime
from typing import Literal

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED
from pima.store.engine import clock, reading, writing
from pima.store.models.registry import newest_declaration
from pima.store.rows.erasing import OldRows, what_is_old
from pima.store.rows.served_days import count_served_days
from pima.store.rows.settled import SettledOutcomes, settled_outcomes
from pima.store.rows.settling import settling
from tests.support.databases import Database
from tests.support.settled import ago, predict, row

pytestmark = pytest.mark.judge

IfActed = Literal["counts", "unknown"]


def declare(database: Database, if_acted: IfActed | None, horizon: str | None = "30 days") -> None:
    outcome = replace(SHIPPED.outcome, horizon=horizon, if_acted=if_acted)
    redeclare(database.engine, replace(SHIPPED, outcome=outcome), "a test", "which risk is meant")


def acted(database: Database, patient_id: int, at: datetime) -> int:
    values = {"id": patient_id, "at": database.stored(at)}
    database.execute("UPDATE patients SET acted_at = :at WHERE id = :id", values)
    return patient_id


def uncounted(database: Database) -> list[str | None]:
    """Why each labelled row counts in nothing, by id."""
    with reading(database.engine) as connection:
        rule = settling(connection, newest_declaration(connection).outcome, clock(connection))
        which = "FROM patients WHERE outcome IS NOT NULL ORDER BY id"
        return list(connection.scalars(text(f"SELECT {rule.uncounted or 'NULL'} {which}")))


def found(database: Database) -> SettledOutcomes:
    with reading(database.engine) as connection:
        return settled_outcomes(connection, 10_000)


@pytest.mark.parametrize("horizon", ["30 days", None])
def test_acted_upon_is_who_was_acted_on_between_first_prediction_and_outcome(
    database: Database, horizon: str | None
) -> None:
    declare(database, "unknown", horizon)
    for at in (ago(46), ago(44), ago(31), ago(29)):
        found = row(database, ago(45), ago(30), outcome=1)
        predict(database, found, ago(45))
        predict(database, found, ago(43), 0.3)
        acted(database, found, at)
    for at in (ago(46), ago(44)):  # never predicted
        acted(database, row(database, ago(45), ago(30)), at)
    row(database, ago(45), ago(30))
    by = "acted_upon"
    assert uncounted(database) == [None, by, by, None, None, by, None]
    declare(database, "counts", horizon)
    assert set(uncounted(database)) == {None}


def test_an_action_after_the_horizon_and_before_its_outcome_was_noted_changes_nothing(
    database: Database,
) -> None:
    declare(database, "unknown")
    found = row(database, ago(45), ago(2), outcome=0)
    predict(database, found, ago(45))
    acted(database, found, ago(10))
    assert uncounted(database) == [None]


def test_a_first_prediction_that_was_removed_is_known_still(database: Database) -> None:
    """Of whom somebody acted on, retain removes none."""
    declare(database, "unknown", None)
    found = acted(database, row(database, None, ago(30)), ago(40))
    predict(database, found, ago(39))
    database.execute("UPDATE patients SET glucose = glucose + 1")
    predict(database, found, ago(37))
    with writing(database.engine) as connection:
        OldRows(what_is_old(connection, ago(20))[0], 0, found).delete(connection)
    assert uncounted(database) == [None]
    acted(database, found, ago(38))
    assert uncounted(database) == ["acted_upon"]


def lived(database: Database) -> None:
    """Forty rows of one day, all predicted 0.25; of those that were acted on, every second, three
    of ten have no outcome, and of the others one."""
    for n in range(40):
        is_acted = n % 2 == 0
        known = None if n % 20 in (0, 2, 4, 1) else ago(12)
        patient_id = row(database, ago(45), known, int(n % 3 == 0))
        predict(database, patient_id, ago(45))
        if is_acted:
            acted(database, patient_id, ago(44))


@pytest.mark.parametrize("is_stored", [False, True])
def test_what_was_acted_upon_is_on_neither_side_of_follow_up_and_in_no_figure(
    database: Database, is_stored: bool
) -> None:
    declare(database, None)
    lived(database)
    assert [(each.rows, each.outcomes) for each in found(database).follow_up.weeks] == [(40, 32)]
    declare(database, "unknown")
    if is_stored:
        count(database)
    judged = found(database)
    assert [(each.rows, each.outcomes) for each in judged.follow_up.weeks] == [(20, 18)]
    assert (len(judged.in_time), judged.acted_upon and len(judged.acted_upon)) == (18, 14)
    served = judged.counting
    assert (served.outcomes.sum(), served.missing.sum(), served.acted.sum()) == (18, 2, 20)
    with reading(database.engine) as connection:
        rule = settling(connection, newest_declaration(connection).outcome, clock(connection))
    assert [(each.rows, each.outcomes) for each in rule.follow_up.weeks] == [(20, 18)]


@pytest.mark.parametrize("if_acted", [None, "counts"])
def test_otherwise_they_count_as_all_others(database: Database, if_acted: IfActed | None) -> None:
    declare(database, if_acted)
    database.execute("UPDATE declarations SET since = :then", {"then": database.stored(ago(60))})
    lived(database)
    judged = found(database)
    assert judged.acted_upon is None
    assert judged.served.outcomes[judged.served.model_version == 1].sum() == 32
    is_told = [each.is_acted_upon for each in [*judged.in_time, *judged.left_out]]
    assert sum(is_told) == (14 if if_acted else 0)


def test_without_a_horizon_a_week_of_predictions_lacks_them_on_both_sides(
    database: Database,
) -> None:
    declare(database, "unknown", None)
    database.execute(
        "INSERT INTO runs (job, trigger, attempt, status, counts, host, started_at, model_version)"
        " VALUES ('score', 'manual', 1, 'succeeded', :counts, 'here', :at, 1)",
        {"at": database.stored(ago(45)), "counts": '{"predicted": 40}'},
    )
    lived(database)
    judged = found(database)
    # Whose outcome has not come may yet be acted on.
    assert [(each.rows, each.outcomes) for each in judged.follow_up.weeks] == [(26, 18)]


@pytest.mark.parametrize("is_stored", [False, True])
def test_acting_goes_by_what_was_predicted_before_it(database: Database, is_stored: bool) -> None:
    declare(database, "unknown")
    for n in range(20):
        patient_id = row(database, ago(45), ago(12) if n % 2 else None)
        predict(database, patient_id, ago(45), 0.4)
        predict(database, patient_id, ago(44.5), 0.75)
        acted(database, patient_id, ago(44))
        predict(database, patient_id, ago(43.5), 0.25)
    database.execute("UPDATE predictions SET predicted_class = 1 WHERE probability > 0.5")
    if is_stored:
        count(database)
    judged = found(database)
    served = judged.served.only(judged.served.acted > 0)
    assert set(served.predicted_class[served.model_version > 0].tolist()) == {1}
    told = [*judged.left_out, *(judged.acted_upon or ())]
    assert {each.probability for each in told} == {0.75}


def count(database: Database) -> None:
    """As a night does; then nothing is stale but today."""
    with writing(database.engine) as connection:
        count_served_days(connection)
