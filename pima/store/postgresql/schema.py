"""The schema on PostgreSQL: its catalogue, the triggers, and the roles."""

import re
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, text

from pima.core.declared.features import Declaration
from pima.logs import tell
from pima.store.engine import listed
from pima.store.postgresql.migrating import keep_triggers
from pima.store.scripts import queries, read_triggers
from pima.store.tables import TABLES, VIEWS

_CATALOGUE = queries(Path(__file__).with_name("catalogue.sql"))


def schema_of_patients(connection: Connection) -> str:
    """Name the schema of the tables, in quotes if it needs them."""
    return connection.execute(_CATALOGUE["schema_of_patients"]).scalar_one()


def columns(connection: Connection, tables: Sequence[str]) -> dict[str, str]:
    """The columns of the tables that unqualified names refer to: table.column -> type."""
    rows = connection.execute(_CATALOGUE["columns"], {"tables": list(tables)})
    return {row[0]: row[1] for row in rows}


def fault_of_tables(connection: Connection, tables: Sequence[str]) -> str | None:
    """Say why one of these tables is not a plain table, such as a rule or row security on it; None
    if all are."""
    return connection.scalar(_CATALOGUE["fault_of_tables"], {"tables": list(tables)})


# ---- The triggers of triggers.sql: making them, and comparing them with those in the database.

_FOLDER = Path(__file__).parent
_FUNCTION = re.compile(
    r"CREATE OR REPLACE FUNCTION public\.(\w+)\(\)([^$]*)AS \$\$(.*?)\$\$;", re.DOTALL
)
_TRIGGER = re.compile(
    r"CREATE OR REPLACE (TRIGGER (\w+) [^;]*? ON public\.patients\s[^;]*?"
    r"EXECUTE FUNCTION public\.(\w+)\(\));"
)
_SETTING = re.compile(r"SET (\w+) = (.+?)(?= SET | AS |\s*$)")


def make_triggers(connection: Connection, declared: Declaration) -> None:
    """Make the functions and triggers, replacing any of the same names."""
    script = read_triggers(_FOLDER, declared)
    keep_triggers(connection)
    connection.exec_driver_sql(_placed(script, schema_of_patients(connection)))


def _placed(script: str, schema: str) -> str:
    """A part of the file, with this schema in place of public."""
    return script.replace("public.", f"{schema}.")


def fault_of_triggers(connection: Connection, declared: Declaration) -> str | None:
    """Say which trigger is not as `make_triggers` makes it, or could undo its work; None if all is
    well."""
    script = read_triggers(_FOLDER, declared)
    schema = schema_of_patients(connection)
    functions = {name: (head, body) for name, head, body in _FUNCTION.findall(script)}
    found = {row.tgname: row for row in connection.execute(_CATALOGUE["triggers"])}
    ours = _TRIGGER.findall(script)
    for definition, name, function in ours:
        row = found.pop(name, None)
        if row is None or row.tgenabled != "A":
            return f"the trigger {name} on patients is missing, or is not ENABLE ALWAYS"
        if not row.is_beside or _plain(row.definition) != _plain(
            _placed(f"CREATE {definition}", schema)
        ):
            return f"the trigger {name} on patients is not the one that was made"
        head, body = (_placed(part, schema) for part in functions[function])
        settings = [f"{name}={value}" for name, value in _SETTING.findall(" ".join(head.split()))]
        if (row.prosrc, row.prosecdef, row.proconfig or []) != (
            body,
            "SECURITY DEFINER" in head,
            settings,
        ):
            return (
                f"the function {function} of the trigger {name} on patients is not the one that "
                "was made"
            )
    first = min(name for _, name, _ in ours if name.startswith("zzz_"))
    for row in found.values():
        # Triggers fire in the byte order of their names.
        if row.changes_rows and row.tgname.encode() > first.encode():
            return (
                f"the trigger {row.tgname} fires after {first}, and could change a row without a "
                "new version"
            )
    return None


