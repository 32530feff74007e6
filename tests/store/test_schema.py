"""Migrations on both databases, and the code's tables held against what they make."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from pima.core.declared.identifiers import LARGEST_ID
from pima.errors import SchemaAhead, SchemaBehind, SchemaDiffers, SchemaMissing, WrongConfiguration
from pima.settings.sections import DatabaseSettings, HoldoutSettings
from pima.store import schema
from pima.store.engine import reading
from pima.store.models.registry import HoldoutRule, holdout_rule
from pima.store.tables import with_features
from pima.store.urls import make_engine
from tests.support.databases import PATIENCE_SECONDS, Database
from tests.support.shipped import FEATURE_NAMES, HOLDOUT, ROOT, SALT


def test_the_tables_that_the_code_reads_are_those_that_are_made(database: Database) -> None:
    """A schema that lacks something of what the code knows is refused at each start; here is no
    more than that."""
    schema.require_schema(database.engine)
    with reading(database.engine) as connection:
        look = inspect(connection)
        for table in with_features(FEATURE_NAMES).sorted_tables:
            made = {column["name"]: column["nullable"] for column in look.get_columns(table.name)}
            assert made == {column.name: column.nullable for column in table.columns}
            assert {check["name"] for check in look.get_check_constraints(table.name)} == {
                *table.info["checks"]
            }


def test_the_highest_id_is_the_same_in_schema_and_code() -> None:
    assert f"id <= {LARGEST_ID})" in (ROOT / "pima/store/schema.sql").read_text("utf-8")


def test_the_code_knows_every_revision_of_the_migrations_equal() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    oldest_first = [script.revision for script in scripts.walk_revisions()][::-1]
    assert list(schema.REVISIONS) == oldest_first
    assert scripts.get_current_head() == schema.HEAD


def test_a_schema_is_made_once_and_then_left(database: Database) -> None:
    assert schema.migrate(database.engine, HOLDOUT) == schema.Migrated(schema.HEAD, None)
    database.remove_schema()
    with pytest.raises(SchemaMissing):
        schema.require_schema(database.engine)
    assert schema.migrate(database.engine, HOLDOUT) == schema.Migrated(None, None)
    schema.require_schema(database.engine)
    assert database.execute("SELECT model_version, sequence, pinned FROM champion") == [
        (None, 0, 0)
    ]


@pytest.mark.campaign
@pytest.mark.parametrize(
    "round_", [0, *(pytest.param(n, marks=pytest.mark.at_length) for n in (1, 2))]
)
def test_two_migrations_at_once(database: Database, round_: int) -> None:
    database.remove_schema()
    processes = [database.start("migrate", "--json") for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    schema.require_schema(database.engine)
    assert database.value("SELECT count(*) FROM installation") == 1


def test_a_revision_from_the_future_is_ahead(database: Database) -> None:
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaAhead, match="9999"):
        schema.require_schema(database.engine)
    with pytest.raises(SchemaAhead):
        schema.migrate(database.engine, HOLDOUT)


def test_a_revision_known_but_older_is_behind(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, "next"))
    monkeypatch.setattr(schema, "HEAD", "next")
    with pytest.raises(SchemaBehind, match=r"python -m jobs\.migrate"):
        schema.require_schema(database.engine)


def test_a_retyped_column_is_named(postgresql: Database) -> None:
    postgresql.execute("ALTER TABLE promotions ALTER COLUMN challenger TYPE text")
    with pytest.raises(
        SchemaDiffers, match=r"promotions\.challenger is text where bigint was expected"
    ):
        schema.require_schema(postgresql.engine)


def test_the_holdout_is_kept_and_another_is_refused(database: Database) -> None:
    with reading(database.engine) as connection:
        assert holdout_rule(connection) == HoldoutRule(SALT, 0.30)
    assert (
        schema.migrate(database.engine, HoldoutSettings()).before == schema.HEAD
    )  # an empty salt is any
    for other in (HoldoutSettings(salt="another"), HoldoutSettings(share=0.4)):
        with pytest.raises(WrongConfiguration, match=r"this database"):
            schema.migrate(database.engine, other)
    with reading(database.engine) as connection:
        assert holdout_rule(connection) == HoldoutRule(SALT, 0.30)


def test_a_drawn_salt_is_long_and_new_each_time(tmp_path: Path) -> None:
    salts = set()
    for n in range(2):
        engine = make_engine(f"sqlite:///{tmp_path}/{n}.db", DatabaseSettings())
        schema.migrate(engine, HoldoutSettings())
        with reading(engine) as connection:
            salts.add(holdout_rule(connection).salt)
        engine.dispose()
    assert len(salts) == 2
    assert all(len(salt) == 64 for salt in salts)
