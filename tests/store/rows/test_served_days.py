"""The counts by day of what was served, where days move or the clock was wrong."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED
from pima.store.engine import reading, writing
from pima.store.rows.served_days import count_served_days
from pima.store.rows.settled import settled_outcomes
from pima.store.rows.settling import day_of
from tests.support.databases import Database
from tests.support.settled import NOW, ago, predict, row

pytestmark = pytest.mark.judge


def declare(database: Database, horizon: str | None) -> None:
    outcome = replace(SHIPPED.outcome, horizon=horizon)
    redeclare(database.engine, replace(SHIPPED, outcome=outcome), "a test", "another horizon")


def served(database: Database) -> int:
    with reading(database.engine) as connection:
        found = settled_outcomes(connection, 100).served
    return int(found.outcomes[found.model_version > 0].sum())


def count(database: Database) -> None:
    with writing(database.engine) as connection:
        count_served_days(connection)


@pytest.mark.parametrize(
    ("before", "after"), [("10 days", "40 days"), ("40 days", "10 days"), (None, "40 days")]
)
def test_another_horizon_leaves_no_day_of_the_one_before(
    database: Database, before: str | None, after: str
) -> None:
    declare(database, before)
    predict(database, row(database, ago(45), ago(44)), ago(45))
    count(database)
    assert served(database) == 1
    declare(database, after)
    assert served(database) == 1
    count(database)
    assert served(database) == 1


def test_a_count_while_the_clock_was_ahead_keeps_no_later_day_from_being_counted(
    database: Database,
) -> None:
    declare(database, "30 days")
    count(database)
    ahead = NOW + timedelta(days=30)
    database.execute(
        "INSERT INTO served_days (model_version, day, predicted_in, predicted_class, bin, outcomes,"
        " ones, expected, missing, expected_missing, acted, counted_at)"
        " VALUES (0, :day, 0, 0, 0, 0, 0, 0, 1, 0, 0, :at)",
        {"day": day_of(ahead), "at": database.stored(ahead)},
    )
    predict(database, row(database, ago(32), ago(31)), ago(32))
    # What came before its day was taken off by a night before it.
    database.execute("DELETE FROM changed_outcomes")
    assert served(database) == 1
