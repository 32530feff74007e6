"""A declaration that is changed while rows are brought in: none is written by labels that mean another code by now."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from pima.core.features import Declaration
from pima.errors import DeclarationChanged
from pima.intake.planning import open_source
from pima.intake.pulling import Pull, pull_sources
from pima.process.recorded_run import recorded_run
from pima.process.stopping import StopRequest
from pima.settings.reading import read_declaration, read_settings
from pima.settings.sections import DatabaseSettings
from pima.store.source_engine import make_source_engine
from tests.support.clinic import Clinic
from tests.support.databases import PATIENCE_SECONDS, Database, call, the_json
from tests.support.declared import DECLARED, configuration, redeclared

SWAPPED = DECLARED.replace('0 = "never", 1 = "former"', '0 = "former", 1 = "never"')
LINES = "order,creatinine,temperature,smoking\n3,1,37,former\n"


@pytest.mark.judge
def test_a_load_that_still_reads_takes_no_labels_by_the_codes_of_before(database: Database, tmp_path: Path) -> None:
    redeclared(database, tmp_path, DECLARED)
    config, pipe = configuration(tmp_path), tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    process = database.start("load", "--config", config, "--json", str(pipe))
    with pipe.open("w") as writer:  # which waits for the load to open it, behind its look at the settings
        redeclared(database, tmp_path, SWAPPED)
        writer.write(LINES)
    stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "declaration_changed" in stdout) == (75, True)
    assert database.value("SELECT count(*) FROM patients") == 0
    file = tmp_path / "file.csv"
    file.write_text(LINES)
    again = call(database, "load", "--config", configuration(tmp_path, SWAPPED), "--json", str(file))
    assert the_json(again)["inserted"] == 1
    assert database.value("SELECT smoking FROM patients") == 0


@pytest.mark.judge
def test_a_pull_that_has_begun_takes_none_either(database: Database, sqlite_clinic: Clinic, tmp_path: Path) -> None:
    sqlite_clinic.execute("CREATE TABLE stays (id INTEGER, stays REAL, creatinine REAL, smoking TEXT)")
    sqlite_clinic.execute("INSERT INTO stays VALUES (1, 3, 1, 'former')")
    sqlite_clinic.settings = {"name": "clinic", "table": "stays", "key": "id", "key_type": "integer"}
    sqlite_clinic.columns = {"order": "stays", "creatinine": "creatinine", "smoking": "smoking"}
    before = redeclared(database, tmp_path, DECLARED)
    with pytest.raises(DeclarationChanged):
        _pull(database, sqlite_clinic, before, lambda: redeclared(database, tmp_path, SWAPPED))
    assert database.value("SELECT count(*) FROM patients") == 0
    _pull(database, sqlite_clinic, read_declaration(tmp_path / "other.toml"), lambda: None)
    assert database.value("SELECT smoking FROM patients") == 0


def _pull(database: Database, clinic: Clinic, declared: Declaration, meanwhile: Callable[[], object]) -> None:
    """Pull by this declaration; `meanwhile` is called where the source is first read."""
    (source,) = read_settings(Path(clinic.config), {}).sources
    engine = make_source_engine("clinic", clinic.url, DatabaseSettings())
    event.listen(engine, "connect", lambda *_: meanwhile(), once=True)
    try:
        with recorded_run(database.engine, "pull", None, dry_run=False) as run:
            pull = Pull(database.engine, run, StopRequest(), dry_run=False, whole=False, declared=["clinic"])
            pull_sources(pull, [open_source(source, declared.features, engine)])
    finally:
        engine.dispose()
