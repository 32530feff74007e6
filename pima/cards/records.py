"""What a model card holds: frozen records of counts, figures and words, none of them a patient's."""

from dataclasses import dataclass, field
from datetime import date, datetime

from pima.core.figures import Figure
from pima.process.recorded_run import INLINED


@dataclass(frozen=True, slots=True)
class Input:
    """A feature that the model was fitted on, as it was declared then."""

    name: str
    values: str
    """Which it takes: a range with its unit, or codes with their labels."""
    missing: str
    """What becomes of a row without it."""
    rationale: str


@dataclass(frozen=True, slots=True)
class Data:
    """The rows behind a version."""

    training_rows: int
    holdout_rows: int
    """Labelled, and held out of its training."""
    first_outcome: date | None
    last_outcome: date | None
    holdout_share: float
    left_out: dict[str, int]
    """Rows that were used for nothing, by reason."""
    twins_kept: int
    """Rows that it learned from although a held-out row has the same features, since equality means nothing there."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict that the version got when it was made."""

    decided_at: datetime
    verdict: str
    reason: str
    explanation: str
    against: int | None
    """The champion of then."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its 95 % interval, of this version and of the one that it was judged against on the same rows."""

    name: str
    figure: Figure
    before: Figure | None


@dataclass(frozen=True, slots=True)
class Benefit:
    """Net benefit at one threshold, per row; treating none has 0."""

    threshold: float
    model: float
    treat_all: float


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The same of some patients; all but the names is None where they are too few to be shown."""

    feature: str
    group: str
    rows: int | None
    positive: int | None
    few: bool | None
    """Whether the rows are so few that the figures say little."""
    figures: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the version got on the rows of its verdict."""

    rows: int
    positive: int
    """With outcome 1."""
    figures: tuple[Measured, ...]
    net_benefit: tuple[Benefit, ...]
    subgroups: tuple[Subgroup, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the database knows of a version."""

    version: int
    as_of: datetime
    """By the database's clock."""
    champion: bool
    trained_at: datetime
    outcome: str
    """What is predicted, in words."""
    threshold: float
    """From which probability on it predicts 1."""
    threshold_rule: str
    """How that was set: a number, or what it was to reach."""
    network: str
    seed: int
    libraries: dict[str, str]
    compiled_sha256: str
    inputs: tuple[Input, ...]
    data: Data
    judged: Judged | None
    evidence: Evidence | None
    """None where there is none: of a version from before it was kept, or one without finite numbers; and where the rows
    are too few to be shown."""
    changes: tuple[str, ...]
    """Since the version that it was judged against."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that a standard asks for."""

    code: str
    """Its number there."""
    asks: str
    answer: str | None
    """None where no software can know: a question for people."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model card."""

    facts: Facts = field(metadata=INLINED)
    limits: tuple[str, ...]
    hti_1: tuple[Item, ...]
    """The source attributes of 45 CFR 170.315(b)(11)(iv)(B)."""
    tripod_ai: tuple[Item, ...]
    """The items of TRIPOD+AI (Collins et al., BMJ 2024)."""
