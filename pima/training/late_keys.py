"""Keys that arrive for a whole table begin a new generation of the holdout, as another share does.

Of a row here and there whose person comes later the side stays, and where it is the wrong one, the person's rows are
used for neither. Of a whole table that would be most of it.
"""

from sqlalchemy import Engine

from pima.logs import get_logger
from pima.store import registry
from pima.store.engine import reading, writing
from pima.store.generations import begin_generation, holdout_generation
from pima.store.late_keys import decide_sides_by_keys, late_keys


def begin_where_keys_came(engine: Engine, share: float) -> None:
    """Decide the sides anew, by the keys that rows have by now, where they came for a whole table; on record.

    Raises WrongConfiguration where the settings have another share than the database.
    """
    with reading(engine) as connection:
        if not late_keys(connection).came_for_all:
            return
    with writing(engine) as connection:
        registry.lock_champion(connection)
        found = late_keys(connection)
        if not found.came_for_all:
            return
        before = holdout_generation(connection, share)
        decide_sides_by_keys(connection)
        reason = f"keys came for {found.late} of {found.labelled} labelled rows, which go by them from now on"
        begun = begin_generation(connection, before.share, "retrain", reason)
    get_logger().warning("a new generation of the holdout", number=begun.number, share=begun.share, reason=reason)
