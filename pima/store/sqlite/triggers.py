"""SQLite's triggers on `patients`: versions, times and the queue, row by row.

The counter never goes back, whatever is deleted. The UPDATEs of patients inside the triggers name none of the columns
of AFTER UPDATE OF, so no trigger starts itself, and whether recursive_triggers is on does not matter. DELETE and INSERT
instead of REPLACE: the outer statement's OR clause overrides one inside a trigger.

Triggers fire in no promised order, and a clinic's own may have changed the row since the statement that all of them
fire for. So ours go by the row as it stands, which `patients` says, and by OLD and NEW for what the statement changed.
"""

from functools import cache

from sqlalchemy import Connection, text

from pima.core.ids import LARGEST_GIVEN_ID
from pima.store.columns import any_differs, listed
from pima.store.sqlite.trigger_texts import TriggerText, read

_NOW = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
_MISMATCH = "(outcome IS NULL) <> (labelled_at IS NULL)"


def _new_version(columns: tuple[str, ...]) -> str:
    """When a measurement changes or an outcome is cleared. The rest is about rows that were written while the triggers
    were away: a version of 0, an outcome without its time, or a time without its outcome."""
    return f"""({any_differs(columns, "NEW", "IS NOT", "OLD")} OR OLD.version = 0
            OR (NEW.outcome IS NULL AND (OLD.outcome IS NOT NULL OR OLD.labelled_at IS NOT NULL)))"""


def _enqueue(columns: tuple[str, ...]) -> str:
    return f"""INSERT INTO scoring_queue (patient_id, patient_version, {listed(columns)})
        SELECT id, version, {listed(columns, "patients")} FROM patients WHERE id = NEW.id AND outcome IS NULL"""


# Behind the stamps: a BEFORE UPDATE trigger of the clinic's may have dropped them by RAISE(IGNORE), or the row is gone.
_IS_STAMPED = """SELECT RAISE(ABORT, 'a trigger keeps this row from being stamped: let it name columns (UPDATE OF ...)')
        WHERE changes() = 0 AND EXISTS (SELECT 1 FROM patients WHERE id = NEW.id)"""

# Whether ours is at work: its UPDATE of patients sets off triggers of the clinic's, and what those do to other rows
# sets off no trigger that is at work already, without recursive_triggers. So insert and update have a second one.
_AT_WORK = "(SELECT stamping FROM patient_version_counter) > 0"


def _inserted(name: str, columns: tuple[str, ...], condition: str) -> str:
    return f"""CREATE TRIGGER {name} AFTER INSERT ON patients {condition}
    BEGIN
        UPDATE patient_version_counter SET last = last + 1, stamping = stamping + 1;
        UPDATE patients SET version = (SELECT last FROM patient_version_counter),
            recorded_at = {_NOW}, updated_at = {_NOW},
            labelled_at = CASE WHEN outcome IS NOT NULL THEN {_NOW} END
        WHERE id = NEW.id;
        {_IS_STAMPED};
        UPDATE patients SET labelled_at = CASE WHEN outcome IS NOT NULL THEN {_NOW} END
        WHERE id = NEW.id AND {_MISMATCH};
        UPDATE patient_version_counter SET stamping = stamping - 1;
        DELETE FROM scoring_queue WHERE patient_id = NEW.id;
        {_enqueue(columns)};
    END"""


# What our UPDATE sets off of the clinic's may change the outcome of this row too: so stamps are looked at once more.
def _updated(name: str, columns: tuple[str, ...], condition: str) -> str:
    new_version = _new_version(columns)
    needs_stamps = f"""{new_version} OR NEW.outcome IS NOT OLD.outcome
            OR (NEW.outcome IS NOT NULL AND OLD.labelled_at IS NULL)"""
    return f"""CREATE TRIGGER {name} AFTER UPDATE OF {listed(columns)}, outcome ON patients
    WHEN {condition}({needs_stamps})
    BEGIN
        UPDATE patient_version_counter SET last = max(last, OLD.version) + {new_version}, stamping = stamping + 1;
        UPDATE patients SET
            version = CASE WHEN {new_version} THEN (SELECT last FROM patient_version_counter) ELSE version END,
            updated_at = {_NOW},
            labelled_at = CASE WHEN outcome IS NULL THEN NULL
                               WHEN outcome IS OLD.outcome AND labelled_at IS NOT NULL THEN labelled_at
                               ELSE {_NOW} END
        WHERE id = NEW.id;
        {_IS_STAMPED};
        UPDATE patient_version_counter SET last = last + EXISTS (
            SELECT 1 FROM patients WHERE id = NEW.id AND outcome IS NULL AND labelled_at IS NOT NULL);
        UPDATE patients SET
            version = CASE WHEN outcome IS NULL THEN (SELECT last FROM patient_version_counter) ELSE version END,
            labelled_at = CASE WHEN outcome IS NOT NULL THEN {_NOW} END
        WHERE id = NEW.id AND {_MISMATCH};
        UPDATE patient_version_counter SET stamping = stamping - 1;
        DELETE FROM scoring_queue WHERE patient_id = NEW.id AND NOT EXISTS (
            SELECT 1 FROM patients WHERE id = NEW.id AND version = patient_version AND outcome IS NULL);
        {_enqueue(columns)} AND version IS NOT OLD.version
            AND NOT EXISTS (SELECT 1 FROM scoring_queue WHERE patient_id = NEW.id);
    END"""


