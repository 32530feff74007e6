"""What ends a command with exit code 75: to be tried again later."""

from pima.errors.base import TRY_AGAIN_LATER, TemporaryError
from pima.errors.failed import DatabaseFailed


class DatabaseAway(TemporaryError):
    """The database can't be reached, stopped answering or takes no writes: {what}. What was committed stays, the rest
    was rolled back. Run this again later."""


class DatabaseBusy(TemporaryError):
    """Something else that goes on in the database stood in the way: {what}. What was committed stays, the rest was
    rolled back. It will pass: run this again later."""


class FileNotMadeAnew(TemporaryError):
    """The person was erased, but the database's file could not be made anew ({what}), and may hold what was deleted
    until it is. See to that, then run this very command again."""


class RowsContested(DatabaseFailed):
    """Somebody else was writing the rows of `patients` that this has to write: {what}. What was committed stays, the
    rest was rolled back. Run this again later."""

    exit_code = TRY_AGAIN_LATER


class DeclarationChanged(TemporaryError):
    """Somebody has changed the declared features while this read its rows, which may mean something else by now. What
    was committed stays, the rest was rolled back. Run this again: it goes by the new ones."""


class ClusterAway(TemporaryError):
    """The cluster can't be used for now: {what}. What was committed stays, the rest was rolled back. Run this again
    later."""


class SourceAway(TemporaryError):
    """The source {source} can't be reached or stopped answering: {what}. Nothing was changed. Run this again later."""


class AlertsNotDelivered(TemporaryError):
    """Alerts did not reach {receivers}, by their place in alerts.urls. What was not taken is kept and sent once they
    answer: run this again later."""


class MlflowNotWritten(TemporaryError):
    """MLflow can't be reached, or did not take what was sent: {what}. What it has taken stays there, and is not sent
    again: run this again later."""


class LeaseHeld(TemporaryError):
    """Another {job} is running (lease held by {owner} until {expires_at}). Run this again later."""


class ChampionKeepsMoving(TemporaryError):
    """The champion was changed by someone else in each of {attempts} attempts to decide. Nothing was written. Run this
    again later."""
