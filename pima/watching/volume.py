"""How many rows came tonight, beside what the weekday usually brings: told of empty nights too, without numpy."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from pima.core.drift.volume import volume_of_nights
from pima.core.drift.watched import Watched
from pima.errors import PimaError
from pima.logs import get_logger
from pima.store.engine import clock, writing
from pima.store.monitoring import keep_figures, rows_of_nights
from pima.store.registry import read_champion


def leave_volume(engine: Engine, run_id: int) -> None:
    """Of a run that found nothing to do; nothing where there is no champion yet."""
    with never_failing(), writing(engine) as connection:
        champion = read_champion(connection).model_version
        if champion is not None:
            keep_figures(connection, run_id, champion, [volume_tonight(connection)])


def volume_tonight(connection: Connection) -> Watched:
    """Of all runs of this night, this one's counts so far included."""
    return volume_of_nights(rows_of_nights(connection, clock(connection)))


@contextmanager
def never_failing() -> Iterator[None]:
    """No figure fails a night: what can't be read or written is told in the log."""
    try:
        yield
    except PimaError as error:
        get_logger().warning("this run's monitoring is incomplete", error_code=error.code)
