"""What a report tells, gathered: frozen records of counts, figures and words, none of them a patient's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pima.core.features import Features
from pima.core.shapley import Leaning
from pima.reporting.exhibits import Exhibit
from pima.store.monitoring import KeptFigure
from pima.watch.realised import VersionWeek, Week


@dataclass(frozen=True, slots=True)
class Card:
    """The champion: what it is and where it comes from."""

    version: int
    pinned: bool
    since: datetime | None
    """When it became champion; None where the ledger doesn't say."""
    trained_at: datetime
    training_rows: int
    first_labelled_at: datetime | None
    """Of the outcomes that it learned from and was judged on."""
    last_labelled_at: datetime | None
    network: str
    threshold: float
    rows_left_out: dict[str, int]
    """By the reason why they could not be used."""
    libraries: dict[str, str]
    features: Features


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One verdict on a challenger."""

    challenger: int
    against: int | None
    decided_at: datetime
    verdict: str
    explanation: str
    rows: int | None
    """Of its test set; None where the challenger gave no numbers."""
    measure: str
    """By what it was decided."""
    of_challenger: float | None
    """By that measure, on the test set."""
    of_champion: float | None
    """The same of the champion that it met; None where there was none that could be loaded."""


@dataclass(frozen=True, slots=True)
class Night:
    """One run of scoring that ended."""

    started_at: datetime
    status: str
    seconds: float
    predicted: int
    rejected: int
    """By scoring, and by the pulls before it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """All of it."""

    made_at: datetime
    """By the database's clock."""
    outcome: str
    """What is predicted, in words."""
    champion: Card | None
    last_verdict: str | None
    """What the newest retraining said; None before the first."""
    verdicts: tuple[VerdictLine, ...]
    """Newest first."""
    exhibits: tuple[Exhibit, ...]
    """The evidence: of the champion, and of the last challenger where that met another one."""
    leaning: Leaning | None
    """None where there is no champion, or its training rows are not kept, or too few."""
    realised: dict[str, Any]
    """As `jobs.status` has it: outcomes, correct, accuracy."""
    weeks: tuple[Week, ...]
    """Newest first."""
    version_weeks: tuple[VersionWeek, ...]
    """Newest first."""
    nights: tuple[Night, ...]
    """Newest first."""
    new_rows: dict[str, Any] | None
    """As `jobs.status` has them: how many of them have no prediction, and why."""
    monitoring: tuple[KeptFigure, ...]
    """The newest figures."""
    rejections: tuple[tuple[str, str, int], ...]
    """Reason, column, and how many rows scoring has rejected for it and nobody has taken back."""
    queue: dict[str, Any]
    """As `jobs.status` has it: rows, oldest."""
    sources: tuple[dict[str, Any], ...]
    """As `jobs.status` has them."""
