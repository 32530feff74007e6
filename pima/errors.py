"""Everything that can go wrong in a way that a person can mend.

Each class's docstring is its message: what happened, what was expected, what to do next. It is filled from keyword
arguments, which are ids, counts, names and codes, never a patient's value. `exit_code` is the process's, and `code`
stands in `runs.error_code` and in the JSON output.
"""

from typing import ClassVar

DONE = 0
FAILED = 1
WRONG = 2
REFUSED = 3
TRY_AGAIN_LATER = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong with the work; run it again."""
INTERRUPTED_BY_CTRL_C = 130
INTERRUPTED_BY_SIGTERM = 143


def _in_one_line(docstring: str) -> str:
    """Without the source's line ends, since a terminal makes its own; the facts keep theirs, and so their lists."""
    return " ".join(docstring.split())


class PimaError(Exception):
    """{message}"""

    exit_code: ClassVar[int] = FAILED
    code: ClassVar[str] = "failed"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(_in_one_line(type(self).__doc__ or "").format(**facts))


# ---- 1: failed ----------------------------------------------------------------------------------------------------


class DatabaseFailed(PimaError):
    """The database refused a statement: {what}. The transaction was rolled back. This is not a passing fault: look at
    the database's own log for the statement."""

    code = "database_failed"


class DatabaseDamaged(PimaError):
    """The database's file is damaged: SQLite says {what}. What was going on was rolled back, as far as the file allows.
    Keep the file as it is, and restore a backup (docs/operations.md)."""

    code = "database_damaged"


class DatabaseFull(PimaError):
    """There is no room for the database: SQLite says {what}. The disk of its file, of its journal or of a temporary
    file is full, or a limit on a file's size is reached. What was committed stays, the rest was rolled back. Make room,
    then run this again."""

    code = "database_full"


class ArtifactDamaged(PimaError):
    """The stored bytes of model version {number} are not those that were written: {what}. They were not parsed, and no
    row was touched. `python -m jobs.models rollback --reason TEXT` goes back to the version before; the next
    `python -m jobs.retrain` replaces an unloadable champion."""

    code = "artifact_damaged"


class ResultNotWritten(PimaError):
    """The result could not be written to standard output: {why}. The command's work is done all the same. Make room, or
    send the output elsewhere; `python -m jobs.status` shows the last runs."""

    code = "result_not_written"


class Unhealthy(PimaError):
    """Not healthy: {reasons}"""

    code = "unhealthy"


class AttachFaulty(PimaError):
    """The triggers of attached sources may miss changes: {faults}. Until that is mended, pulls compare these sources as
    a whole. `python -m jobs.attach NAME` recreates the triggers or says what stands in the way; --detach drops them."""

    code = "attach_faulty"


class TrainingExtraMissing(PimaError):
    """This installation has no TensorFlow, so it can score but not train. In pima's folder run: pip install
    --require-hashes -r locks/train.txt; or use the image's default target."""

    code = "training_extra_missing"


class ReportExtraMissing(PimaError):
    """This installation has neither Jinja nor matplotlib, so it can draw no report. Install the extra:
    pip install 'pima[report]', or use the image's default target. `report --last` needs neither: it writes the one that
    the last retraining left."""

    code = "report_extra_missing"


class PartNotWritten(PimaError):
    """{path} could not be written: {why}. Parts that are finished stay. Make room or mend the rights, then run this
    again, which completes what is missing."""

    code = "part_not_written"


class WorkersFailed(PimaError):
    """A worker process {how} ({line}), and the others were stopped at their next batch. What was committed or finished
    stays. Look at the log lines above, then run this again."""

    code = "workers_failed"


class AlertsExtraMissing(PimaError):
    """This installation has no apprise, so it can tell nobody of anything. Install the extra: pip install
    'pima[alerts]', or use the image's default target."""

    code = "alerts_extra_missing"


class MlflowExtraMissing(PimaError):
    """This installation has no client of MLflow, so it can mirror nothing. Install the extra:
    pip install 'pima[mlflow]'."""

    code = "mlflow_extra_missing"


