"""All in which one database differs from the other: `Database` says what, a class for each does it, and the rest of the
store names neither."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Double,
    Engine,
    Insert,
    LargeBinary,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.engine import URL
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler, TypeCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from pima.errors import PimaError
from pima.settings.sections import DatabaseSettings

if TYPE_CHECKING:
    import pandas as pd

    from pima.store.predictions import Predictions, Rejections
    from pima.store.queue import Batch


class Scoring(Protocol):
    """Taking rows off the queue, and writing what became of them: a module of each database."""

    def claim(self, connection: Connection, names: tuple[str, ...], after: int, rows: int, /) -> "Batch":
        """Take at most so many rows with a patient id above `after` off the queue, and read these features of them; at
        most `pima.store.queue.largest_batch` rows. They are gone once the transaction commits."""

    def write_predictions(
        self, connection: Connection, made: "Predictions", model_version: int, run_id: int, threshold: float, /
    ) -> int:
        """Append predictions; how many were new, the rest having been made by this model before."""

    def write_rejections(self, connection: Connection, rejected: "Rejections", run_id: int, /) -> None:
        """Record rejections of a run."""


class Database(Protocol):
    """The ways and pieces of SQL that a database has for itself. What has a body here is what a file with one writer
    does."""

    # ---- the way to it, and its transactions

    is_a_file: bool
    """Whether its URL names a file, which is made by connecting where it is not there. A file has no roles, and one
    writer at a time."""
    snapshot: Mapping[str, Any] = {}
    """The execution options by which all that a transaction reads is of one state."""

    def require_sound_url(self, url: URL, text: str, /) -> None:
        """Raises WrongConfiguration if a URL, or the text that it was read from, won't do."""

    def make_engine(self, url: URL, settings: DatabaseSettings, /) -> Engine:
        """An engine whose transactions say what they depend on, and whether they write; connects to nothing yet."""

    def translated(self, error: BaseException | None, url: URL, /) -> PimaError:
        """Make one of our errors of its driver's."""

    def contested(self, error: BaseException | None, /) -> str | None:
        """Say in words what another transaction does to rows of patients that a statement writes, too; None if an
        error of the driver says something else."""
        return None

    def without_time_limit(self, connection: Connection, /) -> None:
        """Let the statements of this transaction take as long as they need."""
        return

    def join_by_index(self, connection: Connection, /) -> None:
        """Let the statements of this transaction look up what they join: of a table that was just filled the planner
        knows nothing, and would read all patients beside it."""
        return

    def vacuum_after_erasure(self, engine: Engine, /) -> None:
        """After rows were deleted, have nothing of them stay behind, where that is in our power."""
        return

    # ---- columns and values

    id: str
    """The type of a whole number of 64 bits."""
    real: str
    """The type of a floating-point number of 64 bits."""
    key: str
    """The type of a text that sorts by its bytes."""
    timestamp: TypeEngine[Any]
    json: TypeEngine[Any]

    def stored_moment(self, moment: datetime, /) -> Any:
        """A time with its zone -> what `timestamp` takes."""

    def stored_document(self, document: Any, /) -> Any:
        """An object or a list -> what `json` takes."""

    # ---- pieces of SQL in statements that are otherwise the same

    now: str
    """The clock at this statement, as a timestamp."""
    labelled_at_milliseconds: str
    """When an outcome came, as an integer: a million datetimes would cost more than all the measurements."""
    moment_of_milliseconds: str
    """The same time again, as a timestamp; {} stands for the integer."""
    differs: str
    """The operator between two values of which each may be NULL."""
    temporary_schema: str
    """Where a connection's temporary tables are."""
    next_id: str
    """A patient's id that the database draws, in an insert that gives others theirs."""
    last_version: str
    """The query for the row version that was drawn last; NULL where none was."""
    first_writer: str
    """The query for the number of the first of those who have written to patients and not committed, or else of
    whoever writes next."""
    came_before_writer: str
    """The condition that the keys of the row `k` of row_keys came before that :writer's."""
    revision_table: str
    """The query for Alembic's table; NULL or no row where it is not there."""
    sources_of_run: str
    """What became of each source in a pull, from the counts of `runs`: a table to be joined, whose column `value` has
    the document of one."""
    keeps_deleted: str
    """Where rows that were deleted may be found all the same, for people."""

    # ---- scoring

    @property
    def scoring(self) -> "Scoring":
        """With numpy, which whoever finds the queue empty does not import."""

    def find_ids_in_parallel(self, connection: Connection, condition: str, /) -> list[int] | None:
        """The ids of the patients `p` that meet a condition, found sooner than a statement that writes finds them; None
        where they are many, or nothing finds them sooner. {within} stands in it where which ids the predictions `d` can
        have may be said besides."""
        return None

    # ---- rows of patients, in and out

    def insert_unless_there(self, table: Table, unique: Sequence[str], /) -> Insert:
        """INSERT ... ON CONFLICT (these columns, which are unique) DO NOTHING"""

    def cursor(self, connection: Connection, /) -> Any:
        """The driver's own cursor, for the rows of a large table."""

    def stream(self, connection: Connection, /) -> Any:
        """The driver's own cursor for rows that are never all in memory."""

    def read_columns(
        self, connection: Connection, statement: str, rows: int, exact: int = 0, /
    ) -> Generator[list["pd.Series"]]:
        """Read what a SELECT gives, column by column, at most so many rows at a time;
        decimals of the first `exact` columns never become floats."""

    def append_frame(self, connection: Connection, table: str, frame: "pd.DataFrame", /) -> None:
        """Add a DataFrame's rows to a table: float64 of which NaN is NULL, Int64, and texts of which None is NULL."""

    def session_id(self, connection: Connection, /) -> object:
        """What tells the server's session of a transaction from others."""
        return None

    def index_staged(self, connection: Connection, table: str, /) -> None:
        """Give a staging table an index by its keys. Fails where two rows have the same one."""

    def wait_for_other_loads(self, connection: Connection, /) -> None:
        """Return when no other transaction takes in files, nor can begin to before this one ends."""
        return

    def waiting_a_moment(self, connection: Connection, /) -> AbstractContextManager[None]:
        """Within it a statement that waits for what another transaction holds fails almost at once: an insert waits for
        whoever inserts the same key."""
        return nullcontext()

    def lock_unless_held(self, connection: Connection, rows: str, lock: str, parameters: Mapping[str, Any], /) -> None:
        """Lock the rows of `p` in a FROM clause with these parameters, as SELECT ... FOR says it. None is waited for:
        where others hold some, the error is one of `contested`."""
        return

    def draw_ids_above_given(self, connection: Connection, /) -> None:
        """Before ids are drawn, and after others were given: the next one must be above all that rows have, and above
        those that are kept for rows that are gone."""

    # ---- the schema: what it is, and making it

    def translated_schema(self, script: str, /) -> str:
        """schema.sql, which is in PostgreSQL's words, in this database's."""

    def columns(self, connection: Connection, tables: Sequence[str], /) -> dict[str, str]:
        """The columns of these tables, and maybe of more, as the catalogue has them: table.column -> type."""

    def fault_of_tables(self, connection: Connection, tables: Sequence[str], /) -> str | None:
        """Say what makes one of these tables more, or less, than its name says; None if nothing does."""

    def fault_of_triggers(self, connection: Connection, features: tuple[str, ...], /) -> str | None:
        """Say what of the triggers on patients is not as `make_triggers` makes it for these features; None if all
        is well."""

    def make_triggers(self, connection: Connection, features: tuple[str, ...], /) -> None:
        """Make the triggers on patients anew for these features, whatever stands there under their names."""

    def wait_for_other_migrations(self, connection: Connection, /) -> None:
        """Return when nobody else migrates, nor can begin to before this transaction ends."""
        return

    def keep_rows(self, connection: Connection, /) -> None:
        """Return when nobody else uses patients and no batch is being scored, nor can either begin before this
        transaction ends."""
        return

    def roles_out_of_reach(self, connection: Connection, /) -> list[str]:
        """Roles of pima's that are not there and that whoever asks may not make."""
        return []

    def make_roles(self, connection: Connection, features: tuple[str, ...], /) -> list[str]:
        """Create or mend the roles; their names. A loader may write these features."""
        return []


