"""Why one row has its probability, as figures and in words."""

import math
from dataclasses import dataclass

from pima.core.arrays import Float64Array
from pima.core.features import Feature, Features, Outcome
from pima.core.shapley import Contributions

TOLD = 3
"""Features that are told in words."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one feature of the row did to its probability."""

    feature: str
    value: float | None
    """As it stands in the row; None where it is missing."""
    contribution: float
    """In probability: above 0 it made the outcome more likely to the model."""
    error: float | None
    """The standard error of an estimate; None where it is exact."""
    words: str
    """What it is and what it did, such as "glucose 148 mg/dL: +0.18"."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of one row."""

    patient_id: int
    model_version: int
    probability: float
    predicted_class: int
    threshold: float
    meaning: str
    """What the probability says, in words."""
    mean_probability: float
    """Of the background rows: what the contributions add up from."""
    background_rows: int
    exact: bool
    contributions: tuple[Moved, ...]
    """Of all features, those that moved it most first."""


def moved_by(features: Features, values: Float64Array, found: Contributions) -> tuple[Moved, ...]:
    """Each feature of a row with these values (features,), NaN where missing; those that moved it most first."""
    each = [_moved(feature, values[n], found, n) for n, feature in enumerate(features)]
    return tuple(sorted(each, key=lambda one: -abs(one.contribution)))


def _moved(feature: Feature, value: float, found: Contributions, position: int) -> Moved:
    contribution = float(found.values[position])
    error = None if found.errors is None else float(found.errors[position])
    known = None if math.isnan(value) else float(value)
    return Moved(feature.name, known, contribution, error, in_words(feature, known, contribution, error))


def in_words(feature: Feature, value: float | None, contribution: float, error: float | None) -> str:
    """A feature's value with its unit or label, and what it did."""
    within = "" if error is None else f" ± {error:.2f}"
    return f"{measured(feature, value)}: {contribution:+z.2f}{within}"


def measured(feature: Feature, value: float | None) -> str:
    """A feature with its value: "glucose 148 mg/dL", "smoking former", "insulin missing"."""
    name = feature.name.replace("_", " ")
    if value is None:
        return f"{name} missing"
    if feature.kind == "category":
        return f"{name} {feature.codes.get(int(value), f'{value:g}')}"
    unit = "" if feature.unit == "count" else feature.unit
    return f"{name} {value:.10g} {unit}".rstrip()


def meaning(probability: float, outcome: Outcome) -> str:
    """What a probability promises, among a hundred."""
    share = 100 * probability
    many = "fewer than one" if share < 1 else "more than 99" if share > 99 else f"about {share:.0f}"
    what = outcome.meaning or (outcome.name if outcome.name != "outcome" else "")
    return f"Of 100 such patients {many} will have outcome 1" + (f": {what}." if what else ".")
