"""What ends a command with exit code 2: a database that can't be used, or another schema than is needed."""

from pima.errors.base import WRONG, PimaError


class SchemaMissing(PimaError):
    """The database {url} has no pima schema (expected revision {expected}). If another was meant, set DATABASE_URL to
    its URL, or on PostgreSQL the role's search_path to the schema; if not, make it with: python -m jobs.migrate"""

    exit_code = WRONG
    code = "schema_missing"


class SchemaBehind(PimaError):
    """The database's schema is at revision {found}, this code needs {expected}. Bring it up with:
    python -m jobs.migrate"""

    exit_code = WRONG
    code = "schema_behind"


class SchemaAhead(PimaError):
    """The database's schema is at revision {found}, which this code does not know; it needs {expected}. Run the newer
    release that made it, or restore a backup from before it (docs/do/back-up-and-restore.md)."""

    exit_code = WRONG
    code = "schema_ahead"


class SchemaUnreleased(PimaError):
    """The database's schema is at revision {found}, from before the first release, and there is no way on from it. Load
    your rows into a new database, or go on with the code that made it: git checkout 1b18431"""

    exit_code = WRONG
    code = "schema_unreleased"


class SchemaDiffers(PimaError):
    """The database is at the right revision, but {what}. Nothing was written. `python -m jobs.migrate` recreates pima's
    own triggers where they are missing or changed; anything else a person has to undo: docs/do/symptoms.md says how,
    under "What was changed by hand". Then run this again."""

    exit_code = WRONG
    code = "schema_differs"
    note = "`python -m jobs.requeue` then queues rows that were written without the triggers."


class VersionCounterBehind(PimaError):
    """The counter that row versions are drawn from stands at {counter}, below the existing version {version}: it was
    set back by hand, or the rows were restored without it. A row that is deleted and inserted again could get the
    version of an earlier one, and its predictions. Nothing was written. Set the counter above all versions:
    docs/do/symptoms.md has the statement, under "The counter of versions"."""

    exit_code = WRONG
    code = "version_counter_behind"
    note = "Find out who set it back."


class VersionUsedTwice(PimaError):
    """Waiting rows have the id and version of rows that were predicted before with other measurements ({rows:,} in
    this batch, by patient_id: {first}). The counter of versions was set back, or measurements were changed while the
    triggers were away. The batch was rolled back. Set the counter above all versions and give such rows
    another one: docs/do/symptoms.md has the statements, under "The counter of versions". Then score again."""

    exit_code = WRONG
    code = "version_used_twice"


class RowsKept(PimaError):
    """Rows of the person in `{table}` ({rows:,}) can't be deleted: a trigger that is not pima's keeps them or writes
    them again, or a foreign key refers to them. Nothing was changed. Disable that trigger while you run this again, or
    delete first what refers to the rows."""

    exit_code = WRONG
    code = "rows_kept"


class DatabaseUnusable(PimaError):
    """The database can't be used as configured: {what}. Expected: {expected}. DATABASE_URL is {url}."""

    exit_code = WRONG
    code = "database_unusable"
    note = "Trying again does not help. Only `python -m jobs.migrate` creates a database's file."


class RightMissing(DatabaseUnusable):
    """The role {role} lacks a right on {what} (SQLSTATE 42501); the transaction was rolled back. These are enough:
    pima_scorer for score, pima_trainer for retrain, explain and report, pima_loader for load and pull, pima_eraser for
    forget and retain, pima_reader for export of predictions and rejections. So are pima_scheduler for scheduler, health
    and alert, pima_operator for status, health, alert, models, mirror, explain, report, export and requeue, the
    schema's owner for migrate. `python -m jobs.migrate --roles` makes them and corrects their rights."""

    code = "right_missing"