_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def with_driver(url: URL) -> URL | None:
    """The URL with the driver that pima uses; None if it names another, or no database that pima knows."""
    name = _DRIVERS.get(url.drivername, url.drivername)
    return url.set(drivername=name) if name in _DRIVERS.values() else None


def database_at(url: URL) -> Database:
    """The database that a URL leads to which `with_driver` has passed."""
    return _named(url.get_backend_name())


def database_of(bound: Connection | Engine) -> Database:
    """The database that a connection or an engine speaks to."""
    return _named(bound.dialect.name)


@cache
def _named(name: str) -> Database:
    """The one place that chooses. SQLAlchemy's part for the other database would cost every start of a job 15 ms."""
    if name == "sqlite":
        from pima.store.sqlite.database import SQLite

        return SQLite()
    from pima.store.postgresql.database import PostgreSQL

    return PostgreSQL()


# ---- Column types and expressions that mean the same on each database.

Bytes = LargeBinary


class Id(BigInteger):
    """A whole number of 64 bits."""


class Real(Double[float]):
    """A floating-point number of 64 bits."""


class Key(Text):
    """A name of a row or a person in another system; it sorts by its bytes."""


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, which sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _named(dialect.name).timestamp

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else _named(dialect.name).stored_moment(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A small JSON document: an object or a list."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _named(dialect.name).json

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _named(dialect.name).stored_document(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return json.loads(value) if isinstance(value, str) else value


class database_now(FunctionElement[datetime]):  # noqa: N801 (reads as the SQL function that it is)
    """The database's clock at this statement, so that machines with different clocks agree."""

    type = Timestamp()
    inherit_cache = True


@compiles(Id)
@compiles(Real)
@compiles(Key)
def _column_type(kind: Id | Real | Key, compiler: TypeCompiler, **_: Any) -> str:
    database = _named(compiler.dialect.name)
    return database.id if isinstance(kind, Id) else database.real if isinstance(kind, Real) else database.key


@compiles(database_now)
def _now(_element: database_now, compiler: SQLCompiler, **_: Any) -> str:
    return _named(compiler.dialect.name).now
