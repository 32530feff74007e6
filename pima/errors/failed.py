"""What ends a command with exit code 1: it failed."""

from pima.errors.base import PimaError


class DatabaseFailed(PimaError):
    """The database refused a statement: {what}. The transaction was rolled back. This is not a passing fault: look at
    what it names, and on PostgreSQL at the server's log for the statement."""


class DatabaseDamaged(PimaError):
    """The database's file is damaged: SQLite says {what}. What was going on was rolled back, as far as the file allows.
    Keep the file as it is, and restore a backup (docs/do/back-up-and-restore.md)."""


class DatabaseFull(PimaError):
    """There is no room for the database: SQLite says {what}. The disk of its file, of its journal or of a temporary
    file is full, or a limit on a file's size is reached. What was committed stays, the rest was rolled back. Make room,
    then run this again."""


class ArtifactDamaged(PimaError):
    """The stored bytes of model version {number} are not those that were written: {what}. They were not parsed, and no
    row was touched. `python -m jobs.models rollback --reason TEXT` goes back to the version before; the next
    `python -m jobs.retrain` replaces an unloadable champion."""

    note = "Find out what changed the bytes: the disk, or a person."


class Unhealthy(PimaError):
    """Not healthy: {reasons}"""

    note = "Look each reason up: `python -m jobs.health --why REASON`."


class FileNotWritten(PimaError):
    """{path} could not be written: {why}. What was committed or finished stays, and so does what was there before. Make
    room, correct the rights or name another place (for temporary files in TMPDIR), then run this again."""

    note = "The report of a retraining goes to `report.folder`."


class WorkersFailed(PimaError):
    """Workers died of the work again and again (Dask says: {what}), and the others were stopped at their next batch.
    What was committed or finished stays. Look at the workers' own log lines, then run this again."""

    note = "Often the system ended them because they were out of memory."


class VersionHasNoBytes(PimaError):
    """Model version {number} has no stored {form} bytes any more, so it can't be used. Use another version: the
    champion, the one before it and the newest always keep theirs, others as lineage.model_bytes says."""


class SnapshotNotKept(PimaError):
    """The training snapshot of model version {number} is not kept, so it can neither be fitted again nor have its
    predictions explained. Versions that have one: {kept}. lineage.snapshots in the configuration says how many are
    kept."""


class SnapshotDamaged(PimaError):
    """The training snapshot of model version {number} is not what was written: its sha256 differs from the one stored
    beside it. It was not parsed. Restore the database from a backup to fit this version again, or to have its
    predictions explained."""

    note = "Scoring does not need it."


class SnapshotRedacted(PimaError):
    """The training snapshot of model version {number} is whole, but not what the version was fitted on: {rows} of its
    rows were taken out since, because a person was to be forgotten. So it can't be fitted again. Predictions are
    explained with the rows that are left; the next `python -m jobs.retrain` leaves a snapshot of its own."""


class ArchiveDiffers(PimaError):
    """The file {path} is not read as it was written, so no row of it was deleted. What was moved before stays. Look at
    the disk; delete that file, and run this again."""


class ArchiveUnreadable(PimaError):
    """The file {path}, to which an earlier call has moved rows, can't be read ({why}). These rows may be nowhere else,
    so do not delete it: correct its rights, put it back from a backup, or name another folder. Nothing more was moved
    or removed."""


class NotReproduced(PimaError):
    """Model version {number}, fitted again from its training snapshot, gives other predictions (largest difference
    {difference:.2g}). Made with {then}; here {now}. Other library versions or another processor explain small
    differences; with the same ones, look at what else has changed."""
