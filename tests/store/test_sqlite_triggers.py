"""What a clinic's triggers on SQLite may do to the work of ours, and how that is kept from costing a row."""

import re
import sqlite3
from pathlib import Path

import pytest

from pima.errors import DatabaseFailed, SchemaDiffers
from pima.store import schema
from tests.conftest import HOLDOUT, Database, call, insert_patients, install_models, the_json
from tests.store.rows import COLUMNS, VALUES, as_sqlite3_does, assert_queue_is_true, patient, queue, unlabelled

OLD_ROW = f"INSERT INTO patients (id, {COLUMNS}) VALUES (1, {VALUES.replace('50', '81')})"
CLINICS = "CREATE TABLE notify (id INTEGER); CREATE TABLE audit (id INTEGER UNIQUE)"
QUEUES_NOT = "may keep those that queue its rows from running"
HALF_WRITES = "may leave a patient's row half written"
OVERTAKEN = "writes to patients before the statement that fires it does"
WITHIN_OURS = "writes to patients while pima's own triggers are at work"
# What is said of which trigger, and the statements that make it.
UNDOES = {
    f"tell on patients {QUEUES_NOT}": """CREATE TRIGGER tell AFTER INSERT ON patients BEGIN
        SELECT RAISE(IGNORE) WHERE NEW.age > 80; INSERT INTO notify VALUES (NEW.id); END""",
    f"tell me on patients {QUEUES_NOT}": """CREATE TRIGGER [tell me] AFTER/**/UPDATE OF glucose ON "PATIENTS" BEGIN
        SELECT raise -- in short
        (ignore); END""",
    # It fires before the update, without the word.
    f"fail on patients {HALF_WRITES}": """CREATE TRIGGER main.fail UPDATE ON patients WHEN OLD.age > 80 BEGIN
        SELECT RAISE(FAIL, 'no'); END""",
    f"lock on patients {HALF_WRITES}": """CREATE TRIGGER lock AFTER UPDATE ON patients BEGIN
        INSERT OR FAIL INTO audit VALUES (NEW.id); END""",
    f"sees on patients {HALF_WRITES}": """CREATE TABLE seen (
        id INTEGER, day TEXT DEFAULT 'today', UNIQUE (id, day) ON CONFLICT FAIL);
        CREATE TRIGGER sees AFTER UPDATE OF bmi ON patients BEGIN INSERT INTO seen (id) VALUES (NEW.id); END""",
    # On a table that a trigger on patients writes to.
    f"lock on audit {HALF_WRITES}": """CREATE TRIGGER tell AFTER UPDATE ON patients BEGIN
        INSERT INTO notify VALUES (NEW.id); END;
        CREATE TRIGGER pass AFTER INSERT ON notify BEGIN INSERT INTO audit VALUES (NEW.id); END;
        CREATE TRIGGER lock BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'no'); END""",
    f"halve on patients {OVERTAKEN}": """CREATE TRIGGER halve BEFORE UPDATE OF bmi ON patients WHEN NEW.bmi > 60
        BEGIN UPDATE patients SET bmi = round(bmi / 2) WHERE id = NEW.id; END""",
    # By way of a view, under names in a string's quotes, which SQLite takes for names there.
    f"third on patients {OVERTAKEN}": """CREATE VIEW shown AS SELECT id, bmi FROM patients;
        CREATE TRIGGER third BEFORE UPDATE OF bmi ON patients BEGIN UPDATE 'shown' SET bmi = 30 WHERE id = NEW.id; END;
        CREATE TRIGGER pass INSTEAD OF UPDATE ON shown BEGIN
        INSERT INTO 'Patients' (id) VALUES (NEW.id) ON CONFLICT (id) DO UPDATE SET bmi = NEW.bmi; END""",
    "tell on patients writes to patient_version_counter": """CREATE TRIGGER tell AFTER DELETE ON patients BEGIN
        DELETE FROM 'patient_version_counter'; END""",
    f"derive on scoring_queue {WITHIN_OURS}": """CREATE TRIGGER derive AFTER INSERT ON scoring_queue BEGIN
        UPDATE patients SET bmi = 33.3 WHERE id = NEW.patient_id AND bmi IS NULL; END""",
    f"tell on row_keys {WITHIN_OURS}": """CREATE TRIGGER tell AFTER INSERT ON row_keys BEGIN
        INSERT INTO notify VALUES (NEW.patient_id); END;
        CREATE TRIGGER take AFTER INSERT ON notify BEGIN DELETE FROM patients WHERE id = NEW.id; END""",
    "tell on patient_version_counter is at work while versions are drawn": """CREATE TRIGGER tell
        AFTER UPDATE ON patient_version_counter BEGIN INSERT INTO notify VALUES (1); END""",
    "after on predictions could drop what is written there": """CREATE TRIGGER "after"BEFORE INSERT ON predictions
        BEGIN SELECT 1; END""",
}
SOUND = {
    "words in a literal": """CREATE TRIGGER tell AFTER INSERT ON predictions BEGIN
        INSERT INTO notify SELECT 1 WHERE 'seen before; it''s RAISE(IGNORE)' <> ''; END""",
    "a literal like a table's name": """CREATE TRIGGER tell BEFORE UPDATE ON patients BEGIN
        INSERT INTO notify SELECT 1 WHERE 'update' <> 'patients' AND 'into' <> 'patients'; END""",
    "words in comments": """CREATE TRIGGER tell AFTER INSERT ON patients BEGIN
        /* not before, nor RAISE(IGNORE) */ INSERT INTO notify VALUES (NEW.id); -- RAISE(FAIL)
        END""",
    "a name like a word": """CREATE TRIGGER before AFTER INSERT ON rejections BEGIN
        INSERT INTO notify SELECT 1 AS "before"; END""",
    "a check ahead of an insert": """CREATE TRIGGER adults INSERT ON patients WHEN NEW.age < 18 BEGIN
        SELECT RAISE(FAIL, 'no children'); END""",
    "what checks a row before an update, and tells others": """CREATE TRIGGER adults BEFORE UPDATE ON patients BEGIN
        SELECT RAISE(ABORT, 'no children') WHERE NEW.age < 18; INSERT INTO notify VALUES (NEW.id); END""",
    "many that write to patients, but not while ours stamp a row": """CREATE TRIGGER merge BEFORE INSERT ON patients
        WHEN EXISTS (SELECT 1 FROM patients WHERE id = NEW.id)
        BEGIN UPDATE patients SET glucose = NEW.glucose WHERE id = NEW.id; SELECT RAISE(IGNORE); END;
        CREATE TRIGGER keep BEFORE DELETE ON patients
        BEGIN UPDATE patients SET age = NULL WHERE id = OLD.id; SELECT RAISE(IGNORE); END;
        CREATE TRIGGER derive AFTER INSERT ON patients BEGIN UPDATE patients SET bmi = 30 WHERE id = NEW.id; END;
        CREATE TRIGGER tell AFTER UPDATE ON patients BEGIN DELETE FROM notify WHERE id = NEW.id; END;
        CREATE TRIGGER take AFTER INSERT ON notify BEGIN INSERT INTO patients (id) VALUES (NEW.id); END""",
    "what tells others of what ours queue": """CREATE TRIGGER tell AFTER INSERT ON scoring_queue BEGIN
        INSERT INTO notify VALUES (NEW.patient_id); END""",
    "what changes patients once they are scored": """CREATE TRIGGER marks AFTER INSERT ON predictions BEGIN
        UPDATE patients SET age = age WHERE id = NEW.patient_id; END""",
    "a table of the clinic's own": """CREATE TRIGGER lock BEFORE UPDATE ON notify BEGIN
        SELECT RAISE(FAIL, 'written once'); END""",
}


