"""What a night of a million rows leaves on the server: room, write-ahead log, VACUUM and
connections."""

import subprocess
import sys
import time
from collections.abc import Iterator

from benches.scale.place import Place
from benches.speed.databases import (
    assert_scored,
    execute,
    fill_queue,
    plain,
    postgresql_database,
    value,
)
from benches.speed.measure import Line
from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

ROWS = 1_000_000
_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    "pg_backend_pid()"
)


def server(place: Place) -> Iterator[list[Line]]:
    """One night, by one process with its two workers."""
    url = postgresql_database(place.uri, "server", place.trained)
    fill_queue(url, ROWS)
    execute(url, "VACUUM ANALYZE scoring_queue, predictions", "CHECKPOINT")
    before = value(url, "SELECT pg_current_wal_lsn()")
    connections = _night(url)
    assert_scored(url, ROWS)
    written = float(str(value(url, f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{before}')")))
    began = time.monotonic()
    execute(url, "VACUUM scoring_queue", "VACUUM predictions")
    vacuum = time.monotonic() - began
    what = f"a night of {ROWS:,} rows"
    yield [
        Line(f"{what}: write-ahead log, bytes a row", written / ROWS),
        Line(
            f"{what}: a prediction in the table, bytes", _bytes(url, "pg_table_size('predictions')")
        ),
        Line(
            f"{what}: a prediction in its key, bytes", _bytes(url, "pg_indexes_size('predictions')")
        ),
        Line(f"{what}: VACUUM of the queue and of the predictions behind it, seconds", vacuum),
        Line(f"{what}: connections of one process", connections),
    ]


def _bytes(url: str, size: str) -> float:
    return float(str(value(url, f"SELECT {size}"))) / ROWS


def _night(url: str) -> int:
    """`score`, to its end; the most connections that it was seen to have."""
    most = 0
    command, environ = [sys.executable, "-m", "jobs.score"], clean_environ() | {"DATABASE_URL": url}
    child = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while child.poll() is None:
            most = max(most, int(str(value(plain(url), _CONNECTIONS))))
            time.sleep(0.05)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    return most
