"""Where everybody may create in pima's schema, nothing that the lowest role plants there runs with
the rights of the owner, and it is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.urls import make_engine
from tests.releases.__main__ import restore
from tests.support.databases import Database, call, on_server, under_role, with_database
from tests.support.declared import ADDED, configuration
from tests.support.owners import owners_database

LOWEST = "pima_monitor"
# PostgreSQL prefers what takes exactly the types that it is given, wherever it stands. These take
# every pair of types that pg_catalog's own of the same names do not.
_TYPES = (
    'name text varchar "char" oid regclass smallint integer bigint float8 numeric boolean '
    "timestamptz jsonb bytea name[] text[] varchar[] oid[] aclitem[]"
)
_FUNCTIONS = (
    "aclexplode concat count current_setting encode format_type length lower max min nextval "
    "octet_length pg_advisory_xact_lock pg_describe_object pg_get_triggerdef pg_get_userbyid "
    "pg_sequence_last_value pg_table_is_visible pg_try_advisory_xact_lock quote_ident set_config "
    "to_regclass"
)
_OPERATORS = "= <> < <= > >= || & ~ ~~ !~~ + - * / -> ->>"
_PLANT = f"""
    DO $plant$
    DECLARE
        wicked CONSTANT text :=
            'RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''planted''; END $$';
        called text;
        one text;
        other text;
    BEGIN
        FOREACH one IN ARRAY string_to_array('{_TYPES}', ' ') LOOP
            FOREACH called IN ARRAY string_to_array('{_FUNCTIONS}', ' ') LOOP
                EXECUTE format('CREATE FUNCTION public.%I(%s) %s', called, one, wicked);
            END LOOP;
            FOREACH other IN ARRAY string_to_array('{_TYPES}', ' ') LOOP
                FOREACH called IN ARRAY ARRAY['planted', 'current_setting', 'format_type'] LOOP
                    EXECUTE format(
                        'CREATE FUNCTION public.%I(%s, %s) %s', called, one, other, wicked);
                END LOOP;
                FOREACH called IN ARRAY string_to_array('{_OPERATORS}', ' ') LOOP
                    EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.planted,'
                        'LEFTARG = %s, RIGHTARG = %s)', called, one, other);
                END LOOP;
            END LOOP;
        END LOOP;
    END $plant$"""
_BOUND = f"""
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid),
        pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM pg_depend d WHERE d.classid <> 'pg_operator'::regclass AND d.refobjid IN (
        SELECT oid FROM pg_proc WHERE proowner = '{LOWEST}'::regrole
        UNION ALL SELECT oid FROM pg_operator WHERE oprowner = '{LOWEST}'::regrole)"""


@pytest.fixture
def owned(server: str) -> Iterator[Database]:
    with owners_database(server) as database:
        named = with_database(server, str(database.engine.url.database))
        on_server(named, "GRANT CREATE ON SCHEMA public TO PUBLIC")
        yield database


def _plant(database: Database, *statements: str) -> None:
    engine = make_engine(under_role(database, LOWEST).url, DatabaseSettings())
    with writing(engine) as connection:
        connection.exec_driver_sql("SET LOCAL check_function_bodies = off")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    engine.dispose()


@pytest.mark.parametrize("before", ["nothing", "0.1.0", "today's"])
def test_nothing_that_is_planted_runs_as_the_owner(
    owned: Database, before: str, tmp_path: Path
) -> None:
    config = ("--config", configuration(tmp_path)) if before != "0.1.0" else ()
    if before == "0.1.0":
        restore(owned, "0.1.0")
    if before == "today's":
        assert call(owned, "migrate", "--roles", *config).exit_code == 0
    _plant(owned, _PLANT)
    ended = call(owned, "migrate", "--roles", *config)
    assert ended.exit_code == 0, ended
    health = call(owned, "health", *config)
    assert "database_failed" not in health.stderr, health
    if config:
        (tmp_path / "features.toml").write_text(ADDED)
        ended = call(owned, "migrate", "--features", "--reason", "a test", *config)
        assert ended.exit_code == 0, ended
    with writing(owned.engine) as connection:
        connection.exec_driver_sql("SET LOCAL search_path = pg_catalog")
        assert connection.exec_driver_sql(_BOUND).all() == []


# On PostgreSQL 14 and 15 any role may give itself to others; since then a superuser may.
_GREEDY = "$$ BEGIN EXECUTE 'GRANT pima_owner TO pima_monitor'; RETURN {}; END $$"
_TAKES_OVER = (
    f"CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS {_GREEDY.format('$1')}",
    f"CREATE FUNCTION public.joined(name, text) RETURNS text LANGUAGE plpgsql AS {_GREEDY.format('$2')}",
    "CREATE OPERATOR public.|| (FUNCTION = public.joined, LEFTARG = name, RIGHTARG = text)",
    "CREATE TYPE public.mine AS ENUM ('a')",
    "CREATE CAST (public.mine AS integer) WITH INOUT",
)


def test_what_is_planted_and_who_may_plant_is_said_and_gives_no_rights(owned: Database) -> None:
    assert call(owned, "migrate", "--roles").exit_code == 0
    _plant(owned, *_TAKES_OVER)
    told = (
        call(owned, "migrate", "--roles").stderr,
        call(owned, "health").stderr,
        call(under_role(owned, "pima_scheduler"), "health").stderr,
    )
    for said in told:
        assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in said
        for planted in (
            "function quote_ident(name) of pima_monitor",
            "function joined(name,text) of pima_monitor",
            "operator ||(name,text) of pima_monitor",
            "cast from mine to integer of pima_monitor",
        ):
            assert planted in said
    assert not owned.value(f"SELECT pg_has_role('{LOWEST}', 'pima_owner', 'MEMBER')")
