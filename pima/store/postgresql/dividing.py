"""Dividing `predictions` into parts, beside everything else that goes on.

The table that there is becomes the first part as it stands: no row is copied. What takes long is to see that all its
versions lie below the first boundary, and while that goes on everything else does.
"""

from sqlalchemy import Connection, text

from pima.errors import CannotPartition
from pima.store.postgresql.counter import LAST_VERSION
from pima.store.postgresql.driver_errors import UNTIL_DIVIDED
from pima.store.postgresql.held_views import hold_briefly, views_made_anew
from pima.store.postgresql.part_functions import make_functions
from pima.store.postgresql.partitions import is_divided, make_ahead, owner_of_predictions
from pima.store.postgresql.schema import schema_of_patients

_PATIENCE = "2s"
"""With whoever uses the table: all who come later wait behind this one."""


def bound(connection: Connection, versions: int) -> int:
    """Say up to where the first part reaches, at least a whole part above what was drawn; where it was said before, and
    there is room still, that. From now on no higher version can be written until the table is divided."""
    _require_plain(connection)
    last = connection.scalar(text(LAST_VERSION)) or 0
    below = _said(connection)
    if below is not None and below - last > versions // 2:
        return below
    below = (last // versions + 2) * versions
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
    connection.exec_driver_sql(f"ALTER TABLE predictions DROP CONSTRAINT IF EXISTS {UNTIL_DIVIDED}")
    connection.exec_driver_sql(
        f"ALTER TABLE predictions ADD CONSTRAINT {UNTIL_DIVIDED} CHECK (patient_version < {below}) NOT VALID"
    )
    return below


def _said(connection: Connection) -> int | None:
    condition = """
        SELECT (regexp_match(pg_get_constraintdef(oid), '< ''?([0-9]+)'))[1]::bigint FROM pg_constraint
        WHERE conrelid = to_regclass('predictions') AND conname = :name"""
    found: int | None = connection.scalar(text(condition), {"name": UNTIL_DIVIDED})
    return found


def unbound(connection: Connection) -> None:
    """Take that back, where the table was not divided."""
    if not is_divided(connection):
        connection.exec_driver_sql(f"ALTER TABLE predictions DROP CONSTRAINT IF EXISTS {UNTIL_DIVIDED}")


def see_bound(connection: Connection) -> None:
    """Look at all rows, while others write."""
    connection.exec_driver_sql(f"ALTER TABLE predictions VALIDATE CONSTRAINT {UNTIL_DIVIDED}")


def _require_plain(connection: Connection) -> None:
    others = connection.execute(text(_HANGS_ON_IT)).scalar()
    if others is not None:
        raise CannotPartition(what=others)


_HANGS_ON_IT = """
    SELECT 'the trigger ' || tgname FROM pg_trigger
    WHERE tgrelid = to_regclass('predictions') AND NOT tgisinternal
    UNION ALL SELECT 'the publication ' || p.pubname
    FROM pg_publication_rel x JOIN pg_publication p ON p.oid = x.prpubid
    WHERE x.prrelid = to_regclass('predictions')
    -- One of all tables, or of a schema's, goes on with the parts in its place.
    UNION ALL SELECT 'the publication ' || p.pubname
    FROM pg_publication_tables x JOIN pg_publication p USING (pubname)
        JOIN pg_class c ON c.relname = x.tablename AND c.relnamespace = to_regnamespace(quote_ident(x.schemaname))
    WHERE c.oid = to_regclass('predictions') AND NOT p.pubviaroot
    UNION ALL SELECT 'the unique index ' || indexrelid::regclass FROM pg_index
    WHERE indrelid = to_regclass('predictions') AND indisunique AND NOT indisprimary
    UNION ALL SELECT 'row security' FROM pg_class
    WHERE oid = to_regclass('predictions') AND (relrowsecurity OR relforcerowsecurity)
    UNION ALL SELECT CASE WHEN of_rule.relkind = 'm' THEN 'the materialized view ' || of_rule.relname
        ELSE 'the ' || pg_describe_object(d.classid, d.objid, d.objsubid) END
    FROM pg_depend d JOIN pg_class t ON t.oid = to_regclass('predictions') JOIN pg_type y ON y.oid = t.reltype
        LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
        LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        LEFT JOIN pg_class of_rule ON of_rule.oid = r.ev_class
    WHERE d.deptype IN ('n', 'a') AND (
            (d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid)
            OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray)))
        AND (d.classid IN ('pg_policy'::regclass, 'pg_proc'::regclass) OR k.contype = 'f'
            OR of_rule.relkind <> 'v'
            OR (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_type'::regclass))
    LIMIT 1"""
"""What hangs on the table would hang on its first part alone: of others than the views, which are made anew."""


_READ_IT = """
    SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE d.refobjid = to_regclass('predictions')"""
"""Views that do, of ours or of somebody else's."""


def divide(connection: Connection, below: int, versions: int) -> None:
    """Put a table of parts into the place of the one that there is, which becomes its first part: under a lock, but
    nothing is read or copied. Raises DatabaseBusy, soon, where somebody uses it."""
    schema = schema_of_patients(connection)
    views = views_made_anew(connection, _READ_IT)
    hold_briefly(connection, views, "predictions")
    grants, owner = _grants(connection), owner_of_predictions(connection)
    first, by_versions = f"predictions_below_{below}", "PARTITION BY RANGE (patient_version)"
    key = "PRIMARY KEY (patient_id, patient_version, model_version)"
    for statement in (
        f"ALTER TABLE {schema}.predictions RENAME TO {first}",
        f"ALTER TABLE {schema}.{first} RENAME CONSTRAINT pk_predictions TO pk_{first}",
        f"CREATE TABLE {schema}.predictions (LIKE {schema}.{first} INCLUDING ALL EXCLUDING INDEXES) {by_versions}",
        f"ALTER TABLE {schema}.predictions DROP CONSTRAINT {UNTIL_DIVIDED}",
        f"ALTER TABLE {schema}.predictions ADD CONSTRAINT pk_predictions {key}",
        f"ALTER TABLE {schema}.predictions OWNER TO {owner}",
        f"ALTER TABLE {schema}.predictions ATTACH PARTITION {schema}.{first} FOR VALUES FROM (MINVALUE) TO ({below})",
        f"ALTER TABLE {schema}.{first} DROP CONSTRAINT {UNTIL_DIVIDED}",
        *(f"GRANT {right} ON {schema}.predictions TO {role}" for right, role in grants),
        *views,
    ):
        connection.exec_driver_sql(statement.replace("%", "%%"))
    make_functions(connection, schema, owner, versions)
    make_ahead(connection)


def _grants(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        text("""
            SELECT a.privilege_type || a.of_column AS given,
                CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
                    || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS role
            FROM pg_class c CROSS JOIN LATERAL (
                SELECT '' AS of_column, * FROM aclexplode(c.relacl)
                UNION ALL SELECT ' (' || quote_ident(f.attname) || ')', e.*
                FROM pg_attribute f CROSS JOIN LATERAL aclexplode(f.attacl) e
                WHERE f.attrelid = c.oid AND NOT f.attisdropped) AS a
            WHERE c.oid = to_regclass('predictions') AND a.grantee <> c.relowner""")
    )
    return [(row.given, row.role) for row in rows]
