"""Explanations of predictions: how each feature moves one, compared with training rows.

Of one row the stored prediction is explained, by the version that made it, from the values that it
was made from. A row that has none is explained as it stands, by today's champion.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row

from pima.core.arrays import Float32Array
from pima.core.declared.features import Declaration, Feature, Features, Outcome, names_of
from pima.core.declared.identifiers import ById, ByKey
from pima.core.outcomes.realised import ON_TOP, told_figures
from pima.core.rows.history import features_of
from pima.core.rows.validation import validate
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.shapley import MOST_FOR_EXACT, contributions
from pima.errors import (
    ArtifactDamaged,
    NoChampion,
    NoSuchRow,
    RowCannotBeScored,
    RowRejectedBySource,
    SnapshotDamaged,
    SnapshotNotKept,
)
from pima.logs import counted
from pima.scorer import Scorer, load_scorer
from pima.store.engine import clock, reading
from pima.store.models import registry
from pima.store.models.lineage import version_with_rows
from pima.store.models.registry import newest_declaration, read_champion
from pima.store.rows.histories import (
    Rows,
    id_by_key,
    row_by_id,
    row_predicted_on,
    stored_prediction,
)
from pima.store.rows.settled import NEWEST_OUTCOMES, settled_outcomes
from pima.store.service.monitoring import newest_figures
from pima.store.service.sources import rejected_row
from pima.watch.model_alarms import model_alarms
from pima.watch.realised import of_version, widths_by_person
from pima.watch.suspension import in_words

MOST_ROWS_BEHIND = 100
TOLD = 3


@dataclass(frozen=True, slots=True)
class Movement:
    """The share of one feature in a row's probability."""

    feature: str
    value: float | None
    """The value in the row; None if it is missing."""
    contribution: float
    """A difference of probability; above 0, the feature raised the probability of the outcome."""
    error: float | None
    """The standard error of an estimate; None if the contribution is exact."""
    words: str
    """The feature, its value and its contribution, such as "glucose 148 mg/dL: +0.18"."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of one row's prediction, in figures and in words."""

    patient_id: int
    model_version: int
    probability: float
    predicted_class: int
    threshold: float
    meaning: str
    mean_probability: float
    """The mean of the background rows, to which the contributions are added."""
    background_rows: int
    exact: bool
    contributions: tuple[Movement, ...]
    """One for each feature, the largest first."""
    patient_version: int | None = None
    """The row version that was predicted on; None if the row is explained as it stands."""
    scored_at: datetime | None = None
    """When it was predicted; None if the row is explained as it stands."""
    differs_today: tuple[str, ...] = ()
    """Values that have changed since, such as "glucose 148 mg/dL then, 120 mg/dL today"."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """A version, with all that is needed to explain its predictions."""

    version: int
    scorer: Scorer
    declared: Declaration
    """Today's declaration: rows are judged by its rules and described in its words."""
    background: Float32Array
    """(b, features), training rows drawn by the version's seed."""
    seed: int
    mean_probability: float
    """The mean of the background: the prediction before anything is known about the row."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the version's features, in order."""
        return names_of(self.scorer.features)

    @property
    def is_exact(self) -> bool:
        """Whether its contributions are exact, and no estimates."""
        return len(self.scorer.features) <= MOST_FOR_EXACT

    @property
    def rules(self) -> Features:
        """Today's rules for the version's features."""
        return self.declared.rules_for(self.scorer.features)

    def explain(self, row: Rows, features: Float32Array) -> Explanation:
        """Explain one row, by its validated features."""
        model = self.scorer.model
        found = contributions(model.probabilities, features, self.background, self.seed)
        probability = float(model.probabilities(features[None])[0])
        # The values as they were read: float32 would show digits that were never measured.
        read = np.where(np.isnan(features), np.nan, row.measurements.values[0])
        moved = []
        for n, feature in enumerate(self.rules):
            contribution = float(found.values[n])
            error = None if found.errors is None else float(found.errors[n])
            value = None if math.isnan(read[n]) else float(read[n])
            words = contribution_in_words(feature, value, contribution, error)
            moved.append(Movement(feature.name, value, contribution, error, words))
        return Explanation(
            patient_id=int(row.ids[0]),
            model_version=self.version,
            probability=probability,
            predicted_class=int(probability >= self.scorer.threshold),
            threshold=self.scorer.threshold,
            meaning=meaning(probability, self.declared.outcome),
            mean_probability=self.mean_probability,
            background_rows=len(self.background),
            exact=self.is_exact,
            contributions=tuple(sorted(moved, key=lambda one: -abs(one.contribution))),
        )


def load_champion(engine: Engine) -> Explainer:
    """Load today's champion. Raises NoChampion, ArtifactDamaged, SnapshotNotKept,
    SnapshotDamaged."""
    with reading(engine) as connection:
        number = registry.read_champion(connection).model_version
    if number is None:
        raise NoChampion(what="its predictions are those that are explained")
    return load_explainer(engine, number)


def load_explainer(engine: Engine, number: int) -> Explainer:
    """Load a version. Raises ArtifactDamaged, SnapshotNotKept, SnapshotDamaged."""
    with reading(engine) as connection:
        declared = newest_declaration(connection)
    scorer = load_scorer(engine, number)
    version, learned = version_with_rows(engine, number)
    background = rows_drawn(features_of(learned), MOST_ROWS_BEHIND, version.seed)
    mean = float(scorer.model.probabilities(background).mean())
    return Explainer(number, scorer, declared, background, version.seed, mean)


