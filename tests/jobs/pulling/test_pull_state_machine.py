"""Invariant 1 over a pulled source with text keys, under any order of events: ours is what the
source has, ids stay, and every version ends once, wherever pulls and batches are killed.

A pull dies for real, by SIGKILL, and at a commit: its transaction is whole and not yet committed,
and those before it are. Blocks are of two rows.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from sqlalchemy import Connection, event

from pima.core.declared.identifiers import canonical_text
from pima.core.declared.source import Source
from pima.intake.sources import pulling, source_reading
from pima.intake.sources.pulling import OpenSource, Pull, open_source, pull_sources
from pima.intake.sources.source_engine import make_source_engine
from pima.runs.recorded_run import recorded_run
from pima.runs.stop_request import StopRequest
from pima.settings.reading import SHIPPED
from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.clinic import COLUMNS, MMOL, Clinic
from tests.support.databases import Database
from tests.support.state_machine import (
    Jobs,
    die,
    in_a_child,
    run_machine,
    wait_until_the_server_knows,
)

pytestmark = pytest.mark.judge

BLOCK_ROWS = 2
STAYS = "a row that is always there"
"""A source without any is refused."""
# By their bytes in another order than in most collations; two are not yet as they will be written.
KEYS = st.sampled_from(["a", "A", "e\u0301", "b "])
OUTCOMES = st.sampled_from([None, None, "yes", "no"])
VANISHED = st.sampled_from(["keep", "delete"])
MEASURED = [
    {"glucose_mmol": 5.5, "age": 50},
    {"glucose_mmol": 8.25, "age": 50},
    {"glucose_mmol": 8.25, "age": None},
]
"""What changes; the last one can be pulled, and not scored."""
OTHERS = {"pregnancies": 3, "diastolic": 70, "skin": 20, "insulin": 0, "bmi": 30.5, "pedigree": 0.5}
SETTINGS = {
    "name": "clinic",
    "table": "visits",
    "key": "visit_id",
    "outcome": "diabetic",
    "outcome_words": {"yes": 1, "no": 0},
    "most_vanished": 1,
    "most_missing": 1,
    "most_cleared": 1,
    "columns": COLUMNS,
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "BLOCK_KEYS", BLOCK_ROWS)
    monkeypatch.setattr(source_reading, "BLOCK_ROWS", BLOCK_ROWS)


@pytest.fixture
def visits(clinic: Clinic) -> Clinic:
    """A clinic's table with text keys."""
    if clinic.kind == "postgresql":
        clinic.execute("ALTER TABLE visits ALTER visit_id TYPE text")
    return clinic


def _opened(clinic: Clinic, vanished: str) -> OpenSource:
    source = msgspec.convert(SETTINGS | {"vanished": vanished}, Source)
    engine = make_source_engine(source.name, clinic.url, DatabaseSettings())
    return open_source(source, SHIPPED.features, engine)


def _pull(database: Database, clinic: Clinic, vanished: str) -> None:
    opened = _opened(clinic, vanished)
    with recorded_run(database.engine, "pull", None, False) as run:
        pull_sources(Pull(database.engine, run, StopRequest(), False, False, ["clinic"]), [opened])
    opened.engine.dispose()


def _pull_and_die(database: Database, clinic: Clinic, vanished: str, commit: int) -> None:
    """In a child process, at the commit of that number; it ends well where there are fewer."""
    engine = make_engine(database.url, DatabaseSettings())
    commits = 0

    @event.listens_for(engine, "commit")
    def count(connection: Connection) -> None:
        nonlocal commits
        commits += bool(connection.get_execution_options()["pima_writes"])
        if commits == commit:
            die()

    _pull(replace(database, engine=engine), clinic, vanished)


def _killed(database: Database, clinic: Clinic, vanished: str, commit: int) -> bool:
    """Whether it came so far; what it holds is given back then."""
    status = in_a_child(lambda: _pull_and_die(database, clinic, vanished, commit))
    if not os.WIFSIGNALED(status):
        assert os.WEXITSTATUS(status) == 0
        return False
    assert os.WTERMSIG(status) == signal.SIGKILL
    wait_until_the_server_knows(database)
    database.execute("UPDATE leases SET expires_at = '1970-01-01T00:00:00.000Z'")
    return True


def _insert(
    clinic: Clinic, key: str, measured: Mapping[str, Any], outcome: str | None = None
) -> None:
    row = {"visit_id": key, "diabetic": outcome} | OTHERS | measured
    clinic.execute(f"INSERT INTO visits ({', '.join(row)}) VALUES (:{', :'.join(row)})", row)


def _theirs(clinic: Clinic) -> dict[str | None, tuple[Any, ...]]:
    """What the source has by key, as ours should have it."""
    rows = clinic.execute("SELECT visit_id, glucose_mmol, age, diabetic FROM visits")
    outcomes = {None: None, "yes": 1, "no": 0}
    return {
        canonical_text(key): (glucose * MMOL, age, outcomes[said])
        for key, glucose, age, said in rows
    }


def _ours(database: Database) -> dict[str, tuple[Any, ...]]:
    rows = database.execute(
        "SELECT source_key, glucose, age, outcome FROM patients WHERE source = 'clinic'"
    )
    return {row[0]: row[1:] for row in rows}


