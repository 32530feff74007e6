"""How many rows came tonight and in a week, beside what is usual: told of empty nights too, without numpy."""

from datetime import datetime

from sqlalchemy import Connection

from pima.core.watched import Watched, volumes
from pima.store.engine import clock
from pima.store.monitoring import keep_figures, rows_of_nights
from pima.store.registry import read_champion


def leave_volumes(run_id: int, connection: Connection) -> None:
    """Of a run that found nothing to do; nothing where there is no champion yet."""
    champion = read_champion(connection).model_version
    if champion is not None:
        keep_figures(connection, run_id, champion, volumes_tonight(connection, clock(connection)))


def volumes_tonight(connection: Connection, now: datetime) -> tuple[Watched, Watched]:
    """Of all runs of this night and the week that ends with it, as they stand on record: this run is closed by then."""
    return volumes(rows_of_nights(connection, now))
