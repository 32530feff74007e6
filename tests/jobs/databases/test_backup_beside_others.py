"""Backups where the database holds what others have made, or two outcomes, and the roles of a
server that has some."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.backups import script_ended
from tests.support.databases import (
    Database,
    call,
    for_programs,
    insert_patients,
    on_server,
    postgresql_server,
    under_role,
    with_database,
)
from tests.support.owners import OWNER, make_role, owners_database
from tests.support.shipped import ROOT

CLINIC = "a_clinic"
_CLINICS = (
    f"CREATE SCHEMA clinic AUTHORIZATION {CLINIC}",
    'CREATE TABLE clinic."Its visits" (id INTEGER)',
    f'ALTER TABLE clinic."Its visits" OWNER TO {CLINIC}',
    "CREATE TABLE public.wards (id INTEGER)",
    f"ALTER TABLE public.wards OWNER TO {CLINIC}",
    "CREATE FUNCTION public.greedy() RETURNS void LANGUAGE sql SECURITY DEFINER AS ''",
    f"ALTER FUNCTION public.greedy() OWNER TO {CLINIC}",
)


def _at_superuser(database: Database, server: str, *statements: str) -> Database:
    """The same database as its superuser sees it, after these statements."""
    url = with_database(server, str(database.engine.url.database))
    for statement in statements:
        on_server(url, statement)
    return Database("postgresql", url, database.engine)


@pytest.fixture
def shared(server: str) -> Iterator[Database]:
    """The owner's database, in which a clinic has a schema of its own, and more beside patients."""
    make_role(server, CLINIC)
    with owners_database(server) as database:
        assert call(database, "migrate", "--roles").exit_code == 0
        insert_patients(database, 3)
        _at_superuser(database, server, *_CLINICS)
        yield database


@pytest.fixture
def target(server: str) -> Iterator[Database]:
    with owners_database(server) as database:
        yield database


_OWNERS = """
    SELECT relname, pg_get_userbyid(relowner) FROM pg_class
    WHERE relname IN ('patients', 'wards', 'Its visits') ORDER BY 1"""


def test_the_owner_backs_up_and_restores_what_is_its_own_and_says_the_rest(
    shared: Database, target: Database, tmp_path: Path
) -> None:
    made = script_ended("backup.sh", shared, tmp_path)
    assert (made.returncode, made.stdout.count("\n")) == (0, 2), made
    assert [line.rpartition(": ")[2] for line in made.stderr.splitlines()] == [
        "schema=clinic",
        "table=public.wards",
    ]
    back = script_ended("restore.sh", target, Path(made.stdout.split()[0]))
    assert back.returncode == 0, back
    assert "FUNCTION public greedy() a_clinic" in back.stderr
    assert target.execute(_OWNERS) == [("patients", OWNER)]
    assert target.execute("SELECT 1 FROM pg_proc WHERE proname = 'greedy'") == []
    assert target.value("SELECT count(*) FROM scoring_queue") == 3
    assert call(target, "migrate").exit_code == 0


def test_a_role_that_may_not_read_all_that_is_pimas_backs_nothing_up(
    shared: Database, tmp_path: Path
) -> None:
    made = script_ended("backup.sh", under_role(shared, "pima_operator"), tmp_path)
    assert (made.returncode != 0, made.stdout) == (True, "")
    assert "permission denied for table" in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_clinic_s_own_table_patients_is_not_taken_for_pimas(
    shared: Database, target: Database, server: str, tmp_path: Path
) -> None:
    own = ("CREATE TABLE clinic.patients ()", f"ALTER TABLE clinic.patients OWNER TO {CLINIC}")
    superusers = _at_superuser(shared, server, *own)
    assert script_ended("backup.sh", shared, tmp_path).returncode == 0
    made = script_ended("backup.sh", superusers, tmp_path)
    back = script_ended("restore.sh", target, Path(made.stdout.split()[0]))
    assert back.returncode == 0, back
    assert target.execute(_OWNERS) == [("patients", OWNER)]


