"""Upgrade 0.1.0 while its clinic goes on writing and reading: `python -m tests.releases.live
[ROWS [TIMES]]`.

ROWS are at least 100,000. A standby follows, and is read. It prints how long each had to wait,
which locks the upgrade held, and whether anything was lost. A million rows need 2 GB in TMPDIR.
With TIMES there is no standby. Then it ends with 1 if any upgrade or statement failed, or anybody
waited for more than a second.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from tests.releases.__main__ import restore, run_script
from tests.support.databases import (
    Database,
    clean_environ,
    for_programs,
    postgresql_from,
    postgresql_server,
    the_json,
    under_role,
)
from tests.support.shipped import ROOT, SOUND

VERSION = "0.1.0"
_SECONDS_AROUND = 10
"""How long they write before the upgrade, and after it."""
_FIRST = 1_000_000
_FEATURES = ", ".join(SOUND)
_VALUES = ", ".join(map(str, (SOUND | {"glucose": "100 + n % 50"}).values()))

# Of 100 rows 85 have an outcome, nine are predicted, one was rejected, and five wait. Of those with
# an outcome a tenth has its prediction still.
_FILL = f"""
ALTER TABLE patients DISABLE TRIGGER USER;
INSERT INTO patients (id, {_FEATURES}, outcome, labelled_at)
SELECT {_FIRST} + n, {_VALUES}, CASE WHEN n % 100 < 85 THEN n % 3 / 2 END,
    CASE WHEN n % 100 < 85 THEN now() - make_interval(mins => n % 1500000) END
FROM generate_series(1, ROWS) AS n;
INSERT INTO predictions (patient_id, patient_version, model_version, run_id, probability,
    predicted_class, threshold, scored_at)
SELECT id, version, 1, 1, 0.3, 0, 0.5, now() - interval '3 years' FROM patients
WHERE id > {_FIRST} AND (id % 10 = 0 OR id % 100 BETWEEN 85 AND 93);
INSERT INTO rejections (patient_id, patient_version, run_id, reason, field)
SELECT id, version, 1, 'out_of_range', 'glucose' FROM patients
WHERE id > {_FIRST} AND id % 100 = 94;
INSERT INTO scoring_queue (patient_id, patient_version, {_FEATURES})
SELECT id, version, {_FEATURES} FROM patients WHERE id > {_FIRST} AND id % 100 > 94;
DO $$ DECLARE name TEXT; BEGIN
    FOR name IN SELECT tgname FROM pg_trigger
        WHERE tgrelid = 'patients'::regclass AND NOT tgisinternal
    LOOP
        EXECUTE format('ALTER TABLE patients ENABLE ALWAYS TRIGGER %I', name);
    END LOOP;
