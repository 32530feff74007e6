"""Writers and pulls at the same time, pulls that are ended, and a clinic's writes while something of ours is broken."""

import random
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from pima.intake import our_rows
from pima.intake.source_reading import BLOCK_ROWS
from tests.conftest import PATIENCE_SECONDS, Database, call, install_models, wait_for
from tests.jobs.attached import assert_nothing_is_missing, attached_and_pulled, pulled
from tests.jobs.clinic import URL, Clinic, engine_of
from tests.jobs.scored_once import assert_each_once

WRITERS = 3
PULLS = 6
KEYS = [str(uuid.UUID(int=n)) for n in range(40)]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.at_length)])
def test_nothing_is_missed_whoever_writes_while_it_is_pulled(database: Database, own_clinic: Clinic, seed: int) -> None:
    visits = attached_and_pulled(database, own_clinic)
    database.environ["PIMA_DATABASE__LOCK_TIMEOUT_SECONDS"] = str(PATIENCE_SECONDS)
    with _written_to(visits, seed) as committed:
        for _ in range(PULLS):
            before = committed.count
            while committed.count < before + 10:
                committed.require_alive()
                time.sleep(0.01)
            found, _ = pulled(database, visits)
            assert found == "touched"
    pulled(database, visits)
    assert pulled(database, visits) == ("touched", {})
    assert_nothing_is_missing(database, visits)


@pytest.mark.parametrize(("read_by", "arguments"), [("rows_of", ()), ("rows_after", ("--full",))])
def test_a_pull_goes_on_while_a_writer_of_the_same_file_waits_for_its_end(
    sqlite: Database,
    sqlite_own_clinic: Clinic,
    monkeypatch: pytest.MonkeyPatch,
    read_by: str,
    arguments: tuple[str, ...],
) -> None:
    """Who waits to commit lets nobody else begin to read: a pull that read ours apart would wait for itself."""
    visits, read = attached_and_pulled(sqlite, sqlite_own_clinic), getattr(our_rows, read_by)
    sqlite.environ["PIMA_DATABASE__LOCK_TIMEOUT_SECONDS"] = "1"
    visits.execute("UPDATE visits SET age = 90")
    writer = threading.Thread(target=visits.execute, args=("UPDATE visits SET age = 91",))

    def read_beside_the_writer(*given: object) -> object:
        if not writer.ident:
            writer.start()
            _wait_until_nobody_may_begin(visits)
        return read(*given)

    monkeypatch.setattr(our_rows, read_by, read_beside_the_writer)
    assert pulled(sqlite, visits, *arguments)[1] == {"updated": 50}
    writer.join(PATIENCE_SECONDS)
    assert pulled(sqlite, visits) == ("touched", {"updated": 50})


def _wait_until_nobody_may_begin(clinic: Clinic) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    with closing(sqlite3.connect(make_url(clinic.url).database or "", timeout=0)) as connection:
        while time.monotonic() < until:
            try:
                connection.execute("SELECT count(*) FROM visits").fetchone()
            except sqlite3.OperationalError:
                return
            time.sleep(0.01)
    raise AssertionError


class _Committed:
    """How many transactions the writers have committed."""

    def __init__(self) -> None:
        self.count = 0
        self.failed: list[BaseException] = []

    def require_alive(self) -> None:
        assert not self.failed, self.failed


