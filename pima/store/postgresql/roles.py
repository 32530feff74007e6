"""Roles on PostgreSQL, each with no more rights than its work needs.

They may log in once someone gives them a password (`ALTER ROLE pima_scorer PASSWORD ...`) or another way to prove who
they are; without one PostgreSQL lets nobody in over the network. Making them again first takes back the rights on this
schema, its tables and its sequences; what PUBLIC may do, memberships and attributes are left alone.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from pima.core.features import KEYS
from pima.store.columns import listed
from pima.store.postgresql.schema import schema_of_patients
from pima.store.registry import VersionSummary
from pima.store.service_figures import MoveLine

_MODEL_COLUMNS = "number, compiled_artifact, compiled_sha256, threshold, features, reference"
_CALLED = "patient_id, source, source_key"
_MOVE_COLUMNS = ", ".join(MoveLine.__dataclass_fields__)
_SUMMARY_COLUMNS = ", ".join(VersionSummary.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Role:
    """A role and what it may do, as GRANT says it; what is not here is refused. {loaded} stands for the columns that a
    file may bring."""

    name: str
    grants: tuple[str, ...]


ROLES = (
    # No right at all on patients: the queue carries the measurements, so neither labels nor history are needed.
    Role(
        "pima_scorer",
        (
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
    ),
    Role(
        "pima_trainer",
        (
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
    ),
    Role(
        "pima_loader",
        (
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
    ),
    # The long-lived process: the runs, its heartbeat, and the figures of health and metrics; its children have the
    # roles of their jobs.
    Role(
        "pima_scheduler",
        (
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
    ),
    # Whoever looks after the service: status, health, models, requeue.
    Role(
        "pima_operator",
        (
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
    ),
    # Whoever erases a person: DELETE where there are rows of theirs, UPDATE of what is rewritten without them.
    Role(
        "pima_eraser",
        (
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
    ),
    # What became of each row, and of a rejected one why; never its values. For exports what a row is called, and the
    # person by the view current_predictions alone; for every command what schema this is.
    Role(
        "pima_reader",
        (
            "SELECT ON predictions, current_predictions, rejections",
            "SELECT ON alembic_version, declarations",
            f"SELECT ({_CALLED}) ON row_keys",
        ),
    ),
    # Tools that watch models: when which version predicted what, and what came true; not of whom.
    Role("pima_monitor", ("SELECT ON monitored_predictions",)),
)


def make_roles(connection: Connection, columns: tuple[str, ...]) -> list[str]:
    """Create or mend the roles on a schema with these features' columns; their names."""
    for role in ROLES:
        _make(connection, role, listed((*columns, "outcome", *KEYS)))
    return [role.name for role in ROLES]


def roles_out_of_reach(connection: Connection) -> list[str]:
    """Those that are not there, where whoever asks may not create any."""
    may_create = text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    if connection.scalar(may_create):
        return []
    there = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    return [role.name for role in ROLES if role.name not in there]


def _make(connection: Connection, role: Role, loaded: str) -> None:
    # Roles belong to the server, so another database of it may have made this one.
    exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": role.name})
    if not exists:
        # Without a password; nothing else that a role can have.
        connection.exec_driver_sql(f"CREATE ROLE {role.name} LOGIN")
    schema = schema_of_patients(connection)
    # From nothing, so that a right which was granted by hand or by an older release is gone.
    connection.exec_driver_sql(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role.name}")
    connection.exec_driver_sql(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role.name}")
    connection.exec_driver_sql(f"REVOKE ALL ON SCHEMA {schema} FROM {role.name}")
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role.name}")
    for grant in role.grants:
        connection.exec_driver_sql(f"GRANT {grant.format(loaded=loaded)} TO {role.name}")
