"""The contents of a report, and their reading from the tables: counts, figures and words, none of
them a patient's."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from pima.core.evidence import Cell, blocks, joined, may_be_shown, together
from pima.core.features import Features, names_of
from pima.core.figures import FEWEST_ROWS, NO_CASES, Figure, share
from pima.core.history import features_of
from pima.core.shapley import Leaning, leaning
from pima.errors import ArtifactDamaged, SnapshotDamaged, SnapshotNotKept
from pima.scorer import load_scorer
from pima.settings.sections import Settings
from pima.store import registry, report_figures
from pima.store.engine import clock, reading
from pima.store.lineage import version_with_rows
from pima.store.registry import VersionSummary, as_features, newest_declaration
from pima.watch.figures import overview
from pima.watch.realised import VersionWeek, Week, by_week, version_weeks

NEWEST_OUTCOMES = 10_000
WEEKS_SHOWN = 26
NIGHTS_SHOWN = 60
VERDICTS_SHOWN = 52
_TENTHS = tuple(each / 10 for each in range(1, 10))


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The evidence of one verdict."""

    decided_at: datetime
    document: dict[str, Any]
    """The evidence, as `docs/measured/evidence.md` describes it."""
    models: tuple[tuple[str, str], ...]
    """The one or two models that it has evidence of, first the one of which more is drawn: each
    with its key in the document, challenger or champion, and its name in the report."""

    @property
    def first(self) -> str:
        """The key of the first model."""
        return self.models[0][0]


@dataclass(frozen=True, slots=True)
class ReportedVerdict:
    """One verdict on a challenger."""

    challenger: int
    against: int | None
    decided_at: datetime
    verdict: str
    explanation: str
    rows: int | None
    """Rows of its test set; None if the challenger gave no numbers."""
    measure: str
    of_challenger: float | None
    """The challenger's figure by that measure, on the test set."""
    of_champion: float | None
    """The figure of the champion that it met; None if there was none that could be loaded."""


@dataclass(frozen=True, slots=True)
class Contents:
    """All contents of a report."""

    made_at: datetime
    """The time, by the database's clock."""
    stands: dict[str, Any]
    """The present state, as in `jobs.status`."""
    outcome: str
    champion: VersionSummary | None
    features: Features
    champion_since: datetime | None
    """The time when it became champion; None if the ledger doesn't say."""
    verdicts: tuple[ReportedVerdict, ...]
    """Newest first."""
    exhibits: tuple[Exhibit, ...]
    """The evidence of the last verdict that the champion took part in, and of the last verdict if
    that is another."""
    leaning: Leaning | None
    """The features that the champion relies on; None without a champion, or with too few of its
    training rows."""
    weeks: tuple[Week, ...]
    version_weeks: tuple[VersionWeek, ...]
    """Newest first."""


def gather(engine: Engine, settings: Settings) -> Contents:
    """Read all contents of a report from the tables."""
    stands = overview(engine, settings, NIGHTS_SHOWN)
    champion = stands["champion"]["version"]
    leans = None if champion is None else what_it_leans_on(engine, champion)
    with reading(engine) as connection:
        moves = registry.list_moves(connection)
        moved = (
            move["decided_at"]
            for move in moves
            if move["to_version"] == champion != move["from_version"]
        )
        version = None if champion is None else registry.read_version(connection, champion)
        outcome = newest_declaration(connection).outcome
        return Contents(
            made_at=clock(connection),
            stands=stands,
            outcome=outcome.meaning or outcome.name.replace("_", " "),
            champion=version,
            features=() if version is None else as_features(version.features),
            champion_since=next(moved, None),
            verdicts=tuple(_verdicts(moves))[:VERDICTS_SHOWN],
            exhibits=tuple(_exhibits(connection, champion)),
            leaning=leans,
            weeks=tuple(by_week(report_figures.came_true(connection, NEWEST_OUTCOMES)))[
                :WEEKS_SHOWN
            ],
            version_weeks=tuple(version_weeks(connection, WEEKS_SHOWN)),
        )


