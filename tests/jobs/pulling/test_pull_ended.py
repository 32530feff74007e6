"""What ends a pull in between, and what goes on meanwhile: the next pull completes it, and every
row is scored once."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.core.declared.source import Source
from pima.intake.sources import pulling
from pima.intake.sources.pulling import BLOCK_KEYS
from pima.intake.sources.source_engine import reading_source
from pima.intake.sources.source_query import columns_of_blocks, select
from tests.support.clinic import URL, Clinic, toml
from tests.support.databases import PATIENCE_SECONDS, Database, call, wait_for
from tests.support.pulls import counts
from tests.support.scored_once import assert_each_once
from tests.support.trained import install_models

ROWS = BLOCK_KEYS + 500
"""Two blocks."""


def _many(clinic: Clinic, rows: int, first: int = 1) -> None:
    """Sound visits, numbered; every thousandth can't be scored."""
    clinic.execute(f"""
        INSERT INTO visits
            (visit_id, patient_no, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi,
            pedigree, age)
        WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s
            WHERE n < {first + rows - 1})
        SELECT 'visit ' || n, n / 2, 3, 5.5 + n % 5, 70, 20, NULL, 30, 0.5,
               CASE WHEN n % 1000 = 0 THEN NULL ELSE 50 END FROM s""")


@pytest.fixture
def by_text(clinic: Clinic) -> Clinic:
    """With text keys."""
    if clinic.kind == "postgresql":
        clinic.execute("ALTER TABLE visits ALTER visit_id TYPE text")
    clinic.settings["key_type"] = "text"
    return clinic


def _start(clinic: Clinic, database: Database, **environ: str) -> subprocess.Popen[str]:
    return database.start("pull", "--config", clinic.config, **({URL: clinic.url} | environ))


def _has_come(database: Database, rows: int) -> Callable[[], object]:
    return lambda: database.value("SELECT count(*) FROM patients") >= rows


def _hold_after_a_block(postgresql: Database) -> None:
    """Whoever takes in one more waits within its transaction."""
    postgresql.execute(f"""
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM patients) > {BLOCK_KEYS} THEN PERFORM pg_sleep(600); END IF;
            RETURN NULL;
        END $$""")
    postgresql.execute(
        "CREATE TRIGGER hold AFTER INSERT ON patients FOR EACH STATEMENT EXECUTE FUNCTION hold()"
    )


