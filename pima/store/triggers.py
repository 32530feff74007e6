"""The triggers on `patients`, which keep versions, times and the queue true whoever writes.

`jobs.migrate` makes them from here, and makes them anew where they are not as they were made. Every run compares them
with what stands here: a trigger that does something else, or nothing, leaves rows unscored without a word.
"""

from types import ModuleType

from sqlalchemy import Connection

from pima.errors import SchemaDiffers
from pima.store.engine import is_postgresql
from pima.store.postgresql import triggers as triggers_on_postgresql
from pima.store.sqlite import triggers as triggers_on_sqlite


def require_triggers(connection: Connection) -> None:
    """Raises SchemaDiffers where a trigger is not as it was made, or another one undoes its work."""
    what = _here(connection).fault(connection)
    if what is not None:
        raise SchemaDiffers(what=what)


def make_triggers(connection: Connection) -> None:
    """Make the triggers where they are not yet, or no longer, as they should be."""
    if _here(connection).fault(connection) is not None:
        _here(connection).make(connection)


def drop_triggers(connection: Connection) -> None:
    """Take them away, before an older schema brings its own."""
    _here(connection).drop(connection)


def _here(connection: Connection) -> ModuleType:
    return triggers_on_postgresql if is_postgresql(connection) else triggers_on_sqlite
