"""Parts of `predictions` by ranges of row versions, which are drawn in the order of time and stand in its key."""

import time
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, text

from pima.errors import SchemaDiffers
from pima.store.database import Part
from pima.store.postgresql.counter import LAST_VERSION
from pima.store.postgresql.part_functions import AHEAD, DROP
from pima.store.postgresql.schema import schema_of_patients


def is_divided(connection: Connection) -> bool:
    """Whether the table has parts."""
    kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('predictions')"
    return bool(connection.scalar(text(kind)))


def parts(connection: Connection) -> list[Part]:
    """All of them, the oldest first; none where it is one table."""
    # No backslash: it would mean something else where standard_conforming_strings is off.
    rows = connection.execute(
        text("""
            SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
                (regexp_match(bounds, 'FROM [(]''?(-?[0-9]+)'))[1]::bigint AS since,
                (regexp_match(bounds, 'TO [(]''?(-?[0-9]+)'))[1]::bigint AS below
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS bounds
            WHERE i.inhparent = to_regclass('predictions') ORDER BY since NULLS FIRST""")
    )
    return [Part(row.name, row.since, row.below) for row in rows]


def owner_of_predictions(connection: Connection) -> str:
    """In quotes where it needs them."""
    named = "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = to_regclass('predictions')"
    return str(connection.scalar(text(named)))


def make_ahead(connection: Connection) -> int:
    """The parts that come next, where the table has parts; how many were made."""
    if not is_divided(connection):
        return 0
    made: int = connection.execute(text(f"SELECT {AHEAD}()")).scalar_one()
    return made


def make_behind(connection: Connection) -> None:
    """Parts for rows that wait, or may, with a version whose part was dropped: somebody has restored them behind the
    triggers' back. Raises SchemaDiffers where the part is there, and is none any more."""
    if not (found := parts(connection)):
        return
    schema, owner = schema_of_patients(connection), owner_of_predictions(connection)
    for part in _missing(found, schema):
        if not _is_wanted(connection, part):
            continue
        if connection.scalar(text("SELECT to_regclass(:name)"), {"name": part.name}) is not None:
            raise SchemaDiffers(what=f"{part.name} is no part of predictions any more, and rows wait that belong there")
        bounds = f"FROM ({'MINVALUE' if part.since is None else part.since}) TO ({part.below})"
        for statement in (
            f"CREATE TABLE {part.name} (LIKE {schema}.predictions INCLUDING ALL)",
            f"ALTER TABLE {part.name} OWNER TO {owner}",
            f"ALTER TABLE {schema}.predictions ATTACH PARTITION {part.name} FOR VALUES {bounds}",
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))


def _missing(found: list[Part], schema: str) -> Iterator[Part]:
    """What lies before the first part and between two."""
    reached = None
    for part in found:
        if part.since is not None and part.since != reached:
            yield Part(f"{schema}.predictions_below_{part.since}", reached, part.since)
        reached = part.below


def _is_wanted(connection: Connection, part: Part) -> bool:
    since = "" if part.since is None else f"AND version >= {part.since}"
    waits = f"SELECT EXISTS (SELECT 1 FROM patients WHERE outcome IS NULL AND version < {part.below} {since})"
    return bool(connection.execute(text(waits)).scalar_one())


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
    # By way of the whole table, on which alone the roles have rights.
    kept = f"SELECT EXISTS (SELECT 1 FROM predictions WHERE {_of(part)} AND scored_at >= :cutoff)"
    return not (_is_wanted(connection, part) or connection.execute(text(kept), {"cutoff": cutoff}).scalar_one())


def _of(part: Part) -> str:
    since = "" if part.since is None else f"patient_version >= {part.since} AND "
    return f"{since}patient_version < {part.below}"


def count(connection: Connection, part: Part) -> int:
    """How many rows it has."""
    return int(connection.execute(text(f"SELECT count(*) FROM predictions WHERE {_of(part)}")).scalar_one())


def drop_part(connection: Connection, part: Part) -> bool:
    """Drop a part; False where somebody holds it."""
    return bool(connection.execute(text(f"SELECT {DROP}(:part)"), {"part": part.name}).scalar_one())
