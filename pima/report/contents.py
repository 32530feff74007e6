"""The contents of a report, and their reading from the tables: counts, figures and words, none of
them a patient's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs
from sqlalchemy import Connection, Engine

from pima.core.declared.features import Features, names_of
from pima.core.rows.history import features_of
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import Estimate, proportion
from pima.core.statistics.samples import NO_CASES
from pima.core.statistics.shapley import Leaning, leaning
from pima.core.verdicts.evidence import (
    Block,
    Evidence,
    ModelEvidence,
    blocks,
    counts_above,
    shown_bounds,
)
from pima.core.verdicts.pairs import sentence_of
from pima.errors import ArtifactDamaged, SnapshotDamaged, SnapshotNotKept
from pima.logs import counted
from pima.report.clinician import first_sentences, threshold_rule
from pima.scorer import load_scorer
from pima.settings.sections import Settings
from pima.store.engine import clock, reading
from pima.store.models import registry
from pima.store.models.beside_verdicts import newest_evidence
from pima.store.models.ledger import Move, list_moves
from pima.store.models.lineage import version_with_rows
from pima.store.models.registry import VersionSummary, newest_declaration, stored_features
from pima.store.rows.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.watch.beside_scores import BesideScore, beside_scores
from pima.watch.by_group import ByGroup, by_group
from pima.watch.overview import Overview, read_overview
from pima.watch.realised import rows_on_top
from pima.watch.weeks import VersionWeek, version_weeks

WEEKS_SHOWN = 26
NIGHTS_DRAWN = 60
VERDICTS_DRAWN = 52
_TENTHS = tuple(each / 10 for each in range(11))


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The evidence of one verdict."""

    decided_at: datetime
    evidence: Evidence
    models: tuple[ModelEvidence, ...]
    """The one or two models that it has evidence of, by their names in the report; first the one of
    which more is drawn."""

    @property
    def first(self) -> ModelEvidence:
        """The first model."""
        return self.models[0]

    @property
    def sentences(self) -> list[str]:
        """How each model stands beside those who decide nothing."""
        return [
            sentence_of(pair, model.name, counted(pair.rows, "row"))
            for model in self.models
            for pair in self.evidence.shown_pairs(model.role)
        ]


@dataclass(frozen=True, slots=True)
class Contents:
    """All contents of a report."""

    made_at: datetime
    """The time, by the database's clock."""
    stands: Overview
    """The present state, as in `jobs.status`."""
    outcome: str
    first_sentences: tuple[str, ...]
    """What a clinician needs first; empty without a champion."""
    champion: VersionSummary | None
    features: Features
    champion_since: datetime | None
    """The time when it became champion; None if the ledger doesn't say."""
    verdicts: tuple[Move, ...]
    """The gate's, newest first."""
    exhibits: tuple[Exhibit, ...]
    """The evidence of the last verdict that the champion took part in, and of the last verdict if
    that is another."""
    beside_scores: tuple[tuple[BesideScore, Exhibit], ...]
    """The service beside the scores in use of which enough is known."""
    leaning: Leaning | None
    """The features that the champion relies on; None without a champion, or with too few of its
    training rows."""
    version_weeks: tuple[VersionWeek, ...]
    """Newest first."""
    groups: tuple[ByGroup, ...] = ()
    """The declared groups that no model sees."""


def gather(engine: Engine, settings: Settings) -> Contents:
    """Read all contents of a report from the tables."""
    with reading(engine) as connection:
        settled = settled_outcomes(connection, NEWEST_OUTCOMES)
        stands = read_overview(connection, settings, settled, NIGHTS_DRAWN)
        champion = stands.champion.version
        moves = list_moves(connection)
        moved = (
            move.decided_at for move in moves if move.to_version == champion != move.from_version
        )
        version = None if champion is None else registry.read_version(connection, champion)
        features: Features = ()
        outcome = newest_declaration(connection).outcome
        sentences: tuple[str, ...] = ()
        if version is not None:
            features = stored_features(version.features)
            learned = registry.declared_at(connection, version.created_at).outcome
            sentences = first_sentences(learned, version.threshold, threshold_rule(version))
        made_at = clock(connection)
        exhibits = tuple(_exhibits(connection, moves, champion))
        judged = [each.evidence for each in exhibits[:1]]
        contents = Contents(
            made_at=made_at,
            stands=stands,
            outcome=outcome.words,
            first_sentences=sentences,
            champion=version,
            features=features,
            champion_since=next(moved, None),
            verdicts=tuple(move for move in moves if move.figures is not None)[:VERDICTS_DRAWN],
            exhibits=exhibits,
            groups=tuple(by_group(connection, settled, made_at, judged)),
            beside_scores=tuple(
                (each, _beside_score(made_at, each))
                for each in beside_scores(connection, rows_on_top(settled, made_at))
            ),
            leaning=None,
            version_weeks=tuple(version_weeks(connection, settled, WEEKS_SHOWN)),
        )
    if champion is not None:
        contents = replace(contents, leaning=what_it_leans_on(engine, champion))
    return contents


