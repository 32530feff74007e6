"""All that the database knows of a version: frozen records of counts, figures and words, none of
them a patient's."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Feature, Features, Outcome, differing_fields, names_of
from pima.core.outcomes.realised import CameTrue
from pima.core.statistics.estimates import Estimate
from pima.core.statistics.performance import FIGURES, TABLED_THRESHOLDS
from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import Evidence, SubgroupEvidence, shown_bounds
from pima.core.verdicts.pairs import PairEvidence
from pima.errors import NoSuchVersion
from pima.report import who
from pima.report.clinician import threshold_rule
from pima.settings.sections import GateSettings, Settings
from pima.store.engine import clock, reading
from pima.store.models import registry
from pima.store.models.beside_verdicts import evidence_beside
from pima.store.models.ledger import list_moves, own_verdicts
from pima.store.models.registry import VersionSummary, stored_features
from pima.store.rows.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.watch.by_group import ByGroup, by_group, in_newest_verdict
from pima.watch.overview import NIGHTS_SHOWN, Overview, read_overview
from pima.watch.realised import of_version, widths_by_person


@dataclass(frozen=True, slots=True)
class Input:
    """A feature that the model was fitted on, as it was declared then."""

    name: str
    values: str
    """The values that it takes: a range with its unit, or codes with their labels."""
    missing: str
    """Whether a row may lack it, and whether 0 means missing."""
    rationale: str


@dataclass(frozen=True, slots=True)
class Data:
    """The rows that a version rests on."""

    training_rows: int
    holdout_rows: int
    first_outcome: date | None
    last_outcome: date | None
    holdout_share: float
    left_out: dict[str, int]
    twins_kept: int
    """Rows that it learned from although a held-out row has the same features, since there equality
    says nothing."""
    persons: dict[str, int] | None
    """Training rows that name a person, and those persons; None if none does, or a release made it
    that did not count them."""
    corrected: dict[str, float] | None
    """Rows that were corrected after their prediction; None if a release made it that did not count
    them."""


@dataclass(frozen=True, slots=True)
class OwnVerdict:
    """The verdict that the version got when it was made."""

    decided_at: datetime
    verdict: str
    reason: str
    explanation: str
    against: int | None
    """The champion at that time."""


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure with its 95 % interval, for this version and for the one that it was judged against
    on the same rows."""

    name: str
    figure: Estimate
    before: Estimate | None


@dataclass(frozen=True, slots=True)
class Benefit:
    """Net benefit at one threshold, per row; treating none has 0."""

    threshold: float
    model: float
    treat_all: float


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The figures of a subgroup; if it has too few patients to be shown, all but the names is None
    or empty."""

    feature: str
    group: str
    rows: int | None
    positive: int | None
    few: bool | None
    figures: tuple[ComparedFigure, ...]


@dataclass(frozen=True, slots=True)
class VersionEvidence:
    """The figures that the version got on the rows of its verdict."""

    rows: int
    positive: int
    figures: tuple[ComparedFigure, ...]
    net_benefit: tuple[Benefit, ...]
    subgroups: tuple[Subgroup, ...]
    pairs: tuple[PairEvidence, ...] = ()
    """The version beside those who decide nothing."""


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """All that the database knows about a version."""

    version: int
    as_of: datetime
    """The time of reading, by the database's clock."""
    champion: bool
    trained_at: datetime
    outcome: str
    """The outcome that is predicted, in words."""
    declared: Outcome
    """The same as it was declared when the version was made."""
    service: Overview
    """The state of the service, as `status` shows it, whichever version is asked for."""
    gate: GateSettings
    """What the gate asks today."""
    threshold: float
    threshold_rule: str
    """The setting of the threshold: a number, or the figure that it had to reach."""
    network: str
    seed: int
    libraries: dict[str, str]
    compiled_sha256: str
    inputs: tuple[Input, ...]
    data: Data
    judged: OwnVerdict | None
    evidence: VersionEvidence | None
    """The figures; None if the version is older than evidence is, or gave no finite numbers, or if
    the rows are too few to be shown."""
    standing: CameTrue | None
    """What stands of its predictions by now; None if none of them has a settled outcome."""
    changes: tuple[str, ...]
    """The changes since the version that it was judged against."""
    people: tuple[tuple[str, ...], ...] = ()
    """Who was learned from, judged on and predicted lately: the rows of a table."""
    groups: tuple[ByGroup, ...] = ()
    """The declared groups that no model sees: who they are, and what came true of all predictions,
    by whichever version."""
    in_groups: tuple[str, ...] = ()
    """In which of them its probabilities did not hold in its newest verdict."""