def _plain(definition: str | None) -> str:
    """A definition in one line, in a form that can be compared: without the schema, which the
    catalogue omits if it is first in the search_path, and without the quotes and parentheses that
    it sets by rules of its own."""
    line = re.sub(
        r"EXECUTE FUNCTION .*?(\w+\(\))$",
        r"EXECUTE FUNCTION \1",
        " ".join((definition or "").split()),
    )
    line = re.sub(r"'[^']*?patient_version'", "'patient_version'", line)
    return re.sub(r'["()]', "", line)


# ---- Roles. They can log in once they have a password (`ALTER ROLE pima_scorer PASSWORD ...`) or
# another way to authenticate; without one PostgreSQL refuses them over the network. Making them
# again first revokes their rights on this schema and pima's tables, views and sequences. Rights of
# PUBLIC, memberships and attributes are left alone.

ROLES = {
    # No measurement of patients: the queue carries those that it scores. Outcomes with their times
    # are for the alarms over them, and for what came true; when somebody acted, for what says
    # nothing of the risk.
    "pima_scorer": (
        "SELECT (id, outcome, labelled_at, index_at, acted_at) ON patients",
        "SELECT, INSERT, DELETE ON served_days",
        "SELECT, DELETE ON changed_outcomes",
        "SELECT (id, from_version, to_version, decided_at) ON promotions",
        "SELECT ON alembic_version, declarations, champion",
        # SELECT ... FOR UPDATE needs the right UPDATE.
        "SELECT, UPDATE, DELETE ON scoring_queue",
        "SELECT, INSERT ON predictions",
        "INSERT ON prediction_scores",
        "SELECT, INSERT, UPDATE ON rejections, runs",
        """SELECT (number, compiled_artifact, compiled_sha256, threshold, features, reference,
            scorer_sha256) ON model_versions""",
        # The night's figures, which are compared with the counts of earlier nights.
        "SELECT, INSERT ON tallies",
        "INSERT ON monitoring",
        "SELECT (run_id, kind, recorded_at) ON monitoring",
        # To let replaced versions go, not to read their values. Their lock needs a right to UPDATE.
        "SELECT (patient_id, patient_version, replaced_at), DELETE ON row_history",
        "UPDATE (replaced_at) ON row_history",
        # Which rows have no prediction: a view without values and outcomes, and what pulls
        # rejected.
        "SELECT ON patient_versions, source_rejections",
    ),
    "pima_trainer": (
        "SELECT ON alembic_version, declarations, installation, patients, row_history, row_keys",
        "SELECT ON promotions, model_versions, test_sets, training_snapshots",
        "SELECT, INSERT, UPDATE ON runs",
        "SELECT, INSERT, UPDATE, DELETE ON leases",
        "SELECT, UPDATE ON champion",
        "INSERT ON model_versions, promotions, test_sets",
        "INSERT, DELETE ON training_snapshots",
        # For the report that it leaves, with realised figures.
        "SELECT ON predictions, prediction_scores, tallies, source_rejections",
        "SELECT, INSERT ON monitoring",
        "SELECT, INSERT, DELETE ON reports, served_days",
        "SELECT, DELETE ON changed_outcomes",
        # Rows that the previous champion rejected are queued again, since a new one may accept
        # them.
        "SELECT, INSERT, UPDATE ON scoring_queue",
        "SELECT, DELETE ON rejections",
        # SELECT ... FOR SHARE needs a right to UPDATE: a column that a trigger stamps.
        "UPDATE (updated_at) ON patients",
        # Pruning deletes a version's old bytes and nothing else.
        "UPDATE (keras_artifact, compiled_artifact) ON model_versions",
    ),
    "pima_loader": (
        "SELECT ON alembic_version, declarations, patients, row_keys",
        "INSERT (id, {loaded}), UPDATE ({loaded}) ON patients",
        # Rows that have vanished from a source, if its settings delete them.
        "DELETE ON patients",
        "SELECT, INSERT ON loads",
        # To keep forgotten persons out. The holdout's salt stays hidden: with it, keys could be
        # chosen to fit a side.
        "SELECT ON forgotten",
        "SELECT (forgetting_salt) ON installation",
        # A pull has a run, and a lease so that it is the only one of its source.
        "SELECT, INSERT, UPDATE ON runs, leases, source_pulls",
        "SELECT, INSERT, UPDATE, DELETE ON source_rejections",
        # A file with ids moves the counter above them.
        "USAGE, UPDATE ON SEQUENCE patients_id_seq",
    ),
    # The clinic's own software. Not what a pull needs: that could also end runs of others and hold
    # their leases.
    "pima_writer": (
        "SELECT, DELETE ON patients",
        "INSERT (id, {loaded}), UPDATE ({loaded}) ON patients",
    ),
    # The long-lived process: the runs, its heartbeat, and the figures of health and metrics; its
    # children have the roles of their jobs.
    "pima_scheduler": (
        "SELECT ON alembic_version, declarations, champion",
        "SELECT ON removed_runs",
        "SELECT ON monitoring",
        "SELECT, INSERT, UPDATE ON runs, schedules",
        # The moves that it reports, and the alerts that it has sent.
        """SELECT (id, verdict, reason, challenger, from_version, to_version, champion_sequence,
            decided_at) ON promotions""",
        "SELECT, INSERT, UPDATE, DELETE ON alerts",
        "SELECT (enqueued_at) ON scoring_queue",
        """SELECT (number, created_at, run_id, threshold, seed, settings, libraries,
            data_fingerprint, settings_fingerprint, training_rows, holdout_rows, rows_left_out,
            first_labelled_at, last_labelled_at, metrics, keras_sha256, compiled_sha256, features)
            ON model_versions""",
    ),
    # The person who operates the service: status, health, models, requeue.
    "pima_operator": (
        (
            "SELECT ON alembic_version, declarations, patients, row_history, predictions, "
            "prediction_scores, promotions, model_versions"
        ),
        "SELECT ON training_snapshots, runs, schedules",
        "SELECT ON tallies, monitoring, served_days, changed_outcomes, source_rejections",
        "SELECT ON current_predictions",
        "SELECT (patient_id, source, source_key) ON row_keys",
        "SELECT ON reports",
        "SELECT, INSERT, UPDATE, DELETE ON alerts",
        "SELECT, UPDATE ON champion",
        "INSERT ON promotions",
        "SELECT, INSERT, UPDATE, DELETE ON scoring_queue",
        "SELECT, DELETE ON rejections",
        # SELECT ... FOR SHARE needs a right to UPDATE: a column that a trigger stamps.
        "UPDATE (updated_at) ON patients",
    ),
    # Erasing a person: DELETE on tables with their rows, UPDATE of columns that are rewritten
    # without them.
    "pima_eraser": (
        "SELECT ON alembic_version, declarations, installation, training_snapshots, test_sets",
        "SELECT (number, training_ids, training_ids_sha256) ON model_versions",
        "SELECT, DELETE ON patients, scoring_queue, predictions, rejections, training_snapshots",
        # SELECT ... FOR UPDATE needs a right to UPDATE.
        "SELECT, UPDATE (replaced_at), DELETE ON row_history",
        "SELECT, DELETE ON prediction_scores",
        "SELECT, UPDATE (side_key), DELETE ON row_keys",
        "SELECT, DELETE ON source_rejections",
        "UPDATE (content, sha256, rows, first_sha256) ON training_snapshots",
        "UPDATE (training_ids, training_ids_sha256) ON model_versions",
        "UPDATE (patient_ids, redacted_at) ON test_sets",
        "SELECT, INSERT, UPDATE, DELETE ON runs",
        "SELECT, INSERT, UPDATE ON removed_runs",
        "SELECT (run_id), DELETE ON tallies, monitoring",
        "SELECT, INSERT ON forgotten",
        # SELECT ... FOR KEY SHARE, to take turns with loads, needs a right to UPDATE: a column that
        # a trigger stamps.
        "UPDATE (updated_at) ON patients",
        # To keep retrainings and verdicts out meanwhile. A lock needs a right to UPDATE: a column
        # that is always 1.
        "SELECT, INSERT, UPDATE ON leases",
        "SELECT, UPDATE (id) ON champion",
    ),
    # Predictions and rejections with their reasons, never a row's values. Exports need the rows'
    # keys; the person's key is only in the view current_predictions. Every command needs the
    # schema's revision, and looks for crashed runs.
    "pima_reader": (
        "SELECT ON predictions, prediction_scores, current_predictions, rejections",
        "SELECT ON alembic_version, declarations",
        "SELECT (id, status, scheduled_for, heartbeat_at) ON runs",
        "SELECT (patient_id, source, source_key) ON row_keys",
    ),
    # Tools that monitor models: predictions with time and version, and outcomes; no ids.
    "pima_monitor": ("SELECT ON monitored_predictions",),
}
"""Each role's rights, as GRANT takes them; anything else is refused. They are written down column
by column: what a record or a page shows one day is no reason to let a role read it. {loaded} stands
for the columns that whoever brings rows may write."""

