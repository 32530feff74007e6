"""The differences between the two databases: the abstract class `Database` lists them, and each
database has a class for it. The rest of the store names neither."""

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
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

from pima.core.declared.features import Declaration
from pima.errors import PimaError
from pima.settings.sections import DatabaseSettings
from pima.store.predictions import Batch, Predictions, Rejections, ScoresBeside

if TYPE_CHECKING:
    import pandas as pd


class Scoring(Protocol):
    """Taking rows off the queue and writing their results: each database has a module for it."""

    def claim(
        self, connection: Connection, names: tuple[str, ...], after: int, rows: int, /
    ) -> Batch:
        """Take at most `rows` rows with a patient id above `after` off the queue, and read these
        columns of them. `rows` is at most `pima.store.rows.queue.largest_batch`. The rows are gone
        once the transaction commits."""

    def write_predictions(
        self,
        connection: Connection,
        made: Predictions,
        model_version: int,
        run_id: int,
        threshold: float,
        /,
    ) -> int:
        """Append predictions; return how many were new. This model made the others before."""

    def write_scores(
        self, connection: Connection, scores: ScoresBeside, model_version: int, run_id: int, /
    ) -> None:
        """Write what a score in use said beside the predictions that this run has made."""

    def write_rejections(
        self, connection: Connection, rejected: Rejections, run_id: int, /
    ) -> None:
        """Record a run's rejections."""


