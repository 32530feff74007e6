"""What stands beside a verdict: its test set, its evidence, and how often the holdout was asked."""

from collections.abc import Iterable, Set
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text, update

from pima.core.declared.present_score import PresentScore
from pima.core.verdicts import evidence
from pima.core.verdicts.evidence import Evidence
from pima.core.verdicts.score_scale import ScoreScale
from pima.store.database import database_now, database_of
from pima.store.models.ledger import Move, MoveLine
from pima.store.service.runs import JUDGED_BEFORE
from pima.store.tables import (
    promotions,
    test_sets,
)


@dataclass(frozen=True, slots=True)
class TestSet:
    """The holdout rows that a verdict was given on; each field is the column of its name."""

    __test__ = False  # pytest must not collect it

    fingerprint: str
    patient_ids: list[int]
    rows: int
    first_labelled_at: datetime
    last_labelled_at: datetime


def keep_test_set(connection: Connection, test_set: TestSet) -> None:
    """Store a test set, once for any number of verdicts; the caller holds the champion's lock."""
    # The fingerprint covers ids, features and outcomes.
    statement = database_of(connection).insert_unless_there(test_sets, ("fingerprint",))
    connection.execute(statement.values(**asdict(test_set)))


def evidence_beside(connection: Connection, move: Move | MoveLine | None) -> Evidence | None:
    """The evidence beside a verdict; None if there is none."""
    if move is None:
        return None
    stored = connection.scalar(select(promotions.c.evidence).where(promotions.c.id == move.id))
    return None if stored is None else evidence.read_evidence(stored)


def newest_evidence(connection: Connection, moves: Iterable[Move]) -> tuple[Move, Evidence] | None:
    """The first of these verdicts that has evidence, with it; a person's moves have none."""
    for move in moves:
        found = evidence_beside(connection, move)
        if found is not None:
            return move, found
    return None


def scale_beside(
    connection: Connection, score: PresentScore, versions: Iterable[int]
) -> ScoreScale | None:
    """The scale by which a score becomes a probability beside these versions; None if points have
    none yet.

    It is that of the oldest version's verdict that has one: so it has learned from no outcome that
    came after the fit of any of them. If no verdict of theirs has one, it is that of the newest
    verdict.
    """
    if score.kind == "probability":
        return ScoreScale()
    moves = promotions.c
    newest = select(moves.evidence).where(moves.evidence.is_not(None)).order_by(moves.id.desc())
    their_own = (newest.where(moves.challenger == version) for version in sorted(versions))
    for asked in (*their_own, newest):
        stored = connection.scalar(asked.limit(1))
        scores = () if stored is None else evidence.read_evidence(stored).scores
        for each in scores:
            # Before it was declared as points it may have been a probability, which has no slope.
            if each.score == score.name and each.scale.slope is not None:
                return each.scale
    return None


def consultations(connection: Connection) -> int:
    """How often a retraining, dry runs included, has asked the holdout for a verdict so far."""
    # JSON text is the same in every database.
    asked = f"CAST(counts -> '{JUDGED_BEFORE}' AS TEXT) = 'false'"
    # Runs that reached a verdict of their own, about one a week.
    statement = text(
        f"SELECT count(*) FROM runs WHERE job = 'retrain' AND status = 'succeeded' AND {asked}"
    )
    return connection.scalar(statement)


def redact_test_sets(connection: Connection, ids: Set[int]) -> int:
    """Take ids out of every test set; return how many sets changed. The fingerprints stay: verdicts
    refer to them."""
    redacted = 0
    statement = select(test_sets.c.fingerprint, test_sets.c.patient_ids)
    for fingerprint, listed in connection.execute(statement).all():
        left = [each for each in listed if each not in ids]
        if len(left) < len(listed):
            of_it = update(test_sets).where(test_sets.c.fingerprint == fingerprint)
            connection.execute(of_it.values(patient_ids=left, redacted_at=database_now()))
            redacted += 1
    return redacted
