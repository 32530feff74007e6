"""Nights on end: with old predictions removed, the table does not grow with the history."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.databases import Database, call, insert_many, the_json
from tests.support.trained import install_models

DAYS_A_NIGHT = 30
"""The clock is not waited for: what there is becomes so much older between two nights."""


@dataclass(frozen=True)
class Year:
    """How many nights, and how many new rows in each."""

    nights: int
    rows: int


@dataclass(frozen=True)
class AfterANight:
    """What there is of predictions."""

    rows: int
    bytes: int


def _night(database: Database, rows: int) -> AfterANight:
    """New rows come and are scored, outcomes of the night before arrive, and what is old is removed."""
    older = f"- interval '{DAYS_A_NIGHT} days'"
    database.execute(f"UPDATE predictions SET scored_at = scored_at {older}")
    database.execute("UPDATE patients SET outcome = id % 2 WHERE outcome IS NULL")
    insert_many(database, rows)
    scored = the_json(call(database, "score", "--json"))
    assert scored["predicted"] == rows
    assert call(database, "retain", "--older-than", "183").exit_code == 0
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM predictions"))  # as autovacuum does by itself, in its own time
    return AfterANight(
        rows=database.value("SELECT count(*) FROM predictions"),
        bytes=database.value("SELECT pg_total_relation_size('predictions')"),
    )


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    "year", [Year(9, 300), pytest.param(Year(365, 20_000), marks=pytest.mark.at_length)], ids=["short", "year"]
)
def test_the_table_does_not_grow_with_the_history(postgresql: Database, trained: Path, year: Year) -> None:
    install_models(postgresql, trained)
    nights = [_night(postgresql, year.rows) for _ in range(year.nights)]
    # Seven nights reach back 180 days.
    kept = 183 // DAYS_A_NIGHT + 1
    full = nights[kept:]
    assert {night.rows for night in full} == {kept * year.rows}
    assert max(night.bytes for night in full) <= 1.5 * full[0].bytes
