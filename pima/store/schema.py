"""The schema: checking that the database has the one this code expects, and bringing it there.

The check at the start of every command uses plain catalogue queries, since importing Alembic takes
a third of a second.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Connection,
    Engine,
    insert,
    text,
)

from pima.core.declared.features import Declaration
from pima.errors import (
    SchemaAhead,
    SchemaBehind,
    SchemaDiffers,
    SchemaMissing,
    WrongConfiguration,
    WrongUsage,
)
from pima.settings.reading import SHIPPED
from pima.settings.sections import HoldoutSettings
from pima.store.database import Real, database_of
from pima.store.engine import column, reading, redacted, writing
from pima.store.models.registry import (
    holdout_rule,
    newest_declaration,
    record_declaration,
    require_declared,
    require_same_holdout,
)
from pima.store.scripts import read_script, statements
from pima.store.tables import (
    SCRIPT,
    TABLES,
    WITH_FEATURES,
    declared_columns,
    installation,
)

HEAD = "0003"
REVISIONS = ("0001", "0002", "0003")
"""Every revision that this code knows, oldest first; a test compares them with migrations/."""

_PIMA = Path(__file__).resolve().parents[1]
_IN_A_WHEEL = _PIMA / "migrations"
_MIGRATIONS = _IN_A_WHEEL if _IN_A_WHEEL.exists() else _PIMA.parent / "migrations"


def require_schema(engine: Engine) -> Declaration:
    """Check the schema before the first write, and return its declaration. Raises SchemaMissing,
    SchemaBehind, SchemaAhead, or SchemaDiffers if it was changed by hand."""
    with reading(engine) as connection:
        database = database_of(connection)
        tables = [table.name for table in TABLES]
        require_revision(connection)
        found = database.columns(connection, tables)
        _require_columns(
            found,
            (
                (f"{table.name}.{each.name}", each.type.compile(connection.dialect))
                for table in TABLES
                for each in table.columns
            ),
        )
        _require_no_fault(database.fault_of_tables(connection, tables))
        declaration = newest_declaration(connection)
        # Retired ones too: triggers copy them, and old versions may need them.
        declared = declared_columns(declaration)
        number = Real().compile(connection.dialect)
        _require_columns(found, ((f"{table}.{name}", number) for table, name in declared))
        _require_no_fault(database.fault_of_triggers(connection, declaration))
        return declaration


def current_revision(connection: Connection) -> str | None:
    """The revision that Alembic recorded; None if there is no schema."""
    if connection.scalar(text(database_of(connection).revision_table)) is None:
        return None
    return connection.scalar(text("SELECT version_num FROM alembic_version"))


def _require_no_fault(what: str | None) -> None:
    if what is not None:
        raise SchemaDiffers(what=what)


def require_revision(connection: Connection) -> None:
    """Raises SchemaMissing, SchemaBehind or SchemaAhead."""
    found = current_revision(connection)
    if found is None:
        raise SchemaMissing(expected=HEAD, url=redacted(connection.engine.url))
    if found not in REVISIONS:
        raise SchemaAhead(found=found, expected=HEAD)
    if found != HEAD:
        raise SchemaBehind(found=found, expected=HEAD)


def _require_columns(found: Mapping[str, str], expected: Iterable[tuple[str, str]]) -> None:
    """Require columns, with their types in the database's words."""
    for name, kind in expected:
        if name not in found:
            raise SchemaDiffers(what=f"the column {name} ({kind.lower()}) is missing or renamed")
        if found[name] != kind.lower():
            raise SchemaDiffers(
                what=f"the column {name} is {found[name]} where {kind.lower()} was expected"
            )


@dataclass(frozen=True, slots=True)
class Migrated:
    """A schema before and after `migrate`."""

    before: str | None
    """The revision that the database had; None if it had no schema."""
    made_anew: str | None
    """The fault of the triggers, if the schema was already at the newest revision; None if there
    was none."""
    roles: Sequence[str] = ()
    """The roles that have their rights now, if that was asked for."""


def migrate(
    engine: Engine,
    holdout: HoldoutSettings,
    declared: Declaration | None = SHIPPED,
    with_roles: bool = False,
) -> Migrated:
    """Bring the schema to the newest revision.

    It is one transaction under a lock on both databases: of two at once, the second finds the work
    done. A new database stores the holdout's salt and share and the declaration. An existing one
    keeps its own, and different settings are an error. `declared` None takes the database's
    declaration; raises SchemaMissing if it has none. Roles get their rights in it, too: an upgrade
    without them was seen to leave jobs that the database refused.
    """
    with writing(engine) as connection:
        database = database_of(connection)
        database.wait_for_other_migrations(connection)
        before = current_revision(connection)
        if before is None and declared is None:
            raise SchemaMissing(expected=HEAD, url=redacted(engine.url))
        if before is not None and before not in REVISIONS:
            raise SchemaAhead(found=before, expected=HEAD)
        if before is not None and before != HEAD:
            _require_room_for_moments(connection, before)
            _upgrade(connection, before)
        if before is None and declared is not None:
            _make_tables(connection, declared)
            begin_installation(connection, holdout)
            record_declaration(
                connection, declared, "migrate", "the settings when the schema was made"
            )
        made_anew = make_triggers(connection)
        if declared is not None:
            require_declared(declared, newest_declaration(connection))
        require_same_holdout(holdout_rule(connection), holdout)
        if before != HEAD:
            made_anew = None
        roles: Sequence[str] = ()
        if with_roles:
            roles = database.make_roles(connection, newest_declaration(connection))
        return Migrated(before, made_anew, roles)


