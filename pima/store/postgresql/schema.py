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
    """Say what makes a table more, or less, than the rows that pima relies on; None where nothing does."""
    rows = connection.execute(
        text("""
            SELECT c.relname, c.relrowsecurity, c.relhasrules, c.relpersistence = 'u' AS is_unlogged,
                EXISTS (SELECT 1 FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
                EXISTS (SELECT 1 FROM pg_subscription_rel s WHERE s.srrelid = c.oid) AS is_subscribed,
                -- BEFORE triggers of rows, by tgtype.
                CASE WHEN c.relname <> 'patients' THEN (
                    SELECT min(t.tgname) FROM pg_trigger t
                    WHERE t.tgrelid = c.oid AND t.tgtype & 3 = 3 AND t.tgenabled <> 'D') END AS before
            FROM pg_class c
            WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(:tables) AND pg_table_is_visible(c.oid)
            ORDER BY c.relname"""),
        {"tables": list(tables)},
    )
    return next((what for row in rows if (what := _fault_of_table(row)) is not None), None)


def _fault_of_table(row: Any) -> str | None:
    faults = {
        f"{row.relname} has row security, which may hide rows": row.relrowsecurity,
        f"{row.relname} has a rule, which rewrites statements behind the triggers' back": row.relhasrules,
        f"{row.relname} has child tables or is one, whose writes fire other triggers": row.inherits,
        f"{row.relname} is unlogged, and empty after a crash of the server": row.is_unlogged,
        f"a subscription writes to {row.relname}, which fires no triggers of statements": row.is_subscribed,
        f"the BEFORE trigger {row.before} on {row.relname} could change or drop what is written there": row.before,
    }
    return next((what for what, is_there in faults.items() if is_there), None)


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
