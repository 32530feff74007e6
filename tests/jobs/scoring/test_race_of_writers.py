"""Invariant 1 beside others: whoever writes to `patients`, in whatever isolation level, each row's
last version ends once, with the values that it had.

Writers of a clinic with triggers of its own, and scorers, all at once: no version may be lost at
any moment, and what they have left is judged at the end.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.errors import (
    DeadlockDetected,
    LockNotAvailable,
    QueryCanceled,
    SerializationFailure,
    UniqueViolation,
)

from pima.core.rows.validation import Validated, by_feature, validate
from pima.scorer import load_scorer
from tests.support.databases import PATIENCE_SECONDS, Database, call, insert_many, the_json
from tests.support.shipped import FEATURE_NAMES, SOUND
from tests.support.trained import install_models

IDS = range(1, 41)
"""So few that writers meet; the counter of ids goes on behind them."""
LEVELS = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)
# The last where the lock comes in the moment in which its time limit is over.
AGAIN = (SerializationFailure, DeadlockDetected, LockNotAvailable, QueryCanceled)
COLUMNS = ", ".join(FEATURE_NAMES)
PLACES = ", ".join(["%s"] * len(FEATURE_NAMES))
INSERT = f"INSERT INTO patients (id, {COLUMNS}, outcome) VALUES (%s, {PLACES}, %s)"
CLINIC = (
    "CREATE TABLE audit (LIKE patients, event TEXT)",
    """CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS '
    BEGIN INSERT INTO audit SELECT NEW.*, TG_OP; RETURN NULL; END'""",
    (
        "CREATE TRIGGER audited AFTER INSERT OR UPDATE ON patients FOR EACH ROW EXECUTE FUNCTION "
        "audit()"
    ),
    """CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS '
    BEGIN NEW.updated_at = now(); RETURN NEW; END'""",
    """CREATE TRIGGER a_set_updated_at BEFORE INSERT OR UPDATE ON patients
    FOR EACH ROW EXECUTE FUNCTION set_updated_at()""",
)

Session = psycopg.Connection[Any]
Row = tuple[float | None, ...]


# ---- what writers do


def measured(drawn: random.Random) -> Row:
    """A row's measurements; one row in twenty can't be scored."""
    row = SOUND | {"glucose": drawn.randint(600, 1990) / 10, "bmi": drawn.randint(200, 400) / 10}
    if drawn.random() < 0.05:
        row |= drawn.choice(({"glucose": 9999}, {"age": None}))
    return tuple(row[name] for name in FEATURE_NAMES)


def an_id(drawn: random.Random) -> int:
    return drawn.choice(IDS)


def an_outcome(drawn: random.Random) -> int | None:
    return drawn.choice((None, None, 0, 1))


def insert(session: Session, drawn: random.Random) -> None:
    session.execute(INSERT, (an_id(drawn), *measured(drawn), an_outcome(drawn)))


def insert_a_new_one(session: Session, drawn: random.Random) -> None:
    session.execute(f"INSERT INTO patients ({COLUMNS}) VALUES ({PLACES})", measured(drawn))


def insert_or_update(session: Session, drawn: random.Random) -> None:
    changed = "glucose = EXCLUDED.glucose, bmi = EXCLUDED.bmi, outcome = EXCLUDED.outcome"
    row = (an_id(drawn), *measured(drawn), an_outcome(drawn))
    session.execute(f"{INSERT} ON CONFLICT (id) DO UPDATE SET {changed}", row)


def merge(session: Session, drawn: random.Random) -> None:
    if session.info.server_version < 150_000:
        insert_or_update(session, drawn)  # MERGE is of PostgreSQL 15
        return
    first, glucose, goes = (
        an_id(drawn),
        measured(drawn)[FEATURE_NAMES.index("glucose")],
        drawn.choice((0, 1)),
    )
    session.execute(
        f"""MERGE INTO patients p USING generate_series(%s::bigint, %s) AS s (id) ON p.id = s.id
        WHEN MATCHED AND p.id %% 2 = %s AND p.outcome IS NULL THEN DELETE
        WHEN MATCHED THEN UPDATE SET glucose = %s, outcome = NULL
        WHEN NOT MATCHED THEN INSERT (id, {COLUMNS}) VALUES (s.id, {PLACES})""",
        (first, min(first + 2, IDS[-1]), goes, glucose, *measured(drawn)),
    )


def correct(session: Session, drawn: random.Random) -> None:
    values = dict(zip(FEATURE_NAMES, measured(drawn), strict=True))
    statement = "UPDATE patients SET glucose = %s, age = %s WHERE id = %s"
    session.execute(statement, (values["glucose"], values["age"], an_id(drawn)))


def correct_many(session: Session, drawn: random.Random) -> None:
    bmi = "CASE WHEN bmi > 40 THEN 20 ELSE bmi + 0.5 END"
    session.execute(f"UPDATE patients SET bmi = {bmi} WHERE id %% 8 = %s", (drawn.randrange(8),))