def _beside_score(made_at: datetime, told: BesideScore) -> Exhibit:
    found = told.evidence
    return Exhibit(made_at, found, found.contestants)


def _exhibits(connection: Connection, moves: list[Move], champion: int | None) -> Iterator[Exhibit]:
    """Show the last verdict, and before it the last one that today's champion took part in, if that
    is another."""
    of_champion = [each for each in moves if champion in each.versions.values()]
    shown = set()
    for asked in (of_champion, moves):
        found = newest_evidence(connection, asked)
        if found is None or found[0].id in shown:
            continue
        verdict, evidence = found
        shown.add(verdict.id)
        there = exhibit(evidence, verdict.decided_at, verdict.versions, champion)
        if there:
            yield there


def what_it_leans_on(engine: Engine, number: int) -> Leaning | None:
    """Measure which features a version relies on; None if its bytes or training rows can't be read,
    or the rows are too few for a mean."""
    try:
        scorer = load_scorer(engine, number)
        version, learned = version_with_rows(engine, number)
    except (ArtifactDamaged, SnapshotDamaged, SnapshotNotKept):
        return None
    found = leaning(
        scorer.model.probabilities, features_of(learned), names_of(scorer.features), version.seed
    )
    return found if found.rows >= FEWEST_ROWS else None


def exhibit(
    evidence: Evidence,
    decided_at: datetime,
    versions: Mapping[str, int | None],
    first: int | None,
) -> Exhibit | None:
    """Show the models that there is evidence of; `versions` has their numbers by role. The model of
    version `first` comes first, if it is among them.

    None if there is evidence of none, or of so few rows that it may not be shown.
    """
    if not evidence.may_be_shown or not evidence.contestants:
        return None
    order = sorted(
        evidence.contestants,
        key=lambda model: first is None or versions.get(model.role) != first,
    )
    named = (structs.replace(model, name=_name(model, versions)) for model in order)
    return Exhibit(decided_at, evidence, tuple(named))


def _name(model: ModelEvidence, versions: Mapping[str, int | None]) -> str:
    number = versions.get(model.role)
    if number is None:
        return model.name
    return f"version {number}"


def roc(evidence: Evidence, model: ModelEvidence) -> list[tuple[float, float, float]]:
    """Return threshold, 1 - specificity and sensitivity at each threshold that may be shown, from
    the highest down, with both corners."""
    positive = evidence.positive
    negative = evidence.rows - positive
    if not positive or not negative:
        return []
    above = counts_above(evidence, model)
    bounds = reversed(shown_bounds(evidence, model))
    counts = [(low, *above[low].tolist()) for low in bounds]
    return [(low, others / negative, cases / positive) for low, cases, others in counts]


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """Rows of similar probability."""

    rows: int
    predicted: float
    """Their mean probability, to half a point."""
    observed: Estimate


def calibration(evidence: Evidence, model: ModelEvidence) -> list[CalibrationGroup]:
    """Form ten groups of about equal size, or fewer if they would have too few rows to be shown."""
    bounds = shown_bounds(evidence, model, evidence.rows // 10)
    return [
        CalibrationGroup(
            block.rows, block.expected / block.rows, proportion(block.cases, block.rows, NO_CASES)
        )
        for block in blocks(evidence, model, bounds)
    ]


def distribution(evidence: Evidence, model: ModelEvidence) -> list[Block]:
    """Count rows by tenths of probability; tenths with too few rows are joined."""
    bounds = [each for each in shown_bounds(evidence, model) if each in _TENTHS]
    return list(blocks(evidence, model, bounds))