class ReportNotWritten(PimaError):
    """The report can't be written to {path}: {why}. What was there before is still there. Make room, or name another
    file."""

    code = "report_not_written"


class TemporaryFileFailed(PimaError):
    """A temporary file could not be written or read: {why}. What was committed stays, nothing else was changed. Make
    room, or name another folder in TMPDIR."""

    code = "temporary_file_failed"


class VersionHasNoBytes(PimaError):
    """Model version {number} has no stored {form} bytes any more, so it can't be used. Use another version: the
    champion, the one before it and the newest always keep theirs, others as lineage.model_bytes says."""

    code = "version_has_no_bytes"


class SnapshotNotKept(PimaError):
    """The training snapshot of model version {number} is not kept, so it can neither be fitted again nor have its
    predictions explained. Versions that have one: {kept}. lineage.snapshots in the configuration says how many are
    kept."""

    code = "snapshot_not_kept"


class SnapshotDamaged(PimaError):
    """The training snapshot of model version {number} is not what was written: its sha256 differs from the one stored
    beside it. It was not parsed. Restore the database from a backup to fit this version again, or to have its
    predictions explained."""

    code = "snapshot_damaged"


class SnapshotRedacted(PimaError):
    """The training snapshot of model version {number} is whole, but not what the version was fitted on: {rows} of its
    rows were taken out since, because a person was to be forgotten. So it can't be fitted again. Predictions are
    explained with the rows that are left; the next `python -m jobs.retrain` leaves a snapshot of its own."""

    code = "snapshot_redacted"


class ArchiveDiffers(PimaError):
    """The file {path} is not read as it was written, so no row of it was deleted. What was moved before stays. Look at
    the disk; delete that file, and run this again."""

    code = "archive_differs"


class NotReproduced(PimaError):
    """Model version {number}, fitted again from its training snapshot, gives other predictions (largest difference
    {difference:.2g}). Made with {then}; here {now}. Other library versions or another processor explain small
    differences; with the same ones, look at what else has changed."""

    code = "not_reproduced"


# ---- 2: wrong usage, configuration, file or schema ----------------------------------------------------------------


class WrongConfiguration(PimaError):
    """Configuration: {what}. Expected: {expected}."""

    exit_code = WRONG
    code = "wrong_configuration"


class DeclarationDiffers(PimaError):
    """The settings declare other features than those this database was made for: {what}. Set the declaration back, or
    carry the change over: `python -m jobs.migrate --features --reason TEXT`; run it first with --dry-run, which tells
    what it would do."""

    exit_code = WRONG
    code = "declaration_differs"


class WrongUsage(PimaError):
    """{what}"""

    exit_code = WRONG
    code = "wrong_usage"


class SchemaMissing(PimaError):
    """The database {url} has no pima schema (expected revision {expected}). If another was meant, set DATABASE_URL to
    its URL; if not, make the schema with: python -m jobs.migrate"""

    exit_code = WRONG
    code = "schema_missing"


class SchemaBehind(PimaError):
    """The database's schema is at revision {found}, this code needs {expected}. Bring it up with:
    python -m jobs.migrate"""

    exit_code = WRONG
    code = "schema_behind"


class SchemaBehindDryRun(SchemaBehind):
    """The database's schema is at revision {found}, this code needs {expected}, and a dry run changes nothing. Bring it
    up with the settings of before: python -m jobs.migrate, and run this again; or run it without --dry-run, which
    brings the schema up and carries the change over."""


class SchemaAhead(PimaError):
    """The database's schema is at revision {found}, which this code does not know; it needs {expected}. Run the newer
    release that made it, or go back with that release: python -m jobs.migrate --to {expected}"""

    exit_code = WRONG
    code = "schema_ahead"


class DeclarationWouldBeLost(PimaError):
    """The database can't go back to revision {to}: schemas before {first} know only the shipped declaration, and
    {what}. Nothing was changed. `python -m jobs.migrate --to {first}` is as far as it can go. An older release needs a
    backup from its own time (docs/operations.md), or a new database."""

    exit_code = WRONG
    code = "declaration_would_be_lost"