END $$;
SELECT setval('patients_id_seq', {_FIRST} + ROWS);
CREATE ROLE clinic LOGIN;
GRANT SELECT, INSERT, UPDATE ON patients TO clinic;
ANALYZE;
CHECKPOINT;
"""


@dataclass
class Session:
    """What somebody did again and again, and how long it took at most."""

    name: str
    once: Callable[["Session", psycopg.Connection[Any]], None]
    times: int = 0
    longest: float = 0.0
    failures: list[str] = field(default_factory=list)
    inserted: list[int] = field(default_factory=list)
    corrected: list[int] = field(default_factory=list)
    """The row of each correction."""

    def work(self, url: str, is_over: threading.Event) -> None:
        with psycopg.connect(_plain(url), autocommit=True) as connection:
            while not is_over.is_set():
                began = time.monotonic()
                try:
                    self.once(self, connection)
                except psycopg.Error as error:
                    self.failures.append(f"{type(error).__name__}: {error}")
                self.longest = max(self.longest, time.monotonic() - began)
                self.times += 1

    def __str__(self) -> str:
        failed = "; ".join(dict.fromkeys(self.failures)) or "none"
        return (
            f"{self.name}: {self.times:,} times, the longest {self.longest:.2f} s, "
            f"failures {len(self.failures)}: {failed}"
        )


def main(rows: int, times: int = 0) -> int:
    with postgresql_server("max_wal_size = 4GB") as server:
        if times:
            return _repeat(server, rows, times)
        for database in postgresql_from(server, "template1"):
            _make_earlier(database, rows)
            with _standby(database) as standby:
                _upgrade(database, standby)
    return 0


def _repeat(server: str, rows: int, times: int) -> int:
    failed = 0
    for original in postgresql_from(server, "template1"):
        _make_earlier(original, rows)
        original.engine.dispose()
        for _ in range(times):
            for database in postgresql_from(server, str(original.engine.url.database)):
                failed += not _is_upgraded(database)
    print(f"{times - failed} of {times} upgrades without a failure, nobody waiting for a second")
    return int(failed > 0)


def _is_upgraded(database: Database) -> bool:
    """Whether an upgrade beside writers and readers failed nobody, and let nobody wait."""
    sessions = [
        Session("single statements", _write),
        Session("transactions of ten", _write_ten),
        *(Session(f"readers of {', '.join(order)}", _reader_of(order)) for order in _ORDERS),
    ]
    is_over = threading.Event()
    # The readers are people, whom the release's roles know; each has its own session.
    urls = [under_role(database, role).url for role in ("clinic", "clinic", *["postgres"] * 6)]
    threads = [
        threading.Thread(target=each.work, args=(url, is_over))
        for each, url in zip(sessions, urls, strict=True)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    before = {each.name: each.longest for each in sessions}
    began = time.monotonic()
    ended = database.run("migrate", "--roles")
    took = time.monotonic() - began
    time.sleep(1)
    is_over.set()
    for thread in threads:
        thread.join()
    longest = max(each.longest for each in sessions)
    failures = [said for each in sessions for said in each.failures]
    print(
        f"exit code {ended.exit_code} in {took:.1f} s; the longest {longest:.2f} s "
        f"({max(before.values()):.2f} s before); failures: {failures or 'none'} {ended.stderr}",
        flush=True,
    )
    return ended.exit_code == 0 and not failures and longest < 1


def _make_earlier(database: Database, rows: int) -> None:
    """As the release left it, with roles that its code made, and as many rows more."""
    began = time.monotonic()
    restore(database, VERSION)
    with tempfile.TemporaryDirectory() as code:
        # A clone may lack the tag, and the dumps are the release's last commit.
        log = ("git", "log", "-1", "--format=%H", "--", f"tests/releases/{VERSION}")
        found = subprocess.run(log, cwd=ROOT, check=True, capture_output=True, text=True)
        git = ("git", "archive", found.stdout.strip(), "--output", f"{code}/code.tar")
        subprocess.run(git, cwd=ROOT, check=True)
        subprocess.run(("tar", "-xf", "code.tar"), cwd=code, check=True)
        environ = clean_environ() | {"DATABASE_URL": database.url}
        migrate = (sys.executable, "-m", "jobs.migrate", "--roles")
        subprocess.run(migrate, cwd=code, env=environ, check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_FILL.replace("ROWS", str(rows)))
        script.flush()
        run_script(database, Path(script.name))
    print(f"{rows:,} rows more, after {time.monotonic() - began:.0f} s", flush=True)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _standby(database: Database) -> Iterator[str]:
    """The URL of a physical standby of the server, which follows it."""
    name = str(database.engine.url.database)
    host = Path(str(database.engine.url.query["host"]))
    environ = os.environ | for_programs(database.url)

    def run(*command: str | Path) -> None:
        subprocess.run(command, env=environ, user=host.owner(), cwd=folder, check=True)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shutil.chown(folder, host.owner())
        data = folder / "data"
        run("pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--pgdata", data)
        for theirs in data.glob(".s.PGSQL*"):
            theirs.unlink()  # the server's socket is among its data
        pg_ctl = ("pg_ctl", "--pgdata", data, "--wait", "--timeout=600")
        # A standby that is read asks that no row is removed which it still looks at.
        options = f"-h '' -k {folder} -c hot_standby_feedback=on"
        run(*pg_ctl, "--log", folder / "log", "--options", options, "start")
        try:
            yield f"postgresql://postgres:@/{name}?host={folder}"
        finally:
            run(*pg_ctl, "--mode=immediate", "stop")


def _upgrade(database: Database, standby: str) -> None:
    clinic = under_role(database, "clinic").url
    writers = [
        Session("single statements", _write),
        Session("transactions of ten", _write_ten),
    ]
    readers = [Session("look-ups", _look_up), Session("counts of all rows", _count)]
    is_over = threading.Event()
    locks: dict[str, list[float]] = {}
    threads = [
        *(threading.Thread(target=each.work, args=(clinic, is_over)) for each in writers),
        *(threading.Thread(target=each.work, args=(standby, is_over)) for each in readers),
        threading.Thread(target=_watch_locks, args=(database.url, is_over, locks)),
    ]
    for thread in threads:
        thread.start()
    time.sleep(_SECONDS_AROUND)
    for each in (*writers, *readers):
        print(f"before: {each}", flush=True)
        each.longest = 0.0
    began = time.monotonic()
    ended = database.run("migrate", "--roles")
    took = time.monotonic() - began
    done = [len(each.corrected) for each in writers]
    print(
        f"migrate --roles: {took:.1f} s, exit code {ended.exit_code}\n{ended.stdout}{ended.stderr}"
    )
    time.sleep(_SECONDS_AROUND)
    is_over.set()
    for thread in threads:
        thread.join()
    for each in (*writers, *readers):
        print(each, flush=True)
    for lock, (first, last) in sorted(locks.items(), key=lambda each: each[1]):
        print(f"  {lock}: from {first - began:.2f} to {last - began:.2f} s")
    after = [
        number
        for each, before in zip(writers, done, strict=True)
        for number in each.corrected[before:]
    ]
    _check(database, standby, writers, after)


# ---- What people do meanwhile.


def _write(session: Session, connection: psycopg.Connection[Any]) -> None:
    """A new row, a correction of a predicted one, and an outcome of one that waits."""
    _insert(session, connection)
    _correct(session, connection)
    label = "UPDATE patients SET outcome = 1 WHERE id = %s AND outcome IS NULL"
    connection.execute(label, (_FIRST + 100 * (session.times % 1_000) + 97,))


def _write_ten(session: Session, connection: psycopg.Connection[Any]) -> None:
    with connection.transaction():
        for _ in range(5):
            _insert(session, connection)
            _correct(session, connection)


def _insert(session: Session, connection: psycopg.Connection[Any]) -> None:
    statement = (
        f"INSERT INTO patients ({_FEATURES}) VALUES ({_VALUES.replace('n % 50', '1')}) RETURNING id"
    )
    found = connection.execute(statement).fetchone()
    assert found is not None
    session.inserted.append(found[0])


def _correct(session: Session, connection: psycopg.Connection[Any]) -> None:
    """A row that this session has to itself: of each 100 that are predicted one is the singles',
    another the transactions'."""
    number = _FIRST + 100 * (len(session.corrected) % 1_000) + 86 + (session.once is _write_ten)
    statement = "UPDATE patients SET glucose = glucose + 1 WHERE id = %s"
    connection.execute(statement, (number,))
    session.corrected.append(number)


