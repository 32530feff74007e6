"""Invariant 1 under any order of events: every unlabelled version ends once, never lost, never
twice.

Hypothesis draws sequences of what a clinic and the jobs do; after each step the whole database is
held against what must be true of it (`tests.support.state_machine`).
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from pima.core.declared.features import Declaration
from pima.scorer import load_scorer
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.store.engine import reading
from pima.store.models.registry import newest_declaration
from tests.support.databases import Database
from tests.support.shipped import SOUND
from tests.support.state_machine import Jobs, run_machine

pytestmark = pytest.mark.judge

IDS = st.integers(1, 6)
VALUES = st.integers(0, 2)


@dataclass(frozen=True)
class Declared:
    """What is scored, and how a row of it looks."""

    declaration: Declaration
    sound: dict[str, float]
    """A row that can be scored."""
    column: str
    """The one that changes."""
    values: tuple[float, float, float]
    """What it changes to; the last one can't be scored."""


SHIPPED = Declared(SHIPPED_DECLARATION, SOUND, "glucose", (100, 150, 9999))
OTHER_ROW = {"order": 3, "creatinine": 1.1, "temperature": 37, "smoking": 0}


class Clinic(Jobs):
    """A clinic that writes to `patients` itself."""

    declared: Declared

    @rule(patient=IDS, value=VALUES, outcome=st.sampled_from([None, None, 0, 1]))
    def insert_or_replace(self, patient: int, value: int, outcome: int | None) -> None:
        self.database.execute("DELETE FROM patients WHERE id = :id", {"id": patient})
        row = self.declared.sound | {self.declared.column: self.declared.values[value]}
        row |= {"id": patient} | ({} if outcome is None else {"outcome": outcome})
        columns, values = ", ".join(f'"{name}"' for name in row), ", ".join(map(str, row.values()))
        self.database.execute(f"INSERT INTO patients ({columns}) VALUES ({values})")

    @rule(patient=IDS, value=VALUES)
    def correct(self, patient: int, value: int) -> None:
        statement = f"UPDATE patients SET {self.declared.column} = :value WHERE id = :id"
        self.database.execute(statement, {"value": self.declared.values[value], "id": patient})

    @rule(patient=IDS, outcome=st.sampled_from([None, 0, 1]))
    def label(self, patient: int, outcome: int | None) -> None:
        self.database.execute(
            "UPDATE patients SET outcome = :o WHERE id = :id", {"o": outcome, "id": patient}
        )

    @rule(patient=IDS)
    def delete(self, patient: int) -> None:
        self.database.execute("DELETE FROM patients WHERE id = :id", {"id": patient})


def test_no_order_of_events_loses_or_doubles_a_version(scored_database: Database) -> None:
    _run(scored_database, SHIPPED, examples=10)


def test_nor_where_a_clinic_has_declared_its_own_features(declared_database: Database) -> None:
    with reading(declared_database.engine) as connection:
        declaration = newest_declaration(connection)
    _run(declared_database, Declared(declaration, OTHER_ROW, "smoking", (0, 2, 7)), examples=5)


def _run(database: Database, declared: Declared, examples: int) -> None:
    Clinic.database, Clinic.declared, Clinic.features = (
        database,
        declared,
        declared.declaration.names,
    )
    run_machine(Clinic, examples, steps=25)


def test_the_trained_versions_differ(scored_database: Database) -> None:
    scorers = [load_scorer(scored_database.engine, number) for number in (1, 2, 3)]
    row = np.array([list(SOUND.values())], dtype=np.float32)
    assert len({float(scorer.model.probabilities(row)[0]) for scorer in scorers}) == 3