def make(database: Database, statements: str) -> None:
    """Of the clinic's."""
    for statement in re.split(r"; (?=CREATE)|;\n\s*(?=CREATE)", statements):
        with database.engine.begin() as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("said", UNDOES)
def test_a_trigger_that_may_undo_the_work_of_ours_is_told(sqlite: Database, said: str) -> None:
    make(sqlite, CLINICS)
    make(sqlite, UNDOES[said])
    with pytest.raises(SchemaDiffers, match=re.escape(f"the trigger {said}")):
        schema.require_schema(sqlite.engine)


@pytest.mark.parametrize("what", SOUND)
def test_a_trigger_that_leaves_ours_alone_is_no_fault(sqlite: Database, what: str) -> None:
    make(sqlite, CLINICS)
    make(sqlite, SOUND[what])
    schema.require_schema(sqlite.engine)


# ---- a trigger that drops the stamps --------------------------------------------------------------------------------

DROPS_STAMPS = (
    "CREATE {} TRIGGER archive BEFORE UPDATE {} ON patients WHEN OLD.age > 80 BEGIN SELECT RAISE(IGNORE); END"
)


@pytest.mark.parametrize("temporary", ["", "TEMP"])
@pytest.mark.parametrize("statement", [OLD_ROW, f"REPLACE{OLD_ROW[6:]}", "UPDATE patients SET age = 90"])
def test_a_row_whose_stamps_are_dropped_is_not_written(sqlite: Database, temporary: str, statement: str) -> None:
    insert_patients(sqlite, 1, first_id=2)
    before = (unlabelled(sqlite), queue(sqlite))
    with as_sqlite3_does(sqlite) as connection:
        connection.execute(DROPS_STAMPS.format(temporary, ""))
        with pytest.raises(sqlite3.IntegrityError, match="a trigger keeps this row from being stamped"):
            connection.execute(statement)
    assert (unlabelled(sqlite), queue(sqlite)) == before


