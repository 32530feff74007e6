"""Where the keys that were touched are known, only their rows are compared: what of them is gone has vanished."""

import json
from pathlib import Path

import pytest

from pima.errors import SourceKeysUnusable, SourceRefused
from pima.intake import extent
from pima.intake.planning import open_source
from pima.intake.pull_results import PulledSource
from pima.intake.pulling import Pull, pull_sources
from pima.process.recorded_run import recorded_run
from pima.process.stopping import StopRequest
from pima.reading_settings import read_settings
from pima.settings import DatabaseSettings
from pima.store.runs import Status
from pima.store.source_engine import make_source_engine
from tests.conftest import FEATURES, Database
from tests.jobs.clinic import KINDS, TABLE, Clinic, engine_of


@pytest.fixture
def beside(database: Database, own_clinic: Clinic) -> Clinic:
    """A clinic's table in pima's own database, with text keys."""
    if database.kind == "postgresql":
        own_clinic.execute("ALTER TABLE visits ALTER visit_id TYPE text")
    own_clinic.settings["key_type"] = "text"
    return own_clinic


def _attached_and_pulled(database: Database, clinic: Clinic) -> None:
    assert clinic.attach(database, "clinic").exit_code == 0
    clinic.pulled(database)


def _pulled(database: Database, clinic: Clinic, *keys: tuple[str, ...]) -> PulledSource:
    """Pull, where these keys alone were noted, each said as the texts of its columns."""
    database.execute("DELETE FROM source_changes")
    for key in keys:
        noted = key[0] if len(key) == 1 else json.dumps(key)
        database.execute("INSERT INTO source_changes (source, source_key) VALUES ('clinic', :key)", {"key": noted})
    (source,) = read_settings(Path(clinic.config), {}).sources
    engine = make_source_engine("clinic", clinic.url, DatabaseSettings())
    try:
        with recorded_run(database.engine, "pull", None, dry_run=False) as run:
            pull = Pull(database.engine, run, StopRequest(), dry_run=False, whole=False, declared=["clinic"])
            pull_sources(pull, [open_source(source, FEATURES, engine)])
    finally:
        engine.dispose()
    assert database.value("SELECT count(*) FROM source_changes") == 0
    (found,) = pull.result.sources
    return found


def test_of_the_touched_keys_alone_rows_are_read_and_taken_for_vanished(database: Database, beside: Clinic) -> None:
    keys = beside.insert(1_200)
    _attached_and_pulled(database, beside)
    beside.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[0]})
    beside.execute("UPDATE visits SET age = 90, diabetic = 'yes' WHERE visit_id = :key", {"key": keys[1]})
    # Of these nobody has told.
    beside.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[-1]})
    beside.execute("UPDATE visits SET age = 91 WHERE visit_id = :key", {"key": keys[-2]})
    (new,) = beside.insert(1, seed=2)
    touched = [(key,) for key in (*keys[:1_100], new, "neither here nor there")]
    expected = PulledSource(
        "clinic",
        compared="touched",
        rows=1_100,
        inserted=1,
        updated=1,
        unchanged=1_098,
        outcomes_arrived=1,
        vanished=1,
        status=Status.SUCCEEDED,
    )
    assert _pulled(database, beside, *touched) == expected
    assert database.value("SELECT count(*) FROM patients") == 1_201
    beside.settings["vanished"] = "delete"
    beside.execute("UPDATE visits SET age = 20 + age % 50")
    beside.pulled(database)  # with other settings all is compared, once
    beside.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[2]})
    found = _pulled(database, beside, *touched)
    assert (found.compared, found.vanished, found.deleted) == ("touched", 1, 1)
    assert found.unchanged == found.rows == 1_099
    assert database.value("SELECT count(*) FROM patients") == 1_198
    assert _pulled(database, beside) == PulledSource("clinic", compared="touched", status=Status.SUCCEEDED)


KEYS = [
    "a'b",
    "a\\b",
    "\\",
    "'",
    "''",
    'a"b',
    "%s",
    ":x",
    "--",
    "a\nb",
    "ü",
    "\U0001f600",
    "a ",
    " a",
    "NULL",
    "\\'; --",
]


