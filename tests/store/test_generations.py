"""The share of the holdout as the installation's: where the first one comes from, and how another begins."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from pima.errors import DatabaseFailed, DatabaseUnusable, WrongConfiguration, WrongUsage
from pima.settings import DatabaseSettings
from pima.store import schema
from pima.store.engine import make_engine, reading
from pima.store.generations import Generation, holdout_generation
from pima.training.championing import Decider, change_holdout_share
from tests.conftest import SALT, Database, call, install_models, the_json

SOMEONE = Decider("a person", "more rows to judge on")


def _generation(database: Database, share: float) -> Generation:
    with reading(database.engine) as connection:
        return holdout_generation(connection, share)


def _generations(database: Database) -> list[tuple[Any, ...]]:
    return database.execute("SELECT number, share, decided_by, reason FROM holdout_generations ORDER BY number")


def _of_versions(database: Database) -> list[int | None]:
    return [row[0] for row in database.execute("SELECT holdout_generation FROM model_versions ORDER BY number")]


@pytest.fixture
def older(database: Database, trained: Path) -> Database:
    """A database of revision 0004 with three versions: two fitted at 0.25, the third at 0.3; the second is champion."""
    install_models(database, trained, champion=2)
    schema.migrate(database.engine, SALT, to="0004")
    as_json = "CAST(:settings AS JSONB)" if database.kind == "postgresql" else ":settings"
    for number, settings in database.execute("SELECT number, settings FROM model_versions WHERE number < 3"):
        known = json.loads(settings) if isinstance(settings, str) else settings
        parameters = {"settings": json.dumps(known | {"holdout_share": 0.25}), "number": number}
        database.execute(f"UPDATE model_versions SET settings = {as_json} WHERE number = :number", parameters)
    return database


def test_a_new_database_has_the_share_of_its_settings(database: Database) -> None:
    schema.migrate(database.engine, SALT, to="base")
    assert call(database, "migrate", PIMA_HOLDOUT__SHARE="0.4").exit_code == 0
    assert _generations(database) == [(1, 0.4, "migrate", "the settings when the schema was made")]
    assert call(database, "migrate", PIMA_HOLDOUT__SHARE="0.4").exit_code == 0
    assert len(_generations(database)) == 1


def test_an_older_database_keeps_the_share_that_its_champion_was_fitted_under(older: Database) -> None:
    # The shipped settings say 0.3; this database was run with 0.25.
    refused = call(older, "migrate", "--json")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "wrong_configuration")
    assert "holdout.share = 0.25" in refused.stderr
    assert "python -m jobs.models holdout --share 0.3 --reason TEXT" in refused.stderr
    assert older.value("SELECT version_num FROM alembic_version") == "0004"
    assert call(older, "migrate", PIMA_HOLDOUT__SHARE="0.25").exit_code == 0
    assert [row[:3] for row in _generations(older)] == [(1, 0.25, "migrate")]
    assert "champion" in _generations(older)[0][3]
    # The third was fitted under a share that no generation on record has.
    assert _of_versions(older) == [1, 1, None]
    schema.require_schema(older.engine)


def test_without_a_champion_the_newest_version_tells(older: Database) -> None:
    older.execute("UPDATE champion SET model_version = NULL")
    assert call(older, "migrate").exit_code == 0
    assert [row[:2] for row in _generations(older)] == [(1, 0.3)]
    assert _of_versions(older) == [None, None, 1]


def test_without_any_version_the_settings_tell(database: Database) -> None:
    schema.migrate(database.engine, SALT, to="0004")
    assert call(database, "migrate", PIMA_HOLDOUT__SHARE="0.2").exit_code == 0
    assert [row[:2] for row in _generations(database)] == [(1, 0.2)]


def test_down_and_up_again_the_champion_still_tells(older: Database) -> None:
    schema.migrate(older.engine, SALT, share=0.25)
    change_holdout_share(older.engine, 0.5, SOMEONE)
    schema.migrate(older.engine, SALT, to="0004")
    assert schema.migrate(older.engine, SALT, share=0.25) == schema.Migrated("0004", schema.HEAD, None)
    assert [row[:2] for row in _generations(older)] == [(1, 0.25)]
    assert _of_versions(older) == [1, 1, None]


def test_another_share_than_the_databases_is_refused_with_what_to_do(database: Database) -> None:
    assert _generation(database, 0.3).number == 1
    told = (
        r"holdout\.share is 0\.4 in the settings and 0\.3 in this database.*keep 0\.3 in the settings, "
        r"run python -m jobs\.models holdout --share 0\.4 --reason TEXT, then set 0\.4\."
    )
    with pytest.raises(WrongConfiguration, match=told):
        _generation(database, 0.4)
    for job in ("retrain", "migrate"):
        ended = call(database, job, PIMA_HOLDOUT__SHARE="0.4")
        assert (ended.exit_code, "jobs.models holdout" in ended.stderr) == (2, True)
    assert len(_generations(database)) == 1


def test_a_person_begins_a_new_generation_and_it_is_on_record(database: Database) -> None:
    begun = call(database, "models", "holdout", "--share", "0.4", "--reason", "too few to judge on", "--json")
    assert (begun.exit_code, the_json(begun)["holdout"]["number"]) == (0, 2)
    number, share, decided_by, reason = _generations(database)[1]
    assert (number, share, reason) == (2, 0.4, "too few to judge on")
    assert decided_by
    since = database.value("SELECT since FROM holdout_generations WHERE number = 2")
    assert since > database.value("SELECT since FROM holdout_generations WHERE number = 1")
    assert _generation(database, 0.4).number == 2
    with pytest.raises(WrongConfiguration):
        _generation(database, 0.3)
    shown = call(database, "models", "holdout", "--share", "0.3", "--reason", "back again")
    assert "Set holdout.share = 0.3" in " ".join(shown.stdout.split())
    assert [row[:2] for row in _generations(database)] == [(1, 0.3), (2, 0.4), (3, 0.3)]


def test_the_same_share_again_is_no_new_generation(database: Database) -> None:
    with pytest.raises(WrongUsage, match=r"0\.3 already"):
        change_holdout_share(database.engine, 0.3, SOMEONE)
    assert len(_generations(database)) == 1


@pytest.mark.parametrize("share", ["0", "1", "-0.3", "30", "nan", "inf", "a third"])
def test_a_share_that_is_none_is_refused(sqlite: Database, share: str) -> None:
    assert call(sqlite, "models", "holdout", f"--share={share}", "--reason", "a test").exit_code == 2
    assert len(_generations(sqlite)) == 1


def test_the_database_itself_refuses_a_share_that_is_none(database: Database) -> None:
    for share in (0, 1, 30):
        with pytest.raises(DatabaseFailed):
            database.execute(
                f"INSERT INTO holdout_generations (number, share, decided_by, reason) VALUES (2, {share}, '', '')"
            )


def test_the_operators_role_begins_one_and_rewrites_none(postgresql: Database) -> None:
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    url = make_url(postgresql.url).set(username="pima_operator", password=None).render_as_string(hide_password=False)
    operator = replace(postgresql, url=url, engine=make_engine(url, DatabaseSettings()))
    try:
        assert call(operator, "models", "holdout", "--share", "0.4", "--reason", "a test").exit_code == 0
        assert _generation(operator, 0.4).number == 2
        for statement in ("UPDATE holdout_generations SET share = 0.5", "DELETE FROM holdout_generations"):
            with pytest.raises(DatabaseUnusable, match="42501"):
                operator.execute(statement)
    finally:
        operator.engine.dispose()
    assert [row[:2] for row in _generations(postgresql)] == [(1, 0.3), (2, 0.4)]


def test_of_two_changes_at_once_both_are_on_record(database: Database) -> None:
    with ThreadPoolExecutor(2) as threads:
        begun = list(threads.map(lambda share: change_holdout_share(database.engine, share, SOMEONE), (0.4, 0.5)))
    assert sorted(generation.number for generation in begun) == [2, 3]
    assert len(_generations(database)) == 3
