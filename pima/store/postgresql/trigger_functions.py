"""What PostgreSQL's trigger functions on `patients` do, in PL/pgSQL.

The queue's go by the row as it stands when they fire, not by what their statement made of it: a clinic's own triggers
may have changed it since, and a row may be deleted and inserted in one statement. An entry gives way only to a newer
version.
"""

from functools import cache

from pima.store.columns import assigned, listed
from pima.store.postgresql.words import WORDS
from pima.store.row_keys import (
    ID_IS_FIXED,
    KEY_IS_FIXED,
    NO_KEYS,
    OTHER_KEY,
    PERSON_STAYS,
    are_keys,
    has_key,
    kept_again,
    person_changes,
    says_whose,
    side_key,
)

# OFFSET 0 keeps the planner from making a join of it: one look-up by key a row, whatever plan the session has kept.
_WAITS = "EXISTS (SELECT 1 FROM patients p WHERE p.id = {} AND p.outcome IS NULL {} OFFSET 0)"
_IS_AS_IT_WAS = _WAITS.format("n.id", "AND p.version = n.version")
_ENTRY_IS_TRUE = _WAITS.format("q.patient_id", "AND p.version = q.patient_version")
# The rows that have drawn a version. Grouped, not joined: without hash joins two transition tables would be walked
# against each other.
_CHANGED = """
            SELECT id FROM (SELECT id, version FROM new_rows UNION ALL SELECT id, version FROM old_rows) AS versions
            GROUP BY id HAVING min(version) <> max(version)"""

_IS, _IS_NOT, _PLUS = (f"OPERATOR(pg_catalog.{operator})" for operator in ("=", "<>", "+"))
"""In the stamping trigger, which has the writer's search_path: an operator of the writer's own may come first there.
IS DISTINCT FROM has such an operator in it."""
# The sequence's name is read once a session so, and not once a row: two microseconds of an insert's thirty.
_NEXT_VERSION = "pg_catalog.nextval('{sequence}'::pg_catalog.regclass)"

# In a snapshot from before, an entry that `requeue` has made meanwhile can't be seen, and would stay; nothing stands in
# the writer's way either, since requeue has only looked at the row. A placeholder meets the entry: the writer is told
# to begin again (40001).
_SNAPSHOT_IS_OLD = "pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable')"


def _placeholders(rows: str, condition: str) -> str:
    return f"""
        IF {_SNAPSHOT_IS_OLD} THEN
            INSERT INTO scoring_queue (patient_id, patient_version)
            SELECT r.id, 0 FROM {rows} r WHERE {condition} ON CONFLICT (patient_id) DO NOTHING;
        END IF;"""


# Such a snapshot also shows a row that somebody else has deleted, beside the one of its id that is inserted: what is
# looked up by id may be either.
DELETED_MEANWHILE = "another transaction has deleted a row of this id, which this one still sees: begin again"


def _begins_again_beside_a_deleted_row(rows: str) -> str:
    return f"""
        IF {_SNAPSHOT_IS_OLD} THEN
            IF EXISTS (SELECT 1 FROM {rows} r WHERE (SELECT count(*) FROM patients p WHERE p.id = r.id) > 1) THEN
                RAISE EXCEPTION '{DELETED_MEANWHILE}' USING ERRCODE = 'serialization_failure';
            END IF;
        END IF;"""


_TOUCHED = "(SELECT touched AS id)"
_GOES_OFF = "TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND NEW.outcome IS NOT NULL)"

# Said by the statement that goes through the new rows anyway, and asked by the next, so that rows without keys cost
# nothing: a statement of its own that looks for keys would cost a single row's insert two fifths more. Nothing of
# anybody else's runs between the two.
_KEYS_HAVE_COME = f"current_setting('pima.keys_have_come', true) {_IS} 'yes'"
_SAYS_THAT_KEYS_COME = f"{says_whose('n')} AND set_config('pima.keys_have_come', 'yes', true) IS NULL"

# Said by a pull whose source tells when outcomes became known; not of what a clinic's own trigger then does.
_LABEL_IS_GIVEN = (
    f"(coalesce(pg_catalog.current_setting('pima.labelled_at', true) {_IS} 'given', false)"
    f" AND pg_catalog.pg_trigger_depth() {_IS} 1)"
)