class Database(ABC):
    """The behaviour and the pieces of SQL that are particular to a database. Each one says all of
    it for itself: what it has no need of, too."""

    # ---- connections and transactions

    is_a_file: bool
    """Whether its URL names a file, which connecting creates if it does not exist. A file has no
    roles, and one writer at a time."""
    snapshot: Mapping[str, Any]
    """The execution options that make all reads of a transaction see one state."""

    @abstractmethod
    def require_sound_url(self, url: URL, text: str, /) -> None:
        """Raises WrongConfiguration if a URL, or the text that it was parsed from, can't be
        used."""

    @abstractmethod
    def make_engine(self, url: URL, settings: DatabaseSettings, /) -> Engine:
        """Make an engine whose transactions set the options they rely on and whether they write,
        without connecting."""

    @abstractmethod
    def translated(self, error: BaseException | None, url: URL, /) -> PimaError:
        """Translate a driver's error into one of pima's."""

    @abstractmethod
    def contested(self, error: BaseException | None, /) -> str | None:
        """Say what another transaction does to patient rows that a statement also writes; None for
        any other error of the driver."""

    @abstractmethod
    def without_time_limit(self, connection: Connection, /) -> None:
        """Let the statements of this transaction take as long as they need."""

    @abstractmethod
    def join_by_index(self, connection: Connection, /) -> None:
        """Let the statements of this transaction join by index: the planner has no statistics of a
        table that was just filled, and would read all patients."""

    @abstractmethod
    def join_by_merge(self, connection: Connection, /) -> None:
        """Let the statements of this transaction join by merging rows in order, which costs the
        same for any number of rows that match."""

    @abstractmethod
    def vacuum_after_erasure(self, engine: Engine, /) -> None:
        """Remove the remains of deleted rows, as far as pima can."""

    # ---- columns and values

    id: str
    """The type of a whole number of 64 bits."""
    real: str
    """The type of a floating-point number of 64 bits."""
    key: str
    """The type of a text that sorts by its bytes."""
    timestamp: TypeEngine[Any]
    json: TypeEngine[Any]

    @abstractmethod
    def stored_moment(self, moment: datetime, /) -> Any:
        """Convert a time with a zone to a value for `timestamp`."""

    @abstractmethod
    def stored_document(self, document: object, /) -> Any:
        """Convert an object or a list to a value for `json`."""

    # ---- pieces of SQL for statements that are otherwise the same

    now: str
    """The clock at this statement, as a timestamp."""
    milliseconds: str
    """A timestamp as milliseconds since 1970, an integer: a million datetimes would cost more than
    all the measurements. `EARLIEST` where it lies before; {0} stands for the timestamp."""
    moment_of_milliseconds: str
    """A timestamp from such an integer; {} stands for the integer."""
    differs: str
    """The operator "is not equal" for two values that may be NULL."""
    temporary_schema: str
    """The schema of a connection's temporary tables."""
    next_id: str
    """The expression that draws a patient id, in an INSERT that gives some rows an id."""
    last_version: str
    """The query for the row version that was drawn last; NULL if none was."""
    first_writer: str
    """The query for the number of the oldest uncommitted transaction that has written to patients,
    or else of the next transaction."""
    came_before_writer: str
    """The condition that the row `k` of row_keys was written before transaction :writer."""
    unless_held: str
    """The end of a SELECT that locks rows until the transaction ends, and leaves out those that
    others hold; {} stands for the strength and the table, as `SHARE OF p`. Empty on a file, where
    nobody else can."""
    revision_table: str
    """The query for Alembic's table; NULL or no row if it does not exist."""
    sources_of_run: str
    """The result of each source in a pull, from the counts of `runs`: a table to join, whose column
    `value` holds the document of one source."""
    keeps_deleted: str
    """A sentence for people on where deleted rows may still be found."""

    # ---- scoring

    scoring: Scoring
    """The database's module."""

    @abstractmethod
    def find_ids_in_parallel(self, connection: Connection, condition: str, /) -> list[int] | None:
        """Find the ids of the patients `p` that meet a condition faster than a writing statement
        would; None if there are many, or if there is no faster way. {within} marks the place of a
        further condition on the ids of the predictions `d`."""

    # ---- rows of patients, in and out

    @abstractmethod
    def insert_unless_there(self, table: Table, unique: Sequence[str], /) -> Insert:
        """Build INSERT ... ON CONFLICT (these unique columns) DO NOTHING."""

    @abstractmethod
    def cursor(self, connection: Connection, /) -> Any:
        """The driver's own cursor, for the rows of a large table."""

    @abstractmethod
    def stream(self, connection: Connection, /) -> Any:
        """The driver's own cursor that streams rows, so they are never all in memory."""

    @abstractmethod
    def read_columns(
        self, connection: Connection, statement: str, rows: int, exact: int = 0, /
    ) -> Generator[list["pd.Series"]]:
        """Read the result of a SELECT column by column, at most `rows` rows at a time. Decimals of
        the first `exact` columns never become floats."""

    @abstractmethod
    def append_frame(self, connection: Connection, table: str, frame: "pd.DataFrame", /) -> None:
        """Add a DataFrame's rows to a table: float64 (NaN is NULL), Int64, and text (None is
        NULL)."""

    @abstractmethod
    def append_texts(
        self, connection: Connection, table: str, column: str, texts: Sequence[str], /
    ) -> None:
        """Add rows with a text in one column."""

    @abstractmethod
    def session_id(self, connection: Connection, /) -> object:
        """Identify the server's session of a transaction."""

    @abstractmethod
    def index_staged(self, connection: Connection, table: str, /) -> None:
        """Give a staging table an index on its keys."""

    @abstractmethod
    def wait_for_other_loads(self, connection: Connection, /) -> None:
        """Wait until no other transaction loads files, and keep others from starting before this
        one ends."""

    @abstractmethod
    def inserting(self, connection: Connection, /) -> AbstractContextManager[object]:
        """For inserts of rows under their ids: the block's statements fail almost at once instead
        of waiting for another transaction. An insert would wait for another insert of the same
        key."""

    @abstractmethod
    def lock_unless_held(
        self, connection: Connection, rows: str, lock: str, parameters: Mapping[str, object], /
    ) -> None:
        """Lock the rows of `p` in a FROM clause by SELECT ... FOR `lock`, without waiting: if
        others hold some, the error is one that `contested` knows."""

    @abstractmethod
    def delete_by_ids(self, connection: Connection, table: str, column: str, ids: str, /) -> str:
        """Delete the rows with these ids, other than those that a foreign key keeps, be it deferred
        or not; return what one that keeps a row is called, or an empty text."""

    @abstractmethod
    def draw_ids_above_given(self, connection: Connection, /) -> None:
        """Move the counter of ids above all ids of rows, and above those kept for deleted rows.
        Called before ids are drawn, and after rows came with ids of their own."""

    # ---- the schema: reading, checking and making it

    @abstractmethod
    def translated_schema(self, script: str, /) -> str:
        """Translate schema.sql from PostgreSQL's SQL into this database's."""

    @abstractmethod
    def columns(self, connection: Connection, tables: Sequence[str], /) -> dict[str, str]:
        """The columns of these tables, and maybe of others, from the catalogue: table.column ->
        type."""

    @abstractmethod
    def fault_of_tables(self, connection: Connection, tables: Sequence[str], /) -> str | None:
        """Say why one of these tables is not a plain table, such as a rule or row security on it;
        None if all are."""

    @abstractmethod
    def fault_of_triggers(self, connection: Connection, declared: Declaration, /) -> str | None:
        """Say which trigger on patients differs from what `make_triggers` makes; None if all is
        well."""

    @abstractmethod
    def make_triggers(self, connection: Connection, declared: Declaration, /) -> None:
        """Make the triggers on patients for these features and scores, replacing any of the same
        names."""

    @abstractmethod
    def wait_for_other_migrations(self, connection: Connection, /) -> None:
        """Wait until no other process migrates, and keep others from starting before this
        transaction ends."""

    @abstractmethod
    def prepare_upgrade(self, connection: Connection, /) -> None:
        """Do what takes long beside others, then keep them from the tables that an upgrade changes,
        until the transaction ends."""

    @abstractmethod
    def keep_rows(self, connection: Connection, /) -> None:
        """Wait until no other transaction uses patients, scores a batch or moves the champion, and
        keep others from starting before this one ends."""

    @abstractmethod
    def roles_out_of_reach(self, connection: Connection, /) -> list[str]:
        """The missing roles of pima that the current user may not create."""

    @abstractmethod
    def make_roles(self, connection: Connection, declared: Declaration, /) -> list[str]:
        """Create or repair the roles; return their names. A loader may write these features and
        scores."""

    @abstractmethod
    def others_in_schema(self, connection: Connection, /) -> list[str]:
        """Say who else may create in the schema of patients, and what could run there that is not
        pima's."""


