"""Parts of `predictions` by ranges of row versions, which are drawn in the order of time and stand in its key.

The table that there is becomes the first part as it stands: no row is copied. What takes long is to see that all its
versions lie below the first boundary, and while that goes on everything else does.

The functions run with the owner's rights: the nightly job has no right to make a table, nor to drop one.
"""

import time
from datetime import datetime

from sqlalchemy import Connection, text

from pima.errors import CannotPartition
from pima.store.database import Part, Partitions
from pima.store.postgresql.counter import LAST_VERSION
from pima.store.postgresql.driver_errors import UNTIL_DIVIDED
from pima.store.postgresql.held_views import hold_briefly, views_made_anew
from pima.store.postgresql.schema import schema_of_patients

AHEAD = "make_predictions_ahead"
DROP = "drop_old_predictions"
_PARTS_AHEAD = 2
_PATIENCE = "2s"
"""With whoever uses the table: all who come later wait behind this one."""


def is_divided(connection: Connection) -> bool:
    """Whether the table has parts."""
    kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('predictions')"
    return bool(connection.scalar(text(kind)))


def parts(connection: Connection) -> list[Part]:
    """All of them, the oldest first; none where it is one table."""
    rows = connection.execute(
        text("""
            SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
                (regexp_match(bounds, 'FROM \\(''?(-?[0-9]+)'))[1]::bigint AS since,
                (regexp_match(bounds, 'TO \\(''?(-?[0-9]+)'))[1]::bigint AS below
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS bounds
            WHERE i.inhparent = to_regclass('predictions') ORDER BY since NULLS FIRST""")
    )
    return [Part(row.name, row.since, row.below) for row in rows]


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
    """What hangs on the table would hang on its first part alone."""
    others = connection.execute(
        text("""
            SELECT 'the trigger ' || tgname FROM pg_trigger
            WHERE tgrelid = to_regclass('predictions') AND NOT tgisinternal
            UNION ALL SELECT 'the materialized view ' || c.relname
            FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
                JOIN pg_class c ON c.oid = r.ev_class
            WHERE d.refobjid = to_regclass('predictions') AND c.relkind = 'm'
            UNION ALL SELECT 'the publication ' || p.pubname
            FROM pg_publication_rel x JOIN pg_publication p ON p.oid = x.prpubid
            WHERE x.prrelid = to_regclass('predictions') LIMIT 1""")
    ).scalar()
    if others is not None:
        raise CannotPartition(what=others)


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
    grants, owner = _grants(connection), _owner(connection)
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
    _make_functions(connection, schema, owner, versions)
    make_ahead(connection)


def _owner(connection: Connection) -> str:
    named = "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = to_regclass('predictions')"
    return str(connection.scalar(text(named)))


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


def _make_functions(connection: Connection, schema: str, owner: str, versions: int) -> None:
    bodies = {f"{AHEAD}()": ("integer", _ahead(schema, versions)), f"{DROP}(part text)": ("boolean", _drop(schema))}
    for signature, (returned, body) in bodies.items():
        quoted = body.replace("'", "''").replace("%", "%%")
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {schema}.{signature} RETURNS {returned} LANGUAGE plpgsql SECURITY DEFINER"
            f" SET search_path = {schema}, pg_temp AS '{quoted}'"
        )
        named = signature.replace("part text", "text")
        connection.exec_driver_sql(f"ALTER FUNCTION {schema}.{named} OWNER TO {owner}")
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {schema}.{named} FROM PUBLIC")
    let_roles_use_them(connection)


_USED_BY = {f"{AHEAD}()": ("pima_scorer",), f"{DROP}(text)": ("pima_eraser",)}


def let_roles_use_them(connection: Connection) -> None:
    """The roles that there are, where there are functions."""
    for function, roles in _USED_BY.items():
        there = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles) AND to_regprocedure(:name) IS NOT NULL")
        for role in connection.execute(there, {"roles": list(roles), "name": function}).scalars().all():
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")


_HIGHEST = r"""SELECT max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''?(-?[0-9]+)'))[1]::bigint)
            INTO since FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = '{schema}.predictions'::regclass"""


