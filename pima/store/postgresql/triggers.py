"""PostgreSQL's triggers, which stand in triggers.sql: made, and compared with what is there."""

import re
from pathlib import Path

from sqlalchemy import Connection, text

from pima.store.postgresql.schema import schema_of_patients
from pima.store.scripts import read_script

_SCRIPT = Path(__file__).with_name("triggers.sql")
_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION public\.(\w+)\(\)([^$]*)AS \$\$(.*?)\$\$;", re.DOTALL)
_TRIGGER = re.compile(r"CREATE OR REPLACE (TRIGGER (\w+) .*?EXECUTE FUNCTION public\.(\w+)\(\));", re.DOTALL)
_SETTING = re.compile(r"SET (\w+) = (.+?)(?= SET | AS |\s*$)")


def make(connection: Connection, features: tuple[str, ...]) -> None:
    """Make functions and triggers anew, whatever stands there under their names."""
    script = read_script(_SCRIPT, features)
    connection.exec_driver_sql(_placed(script, schema_of_patients(connection)))


def _placed(script: str, schema: str) -> str:
    """A part of the file, with this schema in the place of public."""
    return script.replace("public.", f"{schema}.").replace("search_path = public", f"search_path = {schema}")


_FOUND = text("""
    SELECT t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) AS definition,
        f.pronamespace = c.relnamespace AS is_beside, f.prosrc, f.prosecdef, f.proconfig,
        -- BEFORE triggers of rows at an INSERT or UPDATE, by tgtype.
        t.tgtype & 3 = 3 AND t.tgtype & 20 > 0 AND t.tgenabled <> 'D' AS changes_rows
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc f ON f.oid = t.tgfoid
    WHERE t.tgrelid = to_regclass('patients') AND NOT t.tgisinternal ORDER BY t.tgname""")
_ALWAYS = "A"
"""pg_trigger.tgenabled"""


def fault(connection: Connection, features: tuple[str, ...]) -> str | None:
    """Say which trigger is not as `make` makes it, or could undo its work; None where all is well."""
    script, schema = read_script(_SCRIPT, features), schema_of_patients(connection)
    functions = {name: (head, body) for name, head, body in _FUNCTION.findall(script)}
    found = {row.tgname: row for row in connection.execute(_FOUND)}
    ours = _TRIGGER.findall(script)
    for definition, name, function in ours:
        row = found.pop(name, None)
        if row is None or row.tgenabled != _ALWAYS:
            return f"the trigger {name} on patients is missing, or is not ENABLE ALWAYS"
        if not row.is_beside or _plain(row.definition) != _plain(_placed(f"CREATE {definition}", schema)):
            return f"the trigger {name} on patients is not the one that was made"
        head, body = (_placed(part, schema) for part in functions[function])
        settings = [f"{name}={value}" for name, value in _SETTING.findall(" ".join(head.split()))]
        if (row.prosrc, row.prosecdef, row.proconfig or []) != (body, "SECURITY DEFINER" in head, settings):
            return f"the function {function} of the trigger {name} on patients is not the one that was made"
    first = min(name for _, name, _ in ours if name.startswith("zzz_"))
    for row in found.values():
        # They fire in the order of their names' bytes.
        if row.changes_rows and row.tgname.encode() > first.encode():
            return f"the trigger {row.tgname} fires after {first}, and could change a row without a new version"
    return None


def _plain(definition: str) -> str:
    """The definition in one line, and without the schema, which the catalogue leaves out where it is found first."""
    line = re.sub(r"EXECUTE FUNCTION .*?(\w+\(\))$", r"EXECUTE FUNCTION \1", " ".join(definition.split()))
    return re.sub(r"'[^']*?patient_version'", "'patient_version'", line)
