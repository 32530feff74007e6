"""The text of SQLite's triggers on `patients`: versions, times and the queue, row by row.

The counter never goes back, whatever is deleted. The UPDATEs of patients inside the triggers name none of the columns
of AFTER UPDATE OF, so no trigger starts itself, and whether recursive_triggers is on does not matter. DELETE and INSERT
instead of REPLACE: the outer statement's OR clause overrides one inside a trigger.

Triggers fire in no promised order, and a clinic's own may have changed the row since the statement that all of them
fire for. So ours go by the row as it stands, which `patients` says, and by OLD and NEW for what the statement changed.
"""

from functools import cache

from pima.core.features import KEYS
from pima.core.identifiers import LARGEST_GIVEN_ID
from pima.store.columns import any_differs, listed
from pima.store.row_keys import (
    ID_IS_FIXED,
    KEY_IS_FIXED,
    NO_KEYS,
    OTHER_ID,
    OTHER_KEY,
    PERSON_STAYS,
    are_keys,
    kept_again,
    person_changes,
    says_whose,
    side_key,
)
from pima.store.sqlite.words import WORDS

_NOW = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
# Said by a pull whose source tells when outcomes became known.
_LABEL_IS_GIVEN = "(SELECT labelling FROM patient_version_counter) = 1"
_MISMATCH = "(outcome IS NULL) <> (labelled_at IS NULL)"


def _new_version(columns: tuple[str, ...]) -> str:
    """When a measurement changes or an outcome is cleared. The rest is about rows that were written while the triggers
    were away: a version of 0, an outcome without its time, or a time without its outcome."""
    return f"""({any_differs(columns, "NEW", "IS NOT", "OLD")} OR OLD.version = 0
            OR (NEW.outcome IS NULL AND (OLD.outcome IS NOT NULL OR OLD.labelled_at IS NOT NULL)))"""


def _enqueue(columns: tuple[str, ...], since: str) -> str:
    # Of a new row since `recorded_at`: updated_at may be anything, and to ask the clock costs a tenth of an insert.
    measured = listed(columns, "patients")
    return f"""INSERT INTO scoring_queue (patient_id, patient_version, enqueued_at, {listed(columns)})
        SELECT id, version, {since}, {measured} FROM patients WHERE id = NEW.id AND outcome IS NULL"""


def _if_stamped(condition: str) -> str:
    """Behind the UPDATE that stamps the row: the condition, asked of the row where it was stamped.

    A BEFORE UPDATE trigger of the clinic's may have dropped it by RAISE(IGNORE). A row that is gone is not asked.
    """
    return f"""CASE WHEN changes() > 0 THEN {condition}
            ELSE RAISE(ABORT, 'a trigger keeps this row from being stamped: let it name columns (UPDATE OF ...)') END"""


# How many of ours are at work: their UPDATE of patients sets off triggers of the clinic's, and what those do to rows
# sets off no trigger that is at work already, without recursive_triggers. So there are several of the same, for an
# insert and for an update. Between two of ours that are at work is one of the clinic's that writes to patients, each
# time another one: one more than the clinic has of those are enough.
_AT_WORK = "(SELECT stamping FROM patient_version_counter)"
FEWEST = 2


def same(name: str, number: int) -> str:
    """The name of one of several triggers that do the same."""
    return name + ("", "_meanwhile", f"_meanwhile_{number}")[min(number, 2)]


def _turn(number: int, count: int) -> str:
    """The condition that it is the turn of one of so many; the last one's for whatever lies deeper, by recursion."""
    return f"{_AT_WORK} {'>=' if number == count - 1 else '='} {number}"


# A trigger that was made since, or that no check can see, may need more of ours than there are. Made first, these fire
# last; in another order they would refuse what needs none.
_UNSTAMPED = (
    "SELECT RAISE(ABORT, 'more triggers write to patients than pima''s were made for: run python -m jobs.migrate')"
)


def _inserted_is_stamped(name: str, count: int) -> str:
    return f"""CREATE TRIGGER {name} AFTER INSERT ON patients WHEN {_AT_WORK} >= {count}
        AND NEW.version = (SELECT version FROM patients WHERE id = NEW.id)
    BEGIN
        {_UNSTAMPED};
    END"""


def _updated_is_stamped(name: str, columns: tuple[str, ...], count: int) -> str:
    return f"""CREATE TRIGGER {name} AFTER UPDATE OF {listed(columns)}, outcome ON patients WHEN {_AT_WORK} >= {count}
        AND EXISTS (SELECT 1 FROM patients WHERE id = NEW.id
                    AND ({_MISMATCH} OR (version = NEW.version AND {_new_version(columns)})))
    BEGIN
        {_UNSTAMPED};
    END"""


def _inserted(name: str, columns: tuple[str, ...], condition: str) -> str:
    return f"""CREATE TRIGGER {name} AFTER INSERT ON patients {condition}
    BEGIN
        UPDATE patient_version_counter SET last = last + 1, stamping = stamping + 1;
        UPDATE patients SET version = (SELECT last FROM patient_version_counter),
            recorded_at = {_NOW}, updated_at = {_NOW},
            labelled_at = CASE WHEN outcome IS NULL THEN NULL
                               WHEN labelled_at IS NOT NULL AND {_LABEL_IS_GIVEN} THEN min(labelled_at, {_NOW})
                               ELSE {_NOW} END
        WHERE id = NEW.id;
        UPDATE patients SET labelled_at = CASE WHEN outcome IS NOT NULL THEN {_NOW} END
        WHERE id = NEW.id AND {_if_stamped(_MISMATCH)};
        UPDATE patient_version_counter SET stamping = stamping - 1;
        DELETE FROM scoring_queue WHERE patient_id = NEW.id;
        {_enqueue(columns, "recorded_at")};
    END"""


