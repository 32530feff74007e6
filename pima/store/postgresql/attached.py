"""What PostgreSQL's catalogue says of a source's table and of the triggers on it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from pima.core.source import Source
from pima.store.postgresql.attaching import MISSED_LOCK, SETTINGS, body, function_of, missed_of, quoted, triggers_of
from pima.store.postgresql.schema import schema_of_patients
from pima.store.postgresql.triggers import Trigger

# A standby that replays has the numbers of its primary, and was started at another time.
_DATABASE = text("""
    SELECT pg_postmaster_start_time() || ' ' || oid FROM pg_database WHERE datname = current_database()""")


def database_id(connection: Connection) -> str:
    """Which database of which running server this is."""
    found: str = connection.execute(_DATABASE).scalar_one()
    return found


def table_id(connection: Connection, parts: Sequence[str]) -> str | None:
    """The number of what has this name for this connection."""
    named = ".".join(map(quoted, parts))
    found = connection.scalar(text("SELECT CAST(CAST(to_regclass(:name) AS oid) AS text)"), {"name": named})
    return None if found is None else str(found)


_TABLE = text("""
    SELECT c.relkind, c.relpersistence, c.relname, n.nspname,
        EXISTS (SELECT 1 FROM pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid)) AS inherits,
        EXISTS (SELECT 1 FROM pg_subscription_rel s WHERE s.srrelid = c.oid) AS is_replicated
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = :oid""")
_COLUMNS = text("""
    SELECT attname, attgenerated = 'v' AS is_computed FROM pg_attribute
    WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped""")


def obstacle(connection: Connection, table: str, source: Source) -> str | None:
    """Why triggers on the table with this number would not tell of every change, in words; None where they do."""
    oid = {"oid": int(table)}
    row = connection.execute(_TABLE, oid).one()
    if row.relkind == "p" or row.inherits:
        return (
            f"{row.relname} has partitions or child tables, or is one: what is written by way of the other is not seen"
        )
    if row.relkind != "r":
        return f"{row.relname} is no table but a view or the like"
    if row.relpersistence != "p":
        return f"{row.relname} is unlogged or temporary, so a crash of the server would empty it unseen"
    if row.is_replicated:
        return f"{row.relname} is filled by logical replication, which fires no triggers of statements"
    computed = {row.attname: row.is_computed for row in connection.execute(_COLUMNS, oid)}
    for column in source.keys:
        if computed.get(column, True):
            return f"{row.relname} has no stored column {column}, which is in the source's key"
    return None


_FUNCTION = text("""
    SELECT p.oid, p.prosrc, p.prosecdef, p.proconfig, pg_get_userbyid(p.proowner) AS owner,
        p.proowner = patients.relowner AS is_the_owners, pg_get_userbyid(patients.relowner) AS owner_of_patients,
        has_schema_privilege(p.proowner, patients.relnamespace, 'USAGE')
            AND has_table_privilege(p.proowner, to_regclass('source_changes'), 'INSERT') AS may_note,
        s.oid IS NOT NULL AS has_missed, has_sequence_privilege(p.proowner, s.oid, 'USAGE') AS may_miss,
        has_sequence_privilege(s.oid, 'SELECT') AS may_look
    FROM pg_class patients JOIN pg_proc p ON p.pronamespace = patients.relnamespace AND p.proname = :function
        LEFT JOIN pg_class s ON s.relnamespace = patients.relnamespace AND s.relname = :missed AND s.relkind = 'S'
    WHERE patients.oid = to_regclass('patients') AND p.pronargs = 0""")
_FOUND = text("""
    SELECT t.tgname, t.tgenabled, t.tgtype, t.tgoldtable, t.tgnewtable, t.tgrelid,
        t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgconstraint = 0 AND t.tgattr = '' AS is_plain
    FROM pg_trigger t WHERE t.tgfoid = :function AND NOT t.tgisinternal""")


def fault(connection: Connection, source: Source, table: str | None) -> str | None:
    """What of a source's triggers is not as `attaching` makes it for this table, in words; None where all is well.

    Without a table it is the one on which they are, if that has the source's name.
    """
    names = {"function": function_of(source.name), "missed": missed_of(source.name)}
    function = connection.execute(_FUNCTION, names).first()
    if function is None:
        return f"the function {names['function']}, which its triggers call, is missing"
    if what := _fault_of_function(function, source, schema_of_patients(connection)):
        return what
    rows = connection.execute(_FOUND, {"function": function.oid}).all()
    if len(tables := {str(row.tgrelid) for row in rows}) > 1:
        return "its triggers are on several tables"
    found = {row.tgname: row for row in rows}
    for trigger in triggers_of(source.name):
        row = found.get(trigger.name)
        if row is None:
            return f"the trigger {trigger.name} on its table is missing"
        if what := _fault_of_trigger(trigger, row):
            return f"the trigger {trigger.name} {what}"
    return _fault_of_table(connection, tables.pop(), source, table)


_AS_KEPT = sorted(f"{name}={value}".replace("'", "") for name, value in SETTINGS.items())


def _fault_of_function(row: Any, source: Source, schema: str) -> str | None:
    name = function_of(source.name)
    if row.prosrc != body(source, schema):
        return f"the function {name} notes something else than the source's key, or elsewhere"
    if not row.prosecdef or sorted(row.proconfig or []) != _AS_KEPT:
        return f"the function {name} has other settings than it was made with"
    if not row.is_the_owners:
        return f"the function {name} belongs to {row.owner}, and patients to {row.owner_of_patients}"
    if not row.may_note:
        return f"{row.owner}, as whom its triggers work, may not write to source_changes"
    if not (row.has_missed and row.may_miss and row.may_look):
        return f"the sequence {missed_of(source.name)} is missing, or may not be used"
    return None


def _fault_of_trigger(trigger: Trigger, row: Any) -> str | None:
    if row.tgenabled == "D":
        return "is disabled"
    as_made = (trigger.fires, trigger.bits, trigger.old_rows, trigger.new_rows, True)
    if (row.tgenabled, row.tgtype, row.tgoldtable, row.tgnewtable, row.is_plain) != as_made:
        return "is not as it was made: it fires in other sessions, at other events, or not always"
    return None


def _fault_of_table(connection: Connection, found: str, source: Source, table: str | None) -> str | None:
    row = connection.execute(_TABLE, {"oid": int(found)}).one()
    parts = source.table_parts
    if (row.nspname, row.relname)[-len(parts) :] != parts or table not in (None, found):
        return f"its triggers are on {row.nspname}.{row.relname}, which is another table than the source's"
    return obstacle(connection, found, source)


# A row of the catalogue has another xmin after each change, also where that was taken back. Of the clinic's own table
# no more is looked at than what its rows and triggers depend on: who may read it may change every night.
_STATE = text("""
    WITH made AS (
        SELECT p.oid AS function, p.pronamespace AS schema, to_regclass('source_changes') AS changes,
            (SELECT max(tgrelid) FROM pg_trigger WHERE tgfoid = p.oid) AS clinics
        FROM pg_proc p JOIN pg_class patients ON patients.relnamespace = p.pronamespace
        WHERE patients.oid = to_regclass('patients') AND p.proname = :function AND p.pronargs = 0)
    SELECT string_agg(is_now, ' ' ORDER BY is_now COLLATE "C") FROM (
        SELECT concat_ws(' ', 'function', p.oid, p.xmin) FROM made JOIN pg_proc p ON p.oid = function
        UNION ALL SELECT concat_ws(' ', 'trigger', t.oid, t.xmin) FROM made JOIN pg_trigger t ON t.tgfoid = function
        UNION ALL SELECT concat_ws(' ', 'schema', n.oid, n.xmin) FROM made JOIN pg_namespace n ON n.oid = schema
        UNION ALL SELECT concat_ws(' ', 'notes', c.oid, c.xmin) FROM made JOIN pg_class c ON c.oid = changes
        UNION ALL SELECT concat_ws(' ', 'missed', c.oid, c.xmin, pg_sequence_last_value(c.oid))
            FROM made JOIN pg_class c ON c.relnamespace = schema WHERE c.relname = :missed AND c.relkind = 'S'
        UNION ALL SELECT concat_ws(' ', 'table', c.oid, c.relfilenode) FROM made JOIN pg_class c ON c.oid = clinics
    ) AS found (is_now)""")
_STILL_MISSING = text("""
    SELECT string_agg(virtualtransaction, ' ' ORDER BY virtualtransaction COLLATE "C") FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = :key AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""")


def state(connection: Connection, source: str) -> str:
    """A text that is another one as soon as something may have happened that was not noted.

    As by a trigger that was switched off and on again, a lock on our table, rows that were written anew.
    """
    names = {"function": function_of(source), "missed": missed_of(source)}
    made = connection.scalar(_STATE, names)
    # After the sequence: whoever has moved it holds the lock until what was not noted can be seen.
    return f"{made} {connection.scalar(_STILL_MISSING, {'key': MISSED_LOCK})}"