def _verdicts(moves: list[dict[str, Any]]) -> Iterator[ReportedVerdict]:
    for move in moves:
        if move["challenger"] is not None:
            challenger, champion = (
                move["figures"].get(role) or {} for role in ("challenger", "champion")
            )
            # A challenger whose outputs are not numbers has no figures by the measure.
            by = move["figures"].get("measured") or {
                "measure": "accuracy",
                "champion": champion.get("accuracy"),
            }
            yield ReportedVerdict(
                challenger=move["challenger"],
                against=move["from_version"],
                decided_at=move["decided_at"],
                verdict=move["verdict"],
                explanation=move["explanation"],
                rows=challenger.get("rows"),
                measure=by["measure"],
                of_challenger=by.get("challenger"),
                of_champion=by["champion"],
            )


def _exhibits(connection: Connection, champion: int | None) -> Iterator[Exhibit]:
    """Show the last verdict, and before it the last one that today's champion took part in, if that
    is another."""
    found = report_figures.verdicts_with_evidence(connection)
    of_champion = [each for each in found if champion in (each.challenger, each.from_version)]
    for verdict in dict.fromkeys((*of_champion[:1], *found[:1])):
        document = registry.read_evidence(connection, verdict.challenger)
        names = {
            "challenger": f"version {verdict.challenger}",
            "champion": f"version {verdict.from_version}",
        }
        first = "champion" if verdict.from_version == champion is not None else "challenger"
        there = document and exhibit(document, verdict.decided_at, names, first)
        if there:
            yield there


def what_it_leans_on(engine: Engine, number: int) -> Leaning | None:
    """Measure which features a version relies on; None if its bytes or training rows can't be read,
    or the rows are too few for a mean."""
    try:
        scorer, (version, learned) = load_scorer(engine, number), version_with_rows(engine, number)
    except (ArtifactDamaged, SnapshotDamaged, SnapshotNotKept):
        return None
    found = leaning(
        scorer.model.probabilities, features_of(learned), names_of(scorer.features), version.seed
    )
    return found if found.rows >= FEWEST_ROWS else None


def exhibit(
    document: dict[str, Any], decided_at: datetime, names: dict[str, str], first: str
) -> Exhibit | None:
    """Show the models that the document has evidence of, `first` first; names are by role.

    None if it has evidence of none, or of so few rows that it may not be shown.
    """
    if not may_be_shown(document):
        return None
    order = sorted(names, key=lambda role: role != first)
    models = tuple((role, names[role]) for role in order if document[role] is not None)
    return Exhibit(decided_at, document, models) if models else None


def roc(document: dict[str, Any], role: str) -> list[tuple[float, float, float]]:
    """Return threshold, 1 - specificity and sensitivity at each threshold that may be shown, from
    the highest down, with both corners."""
    positive = document["positive"]
    negative = document["rows"] - positive
    if not positive or not negative:
        return []
    points, cases, others = [(1.0, 0.0, 0.0)], 0, 0
    for block in map(joined, reversed(blocks(document, role))):
        cases, others = cases + block.cases, others + block.others
        points.append((block.low, others / negative, cases / positive))
    return points


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of similar probability."""

    rows: int
    predicted: float
    """Their mean probability, to half a point."""
    observed: Figure


def calibration(document: dict[str, Any], role: str) -> list[Group]:
    """Form ten groups of about equal size, or fewer if they would have too few rows to be shown."""
    found = []
    for cells in together(blocks(document, role), document["rows"] // 10):
        rows = sum(cell.rows for cell in cells)
        predicted = sum(cell.rows * (cell.low + cell.high) / 2 for cell in cells) / rows
        found.append(
            Group(rows, predicted, share(sum(cell.cases for cell in cells), rows, NO_CASES))
        )
    return found


def distribution(document: dict[str, Any], role: str) -> list[Cell]:
    """Count rows by tenths of probability; tenths with too few rows are joined."""
    tenths: list[list[Cell]] = []
    for block in blocks(document, role):
        if not tenths or block[0].low in _TENTHS:
            tenths.append([])
        tenths[-1] += block
    return [joined(each) for each in tenths]
