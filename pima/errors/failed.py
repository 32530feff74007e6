"""Errors that end a command with exit code 1: it failed."""

from pima.errors.base import PimaError


class DatabaseFailed(PimaError):
    """The database refused a statement: {what}. The transaction was rolled back. The fault will not
    pass by itself: look at what is named, and on PostgreSQL at the server's log."""


class DatabaseDamaged(PimaError):
    """The database's file is damaged: SQLite says {what}. The transaction was rolled back as far as
    the file allows. Keep the file as it is, and restore a backup
    (docs/do/back-up-and-restore.md)."""


class DatabaseFull(PimaError):
    """There is no room for the database: {what}. A disk is full, or a limit on file size is
    reached. What was committed stays, the rest was rolled back. Make room
    (docs/do/remove-what-is-old.md), then run this again."""


class ArtifactDamaged(PimaError):
    """The stored bytes of model version {number} are not those that were written: {what}. They were
    not parsed, and no row was touched. `python -m jobs.models rollback --reason TEXT` goes back to
    the version before; the next `python -m jobs.retrain` replaces an unloadable champion."""

    note = "Find out what changed the bytes: the disk, or a person."


class ResultNotWritten(PimaError):
    """The result could not be written to standard output: {why}. The command's changes are made.
    Make room, or send the output elsewhere; `python -m jobs.status` shows the last runs."""


class Unhealthy(PimaError):
    """Not healthy: {reasons}"""

    note = "Look each reason up: `python -m jobs.health --why REASON`."


class FileNotWritten(PimaError):
    """{path} could not be written: {why}. What was committed or finished stays, and so does what
    was there before. Make room, correct the rights or name another place (for temporary files in
    TMPDIR), then run this again."""

    note = "The report of a retraining goes to `report.folder`."


class WorkersFailed(PimaError):
    """Workers died again and again during the work (Dask says: {what}), and the others were stopped
    at their next batch. What was committed or finished stays. Look at the workers' own log lines,
    then run this again."""

    note = "Often the system ended them because they were out of memory."


class VersionHasNoBytes(PimaError):
    """The {form} bytes of model version {number} are no longer stored, so it can't be used. Use
    another version: the champion, the one before it and the newest always keep their bytes, others
    as long as lineage.model_bytes says."""


class SnapshotNotKept(PimaError):
    """The training snapshot of model version {number} is not kept, so it can't be fitted again, nor
    its predictions explained. Versions that have one: {kept}. lineage.snapshots in the
    configuration says how many are kept."""


class SnapshotDamaged(PimaError):
    """The training snapshot of model version {number} is damaged: its sha256 differs. It was not
    parsed. Restore a backup to fit this version again, or to explain its predictions."""

    note = "Scoring does not need it."


class TrainingIdsDamaged(PimaError):
    """The list of the rows that model version {number} learned from is damaged: its sha256 differs.
    It was not parsed. Without it and without a snapshot the version can't be judged, so no newer
    one can replace it. Restore a backup, or go to another version: `python -m jobs.models rollback
    --reason TEXT`, or `promote N`."""

    note = "Scoring does not need it. `forget` deletes such a list."


class SnapshotRedacted(PimaError):
    """The training snapshot of model version {number} is no longer complete: {rows} of its rows
    were removed because a person was forgotten. So the version can't be fitted again. Predictions
    are explained with the rows that are left; the next `python -m jobs.retrain` leaves a snapshot
    of its own."""


class ArchiveDiffers(PimaError):
    """The file {path} does not read back as it was written, so none of its rows was deleted. What
    was moved before stays. Check the disk, delete that file, and run this again."""


class ArchiveUnreadable(PimaError):
    """The file {path}, to which an earlier run moved rows, can't be read ({why}). These rows may be
    nowhere else, so do not delete it: correct its rights, restore it, or name another folder.
    Nothing more was moved or removed."""


class NotReproduced(PimaError):
    """Model version {number}, fitted again from its training snapshot, gives different predictions
    (largest difference {difference:.2g}). It was made with {then}; here is {now}. Other libraries
    or another processor explain small differences; if those are the same, look for what else has
    changed."""


class StepFailed(PimaError):
    """A step, `python -m jobs.{job}`, ended with exit code {ended_with}: {said}"""

    note = "`jobs.demo` and `jobs.trial` take such steps. What the step said has a code of its own."
