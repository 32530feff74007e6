"""The schema on PostgreSQL: what its catalogue says, the triggers, and the roles."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from pima.core.features import KEYS
from pima.store.engine import listed
from pima.store.monitoring import MoveLine
from pima.store.registry import VersionSummary
from pima.store.schema import queries, read_script

_CATALOGUE = queries(Path(__file__).with_name("catalogue.sql"))
# Any number that no other software on the server uses: "pima" in ASCII.
_MIGRATION_LOCK = 0x70696D61
PATIENCE = "60s"
"""With whoever holds what a migration needs."""


def schema_of_patients(connection: Connection) -> str:
    """Name the schema of the tables, in quotes where it needs them."""
    named: str = connection.execute(_CATALOGUE["schema_of_patients"]).scalar_one()
    return named


def columns(connection: Connection, tables: Sequence[str]) -> dict[str, str]:
    """Each column of the tables that an unqualified name means here -> its type."""
    rows = connection.execute(_CATALOGUE["columns"], {"tables": list(tables)})
    return {row[0]: row[1] for row in rows}


def fault_of_tables(connection: Connection, tables: Sequence[str]) -> str | None:
    """Say what makes a table more, or less, than the rows that pima relies on; None where nothing does."""
    rows = connection.execute(_CATALOGUE["tables"], {"tables": list(tables)})
    return next((what for row in rows if (what := _fault_of_table(row)) is not None), None)


def _fault_of_table(row: Any) -> str | None:
    faults = {
        f"{row.relname} has row security, which may hide rows": row.relrowsecurity,
        f"{row.relname} has a rule, which rewrites statements behind the triggers' back": row.relhasrules,
        f"{row.relname} has child tables or is one, whose writes fire other triggers": row.inherits,
        # As where a table was copied by CREATE TABLE AS, or the end of a restore failed.
        f"{row.relname} lacks its primary key, without which rows could be written twice": row.lacks_key,
        f"{row.relname} is unlogged, and empty after a crash of the server": row.is_unlogged,
        f"a subscription writes to {row.relname}, which fires no triggers of statements": row.is_subscribed,
        f"the BEFORE trigger {row.before} on {row.relname} could change or drop what is written there": row.before,
    }
    return next((what for what, is_there in faults.items() if is_there), None)


def wait_for_other_migrations(connection: Connection) -> None:
    """The lock is held to the end of this transaction, so nothing is left behind in a pool."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def keep_rows(connection: Connection) -> None:
    """Lock patients and then the queue, in the order in which a clinic's own transactions do."""
    # From readers too: one that then wants to write would wait for us, and we for it, when the triggers are made.
    connection.exec_driver_sql("LOCK TABLE patients IN ACCESS EXCLUSIVE MODE")
    # A claim locks rows of the queue, which this mode does not go together with.
    connection.exec_driver_sql("LOCK TABLE scoring_queue IN EXCLUSIVE MODE")


# ---- The triggers, which stand in triggers.sql: made, and compared with what is there.

_SCRIPT = Path(__file__).with_name("triggers.sql")
_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION public\.(\w+)\(\)([^$]*)AS \$\$(.*?)\$\$;", re.DOTALL)
_TRIGGER = re.compile(r"CREATE OR REPLACE (TRIGGER (\w+) .*?EXECUTE FUNCTION public\.(\w+)\(\));", re.DOTALL)
_SETTING = re.compile(r"SET (\w+) = (.+?)(?= SET | AS |\s*$)")


def make_triggers(connection: Connection, features: tuple[str, ...]) -> None:
    """Make functions and triggers anew, whatever stands there under their names."""
    script = read_script(_SCRIPT, features)
    connection.exec_driver_sql(_placed(script, schema_of_patients(connection)))


def _placed(script: str, schema: str) -> str:
    """A part of the file, with this schema in the place of public."""
    return script.replace("public.", f"{schema}.").replace("search_path = public", f"search_path = {schema}")


