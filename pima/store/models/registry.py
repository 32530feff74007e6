"""The registry: what is declared, who is held out, model versions, and the champion's pointer.

To move the pointer, lock its row first and compare the sequence number that the decision was made
against. Each move is kept in the ledger, by `ledger`.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    update,
)

from pima.core.declared.features import Declaration, Features, first_difference
from pima.core.verdicts.verdict import Performance
from pima.errors import DeclarationChanged, DeclarationDiffers, SchemaDiffers, WrongConfiguration
from pima.settings.sections import HoldoutSettings
from pima.store.engine import first_row
from pima.store.tables import (
    champion,
    declarations,
    fields_of,
    installation,
    model_versions,
)

# ---- Declarations. The first one makes the tables, and a command changes them. A configuration
# that differs is an error, since its rows would be judged by rules that the database's models never
# saw.


def newest_declaration(connection: Connection) -> Declaration:
    """The declaration in force."""
    statement = select(declarations.c.declaration).order_by(declarations.c.number.desc()).limit(1)
    return as_declaration(first_row(connection, statement, "declarations")[0])


def declared_at(connection: Connection, moment: datetime) -> Declaration:
    """The declaration that was in force at a moment; the first one if that is older than it."""
    of_table = declarations.c
    order = case((of_table.since <= moment, of_table.number), else_=-of_table.number)
    statement = select(of_table.declaration).order_by(order.desc()).limit(1)
    return as_declaration(first_row(connection, statement, "declarations")[0])


def as_declaration(stored: object) -> Declaration:
    """Read a declaration from its stored form."""
    return msgspec.convert(stored, Declaration, str_keys=True)


def stored_features(stored: object) -> Features:
    """Read the features that a model version was fitted on from their stored form."""
    return msgspec.convert(stored, Features, str_keys=True)


_LATER_KEYS = (
    "bands",
    "horizon",
    "predicted_within",
    "least_followed_up",
    "learn_from",
    "if_acted",
    "present_score",
    "retired_scores",
    "group",
    "retired_groups",
)
"""Keys that earlier releases don't know: stored only with a value other than the usual one."""


def as_stored(declared: Declaration | Features) -> Any:
    """Convert to the stored form."""
    stored = msgspec.to_builtins(declared, str_keys=True)
    parts = stored
    if isinstance(declared, Declaration):
        parts = [stored, stored["outcome"], *stored["feature"], *stored["retired"]]
    for part in parts:
        for key in _LATER_KEYS:
            if key in part and (not part[key] or part[key] == "all"):
                del part[key]
    return stored


def require_declared(configured: Declaration, stored: Declaration) -> None:
    """Raises DeclarationDiffers if the settings declare something other than the database does."""
    what = first_difference(configured, stored)
    if what is not None:
        raise DeclarationDiffers(what=what)


def require_still_declared(connection: Connection, known: Features) -> None:
    """Raises DeclarationChanged if the features, scores and groups that a command reads its rows by
    are no longer those that are declared.

    Call it after `wait_for_other_loads`: a change of features waits for running loads, and later
    loads see it.
    """
    if newest_declaration(connection).arriving != known:
        raise DeclarationChanged()


def record_declaration(
    connection: Connection, declaration: Declaration, decided_by: str, reason: str
) -> None:
    """Add a declaration that is in force from now on; the caller keeps other migrations out, so
    numbers don't race."""
    newest = connection.scalar(select(func.max(declarations.c.number))) or 0
    values = {"number": newest + 1, "declaration": as_stored(declaration)}
    connection.execute(insert(declarations).values(**values, decided_by=decided_by, reason=reason))


def measured_since(connection: Connection) -> dict[str, datetime]:
    """When features were declared that were not there from the beginning, and when others got
    another unit."""
    since: dict[str, datetime] = {}
    units: dict[str, str] = {}
    every = select(declarations.c.declaration, declarations.c.since)
    for stored, moment in connection.execute(every.order_by(declarations.c.number)):
        now = {feature.name: feature.unit for feature in as_declaration(stored).features}
        if units:
            since |= {name: moment for name, unit in now.items() if units.get(name) != unit}
        units |= now
    return since


# ---- Versions and the champion.


