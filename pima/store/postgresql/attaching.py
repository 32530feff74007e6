"""PostgreSQL's triggers on a source's table, which note in `source_changes` which keys were touched.

A clinic's write into that table does not fail because of them, and waits for nothing of pima's: an error in their
function is caught, and then said by a sequence, which no lock and no transaction holds up. As long as the writer is not
through, a lock that nobody waits for says that there is something which can't be seen yet.

The function has the owner's rights, so that whoever writes needs none on pima's tables. So it calls nothing that the
table's owner could have made: names are looked up in pg_catalog alone, and a key becomes text by its type's own output
function, as `concat` does it, where a cast may be anybody's.
"""

from sqlalchemy import Connection, text

from pima.core.source import Source
from pima.store.postgresql.schema import schema_of_patients
from pima.store.postgresql.triggers import ALWAYS, Trigger

MISSED_LOCK = 0x6D697373
"""Any number that no other software on the server uses: "miss" in ASCII."""
SETTINGS = {"search_path": "pg_catalog, pg_temp", "lock_timeout": "'10ms'"}
"""Of the function. It waits for nothing that pima does while it works."""
_LONGEST_WAIT = "2s"
"""For writers that are under way. Whoever comes after them waits as long."""
_ATTACH_LOCK = 0x61747463
"""As the one above: "attc". Of two who make the same function at once the second would be told that it is there."""


def function_of(source: str) -> str:
    """The name of the function that the triggers of a source call."""
    return f"note_changes_of_{source}"


def missed_of(source: str) -> str:
    """The name of the sequence that says that a change was not noted."""
    return f"missed_changes_of_{source}"


def triggers_of(source: str) -> tuple[Trigger, ...]:
    """Those on a source's table. For all sessions: a tool that loads under `session_replication_role = replica` too."""
    name, function = f"pima_{source}", function_of(source)
    return (
        Trigger(f"{name}_inserted", "AFTER", ("INSERT",), "STATEMENT", function, ALWAYS, new_rows="new_rows"),
        Trigger(f"{name}_updated", "AFTER", ("UPDATE",), "STATEMENT", function, ALWAYS, "old_rows", "new_rows"),
        Trigger(f"{name}_deleted", "AFTER", ("DELETE",), "STATEMENT", function, ALWAYS, old_rows="old_rows"),
        Trigger(f"{name}_truncated", "AFTER", ("TRUNCATE",), "STATEMENT", function, ALWAYS),
    )


def body(source: Source, schema: str) -> str:
    """Of the function. A key that is NULL stands for all of them."""
    note = f"INSERT INTO {schema}.source_changes (source, source_key)"
    # Not by the names NEW and OLD, which are variables there.
    new, old = (f"SELECT '{source.name}', {_key(source, 'r')} FROM {rows} r" for rows in ("new_rows", "old_rows"))
    missed = f"{schema}.{missed_of(source.name)}".replace("'", "''")
    return f"""
BEGIN
    IF TG_OP = 'INSERT' THEN
        {note} {new};
    ELSIF TG_OP = 'UPDATE' THEN
        {note} {new} UNION {old};
    ELSIF TG_OP = 'DELETE' THEN
        {note} {old};
    ELSE
        {note} VALUES ('{source.name}', NULL);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    -- Each by itself, so that what one of them meets does not take the other back.
    BEGIN
        PERFORM pg_try_advisory_xact_lock_shared({MISSED_LOCK});
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        PERFORM nextval('{missed}');
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RAISE LOG 'pima could not note changes of the source {source.name} (SQLSTATE %): all is compared next', SQLSTATE;
    RETURN NULL;
END"""


def _key(source: Source, row: str) -> str:
    """The key's text; of several columns a JSON array of theirs."""
    columns = [f"{row}.{quoted(column)}" for column in source.keys]
    texts = [f"concat({column})" for column in columns]
    whole = texts[0] if len(texts) == 1 else f"CAST(json_build_array({', '.join(texts)}) AS pg_catalog.text)"
    are_keys = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    # By its bytes: to a collation that takes upper case for lower an old key and a new one may be the same.
    return f'CASE WHEN {are_keys} THEN {whole} COLLATE pg_catalog."C" END'


def quoted(name: str) -> str:
    """A name as a statement has it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def attaching(connection: Connection, table: str, source: Source) -> list[str]:
    """The statements that attach a source, of the table with this number, whatever stands there of an earlier time."""
    schema = schema_of_patients(connection)
    owner = connection.scalar(text("SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class" + _CHANGES))
    table = connection.execute(_NAMED, {"oid": int(table)}).scalar_one()
    function, missed = f"{schema}.{function_of(source.name)}", f"{schema}.{missed_of(source.name)}"
    written = _in_dollars(body(source, schema))
    return [
        f"SET LOCAL lock_timeout = '{_LONGEST_WAIT}'",
        f"SELECT pg_advisory_xact_lock({_ATTACH_LOCK})",
        # With it go the triggers that call it, on whatever table they are.
        f"DROP FUNCTION IF EXISTS {function}() CASCADE",
        f"CREATE SEQUENCE IF NOT EXISTS {missed}",
        f"ALTER SEQUENCE {missed} OWNER TO {owner}",
        f"GRANT SELECT ON SEQUENCE {missed} TO PUBLIC",
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS {written}",
        *(f"ALTER FUNCTION {function}() SET {name} = {value}" for name, value in SETTINGS.items()),
        f"ALTER FUNCTION {function}() OWNER TO {owner}",
        # Who has EXECUTE may hang the function on a table of their own.
        f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC",
        *(each for trigger in triggers_of(source.name) for each in trigger.statements(function, table)),
        f"DELETE FROM {schema}.attached_sources WHERE source = '{source.name}'",
        f"INSERT INTO {schema}.attached_sources (source) VALUES ('{source.name}')",
    ]


# A namespace as text, by a cast to regnamespace, would be in quotes already.
_NAMED = text("""
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = :oid""")
_CHANGES = " WHERE oid = to_regclass('source_changes')"


def _in_dollars(written: str) -> str:
    mark = "$pima$"
    while mark in written:
        mark = f"{mark[:-1]}_$"
    return f"{mark}{written}{mark}"


def detaching(connection: Connection, source: str) -> list[str]:
    """The statements that take away what `attaching` has made, and what it has noted."""
    schema = schema_of_patients(connection)
    return [
        f"SET LOCAL lock_timeout = '{_LONGEST_WAIT}'",
        f"SELECT pg_advisory_xact_lock({_ATTACH_LOCK})",
        f"DROP FUNCTION IF EXISTS {schema}.{function_of(source)}() CASCADE",
        f"DROP SEQUENCE IF EXISTS {schema}.{missed_of(source)}",
        f"DELETE FROM {schema}.attached_sources WHERE source = '{source}'",
        f"DELETE FROM {schema}.source_changes WHERE source = '{source}'",
    ]
