"""Commands of pima's owner, who is no superuser, beside what others have made in its schema."""

from collections.abc import Iterator

import pytest

from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.postgresql.schema import ROLES
from pima.store.schema import HEAD
from pima.store.urls import make_engine
from tests.releases.__main__ import restore
from tests.support.databases import Database, call, on_server, under_role, with_database
from tests.support.owners import make_role, owners_database

CLINIC = "a_clinic"


@pytest.fixture
def owned(server: str) -> Iterator[Database]:
    """The owner's database, in which a clinic may create, too."""
    make_role(server, CLINIC)
    with owners_database(server) as database:
        database.execute(f"GRANT CREATE ON DATABASE {database.engine.url.database} TO {CLINIC}")
        _as_superuser(database, server, f"GRANT CREATE ON SCHEMA public TO {CLINIC}")
        yield database


def _as_superuser(database: Database, server: str, *statements: str) -> None:
    for statement in statements:
        on_server(with_database(server, str(database.engine.url.database)), statement)


def _as_clinic(database: Database, *statements: str) -> None:
    clinics = under_role(database, CLINIC)
    engine = make_engine(clinics.url, DatabaseSettings())
    with writing(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_table_of_somebody_else_in_the_schema_is_let_be(owned: Database) -> None:
    assert call(owned, "migrate", "--roles").exit_code == 0
    _as_clinic(owned, "CREATE TABLE wards (id INTEGER)", "GRANT SELECT ON wards TO pima_reader")
    ended = call(owned, "migrate", "--roles")
    assert ended.exit_code == 0, ended.stderr
    assert owned.value("SELECT has_table_privilege('pima_reader', 'wards', 'SELECT')")


def test_an_upgrade_and_its_rights_come_together_or_not_at_all(
    owned: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(owned, "0.1.0")
    monkeypatch.setitem(ROLES, "pima_reader", ("SELECT ON absent",))
    assert call(owned, "migrate", "--roles").exit_code == 1
    assert owned.value("SELECT version_num FROM alembic_version") == "0001"
    monkeypatch.undo()
    assert call(owned, "migrate", "--roles").exit_code == 0
    assert owned.value("SELECT version_num FROM alembic_version") == HEAD
