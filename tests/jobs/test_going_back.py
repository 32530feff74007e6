"""`migrate --to` a schema that knows the shipped features alone, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pima.store.schema import HEAD
from tests.conftest import SALT, Database, call, insert_patients, the_json
from tests.jobs.declared import configuration

SHIPPED_TEXT = (Path(__file__).parents[2] / "pima" / "data" / "features.toml").read_text()
WIDER = SHIPPED_TEXT.replace("high = 25", "high = 30", 1)
IN_OTHER_WORDS = SHIPPED_TEXT.replace('unit = "count"', 'unit = "how many"', 1)
OLDER = ("0001", "0006")
LOST = ("training_ids", "reference")


def _all_there_is(database: Database) -> list[object]:
    """But for what an older schema has no place for: from which rows a version learned, as its snapshot tells too, and
    how they are distributed."""
    found: list[object] = []
    for table in ("alembic_version", "declarations", "patients", "scoring_queue", "model_versions", "predictions"):
        with database.engine.connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()
        kept = [{name: row[name] for name in row if name not in LOST} for row in rows]
        found.append(sorted(map(repr, kept)))
    return found


def _refused(database: Database, config: str, to: str) -> str:
    before = _all_there_is(database)
    ended = call(database, "migrate", "--to", to, "--config", config)
    assert ended.exit_code == 2, ended
    assert _all_there_is(database) == before
    assert f"The database can't go back to revision {to}" in ended.stderr
    assert "Nothing was changed" in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("to", OLDER)
def test_no_declaration_of_ones_own_is_thrown_away(declared_database: Database, tmp_path: Path, to: str) -> None:
    database, config = declared_database, configuration(tmp_path)
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 1), (4, 1)')
    assert "declares other features" in _refused(database, config, to)
    # Not with settings that declare the shipped ones, which this database never had, either.
    other = tmp_path / "other.toml"
    other.write_text("")
    _refused(database, str(other), to)
    assert the_json(call(database, "score", "--config", config, "--json"))["predicted"] == 2


@pytest.mark.parametrize("declared", [WIDER, IN_OTHER_WORDS])
def test_nor_is_a_change_of_the_shipped_one(scored_database: Database, tmp_path: Path, declared: str) -> None:
    database, config = scored_database, configuration(tmp_path, declared)
    assert call(database, "migrate", "--features", "--reason", "ours", "--config", config).exit_code == 0
    _refused(database, config, "0006")
    # Nor the record of it, once it is taken back.
    configuration(tmp_path, SHIPPED_TEXT)
    assert call(database, "migrate", "--features", "--reason", "theirs", "--config", config).exit_code == 0
    assert "3 declarations on record" in _refused(database, config, "0006")


def test_the_first_schema_that_knows_declarations_is_gone_back_to_and_no_further(
    declared_database: Database, tmp_path: Path
) -> None:
    database, config = declared_database, configuration(tmp_path)
    before = _all_there_is(database)[1:]
    assert call(database, "migrate", "--to", "0007", "--config", config).exit_code == 0
    assert "declares other features" in _refused(database, config, "0006")
    assert the_json(call(database, "migrate", "--config", config, "--json")) == {
        "revision_before": "0007",
        "revision": HEAD,
    }
    assert _all_there_is(database)[1:] == before


@pytest.mark.parametrize("to", ["0004", "0006"])
def test_with_the_shipped_one_all_is_there_again_afterwards(scored_database: Database, to: str) -> None:
    database, settings = scored_database, {"PIMA_HOLDOUT__SALT": SALT}
    insert_patients(database, 5)
    assert call(database, "score", **settings).exit_code == 0
    insert_patients(database, 5)
    version, declarations, *before = _all_there_is(database)
    ended = call(database, "migrate", "--to", to, **settings)
    assert (ended.exit_code, "let nobody write to patients" in ended.stdout) == (0, True)
    ended = call(database, "migrate", **settings)
    assert (ended.exit_code, "let nobody write" in ended.stdout) == (0, False)
    found = _all_there_is(database)
    assert (found[0], found[2:]) == (version, before)
    declared = "SELECT count(*), min(number) FROM declarations"
    assert (len(declarations), database.execute(declared)) == (1, [(1, 1)])
    assert the_json(call(database, "score", "--json", **settings))["predicted"] == 5


@pytest.mark.parametrize("to", ["0008", "0007"])
def test_no_keys_are_thrown_away(scored_database: Database, tmp_path: Path, to: str) -> None:
    database, config = scored_database, configuration(tmp_path, SHIPPED_TEXT)
    insert_patients(database, 2)
    insert_patients(database, 1, source="clinic", source_key="v3")
    insert_patients(database, 1, person_key="p")
    # They outlive their rows.
    for statement in ("DELETE FROM patients WHERE id > 3", "DELETE FROM patients WHERE id > 2"):
        kept = database.execute("SELECT * FROM row_keys ORDER BY patient_id")
        assert "by which 2 rows are found again" in _refused(database, config, to)
        assert database.execute("SELECT * FROM row_keys ORDER BY patient_id") == kept
        database.execute(statement)
    assert call(database, "migrate", "--to", "0009", "--config", config).exit_code == 0
    assert database.execute("SELECT patient_id, source_key FROM row_keys ORDER BY patient_id") == [(3, "v3"), (4, None)]
    _refused(database, config, to)


def test_bands_and_evidence_are_given_up_on_the_way_back(scored_database: Database, tmp_path: Path) -> None:
    """An older release knows neither, and would refuse a feature with a key that it does not know."""
    database = scored_database
    banded = SHIPPED_TEXT.replace('unit = "years"', 'unit = "years"\nbands = [30, 60]', 1)
    config = configuration(tmp_path, banded)
    found = the_json(call(database, "migrate", "--features", "--reason", "ours", "--config", config, "--json"))
    assert found["changed"] == {"age": ["bands"]}
    stored = "SELECT CAST(declaration AS TEXT) FROM declarations ORDER BY number DESC LIMIT 1"
    assert '"bands"' in database.value(stored)
    before = database.execute("SELECT number, CAST(features AS TEXT) FROM model_versions ORDER BY number")
    assert call(database, "migrate", "--to", "0009", "--config", config).exit_code == 0
    assert '"bands"' not in database.value(stored)
    assert database.execute("SELECT number, CAST(features AS TEXT) FROM model_versions ORDER BY number") == before
    configuration(tmp_path, SHIPPED_TEXT)
    assert call(database, "migrate", "--config", config).exit_code == 0
    insert_patients(database, 2)
    assert the_json(call(database, "score", "--config", config, "--json"))["predicted"] == 2
    assert call(database, "models", "show", "2", "--config", config).exit_code == 0


def test_whoever_reads_while_the_schema_changes_is_not_ended(postgresql: Database) -> None:
    """Who waits in a circle with somebody else is ended by the server after a second."""
    insert_patients(postgresql, 5)
    over = threading.Event()

    def read(tables: str) -> int:
        times = 0
        while not over.wait(0.005):
            postgresql.value(f"SELECT count(*) FROM {tables}")
            times += 1
        return times

    joined = "JOIN patients p ON p.id = c.patient_id"
    asked = (f"current_predictions c {joined}", "patients p JOIN current_predictions c ON p.id = c.patient_id")
    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read, tables) for tables in (*asked, "current_predictions", "unseen_rows")]
        try:
            ended = [call(postgresql, "migrate", *more, PIMA_HOLDOUT__SALT=SALT) for more in (("--to", "0008"), ())]
        finally:
            over.set()
    assert [each.exit_code for each in ended] == [0, 0]
    assert all(reader.result() for reader in readers)