_BY_FEATURES = ("patients_inserted", "patients_inserted_meanwhile", "patients_updated", "patients_updated_meanwhile")
_OTHERS = {
    "patients_deleted": """CREATE TRIGGER patients_deleted AFTER DELETE ON patients
    BEGIN
        DELETE FROM scoring_queue WHERE patient_id = OLD.id AND NOT EXISTS (
            SELECT 1 FROM patients WHERE id = OLD.id AND version = patient_version AND outcome IS NULL);
    END""",
    "patients_id_is_fixed": """CREATE TRIGGER patients_id_is_fixed
    BEFORE UPDATE OF id ON patients WHEN NEW.id IS NOT OLD.id
    BEGIN
        SELECT RAISE(ABORT, 'patients.id is never changed: delete the row and insert another');
    END""",
    # The next drawn id is above every given one. Of an id that is still to be drawn NEW.id is -1 here.
    "patients_id_leaves_room": f"""CREATE TRIGGER patients_id_leaves_room
    BEFORE INSERT ON patients WHEN NEW.id > {LARGEST_GIVEN_ID}
    BEGIN
        SELECT RAISE(ABORT, 'patients.id is at most {LARGEST_GIVEN_ID}, so that there are ids left to draw');
    END""",
    # Only the triggers above set these; `stamping` is above 0 while they do, and nobody else can see it so.
    "patients_stamps_are_drawn": """CREATE TRIGGER patients_stamps_are_drawn
    BEFORE UPDATE OF version, labelled_at, recorded_at ON patients
    WHEN (SELECT stamping FROM patient_version_counter) = 0 AND (NEW.version IS NOT OLD.version
        OR NEW.labelled_at IS NOT OLD.labelled_at OR NEW.recorded_at IS NOT OLD.recorded_at)
    BEGIN
        SELECT RAISE(ABORT, 'version, labelled_at and recorded_at are set by the database: leave them out');
    END""",
}


@cache
def statements(columns: tuple[str, ...]) -> dict[str, str]:
    """What makes each trigger, by its name, on a table with these features' columns."""
    inserted, inserted_meanwhile, updated, updated_meanwhile = _BY_FEATURES
    return {
        inserted: _inserted(inserted, columns, ""),
        inserted_meanwhile: _inserted(inserted_meanwhile, columns, f"WHEN {_AT_WORK}"),
        updated: _updated(updated, columns, ""),
        updated_meanwhile: _updated(updated_meanwhile, columns, f"{_AT_WORK} AND "),
        **_OTHERS,
    }


def make(connection: Connection, columns: tuple[str, ...]) -> None:
    """Make the triggers anew, whatever stands there under their names."""
    drop(connection)
    for statement in statements(columns).values():
        connection.exec_driver_sql(statement)


def drop(connection: Connection) -> None:
    """Take the triggers away."""
    for name in (*_BY_FEATURES, *_OTHERS):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def fault(connection: Connection, columns: tuple[str, ...]) -> str | None:
    """What of the triggers is not as `make` makes it, in words; None where all is well."""
    rows = connection.execute(text("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
    found = {row.name: row.sql for row in rows if row.tbl_name.lower() == "patients"}
    made = statements(columns)
    for name, statement in made.items():
        if name not in found:
            return f"the trigger {name} on patients is missing"
        if _plain(found[name]) != _plain(statement):
            return f"the trigger {name} on patients is not the one that was made: it does something else"
    others = [read(row.name, row.tbl_name, row.sql) for row in rows if row.name not in made]
    for other in others:
        if what := _undoes(other, _reached(others)):
            return what
    if connection.scalar(text("SELECT stamping FROM patient_version_counter")):
        return "a statement on patients was ended in its middle, by FAIL (then run python -m jobs.requeue for its rows)"
    return None


def mend_counter(connection: Connection) -> None:
    """Put the counter above every version that there is, and say that no trigger is at work.

    In a transaction that writes none is; a statement that was ended by FAIL while one was has left it so. A counter
    that is behind its rows was restored without them, or set by hand, and would draw versions a second time.
    """
    largest = ", ".join(f"coalesce((SELECT max({column}) FROM {table}), 0)" for table, column in _VERSIONS.items())
    connection.exec_driver_sql(f"UPDATE patient_version_counter SET stamping = 0, last = max(last, {largest})")


_VERSIONS = {
    "patients": "version",
    "scoring_queue": "patient_version",
    "predictions": "patient_version",
    "rejections": "patient_version",
}

# The tables that ours or the scorer write to, on which a trigger may drop a row without a word.
_WRITTEN = ("scoring_queue", "predictions", "rejections")


def _undoes(other: TriggerText, reached: set[str]) -> str | None:
    """What a trigger that is not ours may do to the work of ours, in words.

    Where a BEFORE trigger on patients drops a row, nothing was written and nothing is lost; where it drops the stamps,
    ours say so.
    """
    where = f"the trigger {other.name} on {other.table}"
    if other.table in _WRITTEN and (other.is_before or other.drops):
        return f"{where} could drop what is written there"
    if other.table == "patients" and other.drops and not other.is_before:
        return (
            f"{where} may keep those that queue its rows from running, by RAISE(IGNORE) in an AFTER trigger (say with"
            " WHEN which rows it is for, then run python -m jobs.requeue)"
        )
    # Ahead of an insert or a deletion nothing of the row is written yet; an update may be ours, which stamps the row.
    nothing_is_written = other.table == "patients" and other.is_before and other.event != "update"
    if other.table in reached and other.fails and not nothing_is_written:
        return f"{where} may leave a patient's row half written, by FAIL (ABORT takes the whole statement back)"
    return None


def _reached(others: list[TriggerText]) -> set[str]:
    """The tables whose triggers a write to patients may set off."""
    reached = {"patients", "scoring_queue"}
    while (
        more := {
            other.table for other in others if any(other.table in by.words for by in others if by.table in reached)
        }
        - reached
    ):
        reached |= more
    return reached


def _plain(statement: str) -> str:
    """Without the quotes that ALTER TABLE ... RENAME puts round a table's name."""
    return statement.replace('"', "")
