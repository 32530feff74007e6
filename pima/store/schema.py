"""The schema's state: is the database what this code expects, and bringing it there.

The check at the start of every command uses plain catalogue queries, since importing Alembic takes a third of a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, text

from pima.core.features import Declaration
from pima.errors import (
    PimaError,
    SchemaAhead,
    SchemaBehind,
    SchemaDiffers,
    SchemaMissing,
    SchemaUnreleased,
)
from pima.settings.reading import SHIPPED
from pima.settings.sections import HoldoutSettings
from pima.store.constraints import require_constraints
from pima.store.database import database_of
from pima.store.declarations import newest_declaration, record_declaration, require_declared
from pima.store.engine import reading, writing
from pima.store.installation import begin_installation, holdout_rule, require_same_holdout
from pima.store.tables import TABLES, VIEWS, WITH_FEATURES
from pima.store.triggers import make_triggers, require_triggers
from pima.store.types import Real
from pima.store.urls import redacted

HEAD = "0001"
REVISIONS = ("0001",)
"""Every revision that this code knows, oldest first; a test compares them with migrations/."""
_UNRELEASED = frozenset(f"{number:04}" for number in range(2, 22))
"""What databases are at that were made before the first release."""
_NAMES = ("alembic_version", *(table.name for table in TABLES), *VIEWS)

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def require_schema(engine: Engine) -> Declaration:
    """Stop before the first write where the schema is missing, behind, ahead, or changed by hand; what it declares."""
    with reading(engine) as connection:
        _require_one_schema(connection, _NAMES)
        require_revision(connection, engine.url)
        found = database_of(connection).columns(connection, [table.name for table in TABLES])
        _require_columns(connection, found)
        _require_whole(connection, *(table.name for table in TABLES))
        declaration = newest_declaration(connection)
        _require_feature_columns(connection, found, declaration)
        require_constraints(connection)
        require_triggers(connection, declaration)
        return declaration


def current_revision(connection: Connection) -> str | None:
    """The revision that Alembic recorded; None where there is no schema."""
    # Asking a table outright that is not there would end a PostgreSQL transaction.
    if connection.scalar(text(database_of(connection).words.name_of_revisions_table)) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is None:  # perhaps because this role doesn't see the row
        _require_whole(connection, "alembic_version")
    return found


def _require_one_schema(connection: Connection, names: Sequence[str]) -> None:
    what = database_of(connection).fault_of_names(connection, names)
    if what is not None:
        raise SchemaDiffers(what=what)


def require_revision(connection: Connection, url: URL) -> None:
    """Raises SchemaMissing, SchemaBehind, SchemaAhead or SchemaUnreleased; `url` is the database's, for the message."""
    found = current_revision(connection)
    if found is None:
        raise SchemaMissing(expected=HEAD, url=redacted(url))
    if found not in REVISIONS:
        raise _unknown(found)
    if found != HEAD:
        raise SchemaBehind(found=found, expected=HEAD)


def _unknown(found: str) -> PimaError:
    return SchemaUnreleased(found=found) if found in _UNRELEASED else SchemaAhead(found=found, expected=HEAD)


def _require_columns(connection: Connection, found: Mapping[str, str]) -> None:
    """Each column that the code reads or writes must be there, with its type."""
    for table in TABLES:
        for column in table.columns:
            _require_column(found, f"{table.name}.{column.name}", column.type.compile(connection.dialect).lower())


def _require_feature_columns(connection: Connection, found: Mapping[str, str], declaration: Declaration) -> None:
    """So must those of the features, the retired ones too: the triggers copy them, and old versions may need them."""
    number = Real().compile(connection.dialect).lower()
    for table in WITH_FEATURES:
        for name in declaration.columns:
            _require_column(found, f"{table}.{name}", number)


def _require_column(found: Mapping[str, str], name: str, expected: str) -> None:
    if name not in found:
        raise SchemaDiffers(what=f"the column {name} ({expected}) is missing or renamed")
    if found[name] != expected:
        raise SchemaDiffers(what=f"the column {name} is {found[name]} where {expected} was expected")


def _require_whole(connection: Connection, *tables: str) -> None:
    """What an unqualified name means may be more, or less, than the table."""
    what = database_of(connection).fault_of_tables(connection, tables)
    if what is not None:
        raise SchemaDiffers(what=what)


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of the schema."""

    before: str | None
    """The revision that was found; None where there was no schema."""
    after: str
    """The revision that it is at."""
    made_anew: str | None
    """What was wrong with the triggers of a schema that was at the head already; None where nothing was."""


def migrate(engine: Engine, holdout: HoldoutSettings, declared: Declaration | None = SHIPPED) -> Migrated:
    """Bring the schema to the newest revision.

    One transaction on both databases, behind a lock: of two at once the second finds the work done. The holdout's salt
    and share, and what is declared, go into a new database; an existing one keeps its own, and another is an error.
    `declared` None takes what is declared there; raises SchemaMissing where nothing is.
    """
    with writing(engine) as connection:
        database_of(connection).wait_for_other_migrations(connection)
        before = current_revision(connection)
        # Of what an older schema does not have yet, others may have their own.
        _require_one_schema(connection, _NAMES if before == HEAD else _NAMES[:1])
        if before is None and declared is None:
            raise SchemaMissing(expected=HEAD, url=redacted(engine.url))
        if before is not None and before not in REVISIONS:
            raise _unknown(before)
        if before != HEAD:
            _run_alembic(connection, () if declared is None else declared.names)
        if before is None and declared is not None:
            begin_installation(connection, holdout)
            record_declaration(connection, declared, "migrate", "the settings when the schema was made")
        _require_one_schema(connection, _NAMES)
        made_anew = _mend(connection)
        if declared is not None:
            require_declared(declared, newest_declaration(connection))
        require_same_holdout(holdout_rule(connection), holdout)
        return Migrated(before, HEAD, made_anew if before == HEAD else None)


def _mend(connection: Connection) -> str | None:
    """See that triggers and counter are as they should be; what was wrong with the triggers."""
    made_anew = make_triggers(connection)
    database_of(connection).mend_counter(connection)
    return made_anew


def _run_alembic(connection: Connection, columns: Sequence[str]) -> None:
    from alembic import command  # imported here: no job but this one needs it, and it is slow to import
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, columns=columns)
    command.upgrade(config, "head")