def _keep_keys(rows: str, first: str, person: str, condition: str = "true") -> str:
    """What the rows were called when they first came, whatever they were then, and whose they are; an id that comes
    again keeps its side.

    A source's key that had another id meets the table's own constraint.
    """
    return f"""
        IF EXISTS (SELECT 1 FROM {rows} n WHERE NOT ({are_keys("n", WORDS)})) THEN
            RAISE EXCEPTION '{NO_KEYS}' USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO row_keys (patient_id, source, source_key, side_key, person_key)
        SELECT n.id, n.source, n.source_key, {side_key(first)}, n.person_key
        FROM {rows} n WHERE {condition} ORDER BY n.id
        ON CONFLICT (patient_id) DO UPDATE SET {kept_again("EXCLUDED", person)};
        IF EXISTS (SELECT 1 FROM {rows} n WHERE n.source IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM row_keys k
                WHERE k.patient_id = n.id AND k.source = n.source AND k.source_key = n.source_key OFFSET 0)) THEN
            RAISE EXCEPTION '{OTHER_KEY}' USING ERRCODE = 'integrity_constraint_violation';
        END IF;"""


def _has_changed(columns: tuple[str, ...]) -> str:
    """As rows, not side by side: two rows are compared by their types' own order, in which NULL is NULL."""
    rows = (f"ROW({listed(columns, row)})::pg_catalog.record" for row in ("NEW", "OLD"))
    return f" {_IS_NOT} ".join(rows)


def _of(row: str, columns: tuple[str, ...]) -> str:
    return f"{row}.id, {row}.version, {listed(columns, row)}, {row}.updated_at"