@dataclass(frozen=True, slots=True)
class Champion:
    """The champion's pointer, as it was read."""

    model_version: int | None
    """The champion's number; None before the first promotion."""
    sequence: int
    """Grows by one with every change."""
    pinned: bool
    suspended_at: datetime | None = None
    """Since when a person has stopped it; None while it scores."""


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """Stored bytes, with the hash that was stored with them."""

    content: bytes | None
    """The bytes; None if they were pruned or lost."""
    sha256: str
    threshold: float
    features: object
    """The features of a row in the model's order, as declared when it was fitted; `stored_features`
    reads them."""
    reference: object
    """The distribution of the rows that it learned from, as JSON."""
    scorer_sha256: str
    """The hash of that name when the version was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """What each version has but its bytes; each field is the column of its name."""

    run_id: int
    threshold: float
    seed: int
    settings: dict[str, Any]
    libraries: dict[str, str]
    data_fingerprint: str
    settings_fingerprint: str
    """Covers the settings of the fit."""
    training_rows: int
    holdout_rows: int
    rows_left_out: dict[str, int]
    first_labelled_at: datetime | None
    last_labelled_at: datetime | None
    metrics: dict[str, Any]
    keras_sha256: str
    compiled_sha256: str
    features: object
    """The features it was fitted on, in the form of `as_stored`; `stored_features` reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion(_Version):
    """A version to store in the registry."""

    keras_artifact: bytes
    compiled_artifact: bytes
    training_ids: bytes
    """The ids of the rows that it learned from; Parquet."""
    reference: object
    """The distribution of those rows, as JSON."""


_POINTER = select(
    champion.c.model_version, champion.c.sequence, champion.c.pinned, champion.c.suspended_at
)


def read_champion(connection: Connection) -> Champion:
    """Read the champion's pointer without a lock. Raises SchemaDiffers if its version does not
    exist."""
    return _champion(connection, _POINTER)


def lock_champion(connection: Connection) -> Champion:
    """Read the pointer and lock it until the transaction ends. Raises SchemaDiffers if its version
    does not exist."""
    # FOR UPDATE on PostgreSQL; on SQLite the transaction holds the file's write lock already.
    return _champion(connection, _POINTER.with_for_update())


def _champion(connection: Connection, statement: Select[*tuple[Any, ...]]) -> Champion:
    row = first_row(connection, statement, "champion")
    # A restore with triggers disabled, or by SQLite's own tool, checks no constraint. This is a
    # second statement, since the one that waited for the lock does not see a version that was added
    # meanwhile.
    there = select(func.count()).where(model_versions.c.number == row.model_version)
    if row.model_version is not None and not connection.scalar(there):
        raise SchemaDiffers(
            what=f"champion names version {row.model_version}, which model_versions does not have"
        )
    return Champion(row.model_version, row.sequence, bool(row.pinned), row.suspended_at)


def set_champion(
    connection: Connection, model_version: int | None, pinned: bool, **stop: object
) -> None:
    """Move the pointer or its pin, or stop it by its columns; the caller holds the lock."""
    # Every change adds one, so that a decision made against an older state is recognised.
    values = {
        "model_version": model_version,
        "pinned": int(pinned),
        "sequence": champion.c.sequence + 1,
    }
    connection.execute(update(champion).values(**values, **stop))


def was_stopped_since(connection: Connection, sequence: int) -> bool:
    """Whether a person stopped the champion after the pointer had this sequence number, even if
    another one scores by now."""
    (last_stop,) = first_row(connection, select(champion.c.last_stop), "champion")
    return int(last_stop) > sequence


def add_version(connection: Connection, version: NewVersion) -> int:
    """Store a model version under the next number; the caller holds the champion's lock, so numbers
    don't race."""
    number = (connection.scalar(select(func.max(model_versions.c.number))) or 0) + 1
    columns = asdict(version)
    columns["scorer_sha256"] = scorer_sha256(number, version.compiled_artifact, version)
    columns["training_ids_sha256"] = sha256_of(version.training_ids)
    connection.execute(insert(model_versions).values(number=number, **columns))
    return number


def sha256_of(content: bytes) -> str:
    """The hash that is stored beside bytes."""
    return hashlib.sha256(content).hexdigest()


def scorer_sha256(number: int, compiled: bytes, version: NewVersion | StoredArtifact) -> str:
    """Hash what makes a version's predictions, and what its nights are compared with."""
    hashed = json.dumps(
        [number, sha256_of(compiled), version.threshold, version.features, version.reference]
    )
    # PostgreSQL gives 1e22 back as an integer and -0.0 as 0.0, and each database has its own order
    # of keys.
    plain = json.loads(hashed, parse_int=_plain_number, parse_float=_plain_number)
    return sha256_of(json.dumps(plain, sort_keys=True).encode())


