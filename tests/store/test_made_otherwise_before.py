"""A database that the first commits with a revision made: the same revision makes more today."""

from pima.store import schema
from tests.conftest import SALT, Database

TALLY_OF_A_RUN = {
    "sqlite": "run_id INTEGER NOT NULL CONSTRAINT pk_tallies PRIMARY KEY, model_version INTEGER NOT NULL,"
    " tally TEXT NOT NULL, recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H\\:%M\\:%fZ', 'now'))) STRICT",
    "postgresql": "run_id BIGINT NOT NULL CONSTRAINT pk_tallies PRIMARY KEY, model_version BIGINT NOT NULL,"
    " tally JSONB NOT NULL, recorded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp())",
}

CAME_LATER = {
    "sqlite": (("model_versions", "training_ids"), ("patient_version_counter", "labelling")),
    "postgresql": (("model_versions", "training_ids"),),
}


def test_the_tally_of_a_run_becomes_its_first_part(database: Database) -> None:
    schema.migrate(database.engine, SALT, to="0017")
    database.execute("DROP TABLE tallies")
    database.execute(f"CREATE TABLE tallies ({TALLY_OF_A_RUN[database.kind]}")
    database.execute("INSERT INTO tallies (run_id, model_version, tally) VALUES (7, 2, '{}')")
    kept = database.value("SELECT recorded_at FROM tallies")
    schema.migrate(database.engine, SALT)
    schema.require_schema(database.engine)
    assert database.execute("SELECT run_id, part, model_version, recorded_at FROM tallies") == [(7, 0, 2, kept)]


def test_columns_that_came_later_are_added(database: Database) -> None:
    schema.migrate(database.engine, SALT, to="0017")
    for table, column in CAME_LATER[database.kind]:
        database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    schema.migrate(database.engine, SALT)
    schema.require_schema(database.engine)


def test_there_is_nothing_to_do_where_nothing_is_missing(database: Database) -> None:
    schema.migrate(database.engine, SALT, to="0017")
    database.execute("INSERT INTO tallies (run_id, part, model_version, tally) VALUES (7, 3, 2, '{}')")
    schema.migrate(database.engine, SALT)
    assert database.execute("SELECT run_id, part FROM tallies") == [(7, 3)]
