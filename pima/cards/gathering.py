"""Reading what a card tells, all of it from the tables."""

from typing import Any

from sqlalchemy import Connection, Engine

from pima.cards.card import card, evidence_of, input_of
from pima.cards.changes import changes
from pima.cards.records import Card, Data, Facts, Judged
from pima.errors import NoSuchVersion
from pima.store import registry
from pima.store.declarations import as_features, newest_declaration
from pima.store.engine import clock, reading
from pima.store.registry import VersionSummary


def read_card(engine: Engine, number: int) -> Card:
    """The card of a version. Raises NoSuchVersion."""
    with reading(engine) as connection:
        version = registry.read_version(connection, number)
        if version is None:
            raise NoSuchVersion(number=number)
        return card(_facts(connection, version))


def _facts(connection: Connection, version: VersionSummary) -> Facts:
    moves = registry.list_moves(connection, version.number)
    verdict = next((move for move in moves if move["challenger"] == version.number), None)
    outcome = newest_declaration(connection).outcome
    return Facts(
        version=version.number,
        as_of=clock(connection),
        champion=registry.read_champion(connection).model_version == version.number,
        trained_at=version.created_at,
        outcome=outcome.meaning or outcome.name.replace("_", " "),
        threshold=version.threshold,
        threshold_rule=_rule(version),
        network=str(version.settings["network"]),
        seed=version.seed,
        libraries=version.libraries,
        compiled_sha256=version.compiled_sha256,
        inputs=tuple(map(input_of, as_features(version.features))),
        data=_data(version),
        judged=None if verdict is None else _judged(verdict),
        evidence=evidence_of(registry.read_evidence(connection, version.number), "challenger"),
        changes=tuple(_changes(connection, version, verdict)),
    )


def _rule(version: VersionSummary) -> str:
    rule = version.settings.get("threshold", version.threshold)
    return rule if isinstance(rule, str) else f"{rule:g}"


def _data(version: VersionSummary) -> Data:
    first, last = version.first_labelled_at, version.last_labelled_at
    return Data(
        training_rows=version.training_rows,
        holdout_rows=version.holdout_rows,
        # A moment could be somebody's.
        first_outcome=first and first.date(),
        last_outcome=last and last.date(),
        holdout_share=version.settings["holdout_share"],
        left_out={reason: rows for reason, rows in version.rows_left_out.items() if rows},
        twins_kept=version.metrics.get("twins_kept", 0),
    )


def _judged(move: dict[str, Any]) -> Judged:
    names = ("decided_at", "verdict", "reason", "explanation")
    return Judged(**{name: move[name] for name in names}, against=move["from_version"])


def _changes(connection: Connection, version: VersionSummary, verdict: dict[str, Any] | None) -> list[str]:
    against: int | None = None if verdict is None else verdict["from_version"]
    before = None if against is None else registry.read_version(connection, against)
    if before is None:
        return []
    now, then = _described(version), _described(before)
    return changes(now, then, as_features(version.features), as_features(before.features))


def _described(version: VersionSummary) -> dict[str, Any]:
    last = version.last_labelled_at
    names = ("training_rows", "threshold", "settings", "libraries")
    return {name: getattr(version, name) for name in names} | {"last_outcome": last and last.date()}