def test_a_trigger_that_names_its_columns_drops_what_it_is_for(sqlite: Database) -> None:
    make(sqlite, DROPS_STAMPS.format("", "OF outcome, glucose"))
    sqlite.execute(OLD_ROW)
    before = patient(sqlite, 1)
    sqlite.execute("UPDATE patients SET glucose = 90, outcome = 1")
    assert patient(sqlite, 1) == before
    assert before.version > 0
    assert_queue_is_true(sqlite)


# ---- a statement that ends in its middle ----------------------------------------------------------------------------


def test_a_statement_that_failed_in_its_middle_is_told_and_mended(sqlite: Database) -> None:
    """By the writer's own OR FAIL, which no trigger's text shows."""
    make(sqlite, CLINICS)
    make(sqlite, "CREATE TRIGGER sees AFTER UPDATE ON patients BEGIN INSERT INTO audit VALUES (NEW.id); END")
    sqlite.execute("INSERT INTO audit VALUES (1)")
    with as_sqlite3_does(sqlite) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(OLD_ROW.replace("INSERT", "INSERT OR FAIL"))
    sqlite.execute("DROP TRIGGER sees")
    refused = call(sqlite, "score")
    assert refused.exit_code == 2
    assert "a statement on patients was ended in its middle" in refused.stderr
    assert call(sqlite, "migrate").exit_code == 0
    assert call(sqlite, "requeue").exit_code == 0
    assert_queue_is_true(sqlite)
    with pytest.raises(DatabaseFailed):
        sqlite.execute("UPDATE patients SET version = 7")  # by hand it is refused again
    schema.require_schema(sqlite.engine)


# ---- what is fixed, under whatever name -----------------------------------------------------------------------------


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
@pytest.mark.parametrize("name", ["id", "rowid", "_rowid_", "oid", '"ROWID"', "[Id]"])
def test_an_id_is_fixed_by_each_name_that_sqlite_has_for_it(
    sqlite: Database, name: str, recursive_triggers: str
) -> None:
    insert_patients(sqlite, 2, first_id=1)
    before = (unlabelled(sqlite), queue(sqlite))
    upsert = f"INSERT INTO patients (id, {COLUMNS}) VALUES (1, {VALUES}) ON CONFLICT (id) DO UPDATE SET {name} = 9"
    with as_sqlite3_does(sqlite) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
        for statement in (
            f"UPDATE patients SET {name} = {name} + 10000",
            f"UPDATE OR IGNORE patients SET {name} = 2 WHERE id = 1",
            f"UPDATE OR REPLACE patients SET {name} = 2, glucose = 90 WHERE id = 1",
            upsert,
        ):
            with pytest.raises(sqlite3.IntegrityError, match=r"patients\.id is never changed"):
                connection.execute(statement)
        connection.execute(f"UPDATE patients SET {name} = {name}, outcome = 1 WHERE id = 2")
        with pytest.raises(sqlite3.IntegrityError, match=r"patients\.id is at most"):
            connection.execute(f"INSERT INTO patients ({name}, {COLUMNS}) VALUES ({2**62 + 1}, {VALUES})")
    assert (unlabelled(sqlite), queue(sqlite)) == (before[0][:1], before[1][:1])


