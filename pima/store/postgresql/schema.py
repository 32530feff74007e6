"""What PostgreSQL's catalogue says. pg_catalog, since information_schema shows only what the role has rights on."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from pima.store.postgresql.engine import without_time_limit

# Any number that no other software on the server uses: "pima" in ASCII.
_MIGRATION_LOCK = 0x70696D61
PATIENCE = "60s"
"""With whoever holds what a migration needs."""


def schema_of_patients(connection: Connection) -> str:
    """Where the tables are, in quotes where it needs them. It need not be the current schema: somebody may have made
    one that comes first."""
    named: str = connection.execute(
        text("""
            SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = to_regclass('patients')""")
    ).scalar_one()
    return named


def columns(connection: Connection, tables: Sequence[str]) -> dict[str, str]:
    """Each column of the tables that an unqualified name means here -> its type."""
    rows = connection.execute(
        text("""
            SELECT c.relname || '.' || a.attname,
                format_type(a.atttypid, a.atttypmod)
                    || coalesce(' collate "' || lower(o.collname) || '"', '')
                    || CASE WHEN a.attgenerated <> '' THEN ', computed' ELSE '' END
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
                LEFT JOIN pg_collation o ON o.oid = a.attcollation AND o.oid <> t.typcollation
            WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(:tables) AND pg_table_is_visible(c.oid)
              AND a.attnum > 0 AND NOT a.attisdropped"""),
        {"tables": list(tables)},
    )
    return {row[0]: row[1] for row in rows}


def fault_of_names(connection: Connection, names: Sequence[str]) -> str | None:
    """A schema that comes first in the search path, as one named like the role does by default, hides what others hold
    under the same names: jobs would write to one table, and the triggers to the other."""
    row = connection.execute(
        text("""
            SELECT c.relname AS name, quote_ident(cn.nspname) AS here, quote_ident(pn.nspname) AS there
            FROM pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace
                CROSS JOIN pg_class c JOIN pg_namespace cn ON cn.oid = c.relnamespace
            WHERE p.oid = to_regclass('patients') AND c.relname = ANY(:names)
                AND c.relkind NOT IN ('i', 't') AND pg_table_is_visible(c.oid) AND c.relnamespace <> p.relnamespace
            ORDER BY c.relname LIMIT 1"""),
        {"names": list(names)},
    ).first()
    if row is None:
        return None
    return f"{row.name} is {row.here}.{row.name} for this role and patients {row.there}.patients (see search_path)"


def fault_of_tables(connection: Connection, tables: Sequence[str]) -> str | None:
    """Relatives, policies, rules or triggers of a table, by which its name means more, or less, than its rows; and
    whether a crash would empty it."""
    rows = connection.execute(
        text("""
            SELECT c.relname, row_security_active(c.oid) AS hides, c.relhasrules AS rewrites,
                c.relpersistence = 'u' AS forgets,
                -- The functions of the triggers are the owner's of patients, and see what that role sees.
                c.relrowsecurity AND NOT (o.rolsuper OR o.rolbypassrls)
                    AND (c.relforcerowsecurity OR NOT pg_has_role(o.oid, c.relowner, 'USAGE')) AS hides_from_functions,
                o.rolname AS owner, c.relname IN ('row_keys', 'scoring_queue') AND NOT (
                    has_table_privilege(o.oid, c.oid, 'SELECT') AND has_table_privilege(o.oid, c.oid, 'INSERT')
                    AND has_table_privilege(o.oid, c.oid, 'UPDATE') AND has_table_privilege(o.oid, c.oid, 'DELETE')
                ) AS is_closed_to_functions,
                EXISTS (SELECT 1 FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
                -- BEFORE triggers of rows, by tgtype.
                CASE WHEN c.relname <> 'patients' THEN (
                    SELECT min(t.tgname) FROM pg_trigger t
                    WHERE t.tgrelid = c.oid AND t.tgtype & 3 = 3 AND t.tgenabled <> 'D') END AS changed_by
            FROM pg_class c CROSS JOIN pg_class patients JOIN pg_roles o ON o.oid = patients.relowner
            WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(:tables) AND pg_table_is_visible(c.oid)
                AND patients.oid = to_regclass('patients')
            ORDER BY c.relname"""),
        {"tables": list(tables)},
    )
    return next((what for row in rows if (what := _fault_of_table(row)) is not None), None)


def _fault_of_table(row: Any) -> str | None:
    if row.hides:
        return f"row security hides rows of {row.relname} from this role, which would miss them without a word"
    if row.hides_from_functions:
        return (
            f"row security hides rows of {row.relname} from the owner of patients, as whom the triggers keep the queue"
        )
    if row.is_closed_to_functions:
        return (
            f"{row.owner}, the owner of patients and of its triggers' functions, may not write {row.relname}"
            f" (ALTER TABLE {row.relname} OWNER TO {row.owner})"
        )
    if row.rewrites:
        return f"{row.relname} has a rule, which rewrites statements behind the triggers' back"
    if row.inherits:
        return f"{row.relname} has child tables or is one, and what is written by way of the other is never queued"
    if row.forgets:
        return (
            f"{row.relname} is unlogged, and empty after a crash of the server (ALTER TABLE {row.relname} SET LOGGED)"
        )
    if row.changed_by:
        return f"the BEFORE trigger {row.changed_by} on {row.relname} could change or drop what is written there"
    return None


def wait_for_other_migrations(connection: Connection) -> None:
    """The lock is held to the end of this transaction, so nothing is left behind in a pool."""
    without_time_limit(connection)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def keep_patients(connection: Connection) -> None:
    """From readers too: one that then wants to write would wait for us, and we for it, when the triggers are made."""
    connection.execute(text("LOCK TABLE patients IN ACCESS EXCLUSIVE MODE"))


def wait_for_batches(connection: Connection) -> None:
    """A claim locks rows of the queue, which this mode does not go together with."""
    connection.execute(text("LOCK TABLE scoring_queue IN EXCLUSIVE MODE"))
