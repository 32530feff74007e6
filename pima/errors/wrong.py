"""Errors that end a command with exit code 2: wrong usage, configuration or file, or a database
that can't be used."""

from pima.errors.base import WrongError


class WrongConfiguration(WrongError):
    """Configuration: {what}. Expected: {expected}."""

    note = "It may also contradict what the database was made with."


class DeclarationDiffers(WrongError):
    """The settings declare other features than those this database was made for: {what}. Set the
    declaration back, or carry the change over: `python -m jobs.migrate --features --reason TEXT`;
    run it first with --dry-run, which shows what it would do."""


class OwnNetworkRefused(WrongError):
    """Your own network can't be used: {what}. No model was made, and the champion stays as it is.
    Expected: {expected}."""

    note = "docs/do/bring-your-own-network.md has one that works."


class WrongUsage(WrongError):
    """{what}"""

    note = "The command's `--help` shows its options."


class FileRefused(WrongError):
    """{file}: refused, nothing was loaded. {report}"""

    note = (
        "`--partial` loads the good lines. Of a file without ids, load the bad ones afterwards, "
        "corrected, from a file of their own."
    )


class FileLoadedBefore(WrongError):
    """{file}: a file with the same lines was loaded on {loaded_at}, and it has no ids: loading it
    again would create every patient twice. Nothing was loaded. If you want that, add --again."""

    note = "Line ends, spaces and quotes make no difference."


class SourceUnusable(WrongError):
    """The source {source} can't be read as configured: {what}. Nothing was changed. Expected:
    {expected}."""

    note = "SELECT on the table or view is the only right that it needs."


class SourceKeysUnusable(WrongError):
    """Rows of the source {source} can't be told apart: {what}. Nothing was changed. Name in `key`
    the columns that identify each row, with `key_type`, or leave such rows out by a view or a
    query. Keys are compared without trailing spaces, UUIDs in lower case with hyphens."""


class KeptIdTaken(WrongError):
    """Rows of the source {source} have come back, but other rows of `patients` now have their
    former ids ({rows}; the log has their ids). Nothing of their block was written; what was
    committed before stays. If such a row is the same one, set its source and source_key; if not,
    delete it and insert it without an id. Then run this again."""

    note = "Find out who set the counter of ids back."


class ModelFileRefused(WrongError):
    """{file}: can't be used as a model, {what}. Nothing was written. Expected: a file that `python
    -m jobs.models export N --out FILE` of this release has written; copy or export it again."""


class ClusterUnfit(WrongError):
    """The cluster's workers can't score for this service, and no row was touched: {what}. Expected:
    on each worker this release with its requirements, and the database's URL in its environment."""


class RunNotOpen(WrongError):
    """There is no open {job} run {run_id}. --run-id is for the scheduler, which opens the run
    first; leave it out when you start the job by hand."""


class NoSuchVersion(WrongError):
    """There is no model version {number}. `python -m jobs.models list` shows those that exist."""


class NobodyToForget(WrongError):
    """Nothing is known of {called}, so nothing was erased. `forget ID` takes the row's id in
    `patients`, `forget SOURCE KEY` a source's name and its key, `forget --person KEY` a person. To
    keep out someone who has no row here, as after the restore of an older backup, add
    --without-rows."""


class ForgottenListRefused(WrongError):
    """{file}: can't be used as a list of forgotten people, {what}. Nothing was erased. Expected: a
    whole file that `python -m jobs.forget --export FILE` or deploy/backup.sh of this installation
    has written."""


class PersonHasMoreRows(WrongError):
    """This row is one of {rows} of the same person, which can only be forgotten together: a model
    may have learned from one and be judged on the others. Nothing was changed. `forget --person
    KEY` erases all of them. To remove a single row, delete it from `patients`."""


class NoReportKept(WrongError):
    """No retraining has left a report in the database yet. Without --last, `python -m jobs.report`
    makes one of the current state."""


class NoSuchRow(WrongError):
    """There is no patient with {called}, so nothing was explained. `explain ID` takes the row's id
    in `patients`, `explain SOURCE KEY` a source's name and its key."""


class SchemaMissing(WrongError):
    """The database {url} has no pima schema (expected revision {expected}). If you meant another
    one, set DATABASE_URL, or on PostgreSQL the role's search_path to the schema, and give the role
    USAGE on it; if not, make the schema with: python -m jobs.migrate"""


class SchemaBehind(WrongError):
    """The database's schema is at revision {found}, this code needs {expected}. Bring it up with:
    python -m jobs.migrate"""


class SchemaAhead(WrongError):
    """The database's schema is at revision {found}, which this code does not know; it needs
    {expected}. Run the newer release that made it, or restore a backup from before it
    (docs/do/back-up-and-restore.md)."""


class SchemaDiffers(WrongError):
    """The database is at the right revision, but {what}. Nothing was written. `python -m
    jobs.migrate` recreates pima's own triggers if they are missing or changed. Undo anything else
    by hand: docs/do/repair-the-database.md says how. Then run this again."""

    note = "`python -m jobs.requeue` then queues rows that were written without the triggers."


class VersionCounterBehind(WrongError):
    """The counter of row versions stands at {counter}, below the existing version {version}: it was
    set back by hand, or rows were restored without it. A new row could get the version and
    predictions of an earlier one. Nothing was written. Set the counter above all versions:
    docs/do/repair-the-database.md, under "The counter of versions"."""

    note = "Find out who set it back."


class VersionUsedTwice(WrongError):
    """Waiting rows have the id and version of rows that were predicted before with other
    measurements ({rows}; the log has their ids). The counter of versions was set back, or
    measurements were changed while the triggers were disabled. The batch was rolled back. Set the
    counter above all versions and give these rows new ones: docs/do/repair-the-database.md, under
    "The counter of versions". Then score again."""


class RowsKept(WrongError):
    """Rows of the person in `{table}` ({rows:,}) can't be deleted: {keeper} keeps them. Nothing was
    changed. Delete what refers to these rows, or disable the trigger, then run this again."""


class DatabaseUnusable(WrongError):
    """The database can't be used as configured: {what}. Expected: {expected}. DATABASE_URL is
    {url}."""

    note = "Trying again does not help. Only `python -m jobs.migrate` creates a database's file."


class RightMissing(DatabaseUnusable):
    """The role {role} lacks a right on {what} (SQLSTATE 42501); the transaction was rolled back.
    These are enough: pima_scorer for score, pima_trainer for retrain, explain and report,
    pima_loader for load and pull, pima_eraser for forget and retain, pima_reader for export of
    predictions and rejections. So are pima_scheduler for scheduler, health and alert, pima_operator
    for status, health, alert, models, explain, report, export and requeue, the schema's
    owner for migrate. `python -m jobs.migrate --roles` makes them and corrects their rights."""
