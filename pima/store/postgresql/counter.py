"""The counter that row versions are drawn from: the sequence patient_version, in the schema of `patients`."""

from sqlalchemy import Connection, text

from pima.core.identifiers import LARGEST_VERSION
from pima.store.versions import SET_NEAR_ITS_END, highest_of_each_table

COUNTER = """(SELECT s.oid FROM pg_class s JOIN pg_class c ON c.relnamespace = s.relnamespace
    WHERE s.relname = 'patient_version' AND s.relkind = 'S' AND c.oid = to_regclass('patients'))"""
LAST_VERSION = f"SELECT pg_sequence_last_value(oid) FROM {COUNTER} AS counter"
# Nobody draws as many while a statement looks and leaps, so what others have drawn meanwhile is not drawn again.
_LEAP = 2**32


def make(connection: Connection, schema: str) -> None:
    """Make it as it should be, or anew where it is missing; what a session has drawn ahead is given up."""
    counter = f"{schema}.patient_version"
    connection.exec_driver_sql(f"CREATE SEQUENCE IF NOT EXISTS {counter}")
    # The stamping trigger has the writer's rights.
    connection.exec_driver_sql(f"GRANT USAGE ON SEQUENCE {counter} TO PUBLIC")
    connection.exec_driver_sql(f"ALTER SEQUENCE {counter} AS BIGINT INCREMENT 1 NO MAXVALUE CACHE 1 NO CYCLE")
    if connection.scalar(text(f"SELECT relpersistence = 'u' FROM pg_class WHERE oid = {COUNTER}")):
        connection.exec_driver_sql(f"ALTER SEQUENCE {counter} SET LOGGED")


def fault(connection: Connection) -> str | None:
    """What makes it draw a version twice, or a lower one, in words; None where all is well."""
    is_sound = connection.scalar(
        text(f"""
            SELECT seqincrement = 1 AND seqcache = 1 AND NOT seqcycle AND seqtypid = 'bigint'::regtype
                AND relpersistence = 'p'
            FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid WHERE seqrelid = {COUNTER}""")
    )
    if is_sound is None:
        return "the sequence patient_version is missing"
    if not is_sound:
        return "the sequence patient_version is not BIGINT, logged, INCREMENT 1, CACHE 1 and NO CYCLE as it was made"
    if (connection.scalar(text(LAST_VERSION)) or 0) > LARGEST_VERSION:
        return SET_NEAR_ITS_END
    return None


def mend_counter(connection: Connection) -> None:
    """Put it above every version that there is: it may have been restored without them, or set by hand, back or on."""
    drawn = connection.scalar(text(LAST_VERSION)) or 0
    # By itself: what sets a sequence is left to one process of the server, and this reads all rows.
    above = highest_of_each_table(str(drawn if drawn <= LARGEST_VERSION else 0))
    highest = connection.scalar(text(f"SELECT greatest(0, {', '.join(above)})"))
    statement = f"""
        SELECT setval(counter::regclass, :highest + :leap) FROM (SELECT {COUNTER} AS counter) AS found
        WHERE coalesce(pg_sequence_last_value(counter::regclass), 0) NOT BETWEEN :highest AND :largest"""
    connection.execute(text(statement), {"highest": highest, "leap": _LEAP, "largest": LARGEST_VERSION})
