"""The champion as it explains: with a background of rows that it learned from."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from pima.core.arrays import Float32Array
from pima.core.features import Declaration, Features, names_of
from pima.core.shapley import MOST_FOR_EXACT, contributions
from pima.core.validation import Measurements, Validated, validate
from pima.errors import NothingPredicts
from pima.explaining.explanation import Explanation, meaning, moved_by
from pima.scorer import Scorer, load_scorer
from pima.store import registry
from pima.store.declarations import newest_declaration
from pima.store.engine import reading
from pima.store.histories import Rows
from pima.train.snapshot import version_with_rows

BACKGROUND_ROWS = 100


@dataclass(frozen=True, slots=True)
class Explainer:
    """A version with what it takes to explain its predictions."""

    version: int
    scorer: Scorer
    declared: Declaration
    """What is declared today: rows are judged by its rules, and its words are told."""
    background: Float32Array
    """(b, features) of its training rows, drawn by its seed."""
    seed: int
    mean_probability: float
    """Of the background: where a prediction begins before anything is known of the row."""

    @property
    def names(self) -> tuple[str, ...]:
        """The features that it takes, in order."""
        return names_of(self.scorer.features)

    @property
    def is_exact(self) -> bool:
        """Whether what it tells are no estimates."""
        return len(self.scorer.features) <= MOST_FOR_EXACT

    @property
    def rules(self) -> Features:
        """What rows are judged by today, of the features that it takes."""
        return self.declared.rules_for(self.scorer.features)

    def validated(self, measurements: Measurements) -> Validated:
        """As scoring would accept or reject them."""
        return validate(measurements, self.rules)

    def explain(self, rows: Rows, validated: Validated, number: int) -> Explanation:
        """The row of this number among those that were accepted."""
        features, row, model = validated.features[number], validated.accepted[number], self.scorer.model
        found = contributions(model.probabilities, features, self.background, self.seed)
        probability = float(model.probabilities(features[None])[0])
        # As it was read: float32 would show digits that nobody measured.
        read = np.where(np.isnan(features), np.nan, rows.measurements.values[row])
        return Explanation(
            patient_id=int(rows.ids[row]),
            model_version=self.version,
            probability=probability,
            predicted_class=int(probability >= self.scorer.threshold),
            threshold=self.scorer.threshold,
            meaning=meaning(probability, self.declared.outcome),
            mean_probability=self.mean_probability,
            background_rows=len(self.background),
            exact=self.is_exact,
            contributions=moved_by(self.rules, read, found),
        )


def load_explainer(engine: Engine) -> Explainer:
    """Today's champion. Raises NothingPredicts, ArtifactDamaged, SnapshotNotKept, SnapshotDamaged."""
    with reading(engine) as connection:
        number = registry.read_champion(connection).model_version
        declared = newest_declaration(connection)
    if number is None:
        raise NothingPredicts
    scorer = load_scorer(engine, number)
    version, learned = version_with_rows(engine, number)
    background = drawn(learned.features, BACKGROUND_ROWS, version.seed)
    mean = float(scorer.model.probabilities(background).mean())
    return Explainer(number, scorer, declared, background, version.seed, mean)


def drawn(features: Float32Array, most: int, seed: int) -> Float32Array:
    """So many of the rows (n, features), or all where there are fewer: the same by the same seed."""
    chosen = np.random.default_rng(seed).permutation(len(features))[:most]
    return features[np.sort(chosen)]