_ORDERS = tuple(permutations(("model_versions", "source_rejections", "patients")))


def _reader_of(order: tuple[str, ...]) -> Callable[[Session, psycopg.Connection[Any]], None]:
    """Somebody who reads these tables in one transaction, as the release's own `status` does."""

    def read(_: Session, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            for name in order:
                connection.execute(f"SELECT 1 FROM {name} LIMIT 10").fetchall()
                time.sleep(0.005)
        time.sleep(0.02)

    return read


def _look_up(session: Session, connection: psycopg.Connection[Any]) -> None:
    chosen = _FIRST + 7919 * session.times % 100_000
    query = "SELECT probability FROM current_predictions WHERE patient_id = %s"
    connection.execute(query, (chosen,)).fetchall()
    time.sleep(0.01)


def _count(session: Session, connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT count(*), avg(glucose) FROM patients").fetchall()


def _watch_locks(url: str, is_over: threading.Event, locks: dict[str, list[float]]) -> None:
    """When the session that migrates was first and last seen to hold or wait for a strong lock."""
    query = """
        SELECT relation::regclass || ' ' || mode || CASE WHEN granted THEN '' ELSE ' (waits)' END
        FROM pg_locks WHERE mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
            AND relation IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND oid > 16384)
            AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"""
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        while not is_over.is_set():
            for (lock,) in connection.execute(query).fetchall():
                now = time.monotonic()
                locks.setdefault(lock, [now, now])[1] = now
            time.sleep(0.01)


# ---- What is there afterwards.

_UNSEEN = """
    SELECT count(*) FROM patients p WHERE outcome IS NULL AND NOT EXISTS (
        SELECT FROM predictions d WHERE d.patient_id = p.id AND d.patient_version = p.version)
    AND NOT EXISTS (
        SELECT FROM scoring_queue q WHERE q.patient_id = p.id AND q.patient_version = p.version)
    AND id = ANY(:ids)"""
_SURPLUS = """
    SELECT count(*) FROM scoring_queue q WHERE NOT EXISTS (
        SELECT FROM patients p WHERE p.id = q.patient_id AND p.version = q.patient_version
            AND p.outcome IS NULL)
    AND q.patient_id = ANY(:ids)"""
# Each correction added 1 to glucose.
_GAPS = """
    SELECT count(*) FROM (
        SELECT FROM patients p JOIN row_history r ON r.patient_id = p.id
        GROUP BY p.id HAVING count(*) <> p.glucose - min(r.glucose)) AS gaps"""
_TABLES = ("patients", "predictions", "scoring_queue", "row_history", "model_versions")


def _check(database: Database, standby: str, writers: list[Session], corrected: list[int]) -> None:
    inserted = [number for each in writers for number in each.inserted]
    there = database.value("SELECT count(*) FROM patients WHERE id = ANY(:ids)", {"ids": inserted})
    print(f"{len(inserted):,} rows were inserted, {there:,} are there")
    expected = Counter(corrected)
    kept = dict(database.execute("SELECT patient_id, count(*) FROM row_history GROUP BY 1"))
    lacking = sum(max(0, times - kept.get(number, 0)) for number, times in expected.items())
    print(f"{len(corrected):,} corrections after the upgrade, of {lacking} the values are not kept")
    print(f"rows with a gap in what is kept: {database.value(_GAPS)}")
    written = {"ids": [*inserted, *(number for each in writers for number in each.corrected)]}
    print(f"written rows that neither wait nor are predicted: {database.value(_UNSEEN, written)}")
    print(f"written rows that wait without need: {database.value(_SURPLUS, written)}", flush=True)
    with ExitStack() as opened:
        here, there_too = (
            opened.enter_context(psycopg.connect(_plain(each), autocommit=True))
            for each in (database.url, standby)
        )
        _compare(here, there_too)
    began = time.monotonic()
    ended = under_role(database, "pima_scorer").run("score", "--json")
    assert ended.exit_code == 0, ended.stderr
    print(f"score predicted {the_json(ended)['predicted']:,} in {time.monotonic() - began:.0f} s")


def _compare(here: psycopg.Connection[Any], standby: psycopg.Connection[Any]) -> None:
    """Once the standby has followed."""
    (end,) = here.execute("SELECT pg_current_wal_lsn()").fetchone() or ()
    began = time.monotonic()
    while standby.execute("SELECT pg_last_wal_replay_lsn() < %s", (end,)).fetchone() == (True,):
        time.sleep(0.05)
    print(f"the standby has followed after {time.monotonic() - began:.1f} s")
    for name in _TABLES:
        counts = [
            each.execute(f"SELECT count(*) FROM {name}").fetchone() for each in (here, standby)
        ]
        print(f"  {name}, here and on the standby: {counts}", flush=True)


if __name__ == "__main__":
    sys.exit(main(*(map(int, sys.argv[1:]) if len(sys.argv) > 1 else (10_000_000,))))