def _plain_number(digits: str) -> float:
    return float(digits) + 0.0


def compiled_artifact(connection: Connection, number: int) -> StoredArtifact | None:
    """The compiled form of a version, its hash not checked; None if there is no such version."""
    return _artifact(connection, number, "compiled")


def features_of(connection: Connection, number: int) -> Features:
    """The features that a version was fitted on, in the model's order, as declared then."""
    return stored_features(
        connection.scalar(
            select(model_versions.c.features).where(model_versions.c.number == number)
        )
    )


def reference_of(connection: Connection, number: int) -> object:
    """The distribution of the rows that a version learned from, as JSON."""
    return connection.scalar(
        select(model_versions.c.reference).where(model_versions.c.number == number)
    )


def keras_artifact(connection: Connection, number: int) -> StoredArtifact | None:
    """The Keras form of a version, its hash not checked; None if there is no such version."""
    return _artifact(connection, number, "keras")


def _artifact(connection: Connection, number: int, form: str) -> StoredArtifact | None:
    # Only these columns: a scorer's role may read no others.
    names = (f"{form}_artifact", f"{form}_sha256")
    others = ("threshold", "features", "reference", "scorer_sha256")
    columns = (model_versions.c[name] for name in (*names, *others))
    row = connection.execute(select(*columns).where(model_versions.c.number == number)).first()
    return None if row is None else StoredArtifact(*row)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary(_Version):
    """A version without its bytes."""

    number: int
    created_at: datetime

    @property
    def performance(self) -> Performance | None:
        """How well it predicts the test set of its verdict; None if it gave no finite numbers."""
        return msgspec.convert(self.metrics["holdout"], Performance | None)


_SUMMARY = fields_of(VersionSummary, model_versions)


def numbers(connection: Connection) -> list[int]:
    """The numbers of all versions, oldest first."""
    return list(
        connection.scalars(select(model_versions.c.number).order_by(model_versions.c.number))
    )


def list_versions(connection: Connection) -> list[VersionSummary]:
    """All versions, newest first."""
    rows = connection.execute(select(*_SUMMARY).order_by(model_versions.c.number.desc()))
    return [VersionSummary(**row._mapping) for row in rows]


def read_version(connection: Connection, number: int) -> VersionSummary | None:
    """One version; None if there is none."""
    row = connection.execute(select(*_SUMMARY).where(model_versions.c.number == number)).first()
    return None if row is None else VersionSummary(**row._mapping)


def prevalences(connection: Connection, versions: Collection[int]) -> dict[int, float]:
    """The prevalence among each version's training rows. Versions of release 0.1.0 did not keep it:
    for them the mean of their probabilities stands."""
    statement = text("""
        SELECT number, coalesce(
            CAST(reference ->> 'cases' AS DOUBLE PRECISION)
                / CAST(reference ->> 'rows' AS DOUBLE PRECISION),
            (SELECT avg(probability) FROM (SELECT probability FROM predictions
                WHERE model_version = number LIMIT 10000) AS some_of_its))
        FROM model_versions WHERE number IN :versions""")
    bound = statement.bindparams(bindparam("versions", list(versions), expanding=True))
    return {row[0]: row[1] for row in connection.execute(bound)}


# ---- The holdout: its salt and share are decided once, when a database is made.


@dataclass(frozen=True, slots=True)
class HoldoutRule:
    """The rule of the holdout: everyone whose salted hash lies within the share."""

    salt: str
    share: float


def holdout_rule(connection: Connection) -> HoldoutRule:
    """The database's own rule. Raises SchemaDiffers if its row is gone."""
    columns = installation.c.holdout_salt, installation.c.holdout_share
    return HoldoutRule(*first_row(connection, select(*columns), "installation"))


def require_same_holdout(kept: HoldoutRule, settings: HoldoutSettings) -> None:
    """Raises WrongConfiguration if the settings have another salt or share than the database was
    made with."""
    if settings.salt and settings.salt != kept.salt:
        what = "holdout.salt differs from the salt that this database was made with"
        expected = (
            "an empty holdout.salt, or the same one: another would move training rows into the "
            "test set"
        )
        raise WrongConfiguration(what=what, expected=expected)
    if settings.share != kept.share:
        what = (
            f"holdout.share is {settings.share} in the settings and {kept.share} in this database"
        )
        expected = (
            f"holdout.share = {kept.share}, which the database keeps for ever: under another, "
            "models would be judged on rows that they learned from. Another share takes a new "
            "database"
        )
        raise WrongConfiguration(what=what, expected=expected)
