"""104 weeks of a clinic whose outcome is rare, less rare or frequent, under each measure of the
gate.

All measures of a run see the same rows and the same challenger in the same week. What their
champions are truly worth is told by one yardstick for all, whatever decided: exact log loss, net
benefit and accuracy on fresh patients.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from benches.gate.fast_learner import SERVICE_LUCK, fit_ensemble
from benches.gate.policies import WEEKS
from benches.gate.population import Clinic, FreshPatients, Model, Stream, Truth, fresh_patients
from benches.gate.trials import HOLDOUT_SHARE, contest
from pima.core.arrays import Float32Array, Float64Array
from pima.core.rows import history
from pima.core.rows.history import features_of
from pima.core.statistics.samples import log_losses, odds
from pima.core.verdicts.gate import GateOptions, Window, decide
from pima.core.verdicts.reasons import Decision
from pima.core.verdicts.verdict import Measure
from pima.settings.reading import SHIPPED

FRESH_ROWS = 4_000
CLINIC = Clinic(first_rows=1_000, fewest_a_week=24, most_a_week=36, after_drift=Truth.SHIFTED)


@dataclass(frozen=True, slots=True)
class Prevalence:
    """How frequent the outcome is, until the drift makes it more frequent."""

    share: float
    """Where a clinic would act too: the threshold, and the odds of the net benefit."""
    log_odds_lower: float
    """What makes it so frequent in the simulated population."""


PREVALENCES = (Prevalence(0.05, 2.861), Prevalence(0.20, 0.808), Prevalence(0.35, -0.276))


@dataclass(frozen=True, slots=True)
class Worth:
    """What a model, or a clinic without one, is truly worth on fresh patients."""

    log_loss: float
    net_benefit: float
    """At the prevalence as threshold, a hundred patients."""
    accuracy: float
    """At 0.5."""


@dataclass(frozen=True, slots=True)
class Course:
    """What became of one measure in one run; a list holds one entry a week, after the verdict."""

    worths: list[Worth] = field(default_factory=list)
    had_champion: list[bool] = field(default_factory=list)
    harm: list[bool] = field(default_factory=list)
    """One a promotion over a champion: whether the new one's true log loss was higher"""


@dataclass(frozen=True, slots=True)
class PrevalenceRun:
    """One clinic, all measures."""

    courses: dict[Measure, Course]
    of_old_fit: float
    """true log loss after the drift of the last challenger from before it"""
    of_fresh_fit: float
    """and of a fit at the end on the training rows since the drift only"""


@dataclass(frozen=True, slots=True)
class _Constant:
    """A clinic without a champion acts for nobody, and knows how frequent the outcome has been."""

    probability: float

    def probabilities(self, features: Float32Array) -> Float64Array:
        return np.full(len(features), self.probability)


class _Population:
    """The fresh patients of one clinic, before and after the drift."""

    def __init__(self, prevalence: Prevalence, seed: int) -> None:
        self.prevalence = prevalence
        self.truth = Truth.USUAL
        self._patients = {
            truth: fresh_patients(
                np.random.default_rng([seed, 4]), FRESH_ROWS, truth, prevalence.log_odds_lower
            )
            for truth in (Truth.USUAL, Truth.SHIFTED)
        }

    @property
    def patients(self) -> FreshPatients:
        return self._patients[self.truth]


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A model with what it is worth, worked out when first asked for."""

    model: Model
    worths: dict[Truth, Worth] = field(default_factory=dict)

    def worth(self, population: _Population) -> Worth:
        if population.truth not in self.worths:
            threshold = population.prevalence.share
            self.worths[population.truth] = _worth(self.model, population.patients, threshold)
        return self.worths[population.truth]


@dataclass(slots=True)
class _Standing:
    champion: _Fitted | None = None
    course: Course = field(default_factory=Course)


def simulate_prevalence(prevalence: Prevalence, seed: int) -> PrevalenceRun:
    """A retraining in week 0, which may give the first champion, then one a week."""
    stream = Stream(replace(CLINIC, log_odds_lower=prevalence.log_odds_lower), seed)
    population = _Population(prevalence, seed)
    draw = np.random.default_rng([seed, 3])
    standings = {measure: _Standing() for measure in Measure}
    for week in range(WEEKS + 1):
        if week:
            stream.advance()
        sides = history.split(stream.history(f"salt {seed}", HOLDOUT_SHARE), SHIPPED.features)
        challenger = _fit(sides.training, int(draw.integers(2**32)))
        if stream.truth is Truth.USUAL:
            old_fit = challenger
        population.truth = stream.truth
        for measure, standing in standings.items():
            promoted = _is_promoted(measure, prevalence, sides, standing, challenger, stream.now)
            _follow(standing, challenger if promoted else None, population, sides.training)
    fresh_fit = _fit(sides.training[sides.training["labelled_at"] >= stream.drift_at], 0)
    log_losses_after = (each.worth(population).log_loss for each in (old_fit, fresh_fit))
    return PrevalenceRun(
        {measure: each.course for measure, each in standings.items()}, *log_losses_after
    )


def _fit(training: pd.DataFrame, seed: int) -> _Fitted:
    return _Fitted(
        fit_ensemble(features_of(training), training["outcome"].to_numpy(), seed, 5, SERVICE_LUCK)
    )


def _is_promoted(
    measure: Measure,
    prevalence: Prevalence,
    sides: history.Split,
    standing: _Standing,
    challenger: _Fitted,
    now: pd.Timestamp,
) -> bool:
    champion = None if standing.champion is None else standing.champion.model
    asked = contest(sides.holdout, challenger.model, champion, Window(), now)
    if measure is Measure.NET_BENEFIT:
        both = (replace(each, threshold=prevalence.share) for each in asked.contestants)
        asked = replace(asked, contestants=tuple(both))
    return decide(asked, GateOptions(measure=measure)).decision is Decision.PROMOTED


def _follow(
    standing: _Standing, promoted: _Fitted | None, population: _Population, training: pd.DataFrame
) -> None:
    """One week of a course."""
    course, before = standing.course, standing.champion
    if promoted is not None:
        if before is not None:
            course.harm.append(
                promoted.worth(population).log_loss > before.worth(population).log_loss
            )
        standing.champion = promoted
    scoring = standing.champion or _Fitted(_Constant(float(training["outcome"].to_numpy().mean())))
    course.worths.append(scoring.worth(population))
    course.had_champion.append(standing.champion is not None)


def _worth(model: Model, fresh: FreshPatients, threshold: float) -> Worth:
    predicted, true = model.probabilities(fresh.features), fresh.probability
    as_1, as_0 = (
        log_losses(predicted, np.full(len(true), outcome, dtype=np.int8)) for outcome in (1, 0)
    )
    # Nobody is acted for without a model, however frequent the outcome.
    acted = np.zeros(len(true), bool) if isinstance(model, _Constant) else predicted >= threshold
    return Worth(
        log_loss=float((true * as_1 + (1 - true) * as_0).mean()),
        net_benefit=100 * float(np.where(acted, true - (1 - true) * odds(threshold), 0).mean()),
        accuracy=float(np.where(predicted >= 0.5, true, 1 - true).mean()),
    )