class KeysWouldBeLost(PimaError):
    """The database can't go back to revision {to}: schemas before {first} have no place for what rows are called in
    their sources and whose they are, by which {keyed} rows are found again and kept on their side of the holdout.
    Nothing was changed. `python -m jobs.migrate --to {first}` is as far as it can go. An older release needs a backup
    from its own time (docs/operations.md), or a new database."""

    exit_code = WRONG
    code = "keys_would_be_lost"


class ForgottenWouldReturn(PimaError):
    """The database can't go back to revision {to}: schemas before {first} don't know who was forgotten ({marks} names),
    and the next load or pull would bring them back. Nothing was changed. `python -m jobs.migrate --to {first}` is as
    far as it can go."""

    exit_code = WRONG
    code = "forgotten_would_return"


class SchemaDiffers(PimaError):
    """The database is at the right revision, but {what}. Nothing was written. `python -m jobs.migrate` recreates pima's
    own triggers where they are missing or changed; anything else a person has to undo: docs/operations.md says how,
    under "What was changed by hand". Then run this again."""

    exit_code = WRONG
    code = "schema_differs"


class VersionCounterBehind(PimaError):
    """The counter that row versions are drawn from stands at {counter}, below the existing version {version}: it was
    set back by hand, or the rows were restored without it. A row that is deleted and inserted again could get the
    version of an earlier one, and its predictions. Nothing was written. Set the counter above all versions with:
    python -m jobs.requeue"""

    exit_code = WRONG
    code = "version_counter_behind"


class VersionUsedTwice(PimaError):
    """Waiting rows have the id and version of rows that were predicted before with other measurements ({rows:,} in
    this batch, by patient_id: {first}): the counter of versions was set back, or measurements were changed
    while the triggers were away. The batch was rolled back. Run `python -m jobs.requeue --new-versions` as the owner,
    which puts the counter right and draws other versions for such rows; then score again."""

    exit_code = WRONG
    code = "version_used_twice"


class DatabaseUnusable(PimaError):
    """The database can't be used as configured: {what}. Expected: {expected}. DATABASE_URL is {url}."""

    exit_code = WRONG
    code = "database_unusable"


class RightMissing(DatabaseUnusable):
    """The role {role} lacks a right on {what} (SQLSTATE 42501); the transaction was rolled back. These are enough:
    pima_scorer for score, pima_trainer for retrain, pima_loader for load and pull, pima_scheduler for scheduler, health
    and alert, pima_operator for status, health, alert, models, mirror, explain, report, export and requeue, pima_reader
    for export of predictions and rejections, pima_eraser for forget and retain, the schema's owner for migrate and
    attach. `python -m jobs.migrate --roles` makes them and mends their rights."""

    code = "right_missing"


class FileRefused(PimaError):
    """{file}: refused, nothing was loaded. {report}"""

    exit_code = WRONG
    code = "file_refused"


class NothingToSuggest(PimaError):
    """{table}: nothing can be suggested. {why}"""

    exit_code = WRONG
    code = "nothing_to_suggest"


class FileLoadedBefore(PimaError):
    """{file}: a file with the same lines was loaded on {loaded_at}, and it has no ids: loading it again would create
    every patient a second time. Nothing was loaded. If you mean to, add --again."""

    exit_code = WRONG
    code = "file_loaded_before"


class SourceUnusable(PimaError):
    """The source {source} can't be read as configured: {what}. Nothing was changed. Expected: {expected}."""

    exit_code = WRONG
    code = "source_unusable"


class SourceKeysUnusable(PimaError):
    """Rows of the source {source} can't be told apart: {what}. Nothing was changed. Name in `key` what tells each row
    from all others, with its `key_type`, or leave such rows out by a view or a query. Keys are compared without
    trailing spaces, UUIDs in lower case with hyphens."""

    exit_code = WRONG
    code = "source_keys_unusable"


