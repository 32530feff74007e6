"""A year of nights, once with all predictions kept, and once with what is old removed: what a night
takes, and what there is after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benches.scale.place import Place
from benches.speed.databases import execute, postgresql_database, value
from benches.speed.measure import Line, run_job
from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.databases import Database, insert_many

NIGHTS, ROWS = 365, 20_000
_NIGHTS_OF_A_TRIAL = 24
_DAYS_A_NIGHT = 30
"""Where old predictions go, the clock is not waited for: what there is becomes so much older
between two nights."""
_SIZE = "SELECT pg_total_relation_size('predictions')"


@dataclass(frozen=True)
class Night:
    """What `score` took, and the predictions behind it."""

    seconds: float
    rows: int
    bytes: int


def year(place: Place) -> Iterator[list[Line]]:
    """Each night has new rows, and the outcomes of those of the night before."""
    nights = NIGHTS if len(place.sizes) > 1 else _NIGHTS_OF_A_TRIAL
    url = postgresql_database(place.uri, "year_kept", place.trained)
    kept = [_night(url) for _ in range(nights)]
    what = f"{nights} nights of {ROWS:,} rows, all kept"
    room = kept[-1].bytes / kept[-1].rows / (kept[nights // 8].bytes / kept[nights // 8].rows)
    yield [
        _slower(what, kept),
        Line(f"{what}: bytes a prediction at the end / after an eighth of them", room, "<=", 1.1),
    ]

    url = postgresql_database(place.uri, "year_retained", place.trained)
    removed = [_night_and_retain(url) for _ in range(nights)]
    what = f"{nights} nights of {ROWS:,} rows, with retain"
    grown = removed[-1].bytes / removed[nights // 3].bytes
    yield [
        _slower(what, removed),
        Line(f"{what}: bytes at the end / after a third of them", grown, "<=", 1.1),
    ]


def _slower(what: str, nights: list[Night]) -> Line:
    some = len(nights) // 8
    first, last = (
        median(night.seconds for night in few) for few in (nights[:some], nights[-some:])
    )
    return Line(
        f"{what}: a night's seconds in the last eighth / in the first", last / first, "<=", 1.25
    )


def _night(url: str) -> Night:
    execute(url, "UPDATE patients SET outcome = id % 2 WHERE outcome IS NULL")
    database = Database("postgresql", url, make_engine(url, DatabaseSettings()))
    insert_many(database, ROWS)
    database.engine.dispose()
    seconds = run_job("score", url).seconds
    return Night(seconds, _number(url, "SELECT count(*) FROM predictions"), _number(url, _SIZE))


def _night_and_retain(url: str) -> Night:
    older = f"UPDATE predictions SET scored_at = scored_at - interval '{_DAYS_A_NIGHT} days'"
    execute(url, older, "VACUUM predictions", "CHECKPOINT")  # no night has that to do
    night = _night(url)
    run_job("retain", url, "--older-than", "183")
    return Night(
        night.seconds, _number(url, "SELECT count(*) FROM predictions"), _number(url, _SIZE)
    )


def _number(url: str, statement: str) -> int:
    return int(str(value(url, statement)))
