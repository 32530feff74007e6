"""The evidence beside verdicts, as the ledger keeps it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text

from pima.core import evidence
from pima.core.evidence import Evidence
from pima.store.database import Timestamp
from pima.store.tables import promotions


@dataclass(frozen=True, slots=True)
class VerdictWithEvidence:
    """A verdict with evidence, and the models that it compares."""

    challenger: int
    from_version: int | None
    decided_at: datetime


def verdicts_with_evidence(connection: Connection) -> list[VerdictWithEvidence]:
    """All verdicts with evidence, newest first; the evidence itself is not read."""
    statement = text("""
        SELECT challenger, from_version, decided_at FROM promotions
        WHERE challenger IS NOT NULL AND evidence IS NOT NULL ORDER BY id DESC""")
    return [
        VerdictWithEvidence(*row)
        for row in connection.execute(statement.columns(decided_at=Timestamp()))
    ]


def read_evidence(connection: Connection, challenger: int) -> Evidence | None:
    """The evidence beside the verdict on a version; None if there is none."""
    statement = select(promotions.c.evidence).where(promotions.c.challenger == challenger)
    found = connection.scalar(statement.order_by(promotions.c.id.desc()).limit(1))
    return None if found is None else evidence.read_evidence(found)