class KeptIdTaken(PimaError):
    """Rows of the source {source} have come back, and the ids that they had are those of other rows of `patients` by
    now ({rows}, by id: {first}). Nothing of their block was written, what was committed before stays. Where such a row
    is the same one, set its source and source_key; else delete it and insert it again without an id, which gives it one
    of its own. Then run this again."""

    exit_code = WRONG
    code = "kept_id_taken"


class CannotAttach(PimaError):
    """The source {source} can't be attached: {what}. Nothing was changed, and its pulls compare the whole source, which
    is just as correct. Expected: a table without children or partitions, in pima's own database, which the source's URL
    must name."""

    exit_code = WRONG
    code = "cannot_attach"


class CannotPartition(PimaError):
    """The table predictions can't be divided: {what} hangs on it, and would hang on its first part alone. Nothing was
    changed. Drop it, run this again, and make it anew for the whole table."""

    exit_code = WRONG
    code = "cannot_partition"


class AttachNotAllowed(PimaError):
    """The role {role} may not attach or detach the source {source}: that takes the owner of pima's schema and of the
    source's table, or a superuser. Nothing was changed. With --sql the command prints what a database administrator can
    run instead."""

    exit_code = WRONG
    code = "attach_not_allowed"


class StillAttached(PimaError):
    """The database can't go back to revision {to} while sources are attached ({names}): their triggers write to a table
    that this schema does not have. Nothing was changed. Detach them first: python -m jobs.attach NAME --detach"""

    exit_code = WRONG
    code = "still_attached"


class ModelFileRefused(PimaError):
    """{file}: can't be used as a model, {what}. Nothing was written. Expected: a file that
    `python -m jobs.models export N --out FILE` of this release has written; copy it again, or export it anew."""

    exit_code = WRONG
    code = "model_file_refused"


class DatasetRefused(PimaError):
    """{dataset}: can't be scored, {what}. Parts that are finished stay. Expected: Parquet with a column for each
    feature of the model."""

    exit_code = WRONG
    code = "dataset_refused"


class ClusterUnfit(PimaError):
    """The cluster's workers can't score for this service, and no row was touched: {what}. Expected: on each worker this
    release with its requirements, and the database's URL in the worker's own environment."""

    exit_code = WRONG
    code = "cluster_unfit"


class RunNotOpen(PimaError):
    """There is no open {job} run {run_id}. --run-id is for the scheduler, which opens the run first; leave it out when
    you start the job by hand."""

    exit_code = WRONG
    code = "run_not_open"


class NoSuchVersion(PimaError):
    """There is no model version {number}. `python -m jobs.models list` shows those that exist."""

    exit_code = WRONG
    code = "no_such_version"


class NobodyToForget(PimaError):
    """Nothing is known of {called}, so nothing was erased. `forget ID` takes the id that the row has or had in
    `patients`, `forget SOURCE KEY` the name of its source and what it is called there, `forget --person KEY` a
    person."""

    exit_code = WRONG
    code = "nobody_to_forget"


class PersonHasMoreRows(PimaError):
    """That row is one of {rows} of the same person, who is forgotten as a whole or not at all: a model may have learned
    from this row and be judged on the others. Nothing was changed. `forget --person KEY` erases all of them. To take a
    single row out, delete it from `patients`."""

    exit_code = WRONG
    code = "person_has_more_rows"


class NoReportKept(PimaError):
    """No retraining has left a report in the database yet. Without --last, `python -m jobs.report` makes one of how
    things stand now."""

    exit_code = WRONG
    code = "no_report_kept"


class NoSuchRow(PimaError):
    """There is no patient with {called}, so nothing was explained. `explain ID` takes the id that the row has in the
    table patients, `explain SOURCE KEY` the name of its source and what it is called there."""

    exit_code = WRONG
    code = "no_such_row"


# ---- 3: refused by a guard before any verdict -----------------------------------------------------------------------


class NoChampion(PimaError):
    """There is no champion to score what waits ({waiting}); it stays on the queue. Make one with:
    python -m jobs.retrain"""

    exit_code = REFUSED
    code = "no_champion"


class NothingPredicts(NoChampion):
    """There is no champion, so there is no prediction to explain. Make one with: python -m jobs.retrain"""