def fault_of_triggers(connection: Connection, features: tuple[str, ...]) -> str | None:
    """Say which trigger is not as `make_triggers` makes it, or could undo its work; None where all is well."""
    script, schema = read_script(_SCRIPT, features), schema_of_patients(connection)
    functions = {name: (head, body) for name, head, body in _FUNCTION.findall(script)}
    found = {row.tgname: row for row in connection.execute(_CATALOGUE["triggers"])}
    ours = _TRIGGER.findall(script)
    for definition, name, function in ours:
        row = found.pop(name, None)
        if row is None or row.tgenabled != "A":
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


# ---- Roles. They may log in once someone gives them a password (`ALTER ROLE pima_scorer PASSWORD ...`) or another way
# to prove who they are; without one PostgreSQL lets nobody in over the network. Making them again first takes back the
# rights on this schema, its tables and its sequences; what PUBLIC may do, memberships and attributes are left alone.

_MODEL_COLUMNS = "number, compiled_artifact, compiled_sha256, threshold, features, reference"
_CALLED = "patient_id, source, source_key"
_MOVE_COLUMNS = ", ".join(MoveLine.__dataclass_fields__)
_SUMMARY_COLUMNS = ", ".join(VersionSummary.__dataclass_fields__)


ROLES = {
    # No right at all on patients: the queue carries the measurements, so neither labels nor history are needed.
    "pima_scorer": (
        "SELECT ON alembic_version, declarations, champion",
        # UPDATE is what SELECT ... FOR UPDATE asks for.
        "SELECT, UPDATE, DELETE ON scoring_queue",
        "SELECT, INSERT ON predictions",
        "SELECT, INSERT, UPDATE ON rejections, runs",
        f"SELECT ({_MODEL_COLUMNS}) ON model_versions",
        # Its figures, by what the nights before have counted.
        "SELECT, INSERT ON tallies",
        "INSERT ON monitoring",
        # Which rows have no prediction: a view without values and outcomes.
        "SELECT ON patient_versions",
    ),
    "pima_trainer": (
        "SELECT ON alembic_version, declarations, installation, patients, row_keys",
        "SELECT ON promotions, model_versions, test_sets, training_snapshots",
        "SELECT, INSERT, UPDATE ON runs",
        "SELECT, INSERT, UPDATE, DELETE ON leases",
        "SELECT, UPDATE ON champion",
        "INSERT ON model_versions, promotions, test_sets",
        "INSERT, DELETE ON training_snapshots",
        # For the report that it leaves: what came true.
        "SELECT ON predictions, tallies",
        "SELECT, INSERT ON monitoring",
        "SELECT, INSERT, DELETE ON reports",
        # What the champion before rejected waits again for one that may take it.
        "SELECT, INSERT, UPDATE ON scoring_queue",
        "SELECT, DELETE ON rejections",
        # Pruning forgets old bytes and nothing else of a version.
        "UPDATE (keras_artifact, compiled_artifact) ON model_versions",
    ),
    "pima_loader": (
        "SELECT ON alembic_version, declarations, patients, row_keys",
        # A source may tell when an outcome became known.
        "INSERT (id, labelled_at, {loaded}), UPDATE (labelled_at, {loaded}) ON patients",
        # What has vanished from a source whose settings say so.
        "DELETE ON patients",
        "SELECT, INSERT ON loads",
        # Who was forgotten does not come in again. The holdout's salt stays closed: by it keys could be chosen.
        "SELECT ON forgotten",
        "SELECT (forgetting_salt) ON installation",
        # A pull is a run, and the only one of its source.
        "SELECT, INSERT, UPDATE ON runs, leases, source_pulls",
        "SELECT, INSERT, UPDATE, DELETE ON source_rejections",
        # A file with ids moves the counter behind them.
        "USAGE, UPDATE ON SEQUENCE patients_id_seq",
    ),
    # The long-lived process: the runs, its heartbeat, and the figures of health and metrics; its children have the
    # roles of their jobs.
    "pima_scheduler": (
        "SELECT ON alembic_version, declarations, champion",
        "SELECT ON removed_runs",
        "SELECT ON monitoring",
        "SELECT, INSERT, UPDATE ON runs, schedules",
        # What it tells people of, and has told them.
        f"SELECT ({_MOVE_COLUMNS}) ON promotions",
        "SELECT, INSERT, UPDATE, DELETE ON alerts",
        # It ends the lease of a run that was killed.
        "SELECT (owner, expires_at), UPDATE (expires_at) ON leases",
        "SELECT (enqueued_at) ON scoring_queue",
        f"SELECT ({_SUMMARY_COLUMNS}) ON model_versions",
    ),
    # Whoever looks after the service: status, health, models, requeue.
    "pima_operator": (
        "SELECT ON alembic_version, declarations, patients, predictions, promotions, model_versions",
        "SELECT ON training_snapshots, runs, schedules",
        "SELECT ON tallies, monitoring, current_predictions, source_rejections",
        f"SELECT ({_CALLED}) ON row_keys",
        "SELECT ON reports",
        "SELECT, INSERT, UPDATE, DELETE ON alerts",
        "SELECT, UPDATE ON champion",
        "INSERT ON promotions",
        "SELECT, INSERT, UPDATE, DELETE ON scoring_queue",
        "SELECT, DELETE ON rejections",
    ),
    # Whoever erases a person: DELETE where there are rows of theirs, UPDATE of what is rewritten without them.
    "pima_eraser": (
        "SELECT ON alembic_version, declarations, installation, training_snapshots, test_sets",
        "SELECT (number, training_ids) ON model_versions",
        "SELECT, DELETE ON patients, scoring_queue, predictions, rejections, training_snapshots",
        "SELECT, UPDATE (side_key), DELETE ON row_keys",
        "SELECT, DELETE ON source_rejections",
        "UPDATE (content, sha256, rows, first_sha256) ON training_snapshots",
        "UPDATE (training_ids) ON model_versions",
        "UPDATE (patient_ids, redacted_at) ON test_sets",
        "SELECT, INSERT, UPDATE, DELETE ON runs",
        "SELECT, INSERT, UPDATE ON removed_runs",
        "SELECT (run_id), DELETE ON tallies, monitoring",
        "SELECT, INSERT ON forgotten",
        # For SELECT ... FOR KEY SHARE, in its turn with loads; of a column that the stamping trigger overwrites.
        "UPDATE (updated_at) ON patients",
        # No retraining and no verdict meanwhile.
        "SELECT, INSERT, UPDATE ON leases",
        "SELECT, UPDATE ON champion",
    ),
    # What became of each row, and of a rejected one why; never its values. For exports what a row is called, and the
    # person by the view current_predictions alone; for every command what schema this is.
    "pima_reader": (
        "SELECT ON predictions, current_predictions, rejections",
        "SELECT ON alembic_version, declarations",
        f"SELECT ({_CALLED}) ON row_keys",
    ),
    # Tools that watch models: when which version predicted what, and what came true; not of whom.
    "pima_monitor": ("SELECT ON monitored_predictions",),
}
"""Each role -> what it may do, as GRANT says it; what is not here is refused. {loaded} stands for the columns that a
file may bring."""


def make_roles(connection: Connection, columns: tuple[str, ...]) -> list[str]:
    """Create or mend the roles on a schema with these features' columns; their names."""
    schema, loaded = schema_of_patients(connection), listed((*columns, "outcome", *KEYS))
    for role, grants in ROLES.items():
        # Roles belong to the server, so another database of it may have made this one.
        if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": role}):
            # Without a password; nothing else that a role can have.
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        # From nothing, so that a right which was granted by hand or by an older release is gone.
        for rights in ("ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA", "SCHEMA"):
            connection.exec_driver_sql(f"REVOKE ALL ON {rights} {schema} FROM {role}")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        for grant in grants:
            connection.exec_driver_sql(f"GRANT {grant.format(loaded=loaded)} TO {role}")
    return list(ROLES)


def roles_out_of_reach(connection: Connection) -> list[str]:
    """Roles that are not there, where whoever asks may not create any."""
    may_create = text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    if connection.scalar(may_create):
        return []
    there = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    return [role for role in ROLES if role not in there]