def tell_the_outcome(session: Session, drawn: random.Random) -> None:
    """Or take it back."""
    session.execute(
        "UPDATE patients SET outcome = %s WHERE id = %s", (drawn.choice((None, 0, 1)), an_id(drawn))
    )


def correct_and_tell(session: Session, drawn: random.Random) -> None:
    statement = "UPDATE patients SET glucose = glucose + 1, outcome = %s WHERE id = ANY(%s)"
    session.execute(statement, (an_outcome(drawn), drawn.sample(IDS, 3)))


def delete(session: Session, drawn: random.Random) -> None:
    session.execute("DELETE FROM patients WHERE id = ANY(%s)", (drawn.sample(IDS, 2),))


def replace(session: Session, drawn: random.Random) -> None:
    """Deleted and inserted in one statement."""
    session.execute(
        f"""WITH gone AS (DELETE FROM patients WHERE id = ANY(%s) RETURNING id)
        INSERT INTO patients (id, {COLUMNS}, outcome) SELECT id, {PLACES}, %s FROM gone""",
        (drawn.sample(IDS, 2), *measured(drawn), an_outcome(drawn)),
    )


def come_and_go(session: Session, drawn: random.Random) -> None:
    """Gone in the end: whoever inserts this id meanwhile waits, with a version from before the last
    one of these."""
    patient_id = an_id(drawn)
    for _ in range(2):
        session.execute("DELETE FROM patients WHERE id = %s", (patient_id,))
        session.execute(INSERT, (patient_id, *measured(drawn), None))
    session.execute("DELETE FROM patients WHERE id = %s", (patient_id,))


def copy(session: Session, drawn: random.Random) -> None:
    _copy(session, drawn, drawn.sample(IDS, 3))


def reload(session: Session, drawn: random.Random) -> None:
    session.execute("TRUNCATE patients")
    _copy(session, drawn, list(IDS))


def _copy(session: Session, drawn: random.Random, ids: list[int]) -> None:
    with session.cursor().copy(f"COPY patients (id, {COLUMNS}, outcome) FROM STDIN") as rows:
        for patient_id in ids:
            rows.write_row((patient_id, *measured(drawn), an_outcome(drawn)))


OFTEN: dict[Callable[[Session, random.Random], None], float] = {
    insert: 5,
    insert_a_new_one: 1,
    insert_or_update: 4,
    merge: 2,
    correct: 5,
    correct_many: 1,
    tell_the_outcome: 5,
    correct_and_tell: 2,
    delete: 3,
    replace: 3,
    come_and_go: 2,
    copy: 2,
    reload: 0.1,
}


def transact(session: Session, drawn: random.Random) -> None:
    """One transaction of a few statements, some of them within savepoints, of which some are rolled
    back."""
    session.isolation_level = drawn.choice(LEVELS)
    with session.transaction():
        for write in drawn.choices(list(OFTEN), list(OFTEN.values()), k=drawn.randint(1, 4)):
            if drawn.random() < 0.5:
                write(session, drawn)
                continue
            with (
                suppress(UniqueViolation),
                session.transaction(force_rollback=drawn.random() < 0.3),
            ):
                write(session, drawn)


# ---- the race


@dataclass
class Race:
    """Writers and scorers go on until there are so many commits and so many runs."""

    database: Database
    commits: int
    runs: int
    committed: list[IsolationLevel | None] = field(default_factory=list)
    scored: list[dict[str, Any]] = field(default_factory=list)
    given_up: Event = field(default_factory=Event)

    def is_over(self) -> bool:
        enough = len(self.committed) >= self.commits and len(self.scored) >= self.runs
        return enough or self.given_up.is_set()

    def write(self, writer: int) -> None:
        url = self.database.url.replace("+psycopg", "")
        # Sooner than the server would find a deadlock.
        with (
            self.for_all(),
            psycopg.connect(url, autocommit=True, options="-c lock_timeout=500ms") as session,
        ):
            transaction = 0
            while not self.is_over():
                try:
                    transact(session, random.Random(f"{writer} {transaction}"))  # noqa: S311
                except AGAIN:
                    continue
                except UniqueViolation:
                    pass  # somebody else has inserted the row
                else:
                    self.committed.append(session.isolation_level)
                transaction += 1

    def score(self) -> None:
        patient = {"PIMA_DATABASE__LOCK_TIMEOUT_SECONDS": str(PATIENCE_SECONDS)}
        with self.for_all():
            while not self.is_over():
                ended = self.database.run("score", "--json", "--batch-size", "10", **patient)
                assert ended.exit_code == 0, ended.stderr
                self.scored.append(the_json(ended))

    @contextmanager
    def for_all(self) -> Iterator[None]:
        """Where something fails, all of them end."""
        try:
            yield
        except BaseException:
            self.given_up.set()
            raise


