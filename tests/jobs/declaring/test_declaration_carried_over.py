"""What `migrate --features` may meet: writers at work, a column of the clinic's own, a database
without tables."""

from pathlib import Path

from sqlalchemy import event, text

from pima.redeclaring import would_redeclare
from pima.settings.reading import read_declaration
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.urls import make_engine
from tests.support.databases import Database, call, the_json
from tests.support.declared import ADDED, DECLARED, configuration

WIDER = ADDED.replace("high = 20\n", "high = 30\n")
IMPATIENT = {"PIMA_DATABASE__LOCK_TIMEOUT_SECONDS": "1"}


def test_a_dry_run_waits_for_no_writer_and_reads_alone(
    declared_database: Database, tmp_path: Path
) -> None:
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
    done = the_json(
        call(database, "migrate", "--config", config, "--features", "--reason", "x", "--json")
    )
    assert done | {"dry_run": True} == found


def test_a_dry_run_keeps_no_writer_waiting(declared_database: Database, tmp_path: Path) -> None:
    """Nor by its reading, in many short transactions: a reader of SQLite's keeps others from their
    commit."""
    database = declared_database
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 25)')
    asking = make_engine(database.url, DatabaseSettings())
    clinic = make_engine(database.url, DatabaseSettings(lock_timeout_seconds=1))
    begun: list[bool] = []

    def write(*_: object) -> None:
        with writing(clinic) as other:
            other.execute(text('UPDATE patients SET "order" = "order" + 1'))

    event.listen(
        asking,
        "begin",
        lambda connection: begun.append(connection.get_execution_options()["pima_writes"]),
    )
    event.listen(asking, "checkin", write)
    configuration(tmp_path, WIDER)
    assert would_redeclare(asking, read_declaration(tmp_path / "features.toml")).added == (
        "glucose",
    )
    assert len(begun) > 2
    assert not any(begun)
    for engine in (asking, clinic):
        engine.dispose()


def test_a_column_of_somebody_else_s_under_a_new_feature_s_name_is_told(
    declared_database: Database, tmp_path: Path
) -> None:
    database, config = declared_database, configuration(tmp_path, ADDED)
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 1)')
    for table, its in (
        ("patients", "glucose TEXT"),
        ("patients", '"Glucose" REAL'),
        ("scoring_queue", "glucose REAL"),
    ):
        database.execute(f"ALTER TABLE {table} ADD COLUMN {its}")
        name = its.split()[0].strip('"')
        before = database.value("SELECT count(*) FROM declarations")
        for asked in (("--dry-run",), ("--reason", "x")):
            refused = call(database, "migrate", "--config", config, "--features", *asked)
            assert refused.exit_code == 2, refused.stderr
            told = f"glucose can't be added: {table} has a column {name} already, not made by pima"
            assert told in refused.stderr
            assert f'ALTER TABLE {table} RENAME COLUMN "{name}" TO another name' in refused.stderr
        assert database.value("SELECT count(*) FROM declarations") == before
        database.execute(
            f'ALTER TABLE {table} RENAME COLUMN "{name}" TO {name}_of_the_clinic_in_{len(its)}'
        )
    done = call(database, "migrate", "--config", config, "--features", "--reason", "x")
    assert done.exit_code == 0, done.stderr


def test_replaced_values_stay_when_features_come_and_go(
    declared_database: Database, tmp_path: Path
) -> None:
    database, config = declared_database, configuration(tmp_path)
    database.execute('INSERT INTO patients ("order", creatinine) VALUES (3, 25)')
    correct = "UPDATE patients SET creatinine = creatinine + 1"
    database.execute(correct)
    without = ADDED.replace("creatinine", "urea")
    for declared, change in (
        (ADDED, "glucose = 100"),
        (without, "glucose = 200"),
        (without, "creatinine = 7"),
        (ADDED, "creatinine = 8"),
    ):
        configuration(tmp_path, declared)
        asked = ("migrate", "--config", config, "--features", "--reason", "x")
        assert call(database, *asked).exit_code == 0
        database.execute(f"UPDATE patients SET {change}")
    kept = "SELECT creatinine, glucose FROM row_history ORDER BY patient_version"
    values = [(25, None), (26, None), (26, 100), (26, 200), (7, 200)]
    assert database.execute(kept) == values


def test_without_a_schema_there_is_nothing_to_carry_over(
    empty_database: Database, tmp_path: Path
) -> None:
    database, config = empty_database, configuration(tmp_path, DECLARED)
    for asked in (("--dry-run",), ("--reason", "x")):
        refused = call(database, "migrate", "--config", config, "--features", *asked, "--json")
        assert refused.exit_code == 2, refused.stderr
        assert "python -m jobs.migrate" in refused.stderr
        assert the_json(refused)["error"] in ("schema_missing", "database_unusable")
    tables = {
        "sqlite": "SELECT count(*) FROM sqlite_master",
        "postgresql": "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    }
    assert database.value(tables[database.kind]) == 0
    # What it names makes all of the declaration.
    assert call(database, "migrate", "--config", config).exit_code == 0
    told = the_json(
        call(database, "migrate", "--config", config, "--features", "--dry-run", "--json")
    )
    assert (told["added"], told["retired"], told["changed"]) == ([], [], {})
    assert database.value("SELECT count(*) FROM declarations") == 1


def test_that_models_go_on_with_the_numbers_of_another_unit_is_told(
    sqlite: Database, tmp_path: Path
) -> None:
    database, config = sqlite, configuration(tmp_path)
    assert (
        call(database, "migrate", "--config", config, "--features", "--reason", "x").exit_code == 0
    )
    other = DECLARED.replace(
        'unit = "mg/dL"\nlow = 0.1\nhigh = 20\n', 'unit = "umol/L"\nlow = 10\nhigh = 1800\n'
    )
    for declared, is_told in (
        (DECLARED.replace("high = 20\n", "high = 30\n"), False),
        (other, True),
    ):
        configuration(tmp_path, declared)
        for asked in (("--dry-run",), ("--reason", "x")):
            told = call(database, "migrate", "--config", config, "--features", *asked)
            assert (told.exit_code, "changed: creatinine (" in told.stdout) == (0, True), (
                told.stderr
            )
            assert ("go on with creatinine as it is written" in told.stdout) is is_told