# ---- triggers that set off one another ------------------------------------------------------------------------------

LINKS = 5
SPREADS = """CREATE TRIGGER spreads_{n} AFTER UPDATE ON patients WHEN NEW.id = {n} BEGIN
    UPDATE patients SET pregnancies = NEW.pregnancies, outcome = NEW.outcome WHERE id = {n} + 1
        AND (pregnancies IS NOT NEW.pregnancies OR outcome IS NOT NEW.outcome); END"""
BRINGS = f"""CREATE TRIGGER brings_{{n}} AFTER UPDATE ON patients
    WHEN NEW.id = {{n}} AND NOT EXISTS (SELECT 1 FROM patients WHERE id = {{n}} + 1)
    BEGIN INSERT INTO patients (id, {COLUMNS}) VALUES ({{n}} + 1, {VALUES}); END"""
PASSES = """CREATE TABLE passing (id INTEGER, pregnancies REAL);
    CREATE TRIGGER passes_{n} AFTER INSERT ON passing WHEN NEW.id = {n} BEGIN
    UPDATE OR REPLACE "patients" SET pregnancies = NEW.pregnancies WHERE id = {n} + 1; END;
    CREATE TRIGGER spreads_{n} AFTER UPDATE OF updated_at ON patients WHEN NEW.id = {n} BEGIN
    INSERT INTO passing VALUES ({n}, NEW.pregnancies); END"""


def chain(database: Database, link: str, order: str, links: int = LINKS) -> None:
    """Triggers of the clinic's, each for one row, and ours made for so many; SQLite fires what was made last first."""
    for again in ("", "again") if order == "the clinic's made last" else ("",):
        for n in range(1, links + 1):
            for statement in re.split(r";\s+(?=CREATE)", link.format(n=n)):
                if again and "TRIGGER" in statement:
                    database.execute(f"DROP TRIGGER {statement.split()[2]}")
                if "TRIGGER" in statement or (n == 1 and not again):
                    make(database, statement)
        schema.migrate(database.engine, HOLDOUT)
    schema.require_schema(database.engine)


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
@pytest.mark.parametrize("order", ["the clinic's made last", "ours made last"])
@pytest.mark.parametrize("link", [SPREADS, PASSES])
def test_a_change_that_goes_from_trigger_to_trigger_is_seen_in_each_row(
    sqlite: Database, link: str, order: str, recursive_triggers: str
) -> None:
    chain(sqlite, link, order)
    insert_patients(sqlite, LINKS + 1, first_id=1)
    before = {row[0]: row[1] for row in unlabelled(sqlite)}
    with as_sqlite3_does(sqlite) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
        connection.execute("DELETE FROM scoring_queue")
        connection.execute("UPDATE patients SET pregnancies = 9 WHERE id = 1")
    assert sqlite.execute("SELECT DISTINCT pregnancies FROM patients") == [(9.0,)]
    assert all(version > before[patient_id] for patient_id, version, *_ in unlabelled(sqlite))
    assert_queue_is_true(sqlite)
    for outcome in ("1", "NULL"):
        sqlite.execute(f"UPDATE patients SET outcome = {outcome} WHERE id = 1")
        labelled = sqlite.value("SELECT count(outcome) FROM patients")
        assert labelled == (0 if outcome == "NULL" else LINKS + 1 if link == SPREADS else 1)
        assert sqlite.value("SELECT count(*) FROM patients WHERE (outcome IS NULL) <> (labelled_at IS NULL)") == 0
        assert_queue_is_true(sqlite)


def test_a_chain_that_ours_were_not_made_for_is_told_and_refused_until_they_are(sqlite: Database) -> None:
    for n in range(1, LINKS + 1):
        make(sqlite, BRINGS.format(n=n))
    refused = call(sqlite, "score")
    assert refused.exit_code == 2
    assert "more triggers write to patients than those of pima were made for" in refused.stderr
    with as_sqlite3_does(sqlite) as connection, pytest.raises(sqlite3.IntegrityError, match=r"run python -m jobs\.mig"):
        connection.execute(OLD_ROW)
    assert unlabelled(sqlite) == []
    assert call(sqlite, "migrate").exit_code == 0
    sqlite.execute(OLD_ROW)
    assert len(unlabelled(sqlite)) == LINKS + 1
    assert_queue_is_true(sqlite)


