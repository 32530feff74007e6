"""The triggers on `patients`, which keep versions, times and the queue true whoever writes.

`jobs.migrate` makes them from here, and makes them anew where they are not as they were made. Every run compares them
with what stands here: a trigger that does something else, or nothing, leaves rows unscored without a word.
"""

from sqlalchemy import Connection

from pima.core.features import Declaration
from pima.errors import SchemaDiffers
from pima.store.database import database_of
from pima.store.declarations import newest_declaration


def require_triggers(connection: Connection, declaration: Declaration) -> None:
    """Raises SchemaDiffers where a trigger is not as it was made, or another one undoes its work."""
    what = database_of(connection).triggers.fault(connection, declaration.columns)
    if what is not None:
        raise SchemaDiffers(what=what)


def make_triggers(connection: Connection) -> str | None:
    """Make the triggers where they are not yet, or no longer, as they should be; what was wrong with them, in words."""
    triggers, columns = database_of(connection).triggers, newest_declaration(connection).columns
    what = triggers.fault(connection, columns)
    if what is not None:
        triggers.make(connection, columns)
    return what
