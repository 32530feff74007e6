"""A night into a table of parts, and what such a table costs whoever looks a patient up."""

from collections.abc import Iterator
from functools import partial

from tests.bench.scale.place import Place
from tests.bench.speed.databases import (
    ABOVE_ALL_VERSIONS,
    assert_scored,
    execute,
    fill_queue,
    on_server,
    plain,
    postgresql_database,
    psql,
)
from tests.bench.speed.measure import Line, ratio, run_job, seconds, side_by_side

ROWS = 1_000_000
_PARTS = 4
_ROUNDS = 3
_LOOK_UPS = 50_000


def parts(place: Place) -> Iterator[list[Line]]:
    """The same night into one table, and into the last of four parts."""
    whole = postgresql_database(place.uri, "one_table", place.trained)
    divided = postgresql_database(place.uri, "divided", place.trained)
    run_job("migrate", divided, "--partitions", str(ROWS))
    for part in range(1, _PARTS):  # what the counter draws is looked ahead of
        on_server(plain(divided), f"SELECT setval('patient_version', {ABOVE_ALL_VERSIONS + part * ROWS})")
        run_job("migrate", divided, "--partitions", str(ROWS))
    peers = {"one table": partial(run_job, "score", whole), "parts": partial(run_job, "score", divided)}
    urls = {"one table": whole, "parts": divided}
    took = side_by_side(peers, partial(_fill, whole, divided), lambda peer: assert_scored(urls[peer], ROWS), _ROUNDS)
    yield [
        ratio(f"{ROWS:,} rows: into a table of parts / into one table", took, "parts", "one table", "<=", 1.15),
        seconds(f"{ROWS:,} rows: into a table of parts, seconds", took["parts"]),
    ]
    yield [_look_ups(whole, divided)]


def _fill(*urls: str) -> None:
    for url in urls:
        fill_queue(url, ROWS)


def _look_ups(whole: str, divided: str) -> Line:
    """One patient after the other, each by a look-up of its own."""
    run_job("score", whole)  # filled anew before the last run, which was the other's
    for url in (whole, divided):
        execute(url, "VACUUM ANALYZE predictions")
    loop = f"""DO $$ BEGIN FOR n IN 1..{_LOOK_UPS} LOOP
        PERFORM probability FROM predictions WHERE patient_id = n * 20; END LOOP; END $$"""
    peers = {"one table": partial(psql, whole, loop), "parts": partial(psql, divided, loop)}
    took = side_by_side(peers, rounds=5)
    what = f"{_LOOK_UPS:,} look-ups by patient: in a table of parts / in one table"
    return ratio(what, took, "parts", "one table", "<=", 2 * _PARTS)