IN_USE: dict[str, Database] = {}
"""The databases that a URL has named, by SQLAlchemy's name of the dialect."""


def database_of(bound: Connection | Engine) -> Database:
    """The database of a connection or an engine."""
    return IN_USE[bound.dialect.name]


def bound_moments(connection: Connection, **moments: datetime) -> dict[str, Any]:
    """Moments by name, as this database stores them, for a statement."""
    database = database_of(connection)
    return {name: database.stored_moment(moment) for name, moment in moments.items()}


# ---- Column types and expressions with the same meaning on each database.

Bytes = LargeBinary


class Id(BigInteger):
    """A whole number of 64 bits."""


class Real(Double[float]):
    """A floating-point number of 64 bits."""


class Key(Text):
    """The key of a row or a person in another system; it sorts by its bytes."""


EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
"""What is stored as earlier is not known. The triggers have the same year."""
FIRST_OF_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def since_1970(moment: datetime) -> int:
    """A moment in milliseconds since 1970."""
    return (moment - FIRST_OF_1970) // timedelta(milliseconds=1)


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, which sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return IN_USE[dialect.name].timestamp

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else IN_USE[dialect.name].stored_moment(value)

    def process_result_value(
        self, value: datetime | str | None, _dialect: Dialect
    ) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        # SQLite's years before Christ, and -infinity for PostgreSQL's: Python has neither.
        if value.startswith("-"):
            return EARLIEST
        return datetime.fromisoformat(value).astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A small JSON document: an object or a list."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return IN_USE[dialect.name].json

    def process_bind_param(self, value: object, dialect: Dialect) -> Any:
        return None if value is None else IN_USE[dialect.name].stored_document(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> Any:
        return json.loads(value) if isinstance(value, str) else value


class database_now(FunctionElement[datetime]):  # noqa: N801 (reads as the SQL function that it is)
    """The database's clock at this statement, so that machines with different clocks agree."""

    type = Timestamp()
    inherit_cache = True


@compiles(Id)
@compiles(Real)
@compiles(Key)
def _column_type(kind: Id | Real | Key, compiler: TypeCompiler, **_: object) -> str:
    database = IN_USE[compiler.dialect.name]
    if isinstance(kind, Id):
        return database.id
    if isinstance(kind, Real):
        return database.real
    return database.key


@compiles(database_now)
def _now(_element: database_now, compiler: SQLCompiler, **_: object) -> str:
    return IN_USE[compiler.dialect.name].now