def rows_drawn(features: Float32Array, most: int, seed: int) -> Float32Array:
    """Draw `most` of the rows (n, features), or all if there are fewer; the same seed draws the
    same rows."""
    chosen = np.random.default_rng(seed).permutation(len(features))[:most]
    return features[np.sort(chosen)]


def explain_row(engine: Engine, called: ById | ByKey) -> Explanation:
    """Explain the stored prediction of one row; or what today's champion gives the row as it
    stands, if there is none, or if its values or the rows of its version are no longer kept.

    Raises NoSuchRow, RowCannotBeScored, RowRejectedBySource, and what `load_champion` raises.
    """
    with reading(engine) as connection:
        patient_id = _id_of(connection, called)
        stored = stored_prediction(connection, patient_id)
    if stored is not None:
        with suppress(ArtifactDamaged, SnapshotNotKept, SnapshotDamaged, NoSuchRow):
            return _explain_stored(engine, called, patient_id, stored)
    explainer = load_champion(engine)
    with reading(engine) as connection:
        rows = row_by_id(connection, patient_id, explainer.names)
    return _explain(explainer, called, rows)


def _explain_stored(
    engine: Engine, called: ById | ByKey, patient_id: int, stored: Row[Any]
) -> Explanation:
    explainer = load_explainer(engine, stored.model_version)
    with reading(engine) as connection:
        then = row_predicted_on(connection, patient_id, stored, explainer.names)
        today = row_by_id(connection, patient_id, explainer.names)
    return replace(
        _explain(explainer, called, then),
        patient_version=stored.patient_version,
        scored_at=stored.scored_at,
        differs_today=tuple(_differences(explainer.rules, then, today)),
    )


def _id_of(connection: Connection, called: ById | ByKey) -> int:
    if isinstance(called, ById):
        return called.patient_id
    rejected = rejected_row(connection, called.source, called.source_key)
    if rejected is not None:
        since = f"{rejected.since:%Y-%m-%d}"
        raise RowRejectedBySource(
            called=called, field=rejected.field, reason=rejected.reason, since=since
        )
    found = id_by_key(connection, called.source, called.source_key)
    if found is None:
        raise NoSuchRow(called=called)
    return found


def _explain(explainer: Explainer, called: ById | ByKey, rows: Rows) -> Explanation:
    """Explain the one row."""
    if len(rows.ids) == 0:
        raise NoSuchRow(called=called)
    found = validate(rows.measurements.by_feature, explainer.rules)
    if len(found.accepted) == 0:
        raise RowCannotBeScored(
            patient_id=int(rows.ids[0]), field=found.fields[0], reason=found.reasons[0]
        )
    return explainer.explain(rows, found.features[0])


def _differences(features: Features, then: Rows, today: Rows) -> Iterator[str]:
    """Describe the values of the one row that have changed."""
    for column, feature in enumerate(features):
        was, now = (
            _told(feature, None if found.is_null[0, column] else found.values[0, column].item())
            for found in (then.measurements, today.measurements)
        )
        if was != now:
            yield f"{feature.name.replace('_', ' ')} {was} then, {now} today"


def contribution_in_words(
    feature: Feature, value: float | None, contribution: float, error: float | None
) -> str:
    """Describe a feature, its value and its contribution: "glucose 148 mg/dL: +0.18", "smoking
    former: -0.02"."""
    within = "" if error is None else f" ± {error:.2f}"
    told = _told(feature, value)
    return f"{feature.name.replace('_', ' ')} {told}: {contribution:+z.2f}{within}"


def _told(feature: Feature, value: float | None) -> str:
    if value is None or math.isnan(value):
        return "missing"
    if feature.kind == "category":
        known = value.is_integer() and int(value) in feature.codes
        return feature.codes[int(value)] if known else f"{value:g}"
    unit = "" if feature.unit == "count" else feature.unit
    return f"{value:.10g} {unit}".rstrip()


def meaning(probability: float, outcome: Outcome) -> str:
    """Describe a probability by the number of such patients in a hundred."""
    share = 100 * probability
    many = f"about {share:.0f}"
    if share < 1:
        many = "fewer than one"
    if share > 99:
        many = "more than 99"
    return f"By this model {many} of 100 such patients will have outcome 1: {outcome.words}."


def so_far(connection: Connection, version: int) -> Iterator[str]:
    """Tell what came true of a version's predictions, and its open alarms, beside what a
    probability means."""
    champion = read_champion(connection)
    if champion.suspended_at is not None:
        yield (
            f"Version {champion.model_version}{in_words(champion.suspended_at)}: act on no "
            "prediction until a person has promoted one."
        )
    settled = settled_outcomes(connection, NEWEST_OUTCOMES)
    found = of_version(settled, version, widths_by_person(connection, settled))
    rows = counted(found.outcomes if found else 0, "settled outcome")
    if found is None or found.outcomes < FEWEST_ROWS:
        yield f"Whether that holds is not known yet: it has {rows}."
    else:
        ratio = dict(told_figures(found, 2))[ON_TOP["observed_expected"]]
        if settled.follow_up.is_of_those_followed_up:
            rows += " of those followed up"
        yield f"Over {rows} its observed / expected is {ratio}; 1 is best."
    watched = newest_figures(connection, clock(connection))
    its_names = {each.name for each in watched if each.model_version == version}
    about_it = [each for each in watched if each.name in its_names]
    for alarm in model_alarms(about_it, champion.model_version):
        yield f"An alarm is open: {alarm}."
