"""Backups of both databases by what docs/do/back-up-and-restore.md names: what was there comes
back, and works on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store.tables import TABLES
from pima.store.urls import make_engine
from tests.support.backups import script_ended, script_started
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    clean_environ,
    for_programs,
    insert_many,
    insert_patients,
    on_server,
    server_version,
    the_json,
    until_someone_waits_for_a_lock,
)
from tests.support.owners import OWNER, owners_database
from tests.support.shipped import ROOT
from tests.support.trained import install_models


@pytest.fixture
def source(server: str, trained: Path) -> Iterator[Database]:
    """A database in the middle of its life: scored, corrected, labelled, rejected, deleted and
    waiting rows."""
    with owners_database(server) as database:
        assert call(database, "migrate", "--roles").exit_code == 0
        install_models(database, trained)
        insert_patients(database, 40)
        insert_patients(database, 2, bmi=5_000)
        assert call(database, "score").exit_code == 0
        database.execute("UPDATE patients SET age = age + 1 WHERE id <= 10")
        database.execute("UPDATE patients SET outcome = id % 2 WHERE id BETWEEN 5 AND 20")
        database.execute("DELETE FROM patients WHERE id > 38")
        yield database


@pytest.fixture
def target(server: str) -> Iterator[Database]:
    with owners_database(server) as database:
        yield database


def _backed_up(database: Database, folder: Path, **environ: str) -> Path:
    """The dump; beside it is the list of who was forgotten."""
    ended = script_ended("backup.sh", database, folder, **environ)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    made, listed = sorted(folder.iterdir())
    assert ended.stdout == f"{made}\n{listed}\n"
    assert [(path.suffix, path.stat().st_mode & 0o077) for path in (made, listed)] == [
        (".dump", 0),
        (".forgotten", 0),
    ]
    return made


_BESIDE_THE_ROWS = {
    "sequences": "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1",
    "triggers": (
        "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    ),
    "functions": """
        SELECT pg_get_functiondef(oid), proacl::text FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace ORDER BY 1""",
    "rights on tables": """
        SELECT c.relname, acl.grantee::regrole::text, acl.privilege_type
        FROM pg_class c, aclexplode(c.relacl) acl
        WHERE c.relnamespace = current_schema()::regnamespace AND acl.grantee <> c.relowner
            ORDER BY 1, 2, 3""",
    "rights on columns": """
        SELECT attrelid::regclass::text, attname, acl.grantee::regrole::text, acl.privilege_type
        FROM pg_attribute, aclexplode(attacl) acl WHERE attrelid > 16383 ORDER BY 1, 2, 3, 4""",
}


def _everything(database: Database) -> dict[str, Any]:
    rows = {table.name: f"SELECT * FROM {table.name} t ORDER BY t::text" for table in TABLES}
    return {name: database.execute(query) for name, query in (rows | _BESIDE_THE_ROWS).items()}


def test_a_restored_database_is_what_was_backed_up_and_works_on(
    server: str, source: Database, target: Database, tmp_path: Path
) -> None:
    before = _everything(source)
    assert all(
        before[name]
        for name in ("patients", "scoring_queue", "predictions", "rejections", "model_versions")
    )
    assert all(before[name] for name in _BESIDE_THE_ROWS)
    dump = _backed_up(source, tmp_path)
    source.execute("TRUNCATE patients")
    may_replicate = f"GRANT SET ON PARAMETER session_replication_role TO {OWNER}"
    if server_version(server) < 15:  # where only a superuser may
        may_replicate = f"ALTER ROLE {OWNER} SUPERUSER"
    on_server(server, may_replicate)
    ended = script_ended(
        "restore.sh", target, dump, PGOPTIONS="-c session_replication_role=replica"
    )
    on_server(server, f"ALTER ROLE {OWNER} NOSUPERUSER")
    assert ended.returncode == 0, ended
    after = _everything(target)
    for name, found in before.items():
        assert after[name] == found, name
    waiting, version = len(before["scoring_queue"]), dict(before["sequences"])["patient_version"]
    (new,) = insert_patients(target, 1)
    assert new == dict(before["sequences"])["patients_id_seq"] + 1
    assert target.value(f"SELECT version FROM patients WHERE id = {new}") == version + 1
    target.execute("UPDATE patients SET glucose = glucose + 1 WHERE id = 1")
    scorer = make_url(target.url).set(username="pima_scorer").render_as_string(hide_password=False)
    scored = the_json(call(Database("postgresql", scorer, target.engine), "score", "--json"))
    assert (scored["predicted"], scored["rejected"], scored["already_scored"]) == (
        waiting + 1,
        0,
        0,
    )
    assert call(target, "migrate", "--roles").exit_code == 0


def _typed(heading: str, database: str, folder: Path, environ: dict[str, str], **files: str) -> str:
    """Run the page's commands for a database of the server that the variables name, and these
    files; what they say."""
    commands = _commands(heading)
    told = {"PGHOST=db.example.org": "PGHOST=$PGHOST", "PGDATABASE=pima": f"PGDATABASE={database}"}
    for words, instead in (told | files).items():
        assert words in commands
        commands = commands.replace(words, instead)
    command = ["sh", "-e", "-c", commands]
    ended = subprocess.run(
        command, cwd=folder, env=clean_environ() | environ, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_who_was_forgotten_since_is_gone_when_the_page_s_commands_have_run(
    server: str, source: Database, tmp_path: Path
) -> None:
    for linked in ("config", "deploy", "jobs", "pima"):
        (tmp_path / linked).symlink_to(ROOT / linked)
    environ, original = for_programs(server), str(source.engine.url.database)
    source.execute("UPDATE patients SET person_key = 'Canary' WHERE id IN (1, 25)")
    dump, _ = _typed("PostgreSQL", original, tmp_path, environ).split()
    assert call(source, "forget", "--person", "Canary", "--reason", "asked").exit_code == 0
    _, newest = _typed("PostgreSQL", original, tmp_path, environ).split()
    assert call(source, "forget", "--export", str(tmp_path / "same")).exit_code == 0
    assert (tmp_path / newest).read_bytes() == (tmp_path / "same").read_bytes()

    url = make_url(source.url).set(database=f"pima_{uuid.uuid4().hex[:12]}")
    (tmp_path / "secrets").mkdir()
    eraser = url.set(username="pima_eraser").render_as_string(hide_password=False)
    (tmp_path / "secrets" / "pima_eraser_url").write_text(eraser)
    files = {"backups/FILE.dump": dump, "backups/LIST.forgotten": newest}
    try:
        told = _typed("PostgreSQL: restore", str(url.database), tmp_path, environ, **files)
        assert "\n  row: 2\n" in told
        engine = make_engine(url.render_as_string(hide_password=False), DatabaseSettings())
        restored = Database("postgresql", eraser, engine)
        assert (
            restored.value("SELECT count(*) FROM patients")
            == source.value("SELECT count(*) FROM patients")
            > 30
        )
        for table, column in (
            ("patients", "id"),
            ("predictions", "patient_id"),
            ("row_keys", "patient_id"),
        ):
            assert restored.execute(f"SELECT 1 FROM {table} WHERE {column} IN (1, 25)") == []
        engine.dispose()
    finally:
        on_server(server, f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")


def test_a_database_that_has_tables_is_not_restored_into(
    source: Database, target: Database, tmp_path: Path
) -> None:
    """Its triggers would stamp every row anew."""
    dump = _backed_up(source, tmp_path)
    assert call(target, "migrate").exit_code == 0
    before = _everything(target)
    ended = script_ended("restore.sh", target, dump)
    assert (ended.returncode, "is not empty" in ended.stderr) == (1, True), ended
    assert _everything(target) == before


def test_a_torn_backup_restores_nothing(source: Database, target: Database, tmp_path: Path) -> None:
    dump = _backed_up(source, tmp_path)
    torn = tmp_path / "torn.dump"
    torn.write_bytes(dump.read_bytes()[: dump.stat().st_size * 3 // 4])
    ended = script_ended("restore.sh", target, torn)
    assert ended.returncode != 0, ended
    assert target.value("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == 0
    assert script_ended("restore.sh", target, dump).returncode == 0


def test_a_backup_that_fails_leaves_no_file(source: Database, tmp_path: Path) -> None:
    absent = Database(
        "postgresql",
        make_url(source.url).set(database="absent").render_as_string(False),
        source.engine,
    )
    for database, folder in ((absent, tmp_path), (source, tmp_path / "absent")):
        ended = script_ended("backup.sh", database, folder)
        assert (ended.returncode, ended.stdout) == (1, ""), ended
        assert ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_is_stopped_leaves_no_file_and_no_process(
    source: Database, tmp_path: Path
) -> None:
    with source.engine.begin() as holder:
        holder.execute(text("LOCK TABLE patients IN ACCESS EXCLUSIVE MODE"))
        process = script_started("backup.sh", source, tmp_path)
        until_someone_waits_for_a_lock(source)
        assert [path.suffix for path in tmp_path.iterdir()] == [".unfinished"]
        process.terminate()  # to the shell alone, as a supervisor does
        stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, stdout) == (128 + signal.SIGTERM, "")
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)


WAITING = 800


def _commands(heading: str) -> str:
    """The first block of commands below a heading of the page, for this Python."""
    page = (ROOT / "docs" / "do" / "back-up-and-restore.md").read_text()
    found = re.search(
        rf"^#+ {heading}\n.*?^```bash[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    assert found is not None, heading
    return re.sub(r"\bpython\b", sys.executable, found[1])


def _pasted(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """As into a terminal, where a line that fails does not keep the next from running."""
    return subprocess.run(["sh", "-c", commands], cwd=folder, capture_output=True, text=True)


def _run(commands: str, folder: Path) -> None:
    ended = _pasted(commands, folder)
    assert ended.returncode == 0, ended


@pytest.fixture
def waiting(sqlite: Database, trained: Path) -> Database:
    install_models(sqlite, trained)
    insert_many(sqlite, WAITING)
    return sqlite


def _opened(path: Path) -> Database:
    url = f"sqlite:///{path}"
    return Database("sqlite", url, make_engine(url, DatabaseSettings()))


def _predicted(database: Database) -> int:
    return int(database.value("SELECT count(*) FROM predictions"))


def test_what_was_backed_up_while_a_scorer_ran_is_whole_and_scored_to_the_end(
    waiting: Database,
) -> None:
    folder = Path(waiting.engine.url.database or "").parent
    backups = folder / "backups"
    scorer = waiting.start("score", "--batch-size", "1")
    in_the_middle = None
    while scorer.poll() is None and in_the_middle is None:
        shutil.rmtree(backups, ignore_errors=True)
        _run(_commands("SQLite: backup"), folder)
        (made,) = backups.iterdir()
        assert made.stat().st_mode & 0o077 == 0
        copy = _opened(made)
        in_the_middle = made if 0 < _predicted(copy) < WAITING else None
        copy.engine.dispose()
    stderr = scorer.communicate(timeout=PATIENCE_SECONDS)[1]
    assert scorer.returncode == 0, stderr
    assert in_the_middle is not None
    assert _predicted(waiting) == WAITING

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    in_the_middle.rename(elsewhere / "backup.db")
    # What an unfinished transaction of the lost file would leave: it does not belong to the backup.
    (elsewhere / "pima.db").write_bytes(b"damaged")
    (elsewhere / "pima.db-journal").write_bytes(b"of the damaged file")
    _run(_commands("SQLite: restore"), elsewhere)
    restored = _opened(elsewhere / "pima.db")
    missing = WAITING - _predicted(restored)
    assert restored.value("SELECT count(*) FROM scoring_queue") == missing
    assert insert_patients(restored, 1) == [WAITING + 1]
    scored = the_json(call(restored, "score", "--json"))
    assert (scored["predicted"], scored["already_scored"], scored["rejected"]) == (
        missing + 1,
        0,
        0,
    )
    assert (
        restored.value("SELECT count(DISTINCT patient_id) FROM predictions")
        == _predicted(restored)
        == WAITING + 1
    )
    restored.engine.dispose()


def _folder(database: Database) -> Path:
    database.engine.dispose()
    return Path(database.engine.url.database or "").parent


def test_a_backup_that_fails_gets_no_backup_s_name_and_the_next_one_does(sqlite: Database) -> None:
    insert_many(sqlite, WAITING)
    folder = _folder(sqlite)
    ended = _pasted(f"ulimit -f 100\n{_commands('SQLite: backup')}", folder)
    assert ended.returncode != 0
    assert list((folder / "backups").glob("*.db")) == []
    _run(_commands("SQLite: backup"), folder)
    (made,) = (folder / "backups").iterdir()
    copy = _opened(made)
    assert copy.value("SELECT count(*) FROM patients") == WAITING
    copy.engine.dispose()


def test_no_backup_is_made_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    ended = _pasted(_commands("SQLite: backup"), tmp_path)
    assert ended.returncode != 0
    assert [path.name for path in tmp_path.rglob("*")] == ["backups"]


def test_a_restore_of_a_backup_that_is_not_there_touches_nothing(sqlite: Database) -> None:
    folder = _folder(sqlite)
    before = (folder / "pima.db").read_bytes()
    assert _pasted(_commands("SQLite: restore"), folder).returncode != 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"pima.db": before}
