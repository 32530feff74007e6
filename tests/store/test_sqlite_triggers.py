"""What a clinic's triggers on SQLite may do to the work of ours, and how that is kept from costing a row."""

import re

import pytest

from pima.errors import SchemaDiffers
from pima.store import schema
from tests.conftest import Database

CLINICS = "CREATE TABLE notify (id INTEGER); CREATE TABLE audit (id INTEGER UNIQUE)"
UNDOES = {
    "an early return after an insert": (
        """CREATE TRIGGER tell AFTER INSERT ON patients BEGIN
        SELECT RAISE(IGNORE) WHERE NEW.age > 80; INSERT INTO notify VALUES (NEW.id); END""",
        "the trigger tell on patients may keep those that queue its rows from running",
    ),
    "an early return after an update": (
        """CREATE TRIGGER [tell me] AFTER/**/UPDATE OF glucose ON "PATIENTS" BEGIN SELECT raise -- in short
        (ignore); END""",
        "the trigger tell me on patients may keep those that queue its rows from running",
    ),
    "an early return after a deletion": (
        "CREATE TRIGGER tell AFTER DELETE ON patients BEGIN SELECT RAISE(IGNORE); END",
        "the trigger tell on patients may keep those that queue its rows from running",
    ),
    "what fails after an insert": (
        "CREATE TRIGGER lock AFTER INSERT ON patients WHEN NEW.age > 80 BEGIN SELECT RAISE(FAIL, 'no'); END",
        "the trigger lock on patients may leave a patient's row half written",
    ),
    "what fails before an update, without the word": (
        "CREATE TRIGGER main.lock UPDATE ON patients WHEN OLD.age > 80 BEGIN SELECT RAISE(FAIL, 'no'); END",
        "the trigger lock on patients may leave a patient's row half written",
    ),
    "what may fail by a constraint": (
        "CREATE TRIGGER lock AFTER UPDATE ON patients BEGIN INSERT OR FAIL INTO audit VALUES (NEW.id); END",
        "the trigger lock on patients may leave a patient's row half written",
    ),
    "what fails on a table that a trigger on patients writes to": (
        """CREATE TRIGGER tell AFTER UPDATE ON patients BEGIN INSERT INTO notify VALUES (NEW.id); END;
        CREATE TRIGGER pass AFTER INSERT ON notify BEGIN INSERT INTO audit VALUES (NEW.id); END;
        CREATE TRIGGER lock BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'no'); END""",
        "the trigger lock on audit may leave a patient's row half written",
    ),
    "before an insert into the predictions, without the word": (
        "CREATE TRIGGER drops INSERT ON predictions BEGIN DELETE FROM scoring_queue; END",
        "the trigger drops on predictions could drop what is written there",
    ),
    "before an insert into the predictions, in quotes": (
        'CREATE TRIGGER "after"BEFORE INSERT ON predictions BEGIN SELECT 1; END',
        "the trigger after on predictions could drop what is written there",
    ),
}
SOUND = {
    "words in a literal": """CREATE TRIGGER tell AFTER INSERT ON predictions BEGIN
        INSERT INTO notify SELECT 1 WHERE 'seen before; it''s RAISE(IGNORE)' <> ''; END""",
    "words in comments": """CREATE TRIGGER tell AFTER INSERT ON patients BEGIN
        /* not before, nor RAISE(IGNORE) */ INSERT INTO notify VALUES (NEW.id); -- RAISE(FAIL)
        END""",
    "a name like a word": """CREATE TRIGGER before AFTER INSERT ON rejections BEGIN
        INSERT INTO notify SELECT 1 AS "before"; END""",
    "no row where there is one": """CREATE TRIGGER once BEFORE INSERT ON patients
        WHEN EXISTS (SELECT 1 FROM patients WHERE id = NEW.id) BEGIN SELECT RAISE(IGNORE); END""",
    "a check ahead of an insert": """CREATE TRIGGER adults INSERT ON patients WHEN NEW.age < 18 BEGIN
        SELECT RAISE(FAIL, 'no children'); END""",
    "a table of the clinic's own": """CREATE TRIGGER lock BEFORE UPDATE ON notify BEGIN
        SELECT RAISE(FAIL, 'written once'); END""",
}


def make(database: Database, statements: str) -> None:
    """Of the clinic's."""
    for statement in re.split(r"; (?=CREATE)|;\n\s*(?=CREATE)", statements):
        with database.engine.begin() as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("what", UNDOES)
def test_a_trigger_that_may_undo_the_work_of_ours_is_told(sqlite: Database, what: str) -> None:
    statements, said = UNDOES[what]
    make(sqlite, CLINICS)
    make(sqlite, statements)
    with pytest.raises(SchemaDiffers, match=re.escape(said)):
        schema.require_schema(sqlite.engine)


@pytest.mark.parametrize("what", SOUND)
def test_a_trigger_that_leaves_ours_alone_is_no_fault(sqlite: Database, what: str) -> None:
    make(sqlite, CLINICS)
    make(sqlite, SOUND[what])
    schema.require_schema(sqlite.engine)