# A source may say when an outcome became known, from when on it is waited for, and when somebody
# acted.
_LOADED = "labelled_at, index_at, acted_at, outcome, source, source_key, person_key"


_DRAWN = (f"{table.name}_id_seq" for table in TABLES if table.autoincrement_column is not None)
_RELATIONS = ", ".join(
    ("alembic_version", "patient_version", *(table.name for table in TABLES), *VIEWS, *_DRAWN)
)


def make_roles(connection: Connection, declared: Declaration) -> list[str]:
    """Create or repair the roles on a schema with this declaration's columns; return their
    names."""
    schema = schema_of_patients(connection)
    loaded = f"{_LOADED}, {listed(declared.copied + declared.group_columns)}"
    # Roles belong to the whole server, so another database may have created some.
    there = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    # LOGIN without a password, and no other attribute.
    script = [f"CREATE ROLE {role} LOGIN" for role in ROLES if role not in there]
    for role, grants in ROLES.items():
        # Revoke everything first, so that rights granted by hand or by an older release are gone.
        # Not on all tables of the schema: one of somebody else was seen to end the command.
        script += [f"REVOKE ALL ON {ours} FROM {role}" for ours in (_RELATIONS, f"SCHEMA {schema}")]
        script.append(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        script += [f"GRANT {grant.format(loaded=loaded)} TO {role}" for grant in grants]
    # At once: an upgrade keeps everybody from patients meanwhile.
    connection.exec_driver_sql(";".join(script))
    for each in others_in_schema(connection):
        tell(each, "warning")
    return list(ROLES)


_SHOWN = 20


def others_in_schema(connection: Connection) -> list[str]:
    """Say who else may create in the schema of patients, and what could run there that is not
    pima's."""
    may = "functions of theirs could run with each role's rights"
    # PostgreSQL 14 lets everybody, and upgraded databases keep that.
    said = [
        f"Others may create in the schema of patients, so {may}. The schema's owner or a superuser "
        f"takes that back: {statement}"
        for statement in connection.scalars(_CATALOGUE["takes_creating_back"])
    ]
    scripts = "".join(path.read_text("utf-8") for path in _FOLDER.glob("*triggers.sql"))
    ours = [name for name, *_ in _FUNCTION.findall(scripts)]
    found = connection.scalars(_CATALOGUE["not_pimas"], {"ours": ours}).all()
    if found:
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        said.append(
            "The schema of patients has what is not pima's, and could run with each role's rights: "
            f"{', '.join(found[:_SHOWN])}{more}. Drop or move what you don't know."
        )
    return said


def roles_out_of_reach(connection: Connection) -> list[str]:
    """The missing roles, if the current user may not create any; else none."""
    may_create = text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    if connection.scalar(may_create):
        return []
    there = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    return [role for role in ROLES if role not in there]