def test_fewer_triggers_than_ours_were_made_for_are_no_fault(sqlite: Database) -> None:
    chain(sqlite, SPREADS, "ours made last")
    for n in range(1, LINKS + 1):
        sqlite.execute(f"DROP TRIGGER spreads_{n}")
    schema.require_schema(sqlite.engine)


# ---- columns of the clinic's that are called as ours are elsewhere --------------------------------------------------


def test_a_column_of_the_clinics_may_be_called_as_one_of_the_queue_is(scored_file: Database) -> None:
    brings_back = f"""CREATE TRIGGER brings_back AFTER DELETE ON patients BEGIN
        INSERT INTO patients (id, {COLUMNS}) VALUES (OLD.id, {VALUES}); END"""
    for column in ("patient_id", "patient_version", "enqueued_at"):
        scored_file.execute(f"ALTER TABLE patients ADD COLUMN {column} INTEGER")
    make(scored_file, brings_back)
    insert_patients(scored_file, 4, first_id=1)
    scored_file.execute("UPDATE patients SET glucose = 90 WHERE id = 1")
    scored_file.execute("UPDATE patients SET outcome = 1 WHERE id = 2")
    scored_file.execute("DELETE FROM patients WHERE id = 3")
    assert_queue_is_true(scored_file)
    assert the_json(call(scored_file, "score", "--json"))["predicted"] == 3


# ---- rows that REPLACE takes away -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_entries_of_rows_that_replace_took_away_are_dropped(scored_file: Database, batch: int) -> None:
    """By a unique column of the clinic's: SQLite then deletes without a trigger."""
    make(scored_file, "ALTER TABLE patients ADD COLUMN mrn TEXT; CREATE UNIQUE INDEX clinic_mrn ON patients (mrn)")
    insert_patients(scored_file, 5, first_id=1)
    scored_file.execute("UPDATE patients SET mrn = 'm' || id")
    scored_file.execute(f"INSERT OR REPLACE INTO patients (id, mrn, {COLUMNS}) VALUES (6, 'm1', {VALUES})")
    scored_file.execute(f"REPLACE INTO patients (id, mrn, {COLUMNS}) VALUES (7, 'm5', {VALUES})")
    scored_file.execute("UPDATE OR REPLACE patients SET mrn = 'm7', age = 51 WHERE id = 3")
    scored_file.execute("UPDATE OR REPLACE patients SET mrn = 'm2' WHERE mrn = 'm6'")
    there = [patient_id for (patient_id,) in scored_file.execute("SELECT id FROM patients")]
    ended = the_json(call(scored_file, "score", "--json", "--batch-size", str(batch)))
    assert (ended["claimed"], ended["predicted"]) == (len(there), len(there))
    predicted = scored_file.execute("SELECT patient_id FROM predictions ORDER BY patient_id")
    assert [patient_id for (patient_id,) in predicted] == sorted(there)
    assert queue(scored_file) == []


def test_nothing_but_such_entries_is_an_empty_queue_after_all(scored_file: Database) -> None:
    make(scored_file, "ALTER TABLE patients ADD COLUMN mrn TEXT; CREATE UNIQUE INDEX clinic_mrn ON patients (mrn)")
    insert_patients(scored_file, 2, first_id=1)
    scored_file.execute("UPDATE patients SET mrn = 'm' || id")
    scored_file.execute("INSERT OR REPLACE INTO patients (id, mrn, outcome) VALUES (6, 'm1', 1), (7, 'm2', 0)")
    for option, left in (["--dry-run"], 2), ([], 0):
        ended = the_json(call(scored_file, "score", "--json", *option))
        assert (ended["claimed"], ended["predicted"], len(queue(scored_file))) == (0, 0, left)


@pytest.fixture
def scored_file(sqlite: Database, trained: Path) -> Database:
    install_models(sqlite, trained)
    return sqlite


# ---- a table that was rebuilt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["patients", "predictions"])
def test_a_table_that_was_rebuilt_without_strict_is_told(sqlite: Database, table: str) -> None:
    """As a tool leaves it that knows no STRICT."""
    with as_sqlite3_does(sqlite) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '') WHERE name = ?", (table,))
    refused = call(sqlite, "score")
    assert refused.exit_code == 2
    assert f"the table {table} is no longer STRICT" in refused.stderr
