"""What tables and views were made with beside their columns: keys, conditions, indexes, and what a view reads.

The code relies on them: COPY on the key of predictions, a run on one row a patient. The check compares what a person
takes away or a rebuilt table forgets; of a condition it compares the name, since each PostgreSQL writes the text its
own way.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import CheckConstraint, Connection, PrimaryKeyConstraint, Table, UniqueConstraint

from pima.errors import SchemaDiffers
from pima.store.database import database_of
from pima.store.tables import TABLES, VIEWS

VIEW = "its definition as a view"


def require_constraints(connection: Connection) -> None:
    """Raises SchemaDiffers where one is missing, or does not hold."""
    found = database_of(connection).constraints(connection, [*(table.name for table in TABLES), *VIEWS])
    for name, what in _expected():
        if (name, what) not in found:
            raise SchemaDiffers(what=f"{name} is not as it was made: it lacks {what}")


def primary_key(columns: Sequence[str]) -> str:
    """What it is called here and in messages, as is what follows."""
    return f"PRIMARY KEY ({', '.join(columns)})"


def unique(columns: Sequence[str]) -> str:
    """A key besides the primary one."""
    return f"UNIQUE ({', '.join(columns)})"


def check(name: str) -> str:
    """A condition of the rows."""
    return f"CHECK {name}"


def not_null(column: str) -> str:
    """A column without NULL."""
    return f"NOT NULL on {column}"


def identity(column: str) -> str:
    """A column whose numbers the database draws."""
    return f"IDENTITY on {column}"


def index(name: str, is_unique: bool) -> str:
    """An index that stands by itself."""
    return f"{'UNIQUE ' if is_unique else ''}INDEX {name}"


def rows_of(table: str) -> str:
    """What a view shows."""
    return f"rows of {table}"


def _expected() -> Iterator[tuple[str, str]]:
    for table in TABLES:
        # In one order each time, which what SQLAlchemy gives has not; keys come first, by the alphabet backwards.
        yield from ((table.name, what) for what in sorted(_of_table(table), reverse=True))
    for view, read in VIEWS.items():
        yield view, VIEW
        yield from ((view, rows_of(table)) for table in read)


def _of_table(table: Table) -> Iterator[str]:
    for constraint in table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint):
            yield primary_key(constraint.columns.keys())
        elif isinstance(constraint, UniqueConstraint):
            yield unique(constraint.columns.keys())
        elif isinstance(constraint, CheckConstraint):
            yield check(str(constraint.name))
    for column in table.columns:
        if not column.nullable:
            yield not_null(column.name)
        if column.identity is not None:
            yield identity(column.name)
    for made in table.indexes:
        yield index(str(made.name), made.unique)