@pytest.mark.campaign
@pytest.mark.judge
@pytest.mark.timeout(7_200)
@pytest.mark.time_limit
def test_whoever_writes_meanwhile_each_row_ends_once_with_its_own_values(
    postgresql: Database, trained: Path, at_length: bool
) -> None:
    install_models(postgresql, trained)
    for statement in CLINIC:
        postgresql.execute(statement)
    insert_many(postgresql, len(IDS))
    race = Race(postgresql, commits=20_000 if at_length else 400, runs=100 if at_length else 6)
    with ThreadPoolExecutor(6) as threads:
        scorers = [threads.submit(race.score) for _ in range(2)]
        writers = [threads.submit(race.write, writer) for writer in range(4)]
        with race.for_all():
            while not race.is_over():
                assert_none_is_lost(postgresql)
        for running in (*scorers, *writers):
            running.result()
    race.scored.append(the_json(call(postgresql, "score", "--json")))
    assert postgresql.value("SELECT count(*) FROM scoring_queue") == 0
    assert set(race.committed) == set(LEVELS)
    assert_none_is_lost(postgresql)
    assert_by_their_own_values(postgresql)
    assert_values_are_kept(postgresql)
    assert (
        postgresql.execute(
            "SELECT status, count(*) FROM runs WHERE status <> 'succeeded' GROUP BY status"
        )
        == []
    )
    assert sum(run["already_scored"] for run in race.scored) == 0


def assert_none_is_lost(database: Database) -> None:
    """At whatever moment, as far as it is committed."""
    ended_or_waits = """
        SELECT patient_id, patient_version FROM predictions JOIN champion USING (model_version)
        UNION ALL SELECT patient_id, patient_version FROM rejections
        UNION ALL SELECT patient_id, patient_version FROM scoring_queue"""
    lost = f"""
        SELECT id, version FROM patients p WHERE outcome IS NULL AND NOT EXISTS (
            SELECT 1 FROM ({ended_or_waits}) AS e WHERE e.patient_id = p.id
                AND e.patient_version = p.version)"""
    assert database.execute(lost) == []


def assert_values_are_kept(database: Database) -> None:
    """Of each prediction of a row that is there, since it came, those that it had then; a day later
    as well."""
    # Whatever the race has left, some are corrected after their prediction.
    database.execute("UPDATE patients SET glucose = 100 + id % 50 WHERE outcome IS NULL")
    database.execute("UPDATE row_history SET replaced_at = now() - interval '2 days'")
    assert call(database, "score").exit_code == 0
    replaced = """predictions d JOIN patients p ON p.id = d.patient_id
        JOIN audit a ON a.id = d.patient_id AND a.version = d.patient_version
        LEFT JOIN row_history r
            ON (r.patient_id, r.patient_version) = (d.patient_id, d.patient_version)
        WHERE d.patient_version < p.version AND d.patient_version >= (
            SELECT max(came.version) FROM audit came
            WHERE came.id = p.id AND came.version <= p.version AND came.event = 'INSERT')"""
    assert database.value(f"SELECT count(*) FROM {replaced}") > 0
    values, kept = (", ".join(f"{of}.{name}" for name in FEATURE_NAMES) for of in "ar")
    others = f"(r.patient_id, {kept}) IS DISTINCT FROM (d.patient_id, {values})"
    assert database.execute(f"SELECT d.patient_id FROM {replaced} AND {others}") == []
    gone = "SELECT patient_id FROM row_history EXCEPT SELECT id FROM patients"
    assert database.execute(gone) == []


def assert_by_their_own_values(database: Database) -> None:
    """Those that somebody has committed under that version."""
    versions = f"SELECT DISTINCT id AS patient_id, version AS patient_version, {COLUMNS} FROM audit"
    twice = (
        f"SELECT 1 FROM ({versions}) AS v GROUP BY patient_id, patient_version HAVING count(*) > 1"
    )
    assert database.execute(twice) == []
    scorer = load_scorer(database.engine, 1)

    def judged(table: str, column: str) -> tuple[list[Any], Validated]:
        rows = database.execute(
            f"SELECT {column}, v.patient_id, {COLUMNS} FROM {table} LEFT JOIN ({versions}) AS v "
            "USING (patient_id, patient_version)"
        )
        assert all(patient_id is not None for _, patient_id, *_ in rows), (
            "a version that nobody has committed"
        )
        # On a busy machine a short race may end before any row is rejected.
        shape = (len(rows), len(scorer.features))
        values = np.array([row[2:] for row in rows], dtype=np.float64).reshape(shape)
        return [row[0] for row in rows], validate(by_feature(values), scorer.features)

    probabilities, sound = judged("predictions", "probability")
    assert len(sound.accepted) == len(probabilities) > 0
    np.testing.assert_allclose(
        scorer.model.probabilities(sound.features), probabilities, rtol=0, atol=1e-6
    )
    reasons, bad = judged("rejections", "reason")
    assert list(bad.reasons) == reasons
