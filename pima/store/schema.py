"""The schema's state: is the database what this code expects, and bringing it there.

The check at the start of every command uses plain catalogue queries, since importing Alembic takes a third of a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, func, select, text

from pima.core.features import KEYS, Declaration
from pima.core.ids import LARGEST_ID
from pima.declaring import SHIPPED
from pima.errors import (
    ForgottenWouldReturn,
    KeysWouldBeLost,
    SchemaAhead,
    SchemaBehind,
    SchemaDiffers,
    SchemaMissing,
    StillAttached,
    StillDivided,
)
from pima.settings import HoldoutSettings
from pima.store.attaching import attached_names
from pima.store.constraints import require_constraints
from pima.store.database import database_of
from pima.store.declarations import newest_declaration, require_declared, require_only_the_shipped_one
from pima.store.engine import reading, writing
from pima.store.feature_columns import begin_with
from pima.store.generations import keep_share
from pima.store.salts import keep_salt
from pima.store.tables import TABLES, VIEWS, WITH_FEATURES, forgotten
from pima.store.triggers import drop_triggers, make_triggers, require_triggers
from pima.store.types import Real
from pima.store.urls import redacted

HEAD = "0021"
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
    "0021",
)
"""Every revision that this code knows, oldest first; a test compares them with migrations/."""
_FIRST_WITH_DECLARATIONS = "0007"
_FIRST_WITH_KEYS = "0009"
_FIRST_WITH_ATTACHED = "0011"
_FIRST_WITH_FORGOTTEN = _FIRST_WITH_PARTS = "0017"
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
    if found is None:  # after a downgrade to nothing, or because this role doesn't see the row
        _require_whole(connection, "alembic_version")
    return found


def _require_one_schema(connection: Connection, names: Sequence[str]) -> None:
    what = database_of(connection).fault_of_names(connection, names)
    if what is not None:
        raise SchemaDiffers(what=what)


def require_revision(connection: Connection, url: URL) -> None:
    """Raises SchemaMissing, SchemaBehind or SchemaAhead; `url` is the database's, for the message."""
    found = current_revision(connection)
    if found == HEAD:
        return
    if found is None:
        raise SchemaMissing(expected=HEAD, url=redacted(url))
    if found in REVISIONS:
        raise SchemaBehind(found=found, expected=HEAD)
    raise SchemaAhead(found=found, expected=HEAD)


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
    after: str | None
    """The revision that it is at; None after going back to nothing."""
    made_anew: str | None
    """What was wrong with the triggers of a schema that was at the head already; None where nothing was."""


def migrate(
    engine: Engine,
    salt: str,
    to: str = "head",
    share: float = HoldoutSettings().share,
    declared: Declaration | None = SHIPPED,
) -> Migrated:
    """Bring the schema to a revision.

    One transaction on both databases, behind a lock: of two at once the second finds the work done. The holdout's
    `salt` ("" draws one) and `share`, and what is declared, go into a new database; an existing one keeps its own, and
    another is an error. `declared` None takes what is declared there; raises SchemaMissing where nothing is.
    """
    with writing(engine) as connection:
        database_of(connection).wait_for_other_migrations(connection)
        before = current_revision(connection)
        # Of what an older schema does not have yet, others may have their own.
        _require_one_schema(connection, _NAMES if before == HEAD else _NAMES[:1])
        if before is None and declared is None:
            raise SchemaMissing(expected=HEAD, url=redacted(engine.url))
        if before is not None and before not in REVISIONS:
            raise SchemaAhead(found=before, expected=HEAD)
        if before is not None:
            _require_ids_in_range(connection)
            _require_room_for_keys(connection, before)
            _require_declaration_can_stay(connection, before, to)
            _require_keys_can_stay(connection, before, to)
            _require_nothing_attached(connection, before, to)
            _require_nobody_forgotten(connection, before, to)
            _require_one_table(connection, before, to)
        if before not in (None, HEAD if to == "head" else to):
            database_of(connection).keep_readers_out(connection, list(VIEWS))
        if before == HEAD and to not in ("head", HEAD):
            drop_triggers(connection)
        _run_alembic(connection, to)
        after, made_anew = current_revision(connection), None
        if after == HEAD:
            _require_one_schema(connection, _NAMES)
            if before is None and declared is not None:
                begin_with(connection, declared)
            made_anew = _mend(connection)
            if declared is not None:
                require_declared(declared, newest_declaration(connection))
            keep_salt(connection, salt, may_draw=before != HEAD)
            keep_share(connection, share)
        # Those of an older schema had to be made anew in any case.
        return Migrated(before, after, made_anew if before == HEAD else None)


