"""How many rows came tonight, beside what the weekday usually brings: told of empty nights too, without numpy."""

from datetime import datetime

from sqlalchemy import Connection

from pima.core.drift.volume import volume_of_nights
from pima.core.drift.watched import Watched
from pima.store.engine import clock
from pima.store.monitoring import keep_figures, rows_of_nights
from pima.store.registry import read_champion


def leave_volume(run_id: int, connection: Connection) -> None:
    """Of a run that found nothing to do; nothing where there is no champion yet."""
    champion = read_champion(connection).model_version
    if champion is not None:
        keep_figures(connection, run_id, champion, [volume_tonight(connection, clock(connection))])


def volume_tonight(connection: Connection, now: datetime) -> Watched:
    """Of all runs of this night, this one's counts so far included."""
    return volume_of_nights(rows_of_nights(connection, now))
