"""What the triggers on `patients` keep true, whoever writes and however: versions, labels' times
and the queue."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from pima.errors import DatabaseFailed, DatabaseUnusable
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    insert_patients,
    let_the_clock_move,
    until_someone_waits_for_a_lock,
)
from tests.support.rows import (
    COLUMNS,
    VALUES,
    as_sqlite3_does,
    assert_queue_is_true,
    patient,
    queue,
    unlabelled,
)
from tests.support.shipped import FEATURE_NAMES, HOLDOUT, SOUND

LONG_AGO = "2001-01-01T00:00:00.000Z"
# A thousand rows in one statement, every third of them labelled.
MANY = f"""
    INSERT INTO patients ({COLUMNS}, outcome)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    SELECT {VALUES}, CASE WHEN i % 3 = 0 THEN i % 2 END FROM n"""
UPSERT = f"""
    INSERT INTO patients (id, {COLUMNS}, outcome) VALUES (:id, {VALUES}, :outcome)
        ON CONFLICT (id) DO UPDATE
    SET outcome = excluded.outcome, glucose = excluded.glucose + 1"""


# ---- insert


def test_an_unlabelled_row_waits_with_its_measurements(database: Database) -> None:
    (first,) = insert_patients(database, 1)
    (second,) = insert_patients(database, 1, glucose=None, age=51)
    values = tuple(float(SOUND[name]) for name in FEATURE_NAMES)
    changed = tuple(
        {"glucose": None, "age": 51.0}.get(name, float(SOUND[name])) for name in FEATURE_NAMES
    )
    assert queue(database) == [
        (first, patient(database, first).version, *values),
        (second, patient(database, second).version, *changed),
    ]
    assert patient(database, first).labelled_at is None
    assert patient(database, second).version > patient(database, first).version > 0


def test_the_queue_says_since_when_a_version_waits(database: Database) -> None:
    (patient_id,) = insert_patients(database, 1)
    inserted_at = database.value("SELECT enqueued_at FROM scoring_queue")
    let_the_clock_move()
    database.execute("UPDATE patients SET glucose = 150")
    corrected_at = database.value("SELECT enqueued_at FROM scoring_queue")
    assert patient(database, patient_id).recorded_at <= inserted_at < corrected_at


# ---- update


@pytest.mark.judge
def test_a_corrected_measurement_waits_once_as_a_new_version(database: Database) -> None:
    (patient_id,) = insert_patients(database, 1)
    versions = [patient(database, patient_id).version]
    for column in FEATURE_NAMES:
        for value in ("22", "NULL", "22.5"):
            database.execute(f"UPDATE patients SET {column} = {value}")
            versions.append(patient(database, patient_id).version)
            assert len(queue(database)) == 1
            assert_queue_is_true(database)
    assert versions == sorted(set(versions))


def test_an_update_that_changes_nothing_draws_no_version_and_enqueues_nothing(
    database: Database,
) -> None:
    rows = [
        *insert_patients(database, 1, insulin=None),
        *insert_patients(database, 1, insulin=None, outcome=1),
    ]
    before = [patient(database, patient_id) for patient_id in rows]
    database.execute("DELETE FROM scoring_queue")  # as if they were scored
    database.execute(
        "UPDATE patients SET id = id, glucose = 148, insulin = NULL, outcome = outcome"
    )
    after = [patient(database, patient_id) for patient_id in rows]
    assert [(row.version, row.labelled_at) for row in after] == [
        (row.version, row.labelled_at) for row in before
    ]
    assert queue(database) == []


CORRECTIONS = [
    (None, "outcome = 0", 0),
    (None, "outcome = 1", 1),
    (None, "glucose = 150, outcome = 1", 1),
    (1, "outcome = 0", 0),
    (1, "outcome = NULL", None),
    (1, "glucose = 150", 1),
    (1, "glucose = 150, outcome = 0", 0),
    (1, "glucose = 150, outcome = NULL", None),
]
"""The outcome before, what is changed, the outcome after."""


def test_a_correction_draws_a_version_and_an_outcome_has_its_time(database: Database) -> None:
    for before, change, after in CORRECTIONS:
        changed, _ = insert_patients(database, 2, outcome=before)
        old = patient(database, changed)
        let_the_clock_move()
        database.execute(f"UPDATE patients SET {change} WHERE id = {changed}")
        new = patient(database, changed)
        assert (new.outcome, new.updated_at > old.updated_at) == (after, True)
        assert (new.version > old.version) == ("glucose" in change or after is None), change
        stamped = None if after is None else new.updated_at
        assert new.labelled_at == (old.labelled_at if after == before else stamped), change
        assert_queue_is_true(database)


# ---- delete


EMPTYING = {
    "delete one by one": (
        "DELETE FROM patients WHERE id = 5",
        "DELETE FROM patients WHERE id <> 5",
    ),
    "delete all": ("DELETE FROM patients",),
    "truncate": ("TRUNCATE patients",),
    "truncate and restart": ("TRUNCATE patients RESTART IDENTITY CASCADE",),
}


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (kind, how)
        for kind in ("sqlite", "postgresql")
        for how in EMPTYING
        if kind == "postgresql" or "truncate" not in how
    ],
)
def test_emptying_the_table_empties_the_queue_and_no_version_comes_twice(
    request: pytest.FixtureRequest, kind: str, how: str
) -> None:
    database: Database = request.getfixturevalue(kind)
    seen: list[tuple[int]] = []
    for round_ in range(3):
        insert_patients(database, 3, first_id=4)
        insert_patients(database, 1, first_id=7, outcome=1)
        if round_:
            database.execute("UPDATE patients SET age = 60")
        seen += database.execute("SELECT version FROM patients")
        assert_queue_is_true(database)
        for statement in EMPTYING[how]:
            database.execute(statement)
        assert queue(database) == []
    assert len(set(seen)) == len(seen) == 12


# ---- insert or update


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
def test_replace_makes_a_new_version(sqlite: Database, recursive_triggers: str) -> None:
    for before, after, times in product([None, 1], [None, 0], [1, 2]):
        replaced, other = insert_patients(sqlite, 2, outcome=before)
        old = [patient(sqlite, replaced).version, patient(sqlite, other).version]
        with as_sqlite3_does(sqlite) as connection:
            connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
            row = f"({replaced}, {VALUES}, :outcome)"
            statement = (
                f"INSERT OR REPLACE INTO patients (id, {COLUMNS}, outcome) VALUES "
                f"{', '.join([row] * times)}"
            )
            connection.execute(statement, {"outcome": after})
        new = patient(sqlite, replaced)
        assert new.version > max(old)
        assert (new.labelled_at is None) == (after is None)
        assert_queue_is_true(sqlite)
    assert sqlite.value("SELECT count(*) FROM patients") == 16


def test_on_conflict_do_update_is_an_update(database: Database) -> None:
    for before, after in product([None, 1], [None, 0]):
        changed, _ = insert_patients(database, 2, outcome=before)
        old = patient(database, changed)
        let_the_clock_move()
        for patient_id in (changed, changed + 1_000):
            database.execute(UPSERT, {"id": patient_id, "outcome": after})
        new = patient(database, changed)
        assert new.version > old.version
        assert new.glucose == 149
        assert new.recorded_at == old.recorded_at
        assert new.labelled_at == (None if after is None else new.updated_at)
        assert patient(database, changed + 1_000).glucose == 148
        assert_queue_is_true(database)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sqlite", "INSERT OR IGNORE {}"),
        ("sqlite", "INSERT {} ON CONFLICT (id) DO NOTHING"),
        ("postgresql", "INSERT {} ON CONFLICT (id) DO NOTHING"),
    ],
)
def test_an_insert_that_gives_way_changes_nothing(
    request: pytest.FixtureRequest, kind: str, words: str
) -> None:
    database: Database = request.getfixturevalue(kind)
    insert_patients(database, 1, first_id=1)
    before = patient(database, 1)
    database.execute(
        words.format(
            f"INTO patients (id, {COLUMNS}) VALUES (1, 1, 2, 3, 4, 5, 6, 7, 8), (2, {VALUES})"
        )
    )
    assert patient(database, 1) == before
    assert len(queue(database)) == 2
    assert_queue_is_true(database)


# ---- many rows in one statement


def test_many_rows_in_one_statement(database: Database) -> None:
    database.execute(MANY)
    versions = database.execute("SELECT DISTINCT version FROM patients")
    assert len(versions) == 1000
    assert len(queue(database)) == 667
    assert_queue_is_true(database)

    database.execute("UPDATE patients SET glucose = glucose + id")
    assert len({*versions, *database.execute("SELECT version FROM patients")}) == 2000
    assert len(queue(database)) == 667
    assert_queue_is_true(database)

    database.execute(
        "UPDATE patients SET outcome = CASE WHEN id % 2 = 0 THEN 1 END, bmi = bmi + id % 5"
    )
    assert len(queue(database)) == 500
    assert_queue_is_true(database)
    assert (
        database.value(
            "SELECT count(*) FROM patients WHERE (labelled_at IS NULL) <> (outcome IS NULL)"
        )
        == 0
    )

    database.execute("DELETE FROM patients WHERE id % 4 = 1")
    assert len(queue(database)) == 250
    assert_queue_is_true(database)


def test_copy_fills_the_queue(postgresql: Database) -> None:
    with writing(postgresql.engine) as connection:
        cursor = connection.connection.cursor()
        with cursor.copy("COPY patients (glucose, age, outcome) FROM STDIN") as copy:  # type: ignore[attr-defined]
            for n in range(300):
                copy.write_row((100 + n / 8, 30, 1 if n % 3 == 0 else None))
        cursor.close()
    assert len(queue(postgresql)) == 200
    assert_queue_is_true(postgresql)


# ---- what nobody gives by hand


def test_a_version_that_an_insert_sends_is_another_and_a_label_s_time_is_taken(
    database: Database,
) -> None:
    given = {"version": 1, "labelled_at": LONG_AGO, "recorded_at": LONG_AGO, "updated_at": LONG_AGO}
    for outcome in (None, 0, 1):
        earlier, _ = insert_patients(database, 2)
        (patient_id,) = insert_patients(database, 1, outcome=outcome, **given)
        found = patient(database, patient_id)
        assert found.version > patient(database, earlier).version
        assert found.labelled_at == (None if outcome is None else found.recorded_at)
        assert_queue_is_true(database)


@pytest.mark.judge
def test_no_outcome_is_known_before_it_is(database: Database) -> None:
    for outcome in (None, 1):
        (patient_id,) = insert_patients(
            database, 1, outcome=outcome, labelled_at="2101-01-01T00:00:00.000Z"
        )
        found = patient(database, patient_id)
        assert (found.labelled_at is None) == (outcome is None)
        assert not str(found.labelled_at).startswith("2101")
        database.execute(
            "UPDATE patients SET outcome = 0, labelled_at = '2101-01-01T00:00:00.000Z'"
        )
        after = patient(database, patient_id)
        assert after.labelled_at == after.updated_at
        for known in (f"'{LONG_AGO}'", "NULL"):
            database.execute(f"UPDATE patients SET labelled_at = {known}")
            assert str(patient(database, patient_id).labelled_at).startswith("2001-01-01")
        database.execute("DELETE FROM patients")


def test_a_version_that_an_update_sends_is_overridden_or_refused(database: Database) -> None:
    rows = insert_patients(database, 8) + insert_patients(database, 8, outcome=0)
    ways = product(["", "glucose = 150, outcome = 1, "], ["999", "1"])
    for (beside, version), patient_id in zip([*ways] * 4, rows, strict=True):
        before = patient(database, patient_id)
        try:
            database.execute(
                f"UPDATE patients SET {beside}version = {version} WHERE id = {patient_id}"
            )
        except DatabaseFailed:
            assert patient(database, patient_id) == before
        after = patient(database, patient_id)
        if beside and after != before:
            assert before.version < after.version != 999
        else:
            assert after.version == before.version
        assert_queue_is_true(database)


# ---- what the constraints hold and what they leave to the scorer


def test_what_is_no_number_waits_for_the_scorers_judgement(postgresql: Database) -> None:
    values = [("NaN",), ("Infinity",), ("-Infinity",)]
    for (value,) in values:
        postgresql.execute(
            "INSERT INTO patients (glucose) VALUES (cast(:value AS float8))", {"value": value}
        )
    assert (
        postgresql.execute("SELECT glucose::text FROM scoring_queue ORDER BY patient_id") == values
    )
    versions = postgresql.execute("SELECT version FROM patients ORDER BY id")
    postgresql.execute("UPDATE patients SET glucose = glucose")  # NaN is not distinct from NaN
    assert postgresql.execute("SELECT version FROM patients ORDER BY id") == versions


# ---- two writers at once


CORRECT = text("UPDATE patients SET glucose = :glucose WHERE id = :id")
CORRECTION = "UPDATE patients SET glucose = 160"
UPSERT_5 = UPSERT.replace(":id", "5").replace(":outcome", "NULL")


@pytest.mark.parametrize(
    ("patient_id", "first", "ends", "second", "draws", "glucose"),
    [
        (1, CORRECTION, "commit", "UPDATE patients SET glucose = 170", True, 170),
        (1, CORRECTION, "commit", "UPDATE patients SET age = 60", True, 160),
        (1, CORRECTION, "rollback", "UPDATE patients SET age = 60", True, 148),
        (1, CORRECTION, "commit", "UPDATE patients SET outcome = 1", False, 160),
        (5, UPSERT_5, "commit", UPSERT_5, True, 149),
    ],
)
def test_of_two_writers_of_one_patient_the_second_goes_by_what_the_first_did(
    postgresql: Database,
    patient_id: int,
    first: str,
    ends: str,
    second: str,
    draws: bool,
    glucose: float,
) -> None:
    insert_patients(postgresql, 1, first_id=1)
    before = patient(postgresql, 1).version
    with ThreadPoolExecutor(1) as threads, postgresql.engine.connect() as writer:
        writer.execute(text(first))
        drawn = writer.scalar(text(f"SELECT version FROM patients WHERE id = {patient_id}"))
        waiting = threads.submit(postgresql.execute, second)
        until_someone_waits_for_a_lock(postgresql)
        getattr(writer, ends)()
        waiting.result(timeout=PATIENCE_SECONDS)
    after = patient(postgresql, patient_id)
    assert drawn > before
    assert (after.version > drawn, after.version == drawn) == (draws, not draws)
    assert after.glucose == glucose
    assert_queue_is_true(postgresql)


def test_writers_of_different_patients_never_wait_for_each_other(postgresql: Database) -> None:
    insert_patients(postgresql, 4, first_id=1)
    impatient = make_engine(postgresql.url, DatabaseSettings(lock_timeout_seconds=1))
    with postgresql.engine.connect() as first:
        first.execute(CORRECT, {"id": 1, "glucose": 160})
        first.execute(text("DELETE FROM patients WHERE id = 3"))
        with writing(impatient) as second:
            second.execute(CORRECT, {"id": 2, "glucose": 170})
            second.execute(text("UPDATE patients SET outcome = 1 WHERE id = 4"))
            second.execute(text(UPSERT), {"id": 9, "outcome": None})
        assert [row[0] for row in queue(postgresql)] == [1, 2, 3, 9]
        first.commit()
    impatient.dispose()
    assert [row[0] for row in queue(postgresql)] == [1, 2, 9]
    assert_queue_is_true(postgresql)


# ---- who may write, and from where


@pytest.fixture
def etl(postgresql: Database) -> Iterator[str]:
    """A role that owns nothing and has no right yet."""
    role = f"pima_etl_{uuid.uuid4().hex[:8]}"
    postgresql.execute(f"CREATE ROLE {role}")
    yield role
    postgresql.execute(f"DROP OWNED BY {role}")
    postgresql.execute(f"DROP ROLE {role}")


@contextmanager
def acting_as(database: Database, role: str) -> Iterator[Connection]:
    with writing(database.engine) as connection:
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        yield connection


OTHER_QUEUES = (
    "CREATE SCHEMA evil",
    "CREATE TABLE evil.scoring_queue (LIKE public.scoring_queue INCLUDING ALL)",
    "CREATE SEQUENCE evil.patient_version",
    "GRANT ALL ON SCHEMA evil TO PUBLIC",
    "CREATE TEMPORARY TABLE scoring_queue (LIKE public.scoring_queue INCLUDING ALL)",
    "GRANT ALL ON evil.scoring_queue, scoring_queue TO PUBLIC",
    "SET LOCAL search_path = evil",
)


def test_nobody_can_slip_another_queue_under_the_triggers(postgresql: Database, etl: str) -> None:
    insert_patients(postgresql, 3)  # ids 1 to 3
    postgresql.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON patients TO {etl}")
    with writing(postgresql.engine) as connection:
        for statement in OTHER_QUEUES:
            connection.execute(text(statement))
        connection.execute(text(f"SET LOCAL ROLE {etl}"))
        for statement in (
            f"INSERT INTO public.patients ({COLUMNS}) VALUES ({VALUES})",
            "UPDATE public.patients SET glucose = 160 WHERE id = 1",
            "UPDATE public.patients SET outcome = 1 WHERE id = 2",
            "DELETE FROM public.patients WHERE id = 3",
        ):
            connection.execute(text(statement))
        connection.execute(text("RESET ROLE"))
        queues = ("public.scoring_queue", "evil.scoring_queue", "pg_temp.scoring_queue")
        found = [connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in queues]
    assert found == [2, 0, 0]
    waiting = f"SELECT patient_id, patient_version, {COLUMNS} FROM public.scoring_queue ORDER BY 1"
    assert postgresql.execute(waiting) == unlabelled(postgresql)


@pytest.mark.parametrize(
    ("function", "event", "fires"),
    [
        ("dequeue_truncated", "TRUNCATE ON own", "TRUNCATE own"),
        (
            "enqueue_inserted",
            "INSERT ON own REFERENCING NEW TABLE AS new_rows",
            "INSERT INTO own (id) VALUES (666)",
        ),
        ("dequeue_deleted", "DELETE ON own REFERENCING OLD TABLE AS old_rows", "DELETE FROM own"),
    ],
)
def test_nobody_can_borrow_the_triggers_rights_for_a_table_of_their_own(
    postgresql: Database, etl: str, function: str, event: str, fires: str
) -> None:
    insert_patients(postgresql, 2, first_id=1)
    before = queue(postgresql)

    # LIKE needs the right to read the columns' names.
    postgresql.execute(f"GRANT SELECT ON patients TO {etl}")
    borrowing = f"""
        CREATE TEMPORARY TABLE own (LIKE public.patients INCLUDING DEFAULTS);
        INSERT INTO own (id) VALUES (1);
        CREATE TRIGGER mine AFTER {event} FOR EACH STATEMENT EXECUTE FUNCTION public.{function}();
        {fires}"""
    with pytest.raises(DatabaseUnusable), acting_as(postgresql, etl) as connection:
        connection.exec_driver_sql(borrowing)
    assert queue(postgresql) == before


@pytest.mark.parametrize("name", ["Clinic", "pima-test"])
def test_the_schema_may_have_a_name_that_needs_quotes(postgresql: Database, name: str) -> None:
    postgresql.execute(f'CREATE SCHEMA "{name}"')
    url = make_url(postgresql.url).update_query_dict({"options": f'-csearch_path="{name}"'})
    engine = make_engine(url.render_as_string(hide_password=False), DatabaseSettings())
    try:
        migrate(engine, HOLDOUT)
        with writing(engine) as connection:
            connection.execute(text(f"INSERT INTO patients ({COLUMNS}) VALUES ({VALUES})"))
            assert (
                connection.execute(
                    text(f'SELECT count(*) FROM "{name}".scoring_queue')
                ).scalar_one()
                == 1
            )
    finally:
        engine.dispose()
    assert queue(postgresql) == []
