"""What the views hide stays hidden from functions that their readers call on them."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from pima.store.engine import reading
from pima.store.schema import migrate
from tests.releases.__main__ import restore
from tests.support.databases import Database, insert_patients, postgresql_from, under_role
from tests.support.shipped import HOLDOUT, ROOT

# At its cost PostgreSQL would call it before the conditions of a view, on rows that they leave out.
_TELLS = """
    CREATE FUNCTION pg_temp.tells(anyelement) RETURNS boolean LANGUAGE plpgsql STRICT COST 1e-10
    AS $$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$"""
_VIEWS = (
    ("pima_monitor", "monitored_predictions", "label"),
    ("pima_reader", "current_predictions", "person_key"),
    ("pima_reader", "current_predictions", "patient_version"),
)


def _told(database: Database, role: str, view: str, column: str) -> list[str]:
    """What the function saw of a column; it was called on each row that the view shows."""
    url = under_role(database, role).url.replace("postgresql+psycopg", "postgresql")
    told: list[str] = []
    with psycopg.connect(url) as session:
        session.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
        session.execute(_TELLS)
        select = f"SELECT {column} FROM {view} WHERE pg_temp.tells({column})"
        shown = [f"told {row[0]}" for row in session.execute(select) if row[0] is not None]
    assert set(shown) <= set(told)
    return [each for each in told if each not in shown]


@pytest.fixture(params=["new", "upgraded"])
def viewed(request: pytest.FixtureRequest, server: str) -> Iterator[Database]:
    """One row has predictions of two versions; of another only person and outcome are known."""
    for database in postgresql_from(server, "template1"):
        if request.param == "upgraded":
            restore(database, "0.1.0")
        migrate(database.engine, HOLDOUT, with_roles=True)
        predicted, _ = insert_patients(database, 2, first_id=7_000)
        database.execute("UPDATE patients SET person_key = 'person ' || id WHERE id >= 7000")
        add = f"INSERT INTO predictions VALUES ({predicted}, :version, 1, 1, 0.5, 1, 0.5)"
        database.execute(add, [{"version": 100_001}, {"version": 100_002}])
        database.execute("UPDATE patients SET outcome = 1, labelled_at = '2001-01-01'")
        yield database


@pytest.mark.parametrize(("role", "view", "column"), _VIEWS)
def test_a_cheap_function_sees_no_row_that_the_view_leaves_out(
    viewed: Database, role: str, view: str, column: str
) -> None:
    assert _told(viewed, role, view, column) == []


def test_the_page_s_join_of_few_rows_finds_them_by_index(postgresql: Database) -> None:
    page = (ROOT / "docs" / "do" / "read-predictions.md").read_text()
    (join,) = re.findall(r"^SELECT[^;]*LATERAL[^;]*;", page, re.MULTILINE)
    with reading(postgresql.engine) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {join}")))
    assert "Index Cond: (patient_id = r.id)" in plan