def test_a_superuser_backs_up_and_restores_all_with_its_owners(
    shared: Database, target: Database, server: str, tmp_path: Path
) -> None:
    made = script_ended("backup.sh", _at_superuser(shared, server), tmp_path)
    assert (made.returncode, made.stderr) == (0, ""), made
    back = script_ended("restore.sh", _at_superuser(target, server), Path(made.stdout.split()[0]))
    assert back.returncode == 0, back
    owners = [("Its visits", CLINIC), ("patients", OWNER), ("wards", CLINIC)]
    assert target.execute(_OWNERS) == owners
    assert call(target, "migrate", "--roles").exit_code == 0


def test_two_outcomes_in_two_schemas_have_a_list_each(
    target: Database, server: str, tmp_path: Path
) -> None:
    with owners_database(server) as both:
        for schema in ("public", "readmission"):
            both.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            path = {"options": f"-csearch_path={schema}"}
            url = make_url(both.url).update_query_dict(path).render_as_string(False)
            engine = make_engine(url, DatabaseSettings())
            one = Database("postgresql", url, engine)
            assert call(one, "migrate", "--roles").exit_code == 0
            insert_patients(one, 2)
            one.execute("UPDATE patients SET person_key = 'Canary' WHERE id = 1")
            asked = ("forget", "--person", "Canary", "--reason", "asked")
            assert call(one, *asked).exit_code == 0
            assert call(one, "forget", "--export", str(tmp_path / schema)).exit_code == 0
            engine.dispose()
        (tmp_path / "backups").mkdir()
        made = script_ended("backup.sh", both, tmp_path / "backups")
    assert (made.returncode, made.stderr) == (0, ""), made
    dump, *lists = map(Path, made.stdout.split())
    assert [each.name.removeprefix(dump.stem) for each in lists] == [
        ".forgotten",
        ".readmission.forgotten",
    ]
    assert [each.read_bytes() for each in lists] == [
        (tmp_path / schema).read_bytes() for schema in ("public", "readmission")
    ]
    assert script_ended("restore.sh", target, dump).returncode == 0
    for schema in ("public", "readmission"):
        assert target.value(f"SELECT count(*) FROM {schema}.patients") == 1


def test_nothing_is_restored_where_everybody_may_create(
    shared: Database, target: Database, server: str, tmp_path: Path
) -> None:
    dump = script_ended("backup.sh", shared, tmp_path).stdout.split()[0]
    _at_superuser(target, server, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    refused = script_ended("restore.sh", target, Path(dump))
    assert refused.returncode == 1, refused
    remedy = refused.stderr.partition("as a superuser: ")[2]
    assert target.execute("SELECT 1 FROM pg_class WHERE relname = 'patients'") == []
    _at_superuser(target, server, *remedy.split(";"))
    assert script_ended("restore.sh", target, Path(dump)).returncode == 0


def test_roles_are_made_where_they_lack_and_the_others_are_left(tmp_path: Path) -> None:
    secrets = ["sh", str(ROOT / "deploy" / "secrets.sh"), str(tmp_path / "secrets")]
    subprocess.run(secrets, check=True)
    with postgresql_server("fsync = off") as server:
        on_server(server, "CREATE ROLE pima_reader LOGIN PASSWORD 'its own'")
        kept = "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'pima%' ORDER BY rolname"
        engine = make_engine(server, DatabaseSettings())
        superuser = Database("postgresql", server, engine)
        environ = os.environ | for_programs(server) | {"PIMA_SECRETS": str(tmp_path / "secrets")}
        passwords = []
        for told in (["pima_reader"], [f"pima_{n}" for n in ("monitor", "owner", "scorer")]):
            ended = subprocess.run(
                ["psql", "--no-psqlrc", "-f", str(ROOT / "deploy" / "roles.sql")],
                env=environ,
                capture_output=True,
                text=True,
                check=True,
            )
            assert ended.stderr == ""
            assert all(f" {role}\n" in ended.stdout for role in told)
            passwords.append(superuser.execute(kept))
        assert passwords[0] == passwords[1]
        assert len(passwords[0]) == 10
        engine.dispose()
