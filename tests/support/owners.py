"""Databases of pima's owner, who is no superuser, as the pages make them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store.postgresql.schema import ROLES
from pima.store.urls import make_engine
from tests.support.databases import Database, on_server, with_database

OWNER = "pima_owner"


def make_role(server: str, name: str) -> None:
    """Make a role that may log in, unless it is there."""
    make = f"CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL"
    on_server(server, f"DO $$ BEGIN {make}; END $$")


@contextmanager
def owners_database(server: str) -> Iterator[Database]:
    """An empty one, as deploy/roles.sql makes it: nobody else may create in it."""
    for role in (OWNER, *ROLES):
        make_role(server, role)
    name = f"pima_{uuid.uuid4().hex[:12]}"
    on_server(server, f"CREATE DATABASE {name} OWNER {OWNER}")
    superuser = make_engine(with_database(server, name), DatabaseSettings())
    with superuser.begin() as connection:
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.exec_driver_sql(f"GRANT CREATE ON SCHEMA public TO {OWNER}")
    superuser.dispose()
    url = make_url(server).set(database=name, username=OWNER, password=None)
    text_url = url.render_as_string(hide_password=False)
    engine = make_engine(text_url, DatabaseSettings())
    yield Database("postgresql", text_url, engine)
    engine.dispose()
    on_server(server, f"DROP DATABASE {name} WITH (FORCE)")
