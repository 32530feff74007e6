"""Invariant 11: each prediction of a row that is there can be traced to its values, whatever a
clinic and the jobs do, and whoever is killed meanwhile.

A log of its own has the values of each row version, read from `patients` after each statement. The
history must equal it, and so must what is read of each prediction.
"""

import random
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pytest
from sqlalchemy import Connection, text

from pima.settings.sections import DatabaseSettings
from pima.store.database import EARLIEST, database_of
from pima.store.engine import writing
from pima.store.predictions import Predictions
from pima.store.rows.predicted_on import predicted_values, value_of
from pima.store.rows.row_history import let_go
from pima.store.urls import make_engine
from tests.support.databases import Database, call
from tests.support.rows import COLUMNS, VALUES, become_older
from tests.support.shipped import FEATURE_NAMES
from tests.support.state_machine import die, in_a_child, wait_until_the_server_knows

pytestmark = pytest.mark.judge

Version = tuple[int, int]
Values = tuple[float | None, ...]

HALF_A_YEAR = 190 * 24 * 60


class Log:
    """What a database's history must be."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.draw = random.Random(seed)  # noqa: S311 (no secret)
        self.rows: dict[int, tuple[int, Values]] = {}
        self.history: dict[Version, Values] = {}
        self.old: set[Version] = set()
        """Those that were replaced a day ago or earlier."""
        self.corrected: set[Version] = set()

    def some(self) -> str:
        """A quarter of the rows that are there."""
        chosen = self.draw.sample(sorted(self.rows), len(self.rows) // 4)
        return ", ".join(map(str, chosen)) or "0"

    # ---- what a clinic does ----

    def write(self, *statements: str) -> None:
        """In one transaction, read after each statement."""
        with writing(self.database.engine) as connection:
            for statement in statements:
                connection.execute(text(statement))
                self._read(connection)

    def _read(self, connection: Connection) -> None:
        found = connection.execute(text(f"SELECT id, version, {COLUMNS} FROM patients"))
        now = {row[0]: (row[1], tuple(row[2:])) for row in found}
        for patient_id, (version, values) in self.rows.items():
            if now.get(patient_id, (0, ()))[0] != version:
                self.history[patient_id, version] = values
        self.rows = now

    def insert(self) -> None:
        self.write(*[f"INSERT INTO patients ({COLUMNS}) VALUES ({VALUES})"] * 3)

    def correct(self) -> None:
        ids = self.some()
        before = set(self.history)
        self.write(f"UPDATE patients SET glucose = glucose + 1, insulin = id WHERE id IN ({ids})")
        self.corrected |= set(self.history) - before

    def correct_twice(self) -> None:
        changed = f"WHERE id IN ({self.some()})"
        self.write(*[f"UPDATE patients SET age = age + 1 {changed}"] * 2)

    def label(self) -> None:
        outcome = self.draw.choice(["0", "1", "NULL"])
        self.write(f"UPDATE patients SET outcome = {outcome} WHERE id IN ({self.some()})")

    def delete(self) -> None:
        self.write(f"DELETE FROM patients WHERE id IN ({self.some()})")
        missing = len({row for row, _ in self.history} - set(self.rows))
        if missing:
            self.insert_again()

    def insert_again(self) -> None:
        """Some of those that are gone, in a transaction of its own."""
        gone = sorted({row for row, _ in self.history} - set(self.rows))
        for patient_id in gone[::2]:
            self.write(self._again(patient_id))

    def refresh(self) -> None:
        """Delete rows and insert them in one transaction."""
        chosen = self.some()
        again = [self._again(int(each)) for each in chosen.split(", ") if each != "0"]
        self.write(f"DELETE FROM patients WHERE id IN ({chosen})", *again)

    def _again(self, patient_id: int) -> str:
        return f"INSERT INTO patients (id, {COLUMNS}) VALUES ({patient_id}, {VALUES})"

    # ---- what the jobs do ----

    def score(self) -> None:
        ended = call(self.database, "score")
        assert ended.exit_code == 0, ended.stderr
        self._let_go()

    def retain(self) -> None:
        become_older(self.database, "predictions", "scored_at", HALF_A_YEAR)
        ended = call(self.database, "retain", "--older-than", "183")
        assert ended.exit_code == 0, ended.stderr
        self._let_go(also_young=False)

    def _let_go(self, also_young: bool = True) -> None:
        """What nobody needs; `retain` leaves even of rows that are gone what is a day young."""
        predicted = set(
            self.database.execute("SELECT patient_id, patient_version FROM predictions")
        )
        for version in list(self.history):
            is_old = version in self.old
            is_gone = version[0] not in self.rows and (also_young or is_old)
            if is_gone or (is_old and version not in predicted):
                del self.history[version]

    def a_day_passes(self) -> None:
        become_older(self.database, "row_history", "replaced_at")
        become_older(self.database, "runs", "started_at")
        self.old = set(self.history)

    # ---- who is killed before the commit ----

    def kill(self) -> None:
        killed: list[Callable[[Connection], object]] = [
            _claim_and_predict,
            lambda connection: let_go(connection, EARLIEST),
            lambda connection: connection.execute(text("UPDATE patients SET age = age + 1")),
            lambda connection: connection.execute(text("DELETE FROM patients")),
        ]
        work = self.draw.choice(killed)
        in_a_child(lambda: _work_and_die(self.database.url, work))
        wait_until_the_server_knows(self.database)

    # ---- what must hold ----

    def check(self) -> None:
        found = self.database.execute(
            f"SELECT patient_id, patient_version, {COLUMNS} FROM row_history"
        )
        assert len(found) == len(self.history)
        assert {(row[0], row[1]): tuple(row[2:]) for row in found} == self.history
        known = self.history | {
            (patient_id, version): values for patient_id, (version, values) in self.rows.items()
        }
        columns = ", ".join(map(value_of, FEATURE_NAMES))
        made = self.database.execute(
            f"SELECT patient_id, patient_version, is_kept, {columns} "
            f"FROM ({predicted_values(FEATURE_NAMES)}) AS made"
        )
        for patient_id, version, is_kept, *values in made:
            expected = known.get((patient_id, version))
            assert bool(is_kept) == (expected is not None)
            assert expected is None or tuple(values) == expected


def _claim_and_predict(connection: Connection) -> None:
    scoring = database_of(connection).scoring
    batch = scoring.claim(connection, FEATURE_NAMES, 0, 100)
    made = Predictions(batch.patient_ids, batch.patient_versions, np.full(len(batch), 0.5))
    scoring.write_predictions(connection, made, 1, 1, 0.5)


def _work_and_die(url: str, work: Callable[[Connection], Any]) -> NoReturn:
    """In a child process, on a connection of its own."""
    engine = make_engine(url, DatabaseSettings())
    with engine.connect().execution_options(pima_writes=True) as connection:
        work(connection)
        die()


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    ("rows", "corrected"),
    [(40, 60), pytest.param(1_000, 10_000, marks=pytest.mark.at_length)],
    ids=["short", "long"],
)
def test_the_history_equals_a_log_of_all_that_was_written(
    scored_database: Database, rows: int, corrected: int
) -> None:
    log = Log(scored_database, seed=7)
    log.write(*[f"INSERT INTO patients ({COLUMNS}) VALUES ({VALUES})"] * rows)
    steps = (log.correct, log.correct_twice, log.label, log.delete, log.refresh, log.insert)
    nights = (log.score, log.score, log.a_day_passes, log.kill, log.kill, log.retain)
    while len(log.corrected) < corrected:
        log.correct()
        for step in log.draw.sample(steps + nights, 6):
            step()
            log.check()
    log.a_day_passes()
    log.score()
    log.check()
    predicted = scored_database.value("SELECT count(*) FROM predictions")
    assert predicted > rows
    assert len(log.history) > rows // 10
