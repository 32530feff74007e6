"""What a table or view is that has a name, and what decides, besides its rows, what it gives to who reads it.

No row's time of change tells of that: what a view selects, how a column is computed, what an enum's values are called,
whom row security shows which rows.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

# A standby that replays has the numbers of its primary, and was started at another time.
_DATABASE = text("""
    SELECT pg_postmaster_start_time() || ' ' || oid FROM pg_database WHERE datname = current_database()""")


def database_id(connection: Connection) -> str:
    """Which database of which running server this is."""
    found: str = connection.execute(_DATABASE).scalar_one()
    return found


def table_id(connection: Connection, parts: Sequence[str]) -> str | None:
    """The number of what has this name for this connection."""
    named = ".".join('"' + part.replace('"', '""') + '"' for part in parts)
    found = connection.scalar(text("SELECT CAST(CAST(to_regclass(:name) AS oid) AS text)"), {"name": named})
    return None if found is None else str(found)


# As definitions read, so that making the same one anew is no change; of functions, whose texts may call others, which
# version. A name in them may be written with its schema or without: each session of a source has one search_path.
_DEFINITION = text("""
    WITH RECURSIVE depending (class, id, relation) AS (
        SELECT CAST('pg_rewrite' AS regclass), oid, ev_class FROM pg_rewrite
        UNION ALL SELECT CAST('pg_policy' AS regclass), oid, polrelid FROM pg_policy
    ), below (relation) AS (
        SELECT CAST(:oid AS oid)
        UNION SELECT d.refobjid
        FROM below JOIN depending USING (relation) JOIN pg_depend d ON d.classid = class AND d.objid = id
        WHERE d.refclassid = CAST('pg_class' AS regclass)
    ), columns AS (
        SELECT a.* FROM below JOIN pg_attribute a ON a.attrelid = relation WHERE a.attnum > 0 AND NOT a.attisdropped
    ), types (type) AS (
        SELECT atttypid FROM columns
        UNION SELECT t.typbasetype FROM types JOIN pg_type t ON t.oid = type WHERE t.typbasetype <> 0
    )
    SELECT string_agg(is_now, ' ' ORDER BY is_now COLLATE "C") FROM (
        SELECT concat_ws(' ', 'relation', c.oid, c.relrowsecurity, c.relforcerowsecurity, row_security_active(c.oid))
            FROM below JOIN pg_class c ON c.oid = relation
        UNION ALL SELECT concat_ws(' ', 'view', c.oid, c.relowner, c.reloptions, pg_get_viewdef(c.oid))
            FROM below JOIN pg_class c ON c.oid = relation WHERE c.relkind IN ('v', 'm')
        UNION ALL SELECT concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, atttypmod, attcollation)
            FROM columns
        UNION ALL SELECT concat_ws(' ', 'computed', attrelid, attnum, pg_get_expr(d.adbin, d.adrelid))
            FROM columns JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum WHERE attgenerated <> ''
        UNION ALL SELECT concat_ws(' ', 'label', e.oid, e.enumlabel) FROM types JOIN pg_enum e ON e.enumtypid = type
        UNION ALL SELECT concat_ws(' ', 'policy', p.oid, p.polpermissive, p.polcmd, p.polroles,
            (SELECT bool_or(role = 0 OR pg_has_role(role, 'USAGE')) FROM unnest(p.polroles) role),
            pg_get_expr(p.polqual, p.polrelid))
            FROM below JOIN pg_policy p ON p.polrelid = relation WHERE p.polcmd IN ('*', 'r')
        UNION ALL SELECT concat_ws(' ', 'function', f.oid, f.xmin)
            FROM below JOIN depending USING (relation) JOIN pg_depend d ON d.classid = class AND d.objid = id
            JOIN pg_proc f ON f.oid = d.refobjid WHERE d.refclassid = CAST('pg_proc' AS regclass)
    ) AS found (is_now)""")


def definition(connection: Connection, table: str | None) -> str:
    """Of what has this number, and of all that is below it; empty of a query, which no catalogue knows."""
    if table is None:
        return ""
    found: str | None = connection.scalar(_DEFINITION, {"oid": int(table)})
    return found or ""
