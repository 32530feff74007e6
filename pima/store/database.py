"""All in which one database differs from the other: two packages hold it, and the rest of the store names neither.

This is the one place that knows which databases there are. A package is imported when its database's URL is read, since
SQLAlchemy's part for the other one would cost every start of a job 15 ms.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Insert, Table
from sqlalchemy.engine import URL
from sqlalchemy.types import TypeEngine

from pima.errors import PimaError
from pima.settings.sections import DatabaseSettings
from pima.store.batches import Batch, Predictions, Rejections


@dataclass(frozen=True, slots=True)
class Types:
    """Its column types, and how values of Python's go into them."""

    id: TypeEngine[int]
    real: TypeEngine[float]
    key: TypeEngine[str]
    """Text that sorts by its bytes."""
    timestamp: TypeEngine[Any]
    json: TypeEngine[Any]
    stored_moment: Callable[[datetime], Any]
    """A time with its zone -> what `timestamp` takes."""
    stored_document: Callable[[Any], Any]
    """An object or a list -> what `json` takes."""


@dataclass(frozen=True, slots=True)
class Words:
    """Pieces of SQL that stand in statements which are otherwise the same."""

    now: str
    """The clock at this statement, as a timestamp."""
    in_seconds: str
    """The clock in :seconds seconds, or, where they are below 0, so long ago."""
    labelled_at_milliseconds: str
    """When an outcome came, as an integer: a million datetimes would cost more than all the measurements."""
    moment_of_milliseconds: str
    """The same time again, as a timestamp; {} stands for the integer."""
    parameter: str
    """What stands for a parameter in a statement that goes to the driver's own cursor."""
    is_one_of: str
    """What stands behind a text that is one of many; its parameter is made by `list_of_texts`."""
    temporary_schema: str
    """Where a connection's temporary tables are."""
    constraints_at_once: str
    """A statement behind which constraints and triggers that wait for the commit are asked at once; on SQLite those
    that are not declared to wait."""
    name_of_revisions_table: str
    """The query for Alembic's table: its name, NULL or no row where it is not there."""
    next_id: str
    """A patient's id that the database draws, in an insert that gives others theirs."""
    id_in_range: str
    """The condition that the table sets a patient's id."""
    source_is_name: str
    """The condition of a source's name: a letter, then letters, digits and underscores, 30 in all."""
    source_key_in_range: str
    """That of a source's key: beside a source, 1 to 200 bytes."""
    person_key_in_range: str
    """That of a person's key."""
    differs: str
    """The operator between two values of which each may be NULL."""
    next_version: str
    """The default of a row's version; on SQLite the triggers draw it."""
    last_version: str
    """The query for the row version that was drawn last; NULL where none was."""
    first_writer: str
    """The query for the number of the first of those who have written to patients and not committed, or else of
    whoever writes next."""
    came_before_writer: str
    """The condition that the keys of the row `k` of row_keys came before that :writer's."""
    sources_of_run: str
    """What became of each source in a pull, from the counts of `runs`: a table to be joined, whose column `value` has
    the document of one."""
    keeps_deleted: str
    """Where rows that were deleted may be found all the same, for people."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """The triggers on patients."""

    make: Callable[[Connection, tuple[str, ...]], None]
    """Make them anew for these features' columns, whatever stands there under their names."""
    fault: Callable[[Connection, tuple[str, ...]], str | None]
    """What of them is not as `make` makes it for these columns, in words; None where all is well."""


