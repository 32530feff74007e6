"""Moves an installation from a SQLite file into an empty PostgreSQL database, the history and the
holdout with it.

DATABASE_URL is the new database's, as its owner, after python -m jobs.migrate. All of it arrives or
nothing does, and the file is only read. docs/do/move-to-postgresql.md has the steps around it.
"""

from pathlib import Path

from sqlalchemy import URL, Connection, Engine, Table, delete, insert, select, text

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.core.declared.features import Declaration
from pima.errors import DatabaseUnusable, SchemaMissing, WrongUsage
from pima.store.engine import reading, writing
from pima.store.models.registry import newest_declaration, require_declared
from pima.store.schema import add_columns, make_triggers, require_schema
from pima.store.tables import (
    champion,
    declarations,
    declared_columns,
    installation,
    metadata,
    with_features,
)
from pima.store.urls import make_engine

_MADE_BY_MIGRATE = (champion, installation, declarations)
"""They have rows in a new database already, and the file's take their place."""
_ROWS_AT_ONCE = 1_000


def _options(options: OptionParser) -> None:
    options.add_argument("file", type=Path, metavar="FILE", help="the SQLite file")


def _work(command: Command) -> Result:
    file: Path = command.options.file
    if command.engine.dialect.name != "postgresql":
        raise WrongUsage(
            what="DATABASE_URL names no PostgreSQL database. Expected: the new, empty one."
        )
    if not file.is_file():
        raise WrongUsage(what=f"There is no file {file}. Expected: pima's SQLite file.")
    url = URL.create("sqlite", database=str(file)).render_as_string()
    engine = make_engine(url, command.settings.database)
    try:
        declared = _declared_in(engine, file)
        require_declared(command.declared, declared)
        # Whoever would still write to the file waits and is refused.
        with reading(engine) as source, writing(command.engine) as target:
            return {"rows": _move(source, target, declared)}
    finally:
        engine.dispose()


def _declared_in(engine: Engine, file: Path) -> Declaration:
    """What the file declares. Raises WrongUsage where it is none of pima's, for DATABASE_URL names
    another database."""
    try:
        return require_schema(engine)
    except (DatabaseUnusable, SchemaMissing) as error:
        raise WrongUsage(
            what=f"{file} is no SQLite file of pima's ({error.code}). Expected: one that is."
        ) from None


def _move(source: Connection, target: Connection, declared: Declaration) -> dict[str, int]:
    """Every row of every table; how many of each."""
    # With the triggers in place each row would be queued, and get new times; make_triggers switches
    # them on again.
    target.execute(text("ALTER TABLE patients DISABLE TRIGGER USER"))
    _require_empty(target)
    # A new database knows nothing of what the file's has retired.
    before = newest_declaration(target)
    known = before.copied + before.group_columns
    every = declared.copied + declared.group_columns
    add_columns(target, declared, [name for name in every if name not in known])
    for table in _MADE_BY_MIGRATE:
        target.execute(delete(table))
    tables = with_features((), declared_columns(declared)).sorted_tables
    rows = {table.name: _copy(source, target, table) for table in tables}
    _go_on_counting(source, target)
    make_triggers(target)
    return rows


def _require_empty(target: Connection) -> None:
    for table in metadata.sorted_tables:
        if (
            table not in _MADE_BY_MIGRATE
            and target.execute(select(table).limit(1)).first() is not None
        ):
            what = (
                f"The database that DATABASE_URL names has rows in {table.name} already; nothing "
                "was moved."
            )
            raise WrongUsage(what=f"{what} Expected: a new one, after python -m jobs.migrate.")


def _copy(source: Connection, target: Connection, table: Table) -> int:
    found = source.execute(select(table), execution_options={"yield_per": _ROWS_AT_ONCE})
    copied = 0
    for rows in found.mappings().partitions():
        target.execute(insert(table), [dict(row) for row in rows])
        copied += len(rows)
    return copied


def _go_on_counting(source: Connection, target: Connection) -> None:
    """The next id and the next version are those that the file would have given."""
    last = source.execute(text("SELECT name, seq FROM sqlite_sequence")).all()
    sequences = [
        (f"pg_get_serial_sequence('{name}', 'id')", seq)
        for name, seq in last
        if name in metadata.tables
    ]
    version = source.execute(text("SELECT last FROM patient_version_counter")).scalar_one()
    for sequence, number in [*sequences, ("'patient_version'", version)]:
        if number > 0:  # a sequence that has given nothing yet stays as it was made
            # As exactly its types: somebody who may create there could have made another one.
            set_to = f"SELECT setval(CAST({sequence} AS regclass), CAST(:number AS bigint))"
            target.execute(text(set_to), {"number": number})


def _show(result: Result) -> None:
    for table, rows in result["rows"].items():
        print(f"{table}: {rows}")


main = main_of("deploy.sqlite_to_postgresql", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