def _ahead(schema: str, versions: int) -> str:
    """Beside the table first, then made a part of it: that way nobody who writes predictions is waited for. What the
    counter has leapt over becomes one part."""
    return f"""
    DECLARE
        drawn BIGINT := coalesce(pg_sequence_last_value('{schema}.patient_version'), 0);
        since BIGINT;
        below BIGINT;
        made INTEGER := 0;
    BEGIN
        LOOP
            {_HIGHEST.format(schema=schema)};
            EXIT WHEN since >= (drawn / {versions} + 1 + {_PARTS_AHEAD}) * {versions};
            -- Of two at once the second sees what the first has made.
            LOCK TABLE {schema}.predictions IN SHARE UPDATE EXCLUSIVE MODE;
            {_HIGHEST.format(schema=schema)};
            CONTINUE WHEN since >= (drawn / {versions} + 1 + {_PARTS_AHEAD}) * {versions};
            below := greatest(since, (drawn / {versions}) * {versions}) + {versions};
            EXECUTE format('CREATE TABLE {schema}.predictions_below_%s (LIKE {schema}.predictions INCLUDING ALL)',
                below);
            EXECUTE format('ALTER TABLE {schema}.predictions ATTACH PARTITION {schema}.predictions_below_%s'
                ' FOR VALUES FROM (%s) TO (%s)', below, since, below);
            made := made + 1;
        END LOOP;
        RETURN made;
    END"""


def _drop(schema: str) -> str:
    """A part and nothing else; whether it could be had at once."""
    return f"""
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM pg_inherits
                       WHERE inhparent = '{schema}.predictions'::regclass AND inhrelid = to_regclass(part)) THEN
            RAISE EXCEPTION 'no part of predictions';
        END IF;
        SET LOCAL lock_timeout = '1s';
        EXECUTE format('DROP TABLE %s', to_regclass(part));
        RETURN true;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END"""


def make_ahead(connection: Connection) -> int:
    """The parts that come next, where the table has parts; how many were made."""
    if not is_divided(connection):
        return 0
    made: int = connection.execute(text(f"SELECT {AHEAD}()")).scalar_one()
    return made


def droppable(connection: Connection, cutoff: datetime) -> list[Part]:
    """Parts of which nothing is kept, nor can anything come any more: their versions have all been drawn, by
    transactions that are over, none of them lives, and each row is old enough."""
    drawn = connection.scalar(text(LAST_VERSION)) or 0
    found = [part for part in parts(connection) if part.below <= drawn]
    if not found or not _writers_are_done(connection):
        return []
    return [part for part in found if _keeps_nothing(connection, part, cutoff)]


_WRITERS = """
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE relation = to_regclass('patients') AND granted AND mode NOT IN ('AccessShareLock', 'RowShareLock')
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_SECONDS_FOR_WRITERS = 10.0


def _writers_are_done(connection: Connection) -> bool:
    """Whether all who write to patients now have ended within a while: what they have drawn nobody else can see."""
    waited_for = set(connection.execute(text(_WRITERS)).scalars())
    until = time.monotonic() + _SECONDS_FOR_WRITERS
    while waited_for and time.monotonic() < until:
        time.sleep(0.1)
        waited_for &= set(connection.execute(text(_WRITERS)).scalars())
    return not waited_for


def _keeps_nothing(connection: Connection, part: Part, cutoff: datetime) -> bool:
    """No version comes to life a second time, so that what is so stays so."""
    since = "" if part.since is None else f"AND version >= {part.since}"
    # By way of the whole table, on which alone the roles have rights.
    kept = f"""
        SELECT EXISTS (SELECT 1 FROM predictions WHERE {_of(part)} AND scored_at >= :cutoff)
            OR EXISTS (SELECT 1 FROM patients WHERE outcome IS NULL AND version < {part.below} {since})"""
    return not connection.execute(text(kept), {"cutoff": cutoff}).scalar_one()


def _of(part: Part) -> str:
    since = "" if part.since is None else f"patient_version >= {part.since} AND "
    return f"{since}patient_version < {part.below}"


def count(connection: Connection, part: Part) -> int:
    """How many rows it has."""
    return int(connection.execute(text(f"SELECT count(*) FROM predictions WHERE {_of(part)}")).scalar_one())


def drop_part(connection: Connection, part: Part) -> bool:
    """Drop a part; False where somebody holds it."""
    return bool(connection.execute(text(f"SELECT {DROP}(:part)"), {"part": part.name}).scalar_one())


PARTITIONS = Partitions(is_divided, parts, bound, unbound, see_bound, divide, make_ahead, droppable, count, drop_part)