class PulledClinic(Jobs):
    """A clinic that writes to its own table, from which rows are pulled."""

    clinic: Clinic
    features = SHIPPED.names
    emptied: ClassVar[tuple[str, ...]] = (*Jobs.emptied, "row_keys", "leases", "source_pulls")

    def __init__(self) -> None:
        super().__init__()
        self.clinic.execute("DELETE FROM visits")
        _insert(self.clinic, STAYS, MEASURED[0])
        self.ids: dict[str, int] = {}
        """Of each key that ever came."""

    @rule(key=KEYS, measured=st.sampled_from(MEASURED), outcome=OUTCOMES)
    def insert_or_replace(self, key: str, measured: Mapping[str, Any], outcome: str | None) -> None:
        self.delete(key)
        _insert(self.clinic, key, measured, outcome)

    @rule(key=KEYS, measured=st.sampled_from(MEASURED))
    def correct(self, key: str, measured: Mapping[str, Any]) -> None:
        statement = (
            "UPDATE visits SET glucose_mmol = :glucose_mmol, age = :age WHERE visit_id = :key"
        )
        self.clinic.execute(statement, {**measured, "key": key})

    @rule(key=KEYS, outcome=OUTCOMES)
    def label(self, key: str, outcome: str | None) -> None:
        self.clinic.execute(
            "UPDATE visits SET diabetic = :o WHERE visit_id = :key", {"o": outcome, "key": key}
        )

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": key})

    @rule(vanished=VANISHED)
    def pull(self, vanished: str) -> None:
        before = _ours(self.database)
        _pull(self.database, self.clinic, vanished)
        kept = before if vanished == "keep" else {}
        assert _ours(self.database) == kept | _theirs(self.clinic), (
            "ours is not what the source has"
        )

    @rule(key=KEYS, measured=st.sampled_from(MEASURED))
    def go_and_come_back(self, key: str, measured: Mapping[str, Any]) -> None:
        for is_there in (True, False, True):
            self.delete(key)
            if is_there:
                _insert(self.clinic, key, measured)
            self.pull("delete")
            self.a_key_keeps_its_id()

    @rule(vanished=VANISHED, commit=st.integers(1, 12))
    def kill_a_pull(self, vanished: str, commit: int) -> None:
        before, theirs = _ours(self.database), _theirs(self.clinic)
        _killed(self.database, self.clinic, vanished, commit)
        for key, row in _ours(self.database).items():
            assert row in (before.get(key), theirs.get(key)), (
                "a row is neither as it was nor as it should be"
            )

    @invariant()
    def a_key_keeps_its_id(self) -> None:
        known = dict(self.database.execute("SELECT source_key, patient_id FROM row_keys"))
        assert known.items() >= self.ids.items(), "a key has another id than before, or none"
        assert known.items() >= set(self.database.execute("SELECT source_key, id FROM patients"))
        self.ids = known

    def teardown(self) -> None:
        self.pull("delete")
        super().teardown()


@pytest.mark.campaign
@pytest.mark.parametrize(
    "clinic", ["sqlite", pytest.param("postgresql", marks=pytest.mark.at_length)], indirect=True
)
def test_no_order_of_events_loses_or_doubles_what_is_pulled(
    scored_database: Database, visits: Clinic, at_length: bool
) -> None:
    PulledClinic.database, PulledClinic.clinic = scored_database, visits
    run_machine(PulledClinic, examples=60 if at_length else 4, steps=40 if at_length else 20)


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("copied", "clinic"),
    [("sqlite", "sqlite"), pytest.param("postgresql", "sqlite", marks=pytest.mark.at_length)],
    indirect=True,
)
def test_a_pull_that_is_killed_at_any_commit_is_completed_by_the_next(
    scored_database: Database, visits: Clinic
) -> None:
    PulledClinic.database, PulledClinic.clinic = scored_database, visits
    commit, states = 1, []
    while _killed_and_completed(commit, states):
        commit += 1
    # The run, its lease and the plan; five blocks; what is put down at the end.
    assert commit > 3 + 5
    assert len({str(sorted(state.items(), key=str)) for state in states}) == 6


def _killed_and_completed(commit: int, states: list[dict[str, tuple[Any, ...]]]) -> bool:
    machine, database, clinic = PulledClinic(), PulledClinic.database, PulledClinic.clinic
    for key in ("comes back", *(f"key {n}" for n in range(6))):
        _insert(clinic, key, MEASURED[0])
    machine.pull("delete")
    machine.delete("comes back")
    machine.pull("delete")
    machine.score(3)
    for n in range(2):
        machine.delete(f"key {n}")
        machine.correct(f"key {n + 2}", MEASURED[n + 1])
        _insert(clinic, f"new {n}", MEASURED[0])
        _insert(clinic, f"labelled {n}", MEASURED[0], "yes")
    machine.label("key 4", "no")
    _insert(clinic, "comes back", MEASURED[0])
    came_so_far = _killed(database, clinic, "delete", commit)
    if came_so_far:
        states.append(_ours(database))
    machine.pull("delete")
    machine.a_key_keeps_its_id()
    machine.every_version_is_in_one_place()
    machine.score(3)
    ended = database.execute("""
        SELECT k.source_key, count(*) FROM row_keys k LEFT JOIN (
            SELECT patient_id FROM predictions UNION ALL SELECT patient_id FROM rejections) e
        ON e.patient_id = k.patient_id WHERE k.source_key NOT LIKE 'labelled%'
            GROUP BY k.source_key""")
    assert dict(ended) == {
        STAYS: 1,
        "key 0": 1,
        "key 1": 1,
        "key 2": 2,
        "key 3": 2,
        "key 4": 1,
        "key 5": 1,
    } | {
        "new 0": 1,
        "new 1": 1,
        "comes back": 1,
    }
    return came_so_far
