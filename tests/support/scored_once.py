"""Many rows to score, and that each of them ended once."""

from tests.support.databases import Database, insert_many

QUEUED = 10_000


def insert_mostly_sound(database: Database, rows: int = QUEUED) -> None:
    """Insert rows in one statement; every 1000th can't be scored."""
    insert_many(database, rows, "CASE WHEN n % 1000 = 0 THEN 9999 ELSE 100 + n % 50 END")


def assert_each_once(database: Database, rows: int = QUEUED, waiting: int = 0) -> None:
    """Invariant 1: every version one prediction or one rejection or on the queue, never two of
    them."""
    counted = [
        database.value(f"SELECT count(*) FROM {table}")
        for table in ("predictions", "rejections", "scoring_queue")
    ]
    assert (sum(counted), counted[2]) == (rows, waiting)
    ended = " UNION ALL ".join(
        f"SELECT patient_id, patient_version FROM {table}"
        for table in ("predictions", "rejections", "scoring_queue")
    )
    twice = f"SELECT 1 FROM ({ended}) AS e GROUP BY patient_id, patient_version HAVING count(*) > 1"
    assert database.execute(twice) == []
    lost = f"""SELECT id FROM patients p WHERE NOT EXISTS (
        SELECT 1 FROM ({ended}) AS e WHERE e.patient_id = p.id AND e.patient_version = p.version)"""
    assert database.execute(lost) == []