@cache
def functions(columns: tuple[str, ...], schema: str) -> dict[str, str]:
    """The body of each trigger function, by its name, for a table in this schema with these features' columns."""
    next_version = _NEXT_VERSION.format(sequence=f"{schema}.patient_version".replace("'", "''"))
    queue_columns = f"patient_id, patient_version, {listed(columns)}, enqueued_at"
    unless_newer = f"""ON CONFLICT (patient_id) DO UPDATE
        SET patient_version = EXCLUDED.patient_version, {assigned((*columns, "enqueued_at"), "EXCLUDED")}
        WHERE scoring_queue.patient_version < EXCLUDED.patient_version"""
    # A row that was written while these triggers were switched off is stamped at its next update: a version of 0, an
    # outcome without its time, or a time without its outcome.
    return {
        "stamp_patient": f"""
    BEGIN
        NEW.updated_at := pg_catalog.clock_timestamp();
        IF TG_OP {_IS} 'INSERT' THEN
            NEW.version := {next_version};
            NEW.recorded_at := NEW.updated_at;
            IF NEW.outcome IS NOT NULL OR NEW.labelled_at IS NOT NULL THEN
                NEW.labelled_at := CASE WHEN NEW.outcome IS NULL THEN NULL
                    WHEN NEW.labelled_at IS NOT NULL AND {_LABEL_IS_GIVEN} THEN least(NEW.labelled_at, NEW.updated_at)
                    ELSE NEW.updated_at END;
            END IF;
            RETURN NEW;
        END IF;
        IF NEW.id {_IS_NOT} OLD.id THEN
            RAISE EXCEPTION '{ID_IS_FIXED}' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        NEW.recorded_at := OLD.recorded_at;
        NEW.version := OLD.version;
        IF {_has_changed(columns)} OR OLD.version {_IS} 0
            OR (NEW.outcome IS NULL AND (OLD.outcome IS NOT NULL OR OLD.labelled_at IS NOT NULL)) THEN
            NEW.version := greatest({next_version}, OLD.version {_PLUS} 1);
        END IF;
        NEW.labelled_at := CASE WHEN NEW.outcome IS NULL THEN NULL
            WHEN NEW.outcome {_IS} OLD.outcome AND NEW.labelled_at {_IS} OLD.labelled_at THEN OLD.labelled_at
            WHEN NEW.labelled_at IS NOT NULL AND {_LABEL_IS_GIVEN} THEN least(NEW.labelled_at, NEW.updated_at)
            WHEN NEW.outcome {_IS} OLD.outcome AND OLD.labelled_at IS NOT NULL THEN OLD.labelled_at
            ELSE NEW.updated_at END;
        RETURN NEW;
    END""",
        # In the order in which they came: sorting costs an insert of one row a fifteenth, and keeps nobody from a
        # deadlock. Nobody else can see a new row to make an entry of it; a row that was there before was deleted by the
        # same writer, who has held its entry since then. Whether keys have come or the snapshot is old is one question
        # first: where neither is so, two would cost a single row's insert more.
        "enqueue_inserted": f"""
    BEGIN
        INSERT INTO scoring_queue ({queue_columns})
        SELECT {_of("n", columns)} FROM new_rows n
        WHERE CASE WHEN {_SAYS_THAT_KEYS_COME} THEN false WHEN n.outcome IS NULL THEN {_IS_AS_IT_WAS} ELSE false END
        {unless_newer};
        IF {_KEYS_HAVE_COME} OR {_SNAPSHOT_IS_OLD} THEN{_begins_again_beside_a_deleted_row("new_rows")}
            IF {_KEYS_HAVE_COME} THEN{_keep_keys("new_rows", "n", PERSON_STAYS, has_key("n"))}
            END IF;
        END IF;
        RETURN NULL;
    END""",
        "enqueue_updated": f"""
    BEGIN{_placeholders("new_rows", "r.outcome IS NOT NULL")}
        DELETE FROM scoring_queue q USING new_rows n
        WHERE q.patient_id = n.id AND n.outcome IS NOT NULL AND NOT {_WAITS.format("n.id", "")};
        INSERT INTO scoring_queue ({queue_columns})
        SELECT {_of("p", columns)} FROM ({_CHANGED}) AS changed CROSS JOIN LATERAL (
            SELECT * FROM patients p WHERE p.id = changed.id AND p.outcome IS NULL OFFSET 0) AS p
        ORDER BY p.id
        {unless_newer};
        RETURN NULL;
    END""",
        "keep_changed_key": f"""
    BEGIN
        IF OLD.source IS NOT NULL AND (NEW.source, NEW.source_key) IS DISTINCT FROM (OLD.source, OLD.source_key) THEN
            RAISE EXCEPTION '{KEY_IS_FIXED}' USING ERRCODE = 'integrity_constraint_violation';
        END IF;{_keep_keys("(SELECT NEW.*)", "OLD", person_changes(WORDS))}
        RETURN NULL;
    END""",
        "dequeue_deleted": f"""
    BEGIN{_placeholders("old_rows", "true")}
        DELETE FROM scoring_queue q USING old_rows o WHERE q.patient_id = o.id AND NOT {_ENTRY_IS_TRUE};
        RETURN NULL;
    END""",
        # DELETE, not TRUNCATE, which would lock the queue against every scorer until the writer commits; but TRUNCATE
        # sees entries that an old snapshot does not.
        "dequeue_truncated": f"""
    BEGIN
        IF {_SNAPSHOT_IS_OLD} THEN
            TRUNCATE scoring_queue;
            INSERT INTO scoring_queue ({queue_columns})
            SELECT {_of("p", columns)} FROM patients p WHERE p.outcome IS NULL;
            RETURN NULL;
        END IF;
        DELETE FROM scoring_queue q WHERE NOT {_ENTRY_IS_TRUE};
        RETURN NULL;
    END""",
        "queue_replicated": f"""
    #variable_conflict use_variable
    DECLARE
        touched BIGINT := CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END;
    BEGIN{_begins_again_beside_a_deleted_row(_TOUCHED)}{_placeholders(_TOUCHED, _GOES_OFF)}
        DELETE FROM scoring_queue q WHERE q.patient_id = touched AND NOT {_ENTRY_IS_TRUE};
        IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.version <> OLD.version) THEN
            INSERT INTO scoring_queue ({queue_columns})
            SELECT {_of("p", columns)} FROM patients p WHERE p.id = touched AND p.outcome IS NULL
            {unless_newer};
        END IF;
        IF TG_OP = 'INSERT' AND {says_whose("NEW")} THEN{_keep_keys("(SELECT NEW.*)", "NEW", PERSON_STAYS)}
        END IF;
        RETURN NULL;
    END""",
    }
