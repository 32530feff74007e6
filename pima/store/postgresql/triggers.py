"""PostgreSQL's triggers on `patients`: a row trigger stamps version and times, statement triggers keep the queue.

The queue's triggers go by the row as it stands when they fire, not by what their statement made of it: a clinic's own
triggers may have changed it since, and a row may be deleted and inserted in one statement. An entry gives way only to
a newer version.

They run with the owner's rights, so that a loader needs none on the queue, and with a fixed search_path, so that nobody
can slip another scoring_queue under them. The stamping trigger runs with the writer's rights (a definer's would cost
each row a switch), and comes last of the BEFORE triggers, which fire in the order of their names.

Under `session_replication_role = replica`, which logical replication's apply has too, the stamps are drawn as ever.
Statement triggers do not fire in an apply, so there a row trigger that fires nowhere else keeps the queue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, text

from pima.core.features import KEYS
from pima.store.columns import assigned, listed
from pima.store.postgresql import counter
from pima.store.postgresql.schema import schema_of_patients
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

STAMP = "zzz_patients_stamped"
ORIGIN, ALWAYS, REPLICA = "O", "A", "R"
"""pg_trigger.tgenabled: fires in ordinary sessions, in all, and in those of a replica alone."""

_WORDS = {ORIGIN: "ENABLE", ALWAYS: "ENABLE ALWAYS", REPLICA: "ENABLE REPLICA"}
# pg_trigger.tgtype, of PostgreSQL's src/include/catalog/pg_trigger.h.
_BITS = {"ROW": 1, "STATEMENT": 0, "BEFORE": 2, "AFTER": 0, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger, on patients where nothing else is said."""

    name: str
    when: str
    """BEFORE or AFTER"""
    events: tuple[str, ...]
    level: str
    """ROW or STATEMENT"""
    function: str
    fires: str
    """ORIGIN, ALWAYS or REPLICA"""
    old_rows: str | None = None
    """The transition table's name in the function."""
    new_rows: str | None = None
    condition: str | None = None
    """Of the rows that it is for, as the catalogue writes it."""

    @property
    def bits(self) -> int:
        """As pg_trigger.tgtype has it."""
        return sum(_BITS[word] for word in (self.level, self.when, *self.events))

    def statements(self, function: str, table: str = "patients") -> Iterator[str]:
        """What makes it, with its function's name in full, and the table's as a statement has it."""
        rows = [f"OLD TABLE AS {self.old_rows}"] if self.old_rows else []
        rows += [f"NEW TABLE AS {self.new_rows}"] if self.new_rows else []
        referencing = f"REFERENCING {' '.join(rows)}" if rows else ""
        when = f"WHEN ({self.condition})" if self.condition else ""
        yield f"""CREATE TRIGGER {self.name} {self.when} {" OR ".join(self.events)} ON {table} {referencing}
            FOR EACH {self.level} {when} EXECUTE FUNCTION {function}()"""
        yield f"ALTER TABLE {table} {_WORDS[self.fires]} TRIGGER {self.name}"


_KEY_CHANGES = " OR ".join(f"(old.{key} IS DISTINCT FROM new.{key})" for key in KEYS)
TRIGGERS = (
    Trigger(STAMP, "BEFORE", ("INSERT", "UPDATE"), "ROW", "stamp_patient", ALWAYS),
    Trigger("patients_inserted", "AFTER", ("INSERT",), "STATEMENT", "enqueue_inserted", ORIGIN, new_rows="new_rows"),
    Trigger("patients_updated", "AFTER", ("UPDATE",), "STATEMENT", "enqueue_updated", ORIGIN, "old_rows", "new_rows"),
    # A row's, since its condition costs an update without keys nothing that can be measured.
    Trigger("patients_key_changed", "AFTER", ("UPDATE",), "ROW", "keep_changed_key", ALWAYS, condition=_KEY_CHANGES),
    Trigger("patients_deleted", "AFTER", ("DELETE",), "STATEMENT", "dequeue_deleted", ORIGIN, old_rows="old_rows"),
    Trigger("patients_truncated", "AFTER", ("TRUNCATE",), "STATEMENT", "dequeue_truncated", ALWAYS),
    Trigger("patients_replicated", "AFTER", ("INSERT", "UPDATE", "DELETE"), "ROW", "queue_replicated", REPLICA),
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


# Said by the statement that goes through the new rows anyway, and asked by the next, so that rows without keys cost
# nothing: a statement of its own that looks for keys would cost a single row's insert two fifths more. Nothing of
# anybody else's runs between the two.
_KEYS_HAVE_COME = f"current_setting('pima.keys_have_come', true) {_IS} 'yes'"
_SAYS_THAT_KEYS_COME = f"""{says_whose("n")} AND ({_KEYS_HAVE_COME}) IS NOT TRUE
            AND set_config('pima.keys_have_come', 'yes', true) IS NULL"""

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
            NEW.labelled_at := CASE WHEN NEW.outcome IS NULL THEN NULL
                WHEN NEW.labelled_at IS NOT NULL AND {_LABEL_IS_GIVEN} THEN least(NEW.labelled_at, NEW.updated_at)
                ELSE NEW.updated_at END;
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
        # same writer, who has held its entry since then.
        "enqueue_inserted": f"""
    BEGIN
        INSERT INTO scoring_queue ({queue_columns})
        SELECT {_of("n", columns)} FROM new_rows n
        WHERE CASE WHEN {_SAYS_THAT_KEYS_COME} THEN false WHEN n.outcome IS NULL THEN {_IS_AS_IT_WAS} ELSE false END
        {unless_newer};
        IF {_KEYS_HAVE_COME} THEN{_keep_keys("new_rows", "n", PERSON_STAYS, has_key("n"))}
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
    BEGIN{_placeholders("(SELECT touched AS id)", "TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND NEW.outcome IS NOT NULL)")}
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


_FUNCTIONS = tuple(dict.fromkeys(trigger.function for trigger in TRIGGERS))
_DEFINERS = tuple(name for name in _FUNCTIONS if name != "stamp_patient")
# Plans are kept for a session, and a table's size when they were made says nothing of its size now: by key, always.
_BY_KEY = ("enable_seqscan=off", "enable_bitmapscan=off", "enable_hashjoin=off", "enable_mergejoin=off")


def _settings(function: str, schema: str) -> list[str]:
    """Each costs a single row's insert half a per cent; a function that joins nothing needs the first alone."""
    if function not in _DEFINERS:
        return []
    by_key = _BY_KEY[:1] if function == "enqueue_inserted" else _BY_KEY
    # pg_temp last: unnamed it comes first, and anybody may make a temporary scoring_queue.
    return [f"search_path={schema}, pg_temp", *by_key]


def make(connection: Connection, columns: tuple[str, ...]) -> None:
    """Make functions and triggers anew, whatever stands there under their names, and their counter as it should be."""
    schema = schema_of_patients(connection)
    owner = connection.scalar(text("SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c" + _PATIENTS))
    drop(connection)
    counter.make(connection, schema)
    for name, body in functions(columns, schema).items():
        quoted = body.replace("'", "''")
        secure = "SECURITY DEFINER" if name in _DEFINERS else ""
        connection.exec_driver_sql(
            f"CREATE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql {secure} AS '{quoted}'"
        )
        # Whoever migrates may be another, as a superuser is.
        connection.exec_driver_sql(f"ALTER FUNCTION {schema}.{name}() OWNER TO {owner}")
    for name in _DEFINERS:
        for setting in _settings(name, schema):
            connection.exec_driver_sql(f"ALTER FUNCTION {schema}.{name}() SET {setting}")
        # Who has EXECUTE may hang the function on a table of their own.
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {schema}.{name}() FROM PUBLIC")
    for trigger in TRIGGERS:
        for statement in trigger.statements(f"{schema}.{trigger.function}"):
            connection.exec_driver_sql(statement)


def drop(connection: Connection) -> None:
    """Take functions and triggers away."""
    for trigger in TRIGGERS:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {trigger.name} ON patients")
    for name in _FUNCTIONS:
        # CASCADE: of a table that was rebuilt the old one has triggers of ours still.
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}() CASCADE")


