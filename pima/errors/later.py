"""Errors that end a command with exit code 75: try again later."""

from pima.errors.base import TRY_AGAIN_LATER, TemporaryError
from pima.errors.failed import DatabaseFailed


class DatabaseAway(TemporaryError):
    """The database can't be reached, stopped answering or takes no writes: {what}. What was
    committed stays, the rest was rolled back. Run this again later."""

    note = "It may be a standby, or out of connections or memory. Does the URL name the primary?"


class DatabaseBusy(TemporaryError):
    """Other work in the database was in the way: {what}. What was committed stays, the rest was
    rolled back. It will pass: run this again later."""

    note = "If it happens often, find the session that holds the lock."


class FileNotMadeAnew(TemporaryError):
    """The person was erased, but the database's file could not be rebuilt ({what}), so it may still
    hold deleted rows. Remove the cause, then run the same command again."""


class RowsContested(DatabaseFailed):
    """Someone else was writing rows of `patients` that this command has to write: {what}. What was
    committed stays, the rest was rolled back. Run this again later."""

    exit_code = TRY_AGAIN_LATER
    note = "If it happens often, find the session that writes these rows."


class DeclarationChanged(TemporaryError):
    """The declared features were changed while this command read its rows, whose values may now
    mean something else. What was committed stays, the rest was rolled back. Run this again: it will
    use the new features."""


class ClusterAway(TemporaryError):
    """The cluster can't be used for now: {what}. What was committed stays, the rest was rolled
    back. Run this again later."""


class SourceAway(TemporaryError):
    """The source {source} can't be reached or stopped answering: {what}. Nothing was changed. Run
    this again later."""

    note = "A SQLite file and its own writers wait for each other unless it is in WAL mode."


class AlertsNotDelivered(TemporaryError):
    """Alerts did not reach {receivers}, by their place in alerts.urls. Undelivered alerts are kept
    and sent once the receivers answer: run this again later."""

    note = "`python -m jobs.alert --test` tries each address."


class LeaseHeld(TemporaryError):
    """Another {job} is running (lease held by {owner} until {expires_at}). Run this again later."""

    note = (
        "A retraining that died keeps the lease for `retrain.lease_seconds`, a pull for a minute."
    )


class ChampionKeepsMoving(TemporaryError):
    """The champion was changed by someone else in each of {attempts} attempts to decide. Nothing
    was written. Run this again later."""
