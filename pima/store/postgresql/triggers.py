"""PostgreSQL's triggers on `patients`: a row trigger stamps version and times, statement triggers keep the queue.

Their functions run with the owner's rights, so that a loader needs none on the queue, and with a fixed search_path, so
that nobody can slip another scoring_queue under them. The stamping one runs with the writer's rights (a definer's would
cost each row a switch), and comes last of the BEFORE triggers, which fire in the order of their names.

Under `session_replication_role = replica`, which logical replication's apply has too, the stamps are drawn as ever.
Statement triggers do not fire in an apply, so there a row trigger that fires nowhere else keeps the queue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from pima.core.features import KEYS
from pima.store.postgresql import counter
from pima.store.postgresql.schema import schema_of_patients
from pima.store.postgresql.trigger_functions import functions

STAMP = "zzz_patients_stamped"
ORIGIN, ALWAYS, REPLICA = "O", "A", "R"
"""pg_trigger.tgenabled: fires in ordinary sessions, in all, and in those of a replica alone."""

_WORDS = {ORIGIN: "ENABLE", ALWAYS: "ENABLE ALWAYS", REPLICA: "ENABLE REPLICA"}
# pg_trigger.tgtype, of PostgreSQL's src/include/catalog/pg_trigger.h.
_BITS = {"ROW": 1, "STATEMENT": 0, "BEFORE": 2, "AFTER": 0, "INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger on patients."""

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

    def statements(self, function: str) -> Iterator[str]:
        """What makes it, with its function's name in full."""
        rows = [f"OLD TABLE AS {self.old_rows}"] if self.old_rows else []
        rows += [f"NEW TABLE AS {self.new_rows}"] if self.new_rows else []
        referencing = f"REFERENCING {' '.join(rows)}" if rows else ""
        when = f"WHEN ({self.condition})" if self.condition else ""
        yield f"""CREATE TRIGGER {self.name} {self.when} {" OR ".join(self.events)} ON patients {referencing}
            FOR EACH {self.level} {when} EXECUTE FUNCTION {function}()"""
        yield f"ALTER TABLE patients {_WORDS[self.fires]} TRIGGER {self.name}"


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