_PATIENTS = " WHERE c.oid = to_regclass('patients')"
_FOUND = text(f"""
    SELECT t.tgname, t.tgenabled, t.tgtype, t.tgoldtable, t.tgnewtable,
        substring(pg_get_triggerdef(t.oid) FROM 'WHEN [(](.*)[)] EXECUTE FUNCTION') AS condition,
        t.tgnargs = 0 AND t.tgconstraint = 0 AND t.tgattr = '' AS is_plain,
        p.pronamespace = c.relnamespace AS is_beside,
        pg_get_userbyid(p.proowner) AS owner, pg_get_userbyid(c.relowner) AS owner_of_patients,
        p.proname, p.prosrc, p.prosecdef, p.proconfig, quote_ident(n.nspname) AS schema
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
    {_PATIENTS} AND NOT t.tgisinternal""")


def fault(connection: Connection, columns: tuple[str, ...]) -> str | None:
    """What of the triggers and their counter is not as `make` makes it, in words; None where all is well."""
    if what := counter.fault(connection):
        return what
    found = {row.tgname: row for row in connection.execute(_FOUND)}
    # A schema that was renamed is told by the settings of those that have some.
    for trigger in sorted(TRIGGERS, key=lambda trigger: trigger.function not in _DEFINERS):
        row = found.pop(trigger.name, None)
        if row is None or row.tgenabled == "D":
            return f"the trigger {trigger.name} on patients is missing or disabled"
        if what := _differs(trigger, functions(columns, row.schema)[trigger.function], row):
            return f"the trigger {trigger.name} on patients is not the one that was made: {what}"
    for row in found.values():
        # BEFORE triggers of rows fire by name, compared byte by byte, and change the row after ours has stamped it.
        is_before_row = row.tgtype & 3 == 3 and row.tgtype & (_BITS["INSERT"] | _BITS["UPDATE"])
        if is_before_row and row.tgenabled != "D" and row.tgname.encode() > STAMP.encode():
            return f"the trigger {row.tgname} fires after {STAMP}, and could change a row without a new version"
    return None


def _differs(trigger: Trigger, body: str, row: Any) -> str | None:
    if row.tgenabled != trigger.fires:
        return f"it was set to fire in other sessions (ALTER TABLE patients {_WORDS[trigger.fires]} TRIGGER ...)"
    if (row.tgtype, row.tgoldtable, row.tgnewtable) != (trigger.bits, trigger.old_rows, trigger.new_rows):
        return "it fires at other events"
    if row.condition != (f"({trigger.condition})" if trigger.condition else None):
        return "it is for other rows"
    if not (row.is_plain and row.is_beside and row.proname == trigger.function):
        return "it calls another function, or not always"
    if row.owner != row.owner_of_patients:
        return f"its function belongs to {row.owner}, and patients to {row.owner_of_patients}"
    if (row.prosrc, row.prosecdef) != (body, trigger.function in _DEFINERS):
        return f"the function {row.proname} does something else"
    if (row.proconfig or []) != _settings(trigger.function, row.schema):
        return f"the function {row.proname} has other settings, as after a schema was renamed"
    return None
