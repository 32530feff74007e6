"""What `migrate --features` may meet: writers at work."""

from pathlib import Path

from sqlalchemy import event, text

from pima.core.features import Declaration
from pima.declaring import read_declaration
from pima.redeclaring import would_redeclare
from pima.settings import DatabaseSettings
from pima.store.engine import make_engine, writing
from tests.conftest import Database, call, the_json
from tests.jobs.declared import configuration
from tests.jobs.test_declared_features import ADDED

WIDER = ADDED.replace("high = 20\n", "high = 30\n")
IMPATIENT = {"PIMA_DATABASE__LOCK_TIMEOUT_SECONDS": "1"}


def _declared(folder: Path, declared: str) -> Declaration:
    configuration(folder, declared)
    return read_declaration(folder / "features.toml")


def test_a_dry_run_waits_for_no_writer_and_reads_alone(declared_database: Database, tmp_path: Path) -> None:
    database, config = declared_database, configuration(tmp_path)
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 25), (3, 26), (50, 1)')
    assert the_json(call(database, "score", "--config", config, "--json"))["rejected"] == 3
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 1)')
    configuration(tmp_path, WIDER)
    asked = ("migrate", "--config", config, "--features", "--dry-run", "--json")
    with writing(database.engine) as clinic:
        clinic.execute(text('UPDATE patients SET "order" = 5'))
        told = call(database, *asked, **IMPATIENT)
        assert told.exit_code == 0, told.stderr
        clinic.rollback()
    found = the_json(told)
    assert (found["added"], found["changed"]) == (["glucose"], {"creatinine": ["high"]})
    assert (found["scored_again"], found["rejected_from_now"], found["dry_run"]) == (2, {}, True)
    done = the_json(call(database, "migrate", "--config", config, "--features", "--reason", "x", "--json"))
    assert done | {"dry_run": True} == found


def test_a_dry_run_keeps_no_writer_waiting(declared_database: Database, tmp_path: Path) -> None:
    """Nor by its reading, in many short transactions: a reader of SQLite's keeps others from their commit."""
    database = declared_database
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 25)')
    asking = make_engine(database.url, DatabaseSettings())
    clinic = make_engine(database.url, DatabaseSettings(lock_timeout_seconds=1))
    begun: list[bool] = []

    def write(*_: object) -> None:
        with writing(clinic) as other:
            other.execute(text('UPDATE patients SET "order" = "order" + 1'))

    event.listen(asking, "begin", lambda connection: begun.append(connection.get_execution_options()["pima_writes"]))
    event.listen(asking, "checkin", write)
    assert would_redeclare(asking, _declared(tmp_path, WIDER)).added == ("glucose",)
    assert len(begun) > 2
    assert not any(begun)
    for engine in (asking, clinic):
        engine.dispose()
