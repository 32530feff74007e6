"""104 weeks of a clinic under several margins that no subgroup may lose by.

All margins of a run see the same rows and the same challenger in the same week. What a challenger
truly does to each subgroup is worked out on fresh patients, whose probabilities are known.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from benches.gate.fast_learner import SERVICE_LUCK, fit_ensemble
from benches.gate.policies import WEEKS
from benches.gate.population import Clinic, FreshPatients, Model, Stream, Truth, fresh_patients
from benches.gate.trials import HOLDOUT_SHARE, contest
from pima.core.rows import history
from pima.core.rows.history import features_of
from pima.core.statistics.disclosure import FEW_ROWS
from pima.core.verdicts.gate import GateOptions, Window, decide
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.subgroups import groupings
from pima.settings.reading import SHIPPED

FRESH_ROWS = 5_000
MARGINS: tuple[float | None, ...] = (None, 0.10, 0.05, 0.02, 0.0)
"""In accuracy; None asks no subgroup."""
HARM = 0.02
"""A subgroup is harmed by a promotion that makes it truly less accurate there by more than this."""
SPOILED_FROM_AGE = 40
_AGE = SHIPPED.names.index("age")
SMALL = Clinic()
LARGE = Clinic(first_rows=2_000, fewest_a_week=70, most_a_week=90)


@dataclass(frozen=True, slots=True)
class Setting:
    """A clinic, and what happens to it."""

    name: str
    clinic: Clinic
    spoiled_share: float = 0.0
    """Of the retrainings after the first: the challenger learned from labels that were shuffled
    among the patients from `SPOILED_FROM_AGE` on."""


SETTINGS = (
    Setting("Small, no drift", SMALL),
    Setting("Large, no drift", LARGE),
    Setting(
        "Small, shift",
        replace(SMALL, after_drift=Truth.SHIFTED),
        0.1,
    ),
    Setting(
        "Large, shift",
        replace(LARGE, after_drift=Truth.SHIFTED),
        0.1,
    ),
)


@dataclass(slots=True)
class MarginCourse:
    """What became of one margin in one run."""

    true_accuracies: list[float] = field(default_factory=list)
    """One a week, of the champion after the verdict."""
    promotions: int = 0
    rejected: int = 0
    """Challengers that had won but for the margin."""
    falsely: int = 0
    """Of those, how many were truly worse in no subgroup by more than the margin."""
    harmed: int = 0
    """Promotions that truly harmed a subgroup."""
    spoiled_winners: int = 0
    """Spoiled challengers that had won but for the margin."""
    spoiled_promotions: int = 0


@dataclass(slots=True)
class _Standing:
    champion: Model
    course: MarginCourse = field(default_factory=MarginCourse)


def simulate_margins(setting: Setting, seed: int) -> dict[float | None, MarginCourse]:
    """Week 0's challenger is the first champion; then 104 retrainings."""
    stream, draw = Stream(setting.clinic, seed), np.random.default_rng([seed, 5])
    fresh = {
        truth: fresh_patients(np.random.default_rng([seed, 4]), FRESH_ROWS, truth)
        for truth in (Truth.USUAL, setting.clinic.after_drift)
    }
    sides = _sides(stream, seed)
    first = _fit(sides.training, 0)
    standings = {margin: _Standing(first) for margin in MARGINS}
    for _ in range(WEEKS):
        stream.advance()
        sides = _sides(stream, seed)
        is_spoiled = bool(draw.random() < setting.spoiled_share)
        learned = _spoiled(sides.training, draw) if is_spoiled else sides.training
        challenger = _fit(learned, int(draw.integers(2**32)))
        week = _Week(sides, challenger, is_spoiled, fresh[stream.truth], stream.now, _bands(sides))
        for margin, standing in standings.items():
            _judge(standing, margin, week)
    return {margin: standing.course for margin, standing in standings.items()}


@dataclass(frozen=True, slots=True)
class _Week:
    sides: history.Split
    challenger: Model
    is_spoiled: bool
    fresh: FreshPatients
    now: pd.Timestamp
    bands: pd.DataFrame
    """of the holdout"""


def _sides(stream: Stream, seed: int) -> history.Split:
    return history.split(stream.history(f"salt {seed}", HOLDOUT_SHARE), SHIPPED.features)


def _fit(training: pd.DataFrame, seed: int) -> Model:
    return fit_ensemble(
        features_of(training), training["outcome"].to_numpy(), seed, 5, SERVICE_LUCK
    )


def _spoiled(training: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    which, outcomes = (
        features_of(training)[:, _AGE] >= SPOILED_FROM_AGE,
        training["outcome"].to_numpy().copy(),
    )
    outcomes[which] = draw.permutation(outcomes[which])
    return training.assign(outcome=outcomes)


def _judge(standing: _Standing, margin: float | None, week: _Week) -> None:
    course, sides = standing.course, week.sides
    asked = contest(sides.holdout, week.challenger, standing.champion, Window(), week.now)
    asked = replace(asked, groups=week.bands.reset_index(drop=True))
    verdict = decide(asked, GateOptions(subgroup_margin=margin))
    is_promoted, is_rejected = (
        verdict.decision is Decision.PROMOTED,
        verdict.reason is Reason.SUBGROUP_WORSE,
    )
    if is_promoted or is_rejected:
        worst = _worst_true_gain(standing.champion, week)
        course.spoiled_winners += week.is_spoiled
        course.rejected += is_rejected
        course.falsely += is_rejected and margin is not None and worst >= -margin
        course.promotions += is_promoted
        course.harmed += is_promoted and worst < -HARM
        course.spoiled_promotions += is_promoted and week.is_spoiled
    if is_promoted:
        standing.champion = week.challenger
    course.true_accuracies.append(week.fresh.true_accuracy(standing.champion))


def _bands(sides: history.Split) -> pd.DataFrame:
    return groupings(SHIPPED.features, sides.holdout, sides.training)


def _worst_true_gain(champion: Model, week: _Week) -> float:
    """The challenger's true gain in accuracy where it is least, of the subgroups of fresh
    patients."""
    fresh = week.fresh
    right = [
        np.where(
            model.probabilities(fresh.features) >= 0.5, fresh.probability, 1 - fresh.probability
        )
        for model in (week.challenger, champion)
    ]
    gains = right[0] - right[1]
    patients = pd.DataFrame(fresh.features, columns=SHIPPED.names)
    return min(
        float(gains[rows].mean())
        for _, groups in groupings(SHIPPED.features, patients, week.sides.training).items()
        for rows in groups.groupby(groups, observed=True).indices.values()
        if len(rows) >= FEW_ROWS
    )
