"""What PostgreSQL's catalogue says of keys, conditions and indexes that hold, and of what views read."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

# A key that is deferrable has that in its text, and is none that ON CONFLICT can name.
_FOUND = text("""
    WITH ours AS (
        SELECT oid, relname, relkind FROM pg_class
        WHERE relname = ANY(:names) AND relkind IN ('r', 'p', 'v') AND pg_table_is_visible(oid))
    SELECT o.relname, CASE c.contype WHEN 'c' THEN 'CHECK ' || c.conname ELSE pg_get_constraintdef(c.oid) END
    FROM ours o JOIN pg_constraint c ON c.conrelid = o.oid WHERE c.contype IN ('p', 'u', 'c') AND c.convalidated
    UNION ALL
    SELECT o.relname, kind || ' on ' || a.attname
    FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid CROSS JOIN LATERAL (
        SELECT 'NOT NULL' WHERE a.attnotnull UNION ALL SELECT 'IDENTITY' WHERE a.attidentity <> '') AS has(kind)
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT o.relname, CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || i.relname
    FROM ours o JOIN pg_index x ON x.indrelid = o.oid JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indisvalid AND x.indisready
    UNION ALL
    SELECT o.relname, 'its definition as a view' FROM ours o WHERE o.relkind = 'v'
    UNION ALL
    SELECT o.relname, 'rows of ' || t.relname
    FROM ours o JOIN pg_rewrite r ON r.ev_class = o.oid
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
    WHERE o.relkind = 'v' AND pg_table_is_visible(t.oid)""")


def constraints(connection: Connection, names: Sequence[str]) -> set[tuple[str, str]]:
    """What each of these tables and views has, in the words of `pima.store.constraints`."""
    return {(name, what) for name, what in connection.execute(_FOUND, {"names": list(names)})}
