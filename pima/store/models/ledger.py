"""The ledger: each verdict of the gate, and each move of the champion by a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, CursorResult, Row, insert, literal, select, text

from pima.core.verdicts.verdict import (
    Measured,
    VerdictFigures,
    read_verdict_figures,
    stored_figures,
)
from pima.store.models.registry import Champion
from pima.store.tables import fields_of, promotions


@dataclass(frozen=True, slots=True)
class Move:
    """A row of the ledger, without the evidence, which is a hundred times as long; each field is
    the column of its name."""

    id: int
    verdict: str
    reason: str
    explanation: str
    from_version: int | None
    to_version: int | None
    challenger: int | None
    """The version that was judged; None for a person's move."""
    champion_sequence: int
    """The sequence number of the champion that it was decided against."""
    data_fingerprint: str | None
    settings_fingerprint: str | None
    """Covers the settings of the fit and of the gate."""
    figures: VerdictFigures | None
    """The figures that the verdict rests on; None for a person's move."""
    run_id: int | None
    decided_by: str
    decided_at: datetime
    test_set_fingerprint: str | None

    @property
    def versions(self) -> dict[str, int | None]:
        """The versions that were compared, by the role of each."""
        return {"challenger": self.challenger, "champion": self.from_version}


_LEDGER = fields_of(Move, promotions)


def _move(row: Row[Any]) -> Move:
    return Move(**dict(row._mapping) | {"figures": read_verdict_figures(row.figures)})


def record_move(
    connection: Connection,
    before: Champion,
    to_version: int | None,
    *,
    figures: VerdictFigures | None = None,
    **columns: object,
) -> None:
    """Append a decision to the ledger, with these columns; the caller holds the lock under which
    `before` was read."""
    statement = insert(promotions).values(
        from_version=before.model_version,
        to_version=to_version,
        champion_sequence=before.sequence,
        figures=stored_figures(figures),
        **columns,
    )
    connection.execute(statement)


def list_moves(connection: Connection, version: int | None = None) -> list[Move]:
    """The ledger, newest first; only the moves of `version` if given."""
    # The whole ledger, which grows by one row a week.
    statement = select(*_LEDGER).order_by(promotions.c.id.desc())
    if version is not None:
        moves = promotions.c
        statement = statement.where(
            literal(version).in_([moves.challenger, moves.from_version, moves.to_version])
        )
    return [_move(row) for row in connection.execute(statement)]


def own_verdicts(moves: Iterable[Move]) -> dict[int, Move]:
    """The verdict that each version got when it was made, by its number."""
    return {move.challenger: move for move in moves if move.challenger is not None}


@dataclass(frozen=True, slots=True)
class VerdictInBrief:
    """What a list of versions says of a verdict; the field names are keys of its JSON."""

    verdict: str
    reason: str
    against: int | None
    """The champion at that time."""
    rows: int | None
    correct: int | None
    """Of the version that was judged; None if it gave no numbers."""
    champion_correct: int | None
    majority_correct: int
    measured: Measured | None


def in_brief(move: Move, figures: VerdictFigures) -> VerdictInBrief:
    """Shorten a verdict, with its figures."""
    own = figures.challenger_scores
    champion = figures.champion_scores
    return VerdictInBrief(
        verdict=move.verdict,
        reason=move.reason,
        against=move.from_version,
        rows=figures.rows,
        correct=None if own is None else own.correct,
        champion_correct=None if champion is None else champion.correct,
        majority_correct=figures.majority_correct,
        measured=figures.measured,
    )


