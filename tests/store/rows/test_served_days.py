"""The counts by day of what was served, where days move."""

import pytest
from msgspec.structs import replace

from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED
from pima.store.engine import reading, writing
from pima.store.rows.served_days import count_served_days
from pima.store.rows.settled import settled_outcomes
from tests.support.databases import Database
from tests.support.settled import ago, predict, row

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