def test_a_touched_key_may_be_any_text(database: Database, beside: Clinic) -> None:
    if database.kind == "postgresql":  # where a backslash means something else
        database.execute(f'ALTER DATABASE "{database.engine.url.database}" SET standard_conforming_strings = off')
        database.engine.dispose()
    for n, key in enumerate(KEYS):
        beside.insert(1, seed=n, visit_id=key)
    beside.insert(3, seed=99)
    _attached_and_pulled(database, beside)
    beside.execute("UPDATE visits SET age = 90")
    found = _pulled(database, beside, *((key,) for key in KEYS))
    assert (found.compared, found.rows, found.updated) == ("touched", len(KEYS), len(KEYS))
    assert database.value("SELECT count(*) FROM patients WHERE age = 90") == len(KEYS)


def test_a_key_of_several_columns_is_looked_up_by_all_of_them(database: Database, beside: Clinic) -> None:
    beside.settings |= {"key": ["patient_no", "visit_id"], "key_type": ["integer", "text"]}
    for n in range(600):
        beside.insert(1, seed=n, visit_id=f"w'{n}", patient_no=n)
    _attached_and_pulled(database, beside)
    beside.execute("UPDATE visits SET age = 90 WHERE patient_no >= 4")
    found = _pulled(database, beside, *((str(n), f"w'{n}") for n in range(599)), ("7", "w'8"))
    assert (found.compared, found.rows, found.updated, found.vanished) == ("touched", 599, 595, 0)


def test_a_database_that_knows_no_case_gives_no_row_that_was_not_asked_for(sqlite: Database, tmp_path: Path) -> None:
    clinic = Clinic("sqlite", sqlite.url, engine_of(sqlite.url), tmp_path)
    clinic.execute(TABLE.format(**KINDS["sqlite"]).replace("TEXT PRIMARY KEY", "TEXT COLLATE NOCASE"))
    clinic.settings["key_type"] = "text"
    for n, key in enumerate(("a", "A", "b")):
        clinic.insert(1, seed=n, visit_id=key)
    _attached_and_pulled(sqlite, clinic)
    clinic.execute("UPDATE visits SET age = 90")
    found = _pulled(sqlite, clinic, ("a",))
    assert (found.updated, found.inserted, found.vanished) == (1, 0, 0)
    clinic.engine.dispose()


def test_two_rows_of_one_key_are_refused_however_it_is_spelled(database: Database, beside: Clinic) -> None:
    keys = beside.insert(30)
    _attached_and_pulled(database, beside)
    beside.execute("UPDATE visits SET visit_id = :padded WHERE visit_id = :key", {"padded": "x ", "key": keys[0]})
    beside.execute("UPDATE visits SET visit_id = :padded WHERE visit_id = :key", {"padded": "x  ", "key": keys[1]})
    with pytest.raises(SourceKeysUnusable, match="in 1 row the key"):
        _pulled(database, beside, (keys[0],), ("x ",), (keys[1],), ("x  ",))


def test_too_many_that_have_vanished_are_so_many_of_all_that_we_have(database: Database, beside: Clinic) -> None:
    keys = beside.insert(50)
    _attached_and_pulled(database, beside)
    for key in keys[:11]:
        beside.execute("DELETE FROM visits WHERE visit_id = :key", {"key": key})
    with pytest.raises(SourceRefused, match="11 of our 50 rows are no longer in it"):
        _pulled(database, beside, *((key,) for key in keys[:11]))
    assert _pulled(database, beside, *((key,) for key in keys[:10])).vanished == 10


def test_where_very_many_keys_were_touched_all_is_compared(
    database: Database, beside: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = beside.insert(30)
    _attached_and_pulled(database, beside)
    monkeypatch.setattr(extent, "MOST_TOUCHED", 9)
    assert _pulled(database, beside, *((key,) for key in keys[:9])).compared == "touched"
    assert _pulled(database, beside, *((key,) for key in keys[:10])).compared == "all"