def recorded_verdict(
    connection: Connection, data_fingerprint: str, settings_fingerprint: str, against: int | None
) -> Move | None:
    """The verdict on these data and settings against this champion; None if they were never
    judged."""
    # A person's moves carry no fingerprints.
    statement = (
        select(*_LEDGER)
        .where(
            promotions.c.data_fingerprint == data_fingerprint,
            promotions.c.settings_fingerprint == settings_fingerprint,
            promotions.c.from_version.is_not_distinct_from(against),
        )
        .order_by(promotions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    return None if row is None else _move(row)


def was_rolled_back(
    connection: Connection, data_fingerprint: str, settings_fingerprint: str
) -> bool:
    """Whether a person moved the champion away from a version fitted from exactly these data and
    settings."""
    statement = text("""
        SELECT 1 FROM promotions p JOIN model_versions v ON v.number = p.from_version
        WHERE p.verdict IN ('rolled_back', 'promoted_by_hand') AND p.from_version <> p.to_version
          AND v.data_fingerprint = :data AND v.settings_fingerprint = :settings
        LIMIT 1""")
    found = connection.execute(
        statement, {"data": data_fingerprint, "settings": settings_fingerprint}
    )
    return found.first() is not None


def version_before(connection: Connection, number: int) -> int | None:
    """The version that the champion `number` replaced; None if it was the first.

    The ledger is replayed: each rollback undoes one promotion, so two in a row go back two
    versions, and the last one ends at the first champion.
    """
    moves = ("promoted", "promoted_by_hand", "rolled_back")
    # The whole ledger: at most about a row a week.
    statement = select(promotions.c.verdict, promotions.c.from_version, promotions.c.to_version)
    standing: list[Any] = []
    for move in connection.execute(
        statement.where(promotions.c.verdict.in_(moves)).order_by(promotions.c.id)
    ):
        if move.from_version == move.to_version:
            continue
        if move.verdict != "rolled_back":
            standing.append(move)
        elif standing:
            standing.pop()
    while standing and standing[-1].to_version != number:
        standing.pop()
    return standing[-1].from_version if standing else None


# ---- In brief: the role of the scheduler may read no other columns.


@dataclass(frozen=True, slots=True)
class MoveLine:
    """A decision about the champion in brief; each field is the column of its name."""

    id: int
    verdict: str
    reason: str
    challenger: int | None
    from_version: int | None
    to_version: int | None
    champion_sequence: int
    """The sequence number of the champion that it was decided against."""
    decided_at: datetime

    @property
    def version(self) -> int | None:
        """The version that it is about: the new champion, or the one that was judged."""
        if self.to_version == self.from_version:
            return self.challenger
        return self.to_version


_MOVE = fields_of(MoveLine, promotions)


def moves_since(connection: Connection, moment: datetime) -> list[MoveLine]:
    """Decisions of the gate and of people since a moment, oldest first."""
    rows = connection.execute(
        select(*_MOVE).where(promotions.c.decided_at >= moment).order_by(promotions.c.id)
    )
    return [MoveLine(*row) for row in rows]


def last_verdicts(connection: Connection, newest: int) -> list[MoveLine]:
    """The gate's newest verdicts, newest first."""
    return [MoveLine(*row) for row in _of_the_gate(connection, _MOVE, newest)]


def _of_the_gate(
    connection: Connection, columns: Iterable[ColumnElement[Any]], newest: int
) -> CursorResult[*tuple[Any, ...]]:
    # A person's moves have no challenger.
    statement = select(*columns).where(promotions.c.challenger.is_not(None))
    return connection.execute(statement.order_by(promotions.c.id.desc()).limit(newest))


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """A verdict as status shows it; the field names are keys of its JSON."""

    challenger: int | None
    against: int | None
    """The champion at that time."""
    decided_at: datetime
    verdict: str
    reason: str
    measured: Measured | None
    """The figures of the measure that decided."""


def verdict_lines(connection: Connection, newest: int) -> tuple[VerdictLine, ...]:
    """The gate's newest verdicts as status shows them, newest first."""
    moves = map(_move, _of_the_gate(connection, _LEDGER, newest))
    return tuple(
        VerdictLine(
            challenger=move.challenger,
            against=move.from_version,
            decided_at=move.decided_at,
            verdict=move.verdict,
            reason=move.reason,
            measured=None if move.figures is None else move.figures.measured,
        )
        for move in moves
    )