@dataclass(frozen=True, slots=True)
class Database:
    """What a database has its own way to do."""

    require_sound_url: Callable[[URL, str], None]
    """Raises WrongConfiguration where a URL, or the text that it was read from, won't do."""
    place: Callable[[URL], Mapping[str, str]]
    """What decides which rows a name means behind a URL: of two that may lead to other rows no two are the same. No
    secret."""
    make_engine: Callable[[URL, DatabaseSettings], Engine]
    """An engine whose transactions say what they depend on, and whether they write; connects to nothing yet."""
    snapshot: Mapping[str, Any]
    """The execution options by which all that a transaction reads is of one state."""
    translated: Callable[[BaseException | None, URL], PimaError]
    """What an error of its driver is called here."""
    contested: Callable[[BaseException | None], str | None]
    """What another transaction does to rows of patients that a statement writes, too, in words; None where an error of
    the driver says something else."""
    is_refusal: Callable[[BaseException | None], bool]
    """Whether an error of the driver says that a constraint, or somebody's trigger, does not let rows go."""
    insert_unless_there: Callable[[Table, Sequence[str]], Insert]
    """INSERT ... ON CONFLICT (these columns, which are unique) DO NOTHING"""
    without_time_limit: Callable[[Connection], None]
    """Let the statements of this transaction take as long as they need."""
    cursor: Callable[[Connection], Any]
    """The driver's own cursor, for the rows of a large table."""
    stream: Callable[[Connection], Any]
    """The same for rows that are never all in memory."""
    read_columns: Callable[[Connection, str, Sequence[Any], int, int], Generator[list[Any]]]
    """What a SELECT with parameters of the driver's gives, column by column, at most so many rows at a time, as pandas'
    Series; decimals of the first so many columns never become floats."""
    claim: Callable[[Connection, tuple[str, ...], int, int], Batch]
    """Take at most so many rows (the second number) with a patient id above the first one off the queue, and read these
    features of them."""
    write_predictions: Callable[[Connection, Predictions, int, int, float], int]
    """Append predictions of a model version in a run with a threshold; how many this version had not made before."""
    write_rejections: Callable[[Connection, Rejections, int], None]
    """Record rejections of a run."""
    wait_for_other_loads: Callable[[Connection], None]
    """Return when no other transaction takes in files, nor can begin to before this one ends."""
    waiting_a_moment: Callable[[Connection], AbstractContextManager[None]]
    """Within it a statement that waits for what another transaction holds fails almost at once: an insert waits for
    whoever inserts the same key."""
    lock_unless_held: Callable[[Connection, str, str, Mapping[str, Any]], bool]
    """Lock the rows of `p` in a FROM clause with these parameters, as SELECT ... FOR says it; whether all could be.
    Those that others hold are not waited for; where not all could be, the transaction, or its savepoint, is at its
    end."""
    append_frame: Callable[[Connection, str, Any], None]
    """Add a DataFrame's rows to a table: float64 of which NaN is NULL, Int64, and texts of which None is NULL."""
    index_staged: Callable[[Connection, str], None]
    """Give a staging table an index by its keys. Fails where two rows have the same one."""
    join_by_index: Callable[[Connection], None]
    """Let the statements of this transaction look up what they join: of a table that was just filled the planner knows
    nothing, and would read all patients beside it."""
    draw_ids_above_given: Callable[[Connection], None]
    """Before ids are drawn, and after others were given: the next one must be above all that rows have, and above those
    that are kept for rows that are gone."""
    leave_no_trace: Callable[[Engine], None]
    """After rows were deleted, have nothing of them stay behind, where that is in our power."""
    types: Types
    words: Words
    triggers: Triggers
    few_ids: Callable[[Connection, str], list[int] | None] | None
    """The ids of the patients `p` that meet a condition, found sooner than a statement that writes finds them; None
    where they are many. {within} stands in it where which ids the predictions `d` can have may be said besides. None
    where nothing finds them sooner."""
    columns: Callable[[Connection, Sequence[str]], dict[str, str]]
    """The columns of these tables, and maybe of more, as the catalogue has them: table.column -> type."""
    fault_of_names: Callable[[Connection, Sequence[str]], str | None]
    """Which of these tables and views, named without a schema, is not the one beside `patients`, in words; None where
    none is."""
    fault_of_tables: Callable[[Connection, Sequence[str]], str | None]
    """What makes one of these tables more, or less, than its name says, in words; None where nothing does."""
    constraints: Callable[[Connection, Sequence[str]], set[tuple[str, str]]]
    """What these tables and views have beside their columns, and hold to: the name, and what, in the words of
    `pima.store.constraints`."""
    wait_for_other_migrations: Callable[[Connection], None]
    """Return when nobody else migrates, nor can begin to before this transaction ends."""
    keep_patients: Callable[[Connection], None]
    """Return when nobody else uses patients, nor can begin to before this transaction ends."""
    wait_for_batches: Callable[[Connection], None]
    """Return when no batch is being scored, nor can one be claimed before this transaction ends."""
    roles_out_of_reach: Callable[[Connection], list[str]]
    """Roles of pima's that are not there and that whoever asks may not make."""
    make_roles: Callable[[Connection, tuple[str, ...]], list[str]] | None
    """Create or mend the roles; their names. A loader may write these features. None where it knows no roles."""
    is_a_file: bool
    """Whether its URL names a file, which is made by connecting where it is not there."""
    has_one_writer: bool
    """Whether transactions that write come one after the other."""
    finish_tables: Callable[[Iterable[Table]], None]
    """Add to the code's tables what only this database is told of them, before they are made in it."""


_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}


def with_driver(url: URL) -> URL | None:
    """The URL with the driver that pima uses; None where it names another, or no database that pima knows."""
    name = _DRIVERS.get(url.drivername, url.drivername)
    return url.set(drivername=name) if name in _DRIVERS.values() else None


def database_at(url: URL) -> Database:
    """What a URL that `with_driver` has passed leads to."""
    return _named(url.get_backend_name())


def database_of(bound: Connection | Engine) -> Database:
    """What a connection or an engine speaks to."""
    return _named(bound.dialect.name)


def database_of_dialect(dialect: Dialect) -> Database:
    """What SQLAlchemy compiles a statement for."""
    return _named(dialect.name)


@cache
def _named(name: str) -> Database:
    found: Database = import_module(f"pima.store.{name}.database").DATABASE
    return found


def imported_when_called(module: str, name: str) -> Callable[..., Any]:
    """A function that needs numpy: whoever finds the queue empty does not pay for that import."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return call
