"""A declaration that is changed while rows are scored or brought in: none is taken by rules that no
longer hold."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from pima.core.declared.features import Declaration
from pima.errors import DeclarationChanged
from pima.intake.sources.pulling import Pull, open_source, pull_sources
from pima.intake.sources.source_engine import make_source_engine
from pima.runs.recorded_run import OpenRun, recorded_run
from pima.runs.stop_request import StopRequest
from pima.scoring import ScoreOptions, score_queue
from pima.settings.reading import read_declaration, read_settings
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.models import registry
from pima.store.rows import queue
from tests.support.clinic import Clinic
from tests.support.databases import (
    PATIENCE_SECONDS,
    WAITING_FOR_A_LOCK,
    Database,
    call,
    the_json,
)
from tests.support.declared import DECLARED, configuration, redeclared

WIDER, NARROWER = (DECLARED.replace("high = 20\n", f"high = {high}\n") for high in (30, 2))
BATCHES_OF_TWO = ScoreOptions(batch_rows=2)


@contextmanager
def _with_the_first_batch(
    database: Database, action: threading.Thread, behind_it: bool
) -> Iterator[None]:
    """Begin the action where the first batch is about to be committed, or behind it; go on once it
    ended or waits."""
    committing: list[Connection] = []

    def act() -> None:
        if action.ident is None:
            action.start()
            _until_it_ended_or_waits(database, action)

    def commit(connection: Connection) -> None:
        if connection.get_execution_options().get("pima_writes"):
            committing.append(connection)
            if not behind_it:
                act()

    def checkin(*_: object) -> None:
        if committing and behind_it:
            act()

    event.listen(database.engine, "commit", commit)
    event.listen(database.engine, "checkin", checkin)
    yield
    event.remove(database.engine, "commit", commit)
    event.remove(database.engine, "checkin", checkin)
    action.join()


def _until_it_ended_or_waits(database: Database, action: threading.Thread) -> None:
    if database.kind == "sqlite":
        action.join()  # nobody holds the write lock yet
        return
    until = time.monotonic() + PATIENCE_SECONDS
    while action.is_alive() and not database.value(WAITING_FOR_A_LOCK):
        assert time.monotonic() < until
        time.sleep(0.02)


def _score(database: Database) -> None:
    score_queue(database.engine, OpenRun(0), BATCHES_OF_TWO, StopRequest())


def _ended_as(database: Database) -> tuple[int, int, int]:
    tables = ("predictions", "rejections", "scoring_queue")
    predicted, rejected, waiting = (
        database.value(f"SELECT count(*) FROM {table}") for table in tables
    )
    return predicted, rejected, waiting


@pytest.mark.parametrize(
    ("declared", "creatinine", "at_its_end", "after_another"),
    [(WIDER, 25, (4, 0, 2), (6, 0, 0)), (NARROWER, 15, (2, 4, 0), (2, 4, 0))],
)
def test_a_run_takes_other_rules_from_its_next_batch_on(
    declared_database: Database,
    tmp_path: Path,
    declared: str,
    creatinine: int,
    at_its_end: tuple[int, int, int],
    after_another: tuple[int, int, int],
) -> None:
    for _ in range(6):
        declared_database.execute(
            'INSERT INTO patients ("order", creatinine) VALUES (3, :value)', {"value": creatinine}
        )
    change = threading.Thread(target=redeclared, args=(declared_database, tmp_path, declared))
    with _with_the_first_batch(declared_database, change, behind_it=True):
        _score(declared_database)
    assert _ended_as(declared_database) == at_its_end
    _score(declared_database)
    assert _ended_as(declared_database) == after_another


def test_a_change_waits_for_the_batch_that_is_judged_by_the_old_rules(
    declared_database: Database, tmp_path: Path
) -> None:
    declared_database.execute(
        'INSERT INTO patients ("order", creatinine) VALUES (3, 25), (3, 25), (3, 25)'
    )
    change = threading.Thread(target=redeclared, args=(declared_database, tmp_path, WIDER))
    if declared_database.kind == "sqlite":
        _score(declared_database)  # its writers come one after the other
        change.start()
        change.join()
    else:
        with _with_the_first_batch(declared_database, change, behind_it=False):
            _score(declared_database)
    _score(declared_database)
    assert _ended_as(declared_database) == (3, 0, 0)


def test_a_clinics_transaction_that_reads_and_then_writes_is_waited_for(
    declared_database: Database, tmp_path: Path
) -> None:
    database = declared_database
    change = threading.Thread(target=redeclared, args=(database, tmp_path, WIDER))
    with writing(database.engine) as connection:
        connection.execute(text("SELECT count(*) FROM patients"))
        change.start()
        if database.kind == "postgresql":
            _until_it_ended_or_waits(database, change)
        connection.execute(text('INSERT INTO patients ("order", creatinine) VALUES (3, 25)'))
    change.join()
    assert database.value("SELECT count(*) FROM declarations") == 2
    _score(database)
    assert _ended_as(database) == (1, 0, 0)


def test_a_promotion_that_looks_for_what_its_version_can_score_comes_before_or_behind_the_change(
    declared_database: Database, tmp_path: Path
) -> None:
    """Each looks at rejected rows by what the other changes."""
    database = declared_database
    change = threading.Thread(target=redeclared, args=(database, tmp_path, WIDER))
    with writing(database.engine) as connection:
        registry.lock_champion(connection)
        change.start()
        if database.kind == "postgresql":
            _until_it_ended_or_waits(database, change)
        assert database.value("SELECT count(*) FROM declarations") == 1
        queue.requeue_rejected(connection)
    change.join()
    assert database.value("SELECT count(*) FROM declarations") == 2


SWAPPED = DECLARED.replace('0 = "never", 1 = "former"', '0 = "former", 1 = "never"')
LINES = "order,creatinine,temperature,smoking\n3,1,37,former\n"


@pytest.mark.judge
def test_a_load_that_still_reads_takes_no_labels_by_the_codes_of_before(
    database: Database, tmp_path: Path
) -> None:
    redeclared(database, tmp_path, DECLARED)
    config, pipe = configuration(tmp_path), tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    process = database.start("load", "--config", config, "--json", str(pipe))
    with pipe.open(
        "w"
    ) as writer:  # which waits for the load to open it, behind its look at the settings
        redeclared(database, tmp_path, SWAPPED)
        writer.write(LINES)
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "declaration_changed" in stdout) == (75, True)
    assert database.value("SELECT count(*) FROM patients") == 0
    file = tmp_path / "file.csv"
    file.write_text(LINES)
    again = call(
        database, "load", "--config", configuration(tmp_path, SWAPPED), "--json", str(file)
    )
    assert the_json(again)["inserted"] == 1
    assert database.value("SELECT smoking FROM patients") == 0


@pytest.mark.judge
def test_a_pull_that_has_begun_takes_none_either(
    database: Database, sqlite_clinic: Clinic, tmp_path: Path
) -> None:
    sqlite_clinic.execute(
        "CREATE TABLE stays (id INTEGER, stays REAL, creatinine REAL, smoking TEXT)"
    )
    sqlite_clinic.execute("INSERT INTO stays VALUES (1, 3, 1, 'former')")
    sqlite_clinic.settings = {
        "name": "clinic",
        "table": "stays",
        "key": "id",
        "key_type": "integer",
    }
    sqlite_clinic.columns = {"order": "stays", "creatinine": "creatinine", "smoking": "smoking"}
    before = redeclared(database, tmp_path, DECLARED)
    with pytest.raises(DeclarationChanged):
        _pull(database, sqlite_clinic, before, lambda: redeclared(database, tmp_path, SWAPPED))
    assert database.value("SELECT count(*) FROM patients") == 0
    _pull(database, sqlite_clinic, read_declaration(tmp_path / "other.toml"), lambda: None)
    assert database.value("SELECT smoking FROM patients") == 0


def _pull(
    database: Database, clinic: Clinic, declared: Declaration, meanwhile: Callable[[], object]
) -> None:
    """Pull by this declaration; `meanwhile` is called where the source is first read."""
    (source,) = read_settings(Path(clinic.config), {}).sources
    engine = make_source_engine("clinic", clinic.url, DatabaseSettings())
    event.listen(engine, "connect", lambda *_: meanwhile(), once=True)
    try:
        with recorded_run(database.engine, "pull", None, dry_run=False) as run:
            pull = Pull(
                database.engine, run, StopRequest(), dry_run=False, whole=False, declared=["clinic"]
            )
            pull_sources(pull, [open_source(source, declared.features, engine)])
    finally:
        engine.dispose()