@pytest.mark.judge
def test_a_pull_that_is_killed_between_its_blocks_is_completed_by_the_next(
    postgresql: Database, by_text: Clinic, trained: Path
) -> None:
    """It leans on a trigger of somebody else's on `patients`, which holds the pull within a
    block."""
    install_models(postgresql, trained)
    _many(by_text, ROWS)
    _hold_after_a_block(postgresql)
    process = _start(by_text, postgresql)
    wait_for(_has_come(postgresql, BLOCK_KEYS), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert postgresql.value("SELECT count(*) FROM patients") == BLOCK_KEYS
    assert postgresql.execute("SELECT status FROM runs") == [("running",)]
    counted = postgresql.value("SELECT (counts -> 'sources' -> 0 ->> 'inserted')::int FROM runs")
    assert counted == BLOCK_KEYS
    # A server that is at work for a client does not notice that it is gone.
    postgresql.execute("""
        SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()""")
    postgresql.execute("DROP TRIGGER hold ON patients")
    assert "lease held" in by_text.pull(postgresql).stderr
    postgresql.execute("UPDATE leases SET expires_at = now()")
    assert call(postgresql, "score").exit_code == 0
    found = by_text.pulled(postgresql)
    assert counts(found) == {"inserted": ROWS - BLOCK_KEYS, "unchanged": BLOCK_KEYS}
    assert call(postgresql, "score").exit_code == 0
    assert_each_once(postgresql, ROWS)
    assert postgresql.value("SELECT count(*) FROM rejections") == ROWS // 1000
    assert counts(by_text.pulled(postgresql)) == {"unchanged": ROWS}


@pytest.mark.parametrize("clinic", ["sqlite"], indirect=True)
def test_a_heartbeat_and_a_block_do_not_wait_for_each_other(
    postgresql: Database, by_text: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block takes longer than the server waits before it looks for those that wait in a
    circle."""
    _many(by_text, ROWS)
    postgresql.execute("""
        CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_sleep(1.5); RETURN NULL;
        END $$""")
    postgresql.execute(
        "CREATE TRIGGER slowly AFTER INSERT ON patients FOR EACH STATEMENT EXECUTE FUNCTION "
        "slowly()"
    )
    monkeypatch.setattr(pulling, "LEASE_SECONDS", 1)
    ended = by_text.pull(postgresql)
    assert (ended.exit_code, "heartbeat failed" in ended.stderr) == (0, False), ended.stderr


@pytest.mark.judge
@pytest.mark.campaign
@pytest.mark.parametrize(
    ("database", "clinic", "number"),
    [
        ("sqlite", "postgresql", signal.SIGKILL),
        ("postgresql", "postgresql", signal.SIGKILL),
        ("sqlite", "sqlite", signal.SIGTERM),
        pytest.param("postgresql", "sqlite", signal.SIGTERM, marks=pytest.mark.at_length),
        pytest.param("postgresql", "sqlite", signal.SIGKILL, marks=pytest.mark.at_length),
    ],
    indirect=["database", "clinic"],
)
def test_wherever_a_pull_is_ended_the_next_one_completes_it(
    database: Database, by_text: Clinic, number: signal.Signals
) -> None:
    _many(by_text, ROWS)
    process = _start(by_text, database)
    wait_for(_has_come(database, 1), process)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_SECONDS)
    # It may have come to its end before it was hit.
    assert process.returncode in (0, 143, -9)
    assert database.value("SELECT count(*) FROM patients") in (BLOCK_KEYS, ROWS)
    database.execute("UPDATE leases SET expires_at = '1970-01-01T00:00:00.000Z'")
    by_text.pulled(database)
    assert counts(by_text.pulled(database)) == {"unchanged": ROWS}
    assert database.value("SELECT count(*) FROM scoring_queue") == ROWS


@contextmanager
def _waiting_for_its_source(
    database: Database, clinic: Clinic
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A pull whose source gives no row as long as the block goes on, and the process of its session
    there."""
    clinic.execute("""
        CREATE FUNCTION held() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(7); RETURN true;
        END $$""")
    clinic.execute(
        "CREATE VIEW slow AS SELECT v.* FROM (SELECT held() AS is_there) h, visits v WHERE "
        "h.is_there"
    )
    clinic.settings["table"] = "slow"
    waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with clinic.engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(7)"))
        process = _start(clinic, database, PIMA_DATABASE__LOCK_TIMEOUT_SECONDS="200")
        wait_for(lambda: clinic.execute(waiting), process)
        ((pid,),) = clinic.execute(waiting)
        yield process, pid
        holder.execute(text("SELECT pg_advisory_unlock(7)"))
    clinic.settings["table"] = "visits"


def test_a_source_that_changes_while_it_is_read_is_read_as_it_was(
    postgresql: Database, postgresql_clinic: Clinic
) -> None:
    clinic = postgresql_clinic
    first, second, *_ = clinic.insert(200)
    clinic.pulled(postgresql)
    with _waiting_for_its_source(postgresql, clinic) as (process, _):
        clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": first})
        other_key = "UPDATE visits SET age = 77, visit_id = gen_random_uuid() WHERE visit_id = :key"
        clinic.execute(other_key, {"key": second})
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert "200 rows read, 0 inserted, 0 updated, 200 unchanged" in stdout
    assert counts(clinic.pulled(postgresql)) == {"inserted": 1, "unchanged": 198, "vanished": 2}


def test_no_row_is_skipped_where_others_change_between_two_blocks(
    postgresql_clinic: Clinic,
) -> None:
    """As OFFSET would, once an earlier row has gone."""
    clinic = postgresql_clinic
    keys = clinic.insert(30)
    source = Source("clinic", "visit_id", {}, table="visits")
    with reading_source(clinic.engine, "clinic") as connection:
        statement = select(connection.dialect, source, ["visit_id"])
        blocks = columns_of_blocks(connection, statement, 10)
        (read,) = map(list, next(blocks))
        clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": read[0]})
        read += [key for (block,) in blocks for key in block]
    assert sorted(map(str, read)) == sorted(keys)


def test_a_row_that_comes_here_and_there_while_the_source_is_read_has_not_vanished(
    sqlite: Database, postgresql_clinic: Clinic
) -> None:
    database, clinic, new = sqlite, postgresql_clinic, "6b1f0c52-5d0e-4d3c-8f0a-0d6f1b7f8f11"
    clinic.settings["vanished"] = "delete"
    gone, other, *_ = clinic.insert(20)
    clinic.pulled(database)
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": gone})
    with _waiting_for_its_source(database, clinic) as (process, _):
        row = "patient_no, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi, pedigree, age"
        copied = (
            f"INSERT INTO visits (visit_id, {row}) SELECT '{new}', {row} FROM visits WHERE "
            "visit_id = :key"
        )
        clinic.execute(copied, {"key": other})
        database.execute(
            "INSERT INTO patients (age, source, source_key) VALUES (50, 'clinic', :key)",
            {"key": new},
        )
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, stderr
    assert "1 deleted" in stdout
    keys = {key for (key,) in database.execute("SELECT source_key FROM patients")}
    assert (new in keys, gone in keys, len(keys)) == (True, False, 20)
    assert counts(clinic.pulled(database)) == {"updated": 1, "unchanged": 19}


def test_a_source_that_answers_slowly_is_waited_for(
    postgresql: Database, postgresql_clinic: Clinic
) -> None:
    clinic = postgresql_clinic
    clinic.insert(3)
    clinic.execute(
        "CREATE VIEW slow AS SELECT * FROM visits WHERE pg_sleep(0.6 + age * 0)::text = ''"
    )
    clinic.settings["table"] = "slow"
    named = ("STATEMENT_TIMEOUT", "IDLE_IN_TRANSACTION_TIMEOUT")
    ended = clinic.pull(postgresql, **{f"PIMA_DATABASE__{limit}_SECONDS": "1" for limit in named})
    assert ended.exit_code == 0, ended.stderr


def test_a_stop_is_obeyed_while_a_source_does_not_answer(
    postgresql: Database, postgresql_clinic: Clinic
) -> None:
    clinic = postgresql_clinic
    clinic.insert(3)
    with _waiting_for_its_source(postgresql, clinic) as (process, _):
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "Traceback" in stderr) == (130, False), stderr
    assert postgresql.execute("SELECT status FROM runs") == [("interrupted",)]
    # The lease is given back at once.
    assert counts(clinic.pulled(postgresql)) == {"inserted": 3}


def test_a_pull_that_is_killed_while_it_reads_is_told_of_its_source_alone(
    sqlite: Database, postgresql_clinic: Clinic
) -> None:
    database, clinic = sqlite, postgresql_clinic
    ward = {
        "name": "ward",
        "table": "visits",
        "key": "visit_id",
        "key_type": "uuid",
        "columns": clinic.columns,
    }
    clinic.extra = "\n".join(
        ["[[source]]", *(f"{key} = {toml(value)}" for key, value in ward.items())]
    )
    database.environ["PIMA_SOURCE__WARD__URL"] = clinic.url
    clinic.insert(3)
    with _waiting_for_its_source(database, clinic) as (process, _):
        process.kill()
        process.communicate()
    database.execute("UPDATE runs SET heartbeat_at = :then", {"then": "2026-01-01T00:00:00.000Z"})
    told = call(database, "health", "--config", clinic.config).stderr
    (failed,) = [each for each in told.split("; ") if "pull_failed" in each]
    assert "the last pull of clinic crashed (heartbeat_lost)" in failed


def test_a_source_that_goes_away_while_it_is_read_is_for_later(
    sqlite: Database, postgresql_clinic: Clinic
) -> None:
    database, clinic = sqlite, postgresql_clinic
    clinic.insert(3)
    with _waiting_for_its_source(database, clinic) as (process, pid):
        clinic.execute(f"SELECT pg_terminate_backend({pid})")
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (
        process.returncode,
        "source clinic can't be reached or stopped answering" in stderr,
    ) == (75, True), stderr
    assert database.value("SELECT count(*) FROM patients") == 0
    assert database.execute("SELECT status, error_code FROM runs") == [
        ("try_again_later", "source_away")
    ]