def _take_off_unless_true(row: str) -> str:
    # In full: patients may have a column patient_version of the clinic's, which would be meant else.
    return f"""DELETE FROM scoring_queue WHERE patient_id = {row}.id AND NOT EXISTS (
            SELECT 1 FROM patients
            WHERE id = {row}.id AND version = scoring_queue.patient_version AND outcome IS NULL)"""


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
                               WHEN labelled_at IS NOT NULL AND {_LABEL_IS_GIVEN} THEN min(labelled_at, {_NOW})
                               WHEN outcome IS OLD.outcome AND labelled_at IS NOT NULL THEN labelled_at
                               ELSE {_NOW} END
        WHERE id = NEW.id;
        UPDATE patient_version_counter SET last = last + EXISTS (
            SELECT 1 FROM patients
            WHERE id = NEW.id AND {_if_stamped("outcome IS NULL AND labelled_at IS NOT NULL")});
        UPDATE patients SET
            version = CASE WHEN outcome IS NULL THEN (SELECT last FROM patient_version_counter) ELSE version END,
            labelled_at = CASE WHEN outcome IS NOT NULL THEN {_NOW} END
        WHERE id = NEW.id AND {_MISMATCH};
        UPDATE patient_version_counter SET stamping = stamping - 1;
        {_take_off_unless_true("NEW")};
        {_enqueue(columns, _NOW)} AND version IS NOT OLD.version
            AND NOT EXISTS (SELECT 1 FROM scoring_queue WHERE patient_id = NEW.id);
    END"""


def _keep_key(first: str, person: str) -> str:
    """What the row was called when it first came, whatever it was then, and whose it is; an id that comes again keeps
    its side.

    Both are looked at, and not left to the table's constraints: the statement's OR IGNORE or OR REPLACE would have its
    way with those.
    """
    return f"""SELECT RAISE(ABORT, '{NO_KEYS}') WHERE NOT ({are_keys("NEW", WORDS)});
        SELECT RAISE(ABORT, '{OTHER_ID}') FROM row_keys
        WHERE source = NEW.source AND source_key = NEW.source_key AND patient_id <> NEW.id;
        INSERT INTO row_keys (patient_id, source, source_key, side_key, person_key)
        VALUES (NEW.id, NEW.source, NEW.source_key, {side_key(first)}, NEW.person_key)
        ON CONFLICT (patient_id) DO UPDATE SET {kept_again("excluded", person)};
        SELECT RAISE(ABORT, '{OTHER_KEY}') FROM row_keys
        WHERE patient_id = NEW.id AND (source IS NOT NEW.source OR source_key IS NOT NEW.source_key)
            AND NEW.source IS NOT NULL;"""


_OTHERS = {
    "patients_deleted": f"""CREATE TRIGGER patients_deleted AFTER DELETE ON patients
    BEGIN
        {_take_off_unless_true("OLD")};
    END""",
    # With no columns: SQLite goes by the name that a statement has for the id, which may be rowid, _rowid_ or oid.
    "patients_id_is_fixed": f"""CREATE TRIGGER patients_id_is_fixed
    BEFORE UPDATE ON patients WHEN NEW.id IS NOT OLD.id
    BEGIN
        SELECT RAISE(ABORT, '{ID_IS_FIXED}');
    END""",
    "patients_key_inserted": f"""CREATE TRIGGER patients_key_inserted AFTER INSERT ON patients
    WHEN {says_whose("NEW")}
    BEGIN
        {_keep_key("NEW", PERSON_STAYS)}
    END""",
    "patients_key_changed": f"""CREATE TRIGGER patients_key_changed AFTER UPDATE OF {listed(KEYS)} ON patients
    WHEN {any_differs(KEYS, "NEW", "IS NOT", "OLD")}
    BEGIN
        {_keep_key("OLD", person_changes(WORDS))}
    END""",
    "patients_source_key_is_fixed": f"""CREATE TRIGGER patients_source_key_is_fixed
    BEFORE UPDATE OF source, source_key ON patients
    WHEN OLD.source_key IS NOT NULL AND (NEW.source IS NOT OLD.source OR NEW.source_key IS NOT OLD.source_key)
    BEGIN
        SELECT RAISE(ABORT, '{KEY_IS_FIXED}');
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
    WHEN (SELECT stamping FROM patient_version_counter) = 0
        AND (NEW.version IS NOT OLD.version OR NEW.recorded_at IS NOT OLD.recorded_at
            OR (NEW.labelled_at IS NOT OLD.labelled_at AND (SELECT labelling FROM patient_version_counter) = 0))
    BEGIN
        SELECT RAISE(ABORT, 'version, labelled_at and recorded_at are set by the database: leave them out');
    END""",
}


@cache
def statements(columns: tuple[str, ...], count: int) -> dict[str, str]:
    """What makes each trigger, by its name, on a table with these features' columns; so many of the same each."""
    made = {
        "patients_inserted_is_stamped": _inserted_is_stamped("patients_inserted_is_stamped", count),
        "patients_updated_is_stamped": _updated_is_stamped("patients_updated_is_stamped", columns, count),
    }
    for number in range(count):
        condition = _turn(number, count) if number else ""
        inserted, updated = same("patients_inserted", number), same("patients_updated", number)
        made[inserted] = _inserted(inserted, columns, condition and f"WHEN {condition}")
        made[updated] = _updated(updated, columns, condition and f"{condition} AND ")
    return made | _OTHERS
