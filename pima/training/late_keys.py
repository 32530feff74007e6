"""Keys that arrive for a whole table begin a new generation of the holdout, as another share does.

Of a row here and there whose person comes later the side stays, and where it is the wrong one, the person's rows are
used for neither. Of a whole table that would be most of it.
"""

from sqlalchemy import Engine

from pima.core.row_keys import LateKeys
from pima.logs import get_logger
from pima.store import registry
from pima.store.engine import reading, writing
from pima.store.generations import begin_generation, holdout_generation
from pima.store.late_keys import decide_sides_by_keys, late_keys
from pima.training.results import NewGeneration


def begin_where_keys_came(engine: Engine, share: float, dry_run: bool = False) -> NewGeneration | None:
    """Decide the sides anew, by the keys that rows have by now, where they came for a whole table; on record.

    A dry run only says so. Raises WrongConfiguration where the settings have another share than the database.
    """
    with reading(engine) as connection:
        found = late_keys(connection)
        if not found.came_for_all:
            return None
        if dry_run:
            return NewGeneration(holdout_generation(connection, share).number + 1, _because(found))
    with writing(engine) as connection:
        registry.lock_champion(connection)
        found = late_keys(connection)
        if not found.came_for_all:
            return None
        before = holdout_generation(connection, share)
        decide_sides_by_keys(connection)
        begun = begin_generation(connection, before.share, "retrain", _because(found))
    get_logger().warning("a new generation of the holdout", number=begun.number, share=begun.share, reason=begun.reason)
    return NewGeneration(begun.number, begun.reason)


def _because(found: LateKeys) -> str:
    return f"keys came for {found.late} of {found.labelled} labelled rows, which go by them from now on"
