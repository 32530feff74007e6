"""What stands behind a version and a verdict: training snapshots, test sets, and how long old bytes are kept."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, text, update

from pima.store.registry import read_champion, version_before
from pima.store.runs import JUDGED_BEFORE
from pima.store.tables import model_versions, test_sets, training_snapshots


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The exact rows that a version was fitted on."""

    content: bytes
    """Parquet"""
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class TestSet:
    """The holdout rows that a verdict was given on; each field is the column of its name."""

    __test__ = False  # not a test, whatever pytest makes of the name

    fingerprint: str
    patient_ids: list[int]
    rows: int
    first_labelled_at: datetime
    last_labelled_at: datetime


def keep_test_set(connection: Connection, test_set: TestSet) -> None:
    """Remember a test set, once however many verdicts are given on it; the caller holds the champion's lock."""
    # The fingerprint covers ids, features and outcomes.
    known = select(test_sets.c.fingerprint).where(test_sets.c.fingerprint == test_set.fingerprint)
    if connection.execute(known).first() is None:
        values = {name: getattr(test_set, name) for name in TestSet.__dataclass_fields__}
        connection.execute(insert(test_sets).values(**values))


def read_test_set(connection: Connection, fingerprint: str) -> TestSet | None:
    """A test set by the fingerprint that stands beside a verdict; None where there is none."""
    columns = [test_sets.c[name] for name in TestSet.__dataclass_fields__]
    row = connection.execute(select(*columns).where(test_sets.c.fingerprint == fingerprint)).first()
    return None if row is None else TestSet(**row._mapping)


def consultations(connection: Connection) -> int:
    """How often a retraining, dry runs included, has asked the holdout for a verdict so far."""
    # As JSON's own text, which every database has the same.
    asked = f"CAST(counts -> '{JUDGED_BEFORE}' AS TEXT) = 'false'"
    # Runs that came to a verdict of their own; one a week.
    statement = text(f"SELECT count(*) FROM runs WHERE job = 'retrain' AND status = 'succeeded' AND {asked}")
    return int(connection.execute(statement).scalar_one())


def keep_snapshot(connection: Connection, number: int, snapshot: Snapshot) -> None:
    """Store the rows that version `number` was fitted on."""
    values = {"content": snapshot.content, "sha256": snapshot.sha256, "rows": snapshot.rows}
    connection.execute(insert(training_snapshots).values(model_version=number, **values))


def read_snapshot(connection: Connection, number: int) -> Snapshot | None:
    """The rows that version `number` was fitted on, unchecked; None where they are not kept any more."""
    columns = (training_snapshots.c.content, training_snapshots.c.sha256, training_snapshots.c.rows)
    row = connection.execute(select(*columns).where(training_snapshots.c.model_version == number)).first()
    return None if row is None else Snapshot(*row)


def kept_snapshots(connection: Connection) -> list[int]:
    """The versions whose snapshot is kept, oldest first."""
    return list(
        connection.execute(
            select(training_snapshots.c.model_version).order_by(training_snapshots.c.model_version)
        ).scalars()
    )


def prune(connection: Connection, last_snapshots: int, last_bytes: int | None) -> None:
    """Drop snapshots and model bytes but those of the last so many versions; their rows stay.

    Never those of the champion, of the version before it, or of the newest, which may wait for a person's approval.
    `last_bytes` None keeps all bytes. The caller holds the champion's lock.
    """
    newest = connection.execute(select(func.max(model_versions.c.number))).scalar() or 0
    champion = read_champion(connection).model_version
    kept = {newest, champion, None if champion is None else version_before(connection, champion)} - {None}
    versions = training_snapshots.c.model_version
    connection.execute(
        delete(training_snapshots).where(versions <= newest - last_snapshots, versions.not_in(sorted(kept)))
    )
    if last_bytes is not None:
        numbers = model_versions.c.number
        bytes_left = or_(model_versions.c.keras_artifact.is_not(None), model_versions.c.compiled_artifact.is_not(None))
        old = (numbers <= newest - last_bytes, numbers.not_in(sorted(kept)), bytes_left)
        connection.execute(update(model_versions).where(*old).values(keras_artifact=None, compiled_artifact=None))


def drop_snapshots(connection: Connection) -> None:
    """Keep none at all."""
    connection.execute(delete(training_snapshots))