_MOMENTS = {"index_at": "0002", "acted_at": "0003"}
"""Columns of `patients`, each with the revision that adds it."""


def _require_room_for_moments(connection: Connection, before: str) -> None:
    """Raises WrongConfiguration if a clinic has added one of these columns for itself, and it is
    still to come."""
    to_come = [name for name, revision in _MOMENTS.items() if revision > before]
    for each in database_of(connection).columns(connection, ["patients"]):
        table, _, name = each.partition(".")
        if table == "patients" and name.lower() in to_come:
            raise WrongConfiguration(
                what=(
                    f"patients has a column {name} already, not made by pima, and this release "
                    "adds one of that name. The schema is as it was"
                ),
                expected=f"another name for it: {_renaming(table, name)}. Then migrate again",
            )


def _renaming(table: str, name: str) -> str:
    return f"ALTER TABLE {table} RENAME COLUMN {column(name)} TO another name"


def _upgrade(connection: Connection, before: str) -> None:
    """Run the revisions after this one. Alembic's own commands compare names in ways that somebody
    who may create in the schema could take over."""
    # Imported here: only this job needs them, and the import is slow.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    later = list(ScriptDirectory(str(_MIGRATIONS)).iterate_revisions("head", before))
    database_of(connection).prepare_upgrade(connection)
    with Operations.context(MigrationContext.configure(connection)):
        for revision in reversed(later):
            revision.module.upgrade()
    connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{HEAD}'")


def _make_tables(connection: Connection, declared: Declaration) -> None:
    """Make all tables, views and indexes, with the columns of a declaration."""
    script = read_script(SCRIPT, declared)
    for statement in statements(database_of(connection).translated_schema(script)):
        # A % in it is no parameter.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    add_columns(connection, declared, declared.group_columns)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version "
        "(version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY)"
    )
    connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{HEAD}')")


# ---- The triggers on `patients` keep versions, times and the queue correct whoever writes. A wrong
# trigger would leave rows unscored silently.


def make_triggers(connection: Connection) -> str | None:
    """Make the triggers if they are missing or wrong; return what was wrong in words, or None."""
    database = database_of(connection)
    declared = newest_declaration(connection)
    what = database.fault_of_triggers(connection, declared)
    if what is not None:
        database.make_triggers(connection, declared)
    return what


# ---- The columns of features, scores and groups, which change with the declaration.


def require_room(connection: Connection, names: Collection[str]) -> None:
    """Raises WrongConfiguration if a column that pima did not make has one of these names, ignoring
    case as SQLite does."""
    for each in database_of(connection).columns(connection, WITH_FEATURES):
        table, _, theirs = each.partition(".")
        name = theirs.lower()
        if table in WITH_FEATURES and name in names:
            what = f"{name} can't be added: {table} has a column {theirs} already, not made by pima"
            expected = f"another name for it, or for the column: {_renaming(table, theirs)}"
            raise WrongConfiguration(what=what, expected=expected)


def add_columns(connection: Connection, declared: Declaration, added: Collection[str]) -> None:
    """Add the columns of a declaration that are new; existing rows get NULL."""
    number = Real().compile(connection.dialect)
    for table, name in declared_columns(declared):
        if name in added:
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column(name)} {number}"))


# ---- Decided once, when a database is made: who is held out of training, and how the keys of the
# forgotten are hashed.


def begin_installation(connection: Connection, settings: HoldoutSettings) -> None:
    """Store the salts and the share of a new database. If the settings have no salt, 256 random
    bits are drawn."""
    values = {
        "holdout_salt": settings.salt or secrets.token_hex(32),
        "holdout_share": settings.share,
    }
    connection.execute(
        insert(installation).values(id=1, **values, forgetting_salt=secrets.token_hex(32))
    )


# ---- Roles with only the rights that their work needs, if the database has roles.


def require_roles(engine: Engine) -> None:
    """Raises WrongUsage if the database has no roles, or if the current user may not create the
    missing ones."""
    if database_of(engine).is_a_file:
        raise WrongUsage(
            what="--roles is for PostgreSQL: SQLite knows no roles. Guard the file instead."
        )
    with reading(engine) as connection:
        lacking = database_of(engine).roles_out_of_reach(connection)
    if lacking:
        what = (
            "--roles: this user may not make the roles that are not there yet "
            f"({', '.join(lacking)})"
        )
        raise WrongUsage(
            what=(
                f"{what}. Give it CREATEROLE, or have a superuser make them: psql -f "
                "deploy/roles.sql (docs/do/give-roles.md). Nothing was migrated."
            )
        )
