"""What ends a command with exit code 1: it failed."""

from pima.errors.base import PimaError


class DatabaseFailed(PimaError):
    """The database refused a statement: {what}. The transaction was rolled back. This is not a passing fault: look at
    what it names, and on PostgreSQL at the server's log for the statement."""

    code = "database_failed"


class DatabaseDamaged(PimaError):
    """The database's file is damaged: SQLite says {what}. What was going on was rolled back, as far as the file allows.
    Keep the file as it is, and restore a backup (docs/do/back-up-and-restore.md)."""

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
    note = "Find out what changed the bytes: the disk, or a person."


class ResultNotWritten(PimaError):
    """The result could not be written to standard output: {why}. What the command had to change is changed. Make room,
    or send the output elsewhere; `python -m jobs.status` shows the last runs."""

    code = "result_not_written"
    note = "A job whose output was closed from the start ends with 0: its result stands in `runs`."


class Unhealthy(PimaError):
    """Not healthy: {reasons}"""

    code = "unhealthy"
    note = "Look each reason up: `python -m jobs.health --why REASON`."


class TrainingExtraMissing(PimaError):
    """This installation has no TensorFlow, so it can score but not train. Run: {install}; or use the image's default
    target. In pima's folder `pip install --require-hashes -r locks/train.txt` brings the versions that it is tested
    with."""

    code = "training_extra_missing"


class ReportExtraMissing(PimaError):
    """This installation has neither Jinja nor matplotlib, so it can draw no report. Run: {install}; or use
    the image's default target. `report --last` needs neither: it writes the one that the last retraining left."""

    code = "report_extra_missing"


class PartNotWritten(PimaError):
    """{path} could not be written: {why}. Parts that are finished stay. Make room or correct the rights, then run this
    again, which completes what is missing."""

    code = "part_not_written"


class WorkersFailed(PimaError):
    """Workers died of the work again and again (Dask says: {what}), and the others were stopped at their next batch.
    What was committed or finished stays. Look at the workers' own log lines, then run this again."""

    code = "workers_failed"
    note = "Often the system ended them because they were out of memory."


class AlertsExtraMissing(PimaError):
    """This installation has no apprise, so it can tell nobody of anything. Run: {install}; or use the
    image's default target."""

    code = "alerts_extra_missing"


class MlflowExtraMissing(PimaError):
    """This installation has no client of MLflow, so it can mirror nothing. Run: {install}. No image has it:
    run this command from a virtual environment."""

    code = "mlflow_extra_missing"


class ReportNotWritten(PimaError):
    """The report can't be written to {path}: {why}. What was there before is still there. Make room, or name another
    file."""

    code = "report_not_written"
    note = "The report of a retraining goes to `report.folder`."


class TemporaryFileFailed(PimaError):
    """A temporary file could not be written or read: {why}. What was committed stays, nothing else was changed. Make
    room, or name another folder in TMPDIR."""

    code = "temporary_file_failed"
    note = "A pull keeps there what it will change and what it has to sort."


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
    note = "Scoring does not need it."


class SnapshotRedacted(PimaError):
    """The training snapshot of model version {number} is whole, but not what the version was fitted on: {rows} of its
    rows were taken out since, because a person was to be forgotten. So it can't be fitted again. Predictions are
    explained with the rows that are left; the next `python -m jobs.retrain` leaves a snapshot of its own."""

    code = "snapshot_redacted"


class ArchiveDiffers(PimaError):
    """The file {path} is not read as it was written, so no row of it was deleted. What was moved before stays. Look at
    the disk; delete that file, and run this again."""

    code = "archive_differs"


class ArchiveUnreadable(PimaError):
    """The file {path}, to which an earlier call has moved rows, can't be read ({why}). These rows may be nowhere else,
    so do not delete it: correct its rights, put it back from a backup, or name another folder. Nothing more was moved
    or removed."""

    code = "archive_unreadable"


class NotReproduced(PimaError):
    """Model version {number}, fitted again from its training snapshot, gives other predictions (largest difference
    {difference:.2g}). Made with {then}; here {now}. Other library versions or another processor explain small
    differences; with the same ones, look at what else has changed."""

    code = "not_reproduced"