def read_facts(engine: Engine, number: int, settings: Settings) -> VersionFacts:
    """Read the facts of a version from the tables; what is asked for today, from the settings.
    Raises NoSuchVersion."""
    with reading(engine) as connection:
        version = registry.read_version(connection, number)
        if version is None:
            raise NoSuchVersion(number=number)
        verdict = own_verdicts(list_moves(connection, number)).get(number)
        judged = None
        before = None
        if verdict is not None:
            against = verdict.from_version
            judged = OwnVerdict(
                decided_at=verdict.decided_at,
                verdict=verdict.verdict,
                reason=verdict.reason,
                explanation=verdict.explanation,
                against=against,
            )
            if against is not None:
                before = registry.read_version(connection, against)
        outcome = registry.declared_at(connection, version.created_at).outcome
        settled = settled_outcomes(connection, NEWEST_OUTCOMES)
        service = read_overview(connection, settings, settled, NIGHTS_SHOWN)
        wider = widths_by_person(connection, settled)
        found = evidence_beside(connection, verdict)
        judged_on = [each for each in [found] if each]
        now = clock(connection)
        features = stored_features(version.features)
        return VersionFacts(
            version=number,
            as_of=now,
            champion=service.champion.version == number,
            trained_at=version.created_at,
            outcome=outcome.words,
            declared=outcome,
            service=service,
            gate=settings.gate,
            threshold=version.threshold,
            threshold_rule=threshold_rule(version),
            network=str(version.settings["network"]),
            seed=version.seed,
            libraries=version.libraries,
            compiled_sha256=version.compiled_sha256,
            inputs=tuple(map(input_of, features)),
            data=Data(
                training_rows=version.training_rows,
                holdout_rows=version.holdout_rows,
                first_outcome=_day(version.first_labelled_at),
                last_outcome=_day(version.last_labelled_at),
                holdout_share=version.settings["holdout_share"],
                left_out={reason: rows for reason, rows in version.rows_left_out.items() if rows},
                twins_kept=version.metrics.get("twins_kept", 0),
                persons=version.metrics.get("persons"),
                corrected=version.metrics.get("corrected"),
            ),
            judged=judged,
            evidence=version_evidence(found),
            people=tuple(_people(connection, number, features, found, now)),
            groups=tuple(by_group(connection, settled, now, judged_on)),
            in_groups=in_newest_verdict(connection, number),
            standing=of_version(settled, number, wider),
            changes=() if before is None else tuple(changes_between(version, before)),
        )


def _people(
    connection: Connection, number: int, features: Features, judged: Evidence | None, now: datetime
) -> Iterator[tuple[str, ...]]:
    reference = who.reference_of(connection, number)
    test_set = None
    if judged is not None and judged.may_be_shown:
        test_set = who.People(judged.rows, judged.positive, judged.inputs)
    parts = (
        who.learned_from(features, reference),
        test_set,
        who.predicted_lately(connection, features, reference, now),
    )
    return who.table(names_of(features), parts)


def input_of(feature: Feature) -> Input:
    """Describe a declared feature in words."""
    if feature.kind == "number":
        unit = "" if feature.unit == "count" else feature.unit
        values = f"{feature.low:g} to {feature.high:g} {unit}".rstrip()
    else:
        values = ", ".join(f"{code} {label}" for code, label in feature.codes.items())
    missing = "may be missing" if feature.may_be_missing else "must be there"
    if feature.zero_is_missing:
        missing += "; 0 means missing"
    return Input(feature.name, values, missing, feature.rationale)


def changes_between(now: VersionSummary, before: VersionSummary) -> list[str]:
    """Describe how a version differs from the one before it, a phrase for each difference."""
    new, old = (
        {each.name: each for each in stored_features(version.features)} for version in (now, before)
    )
    found = [f"a new input: {name}" for name in new if name not in old]
    found += [f"no longer an input: {name}" for name in old if name not in new]
    for name in new:
        if name in old and (differing := differing_fields(new[name], old[name])):
            found.append(f"declared otherwise: {name} ({', '.join(differing)})")
    compared: list[tuple[str, object, object]] = [
        ("training rows", before.training_rows, now.training_rows),
        ("last outcome", _day(before.last_labelled_at), _day(now.last_labelled_at)),
        ("threshold", before.threshold, now.threshold),
    ]
    for kind, theirs, ours in (
        ("settings", before.settings, now.settings),
        ("libraries", before.libraries, now.libraries),
    ):
        # Of a file's text the sha256 says that it differs.
        for key in sorted({*ours, *theirs} - {"network_text"}):
            name = f"{kind}, {key.replace('_', ' ')}"
            compared.append((name, theirs.get(key, "none"), ours.get(key, "none")))
    found += [f"{name}: {then} -> {today}" for name, then, today in compared if then != today]
    return found


def _day(moment: datetime | None) -> date | None:
    """Round to the day: an exact time could identify a patient."""
    return moment and moment.date()


def version_evidence(found: Evidence | None) -> VersionEvidence | None:
    """Read the challenger's figures from the evidence of its verdict; None if there are none, or
    they may not be shown."""
    if found is None or not found.may_be_shown:
        return None
    model = found.of(Role.CHALLENGER)
    if model is None:
        return None
    shown = set(shown_bounds(found, model)).intersection(TABLED_THRESHOLDS)
    points = zip(
        found.thresholds, model.net_benefit.net_benefit, found.treat_all.net_benefit, strict=True
    )
    return VersionEvidence(
        rows=found.rows,
        positive=found.positive,
        figures=_compared(found),
        net_benefit=tuple(Benefit(*point) for point in points if point[0] in shown),
        subgroups=tuple(_subgroup(each) for each in found.subgroups),
        pairs=found.shown_pairs(Role.CHALLENGER),
    )


def _subgroup(found: SubgroupEvidence) -> Subgroup:
    return Subgroup(
        feature=found.feature,
        group=found.group,
        rows=found.rows,
        positive=found.positive,
        few=found.few,
        figures=_compared(found),
    )


def _compared(found: Evidence | SubgroupEvidence) -> tuple[ComparedFigure, ...]:
    model = found.of(Role.CHALLENGER)
    before = found.of(Role.CHAMPION)
    if model is None:
        return ()
    return tuple(
        ComparedFigure(label, getattr(model, name), getattr(before, name, None))
        for name, label in FIGURES.items()
    )