class NoChampionForFiles(NoChampion):
    """There is no champion to score the files with. Make one with: python -m jobs.retrain; or name a version, or a
    model file, with --model."""


class OtherOutputThere(PimaError):
    """{folder} holds what this run would not have written: {what}. Nothing was written. Name an empty folder, or move
    away what is there."""

    exit_code = REFUSED
    code = "other_output_there"


class RowCannotBeScored(PimaError):
    """Patient {patient_id} can't be scored as the row is, so there is no prediction to explain: {field} broke the rule
    {reason} (docs/operations.md has the rules). Correct the row and run this again."""

    exit_code = REFUSED
    code = "row_cannot_be_scored"


class SourceRefused(PimaError):
    """The source {source} looks faulty: {what}. Nothing was changed. Look at the source. If it is right as it is,
    change what is named in the settings and run this again."""

    exit_code = REFUSED
    code = "source_refused"


class TooYoungToRemove(PimaError):
    """Nothing was removed: --older-than is {days}, and what is younger than {minimum} days is never removed. Ask for
    older rows, or change retain.minimum_days in the settings."""

    exit_code = REFUSED
    code = "too_young_to_remove"


class TooFewLabels(PimaError):
    """Too little labelled history to train and judge a model: {what}. The champion stays as it is. Load more outcomes,
    or lower retrain.minimum_labels or retrain.minimum_of_each_class."""

    exit_code = REFUSED
    code = "too_few_labels"


class NothingToRollBackTo(PimaError):
    """There is no earlier champion to go back to. `python -m jobs.models list` shows the versions that `models promote
    N` can take."""

    exit_code = REFUSED
    code = "nothing_to_roll_back_to"


# ---- 75: try again later -------------------------------------------------------------------------------------------


class DatabaseAway(PimaError):
    """The database can't be reached or stopped answering: {what}. What was committed stays, the rest was rolled back.
    Run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "database_away"


class DatabaseBusy(PimaError):
    """Something else that goes on in the database stood in the way: {what}. What was committed stays, the rest was
    rolled back. It will pass: run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "database_busy"


class RowsContested(DatabaseFailed):
    """Somebody else was writing the rows of `patients` that this has to write: {what}. What was committed stays, the
    rest was rolled back. Run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "rows_contested"


class ClusterAway(PimaError):
    """The cluster can't be used for now: {what}. What was committed stays, the rest was rolled back. Run this again
    later."""

    exit_code = TRY_AGAIN_LATER
    code = "cluster_away"


class RunOver(PimaError):
    """Run {run_id} was closed while this worker was busy with it; its batch was rolled back, and the rows wait again.
    Run jobs.score again."""

    exit_code = TRY_AGAIN_LATER
    code = "run_over"


class WorkersHeldUp(PimaError):
    """A worker process could not go on for now ({line}), and the others were stopped at their next batch. What was
    committed or finished stays. Run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "workers_held_up"


class SourceAway(PimaError):
    """The source {source} can't be reached or stopped answering: {what}. Nothing was changed. Run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "source_away"


class AlertsNotDelivered(PimaError):
    """Alerts did not reach {receivers}, by their place in alerts.urls. What was not taken is kept and sent once they
    answer: run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "alerts_not_delivered"


class MlflowNotWritten(PimaError):
    """MLflow can't be reached, or did not take what was sent: {what}. What it has taken stays there, and is not sent
    again: run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "mlflow_not_written"


class LeaseHeld(PimaError):
    """Another {job} is running (lease held by {owner} until {expires_at}). Run this again later."""

    exit_code = TRY_AGAIN_LATER
    code = "lease_held"


class ChampionKeepsMoving(PimaError):
    """The champion was changed by someone else in each of {attempts} attempts to decide. Nothing was written. Run this
    again later."""

    exit_code = TRY_AGAIN_LATER
    code = "champion_keeps_moving"


# ---- 130 / 143: asked to stop --------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """A signal asked the process to stop. Not an Exception: no library's `except Exception` may swallow it."""

    code = "interrupted"

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