@contextmanager
def _written_to(clinic: Clinic, seed: int) -> Iterator[_Committed]:
    """Several writers, each in its own transactions, as long as the block goes on."""
    stop, committed = threading.Event(), _Committed()
    threads = [
        threading.Thread(target=_write, args=(clinic, f"{seed} {n}", stop, committed), daemon=True)
        for n in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield committed
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    committed.require_alive()


def _write(clinic: Clinic, seed: str, stop: threading.Event, committed: _Committed) -> None:
    draw, engine = random.Random(seed), engine_of(clinic.url)  # noqa: S311
    try:
        pause = 0.0
        while not stop.wait(pause):
            try:
                with engine.connect() as connection:
                    _any_transaction(connection, draw, stop)
                    committed.count += 1
            except DBAPIError:  # a key that is there already, or writers that wait for each other
                pass
            # Who asks for a file's lock again at once lets nobody else have it.
            pause = 0.2
    except BaseException as error:  # noqa: BLE001
        committed.failed.append(error)
    finally:
        engine.dispose()


def _any_transaction(connection: Connection, draw: random.Random, stop: threading.Event) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    for _ in range(draw.randrange(1, 4)):
        connection.execute(text(_any_write(draw)))
        if draw.random() < 0.2:
            connection.execute(text("SAVEPOINT here"))
            connection.execute(text(_any_write(draw)))
            connection.execute(text(draw.choice(["ROLLBACK TO here", "RELEASE here"])))
    if connection.dialect.name != "sqlite" and draw.random() < 0.3:
        stop.wait(draw.random() / 2)
    if draw.random() < 0.2:
        connection.rollback()
    else:
        connection.commit()


def _any_write(draw: random.Random) -> str:
    key, other, age = draw.choice(KEYS), draw.choice(KEYS), draw.randrange(21, 90)
    insert = f"INSERT INTO visits (visit_id, age, bmi, glucose_mmol) VALUES ('{key}', {age}, 30, 5)"
    return draw.choice(
        [
            insert,
            f"{insert} ON CONFLICT (visit_id) DO UPDATE SET age = {age}",
            f"{insert}, ('{other}', {age}, 31, 6) ON CONFLICT DO NOTHING",
            f"UPDATE visits SET age = {age} WHERE visit_id = '{key}'",
            f"UPDATE visits SET age = {age} WHERE visit_id IN ('{key}', '{other}')",
            f"UPDATE visits SET visit_id = '{other}' WHERE visit_id = '{key}'",
            f"DELETE FROM visits WHERE visit_id = '{key}'",
        ]
    )


ROWS = 2 * BLOCK_ROWS + 500


@pytest.mark.judge
@pytest.mark.parametrize("block", [0, 1, pytest.param(2, marks=pytest.mark.at_length)])
def test_a_pull_that_is_killed_between_its_blocks_is_completed_by_the_next(
    postgresql: Database, postgresql_own_clinic: Clinic, block: int
) -> None:
    """It leans on an attached source, whose triggers note in `source_changes` what the pull takes in, and is held by a
    trigger of somebody else's on `patients`."""
    visits = postgresql_own_clinic
    visits.execute(f"""
        INSERT INTO visits (visit_id, patient_no, glucose_mmol, bmi, age)
        SELECT gen_random_uuid(), n, 5, 30, 50 FROM generate_series(1, {ROWS}) n""")
    assert visits.attach(postgresql, "clinic").exit_code == 0
    visits.pulled(postgresql)
    visits.execute("UPDATE visits SET age = 51")
    postgresql.execute(f"""
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM patients WHERE age = 51) > {block * BLOCK_ROWS} THEN PERFORM pg_sleep(600); END IF;
            RETURN NULL;
        END $$""")
    postgresql.execute("CREATE TRIGGER hold AFTER UPDATE ON patients FOR EACH STATEMENT EXECUTE FUNCTION hold()")
    process = postgresql.start("pull", "--config", visits.config, **{URL: visits.url})
    taken = "SELECT count(*) FROM patients WHERE age = 51"
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_for(lambda: postgresql.value(asleep), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    postgresql.execute("""
        SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()""")
    assert postgresql.value(taken) == block * BLOCK_ROWS
    postgresql.execute("DROP TRIGGER hold ON patients")
    postgresql.execute("UPDATE leases SET expires_at = now()")
    left = ROWS - block * BLOCK_ROWS
    unchanged = {"unchanged": ROWS - left} if block else {}
    assert pulled(postgresql, visits) == ("touched", {"updated": left} | unchanged)
    assert postgresql.value("SELECT count(*) FROM source_changes") == 0
    assert pulled(postgresql, visits) == ("touched", {})


def test_what_is_committed_while_a_pull_takes_in_what_came_after_it_is_not_lost(
    postgresql: Database, postgresql_own_clinic: Clinic
) -> None:
    """Its note has the lower number, could not be seen when the notes were read, and can when they are forgotten."""
    visits = attached_and_pulled(postgresql, postgresql_own_clinic)
    (first,), (second,), *_ = visits.execute("SELECT visit_id FROM visits ORDER BY visit_id")
    update = text("UPDATE visits SET age = 91 WHERE visit_id = :key")
    postgresql.execute("""
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$""")
    postgresql.execute("CREATE TRIGGER hold AFTER UPDATE ON patients FOR EACH STATEMENT EXECUTE FUNCTION hold()")
    with visits.engine.connect() as slow, visits.engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(7)"))
        slow.execute(update, {"key": first})
        visits.execute(update.text, {"key": second})
        process = postgresql.start("pull", "--config", visits.config, **{URL: visits.url})
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: postgresql.value(waiting), process)
        slow.commit()
        holder.execute(text("SELECT pg_advisory_unlock(7)"))
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert postgresql.value("SELECT count(*) FROM patients WHERE age = 91") == 1
    assert pulled(postgresql, visits) == ("touched", {"updated": 1})


MANY = 10_000
OWNER = "pima_test_owner"
BROKEN: dict[str, tuple[str, str, str]] = {
    "our rights revoked": (
        f"REVOKE ALL ON source_changes, missed_changes_of_clinic FROM {OWNER}",
        f"{OWNER}, as whom its triggers work, may not write to source_changes",
        f"GRANT ALL ON source_changes, missed_changes_of_clinic TO {OWNER}",
    ),
    "our table renamed": (
        "ALTER TABLE source_changes RENAME TO elsewhere",
        "the column source_changes.id (bigint) is missing",
        "ALTER TABLE elsewhere RENAME TO source_changes",
    ),
    "our schema closed": (
        f"ALTER SCHEMA public OWNER TO CURRENT_USER; REVOKE ALL ON SCHEMA public FROM PUBLIC, {OWNER}",
        f"{OWNER}, as whom its triggers work, may not write to source_changes",
        "GRANT ALL ON SCHEMA public TO PUBLIC",
    ),
    "our function does nonsense": (
        """CREATE OR REPLACE FUNCTION note_changes_of_clinic() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms' AS $$ BEGIN RETURN NULL; END $$""",
        "the function note_changes_of_clinic notes something else",
        "",
    ),
}


@pytest.fixture
def owned(postgresql: Database, postgresql_own_clinic: Clinic) -> Iterator[Clinic]:
    """Pima's tables belong to a role that is no superuser, the clinic's to another."""
    postgresql.execute(f"CREATE ROLE {OWNER}")
    postgresql.execute(f"""DO $$ DECLARE r record; BEGIN
        FOR r IN SELECT format('ALTER TABLE %s OWNER TO {OWNER}', oid::regclass) AS made FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relname <> 'visits'
                 UNION ALL SELECT format('ALTER SEQUENCE %s OWNER TO {OWNER}', 'patient_version')
                 UNION ALL SELECT format('ALTER FUNCTION %s OWNER TO {OWNER}', oid::regprocedure) FROM pg_proc
                 WHERE pronamespace = 'public'::regnamespace LOOP
            EXECUTE r.made;
        END LOOP; END $$""")
    yield postgresql_own_clinic
    postgresql.execute(f"REASSIGN OWNED BY {OWNER} TO CURRENT_USER")
    postgresql.execute(f"DROP OWNED BY {OWNER}")
    postgresql.execute(f"DROP ROLE {OWNER}")


@pytest.mark.parametrize("what", BROKEN)
def test_a_clinic_writes_on_while_something_of_ours_is_broken(
    postgresql: Database, owned: Clinic, trained: Path, what: str
) -> None:
    install_models(postgresql, trained)
    visits, (broken, said, mended) = attached_and_pulled(postgresql, owned), BROKEN[what]
    assert call(postgresql, "requeue").exit_code == 0
    _insert_one_by_one(visits, 1, 2_000)
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(broken)
    _insert_one_by_one(visits, 2_001, MANY)
    assert visits.execute("SELECT count(*) FROM visits") == [(50 + MANY,)]
    told = visits.attach(postgresql, "--check", "clinic")
    assert told.exit_code in (1, 2)
    assert said in told.stderr
    if mended:
        with postgresql.engine.begin() as connection:
            connection.exec_driver_sql(mended)
    else:
        assert visits.attach(postgresql, "clinic").exit_code == 0
    assert visits.attach(postgresql, "--check", "clinic").exit_code == 0
    assert pulled(postgresql, visits) == ("all", {"inserted": MANY, "unchanged": 50})
    for _ in range(2):
        assert call(postgresql, "score").exit_code == 0
    assert_each_once(postgresql, 50 + MANY)
    assert pulled(postgresql, visits) == ("touched", {})


def test_a_clinic_writes_on_while_ours_is_locked(postgresql: Database, owned: Clinic, trained: Path) -> None:
    install_models(postgresql, trained)
    visits = attached_and_pulled(postgresql, owned)
    assert call(postgresql, "requeue").exit_code == 0
    with postgresql.engine.begin() as rows:
        for name in ("patients", "row_keys", "source_changes", "scoring_queue", "leases", "source_pulls"):
            rows.execute(text(f"SELECT count(*) FROM (SELECT 1 FROM {name} FOR UPDATE) AS locked"))
        _insert_one_by_one(visits, 1, MANY - 100)
    with postgresql.engine.begin() as table:
        table.execute(text("LOCK TABLE source_changes IN ACCESS EXCLUSIVE MODE"))
        _insert_one_by_one(visits, MANY - 99, MANY)
    assert visits.execute("SELECT count(*) FROM visits") == [(50 + MANY,)]
    assert pulled(postgresql, visits) == ("all", {"inserted": MANY, "unchanged": 50})
    for _ in range(2):
        assert call(postgresql, "score").exit_code == 0
    assert_each_once(postgresql, 50 + MANY)


def _insert_one_by_one(clinic: Clinic, first: int, last: int) -> None:
    """As a clinic's own software does, a commit each."""
    url = make_url(clinic.url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        for n in range(first, last + 1):
            connection.execute(
                "INSERT INTO visits (visit_id, patient_no, glucose_mmol, bmi, age) VALUES (%s, %s, 5.5, 30, 50)",
                (uuid.UUID(int=n), n),
            )
