"""Roles, each with no more rights than its work needs, where the database knows roles."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine

from pima.errors import WrongUsage
from pima.store.database import database_of
from pima.store.declarations import newest_declaration
from pima.store.engine import reading, writing


def knows_roles(engine: Engine) -> bool:
    """Whether the database has roles at all."""
    return database_of(engine).make_roles is not None


def require_roles(engine: Engine) -> None:
    """Raises WrongUsage where the database knows no roles, before it is asked for anything, or lacks some that whoever
    asks may not make."""
    _maker(engine)
    with reading(engine) as connection:
        lacking = database_of(engine).roles_out_of_reach(connection)
    if lacking:
        what = f"--roles: this user may not make the roles that are not there yet ({', '.join(lacking)})"
        raise WrongUsage(
            what=f"{what}. Give it CREATEROLE, or have a superuser make them: psql -f deploy/roles.sql"
            " (docs/deployment.md). Nothing was migrated."
        )


def make_roles(engine: Engine) -> list[str]:
    """Create or mend the roles, in one transaction; their names. Raises WrongUsage where the database knows none."""
    make = _maker(engine)
    with writing(engine) as connection:
        return make(connection, newest_declaration(connection).columns)


def _maker(engine: Engine) -> Callable[[Connection, tuple[str, ...]], list[str]]:
    make = database_of(engine).make_roles
    if make is None:
        raise WrongUsage(what="--roles is for PostgreSQL: SQLite knows no roles. Guard the file instead.")
    return make