def _mend(connection: Connection) -> str | None:
    """See that triggers, counter and parts are as they should be; what was wrong with the triggers."""
    database = database_of(connection)
    made_anew = make_triggers(connection)
    database.mend_counter(connection)
    if database.partitions is not None:
        database.partitions.make_behind(connection)
    return made_anew


def _require_ids_in_range(connection: Connection) -> None:
    """An id at the end of the range was accepted once, and left none to draw."""
    # From the end of the index.
    largest = connection.scalar(text("SELECT max(id) FROM patients"))
    if largest is not None and largest > LARGEST_ID:
        what = f"patients has an id above {LARGEST_ID}, behind which no id can be drawn: insert that row under another"
        raise SchemaDiffers(what=what)


def _require_room_for_keys(connection: Connection, before: str) -> None:
    """A column that was added by hand would stand in the way; features can't have these names."""
    if before >= _FIRST_WITH_KEYS:
        return
    found = database_of(connection).columns(connection, ["patients"])
    for key in KEYS:
        if f"patients.{key}" in found:
            what = f"patients has a column {key} of somebody else's, where pima's own is to stand: rename it"
            raise SchemaDiffers(what=what)


def _require_declaration_can_stay(connection: Connection, before: str, to: str) -> None:
    # Going back to nothing is no loss that anybody overlooks.
    if to in REVISIONS and to < _FIRST_WITH_DECLARATIONS <= before:
        require_only_the_shipped_one(connection, to, _FIRST_WITH_DECLARATIONS)


def _require_keys_can_stay(connection: Connection, before: str, to: str) -> None:
    """The next pull would make every row a second time, and models would be judged on rows that they learned from."""
    if to in REVISIONS and to < _FIRST_WITH_KEYS <= before:
        keyed = connection.scalar(text("SELECT count(*) FROM row_keys"))
        if keyed:
            raise KeysWouldBeLost(to=to, first=_FIRST_WITH_KEYS, keyed=keyed)


def _require_nothing_attached(connection: Connection, before: str, to: str) -> None:
    """On SQLite nobody could write to a table whose triggers write to one that is gone."""
    stays = to == "head" or (to >= _FIRST_WITH_ATTACHED and to in REVISIONS)
    if before >= _FIRST_WITH_ATTACHED and not stays and (names := attached_names(connection)):
        raise StillAttached(to=to, names=", ".join(names))


def _require_nobody_forgotten(connection: Connection, before: str, to: str) -> None:
    """The next pull would bring them back."""
    if to in REVISIONS and to < _FIRST_WITH_FORGOTTEN <= before:
        marks = connection.scalar(select(func.count()).select_from(forgotten))
        if marks:
            raise ForgottenWouldReturn(to=to, first=_FIRST_WITH_FORGOTTEN, marks=marks)


def _require_one_table(connection: Connection, before: str, to: str) -> None:
    """Older releases would find no part to write to, one day."""
    partitions, is_left = database_of(connection).partitions, to in REVISIONS and to < _FIRST_WITH_PARTS <= before
    if is_left and partitions is not None and partitions.is_divided(connection):
        raise StillDivided(to=to, first=_FIRST_WITH_PARTS)


def _run_alembic(connection: Connection, to: str) -> None:
    from alembic import command  # imported here: no job but this one needs it, and it is slow to import
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    if to == "head" or to in REVISIONS[REVISIONS.index(current_revision(connection) or REVISIONS[0]) :]:
        command.upgrade(config, to)
    else:
        command.downgrade(config, to)
