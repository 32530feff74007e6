"""The rows that a challenger learns from: the whole training side, or its newest weeks alone.

Only with a horizon is it known which rows are the newest, and have both outcomes of these settled.
Straight lines stand for the network, since they take a tenth of a second.
"""

from dataclasses import replace

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.declared.features import Features
from pima.core.rows.history import Split, features_of, only_newest, persons_of
from pima.core.verdicts.newest_weeks import (
    WEEKS_TO_JUDGE_ON,
    WEEKS_TO_LEARN_FROM,
    ages_in_weeks,
    weeks_to_learn_from,
)
from pima.logs import get_logger
from pima.model.recipes import CancelCheck, Recipe
from pima.settings.sections import RetrainSettings
from pima.train.fit import by_straight_line, seed_of, training_extra


def all_or_newest(
    history: Split,
    settings: RetrainSettings,
    recipe: Recipe,
    features: Features,
    boundary: CancelCheck,
) -> Split:
    """Return the history with the training rows to learn from. `boundary` is called between fits
    and may raise. Raises ExtraMissing."""
    if history.horizon is None:
        return history
    with training_extra():
        from pima.model.network import TrainingData

    training = history.training
    ages = ages_in_weeks(training["Over"])
    newest = ages < WEEKS_TO_JUDGE_ON
    rows = features_of(training)
    outcomes = training["outcome"].to_numpy()
    fewest = settings.minimum_labels - len(history.holdout)
    tried = _tried(ages, outcomes, settings.minimum_of_each_class, fewest)
    if not tried:
        return history

    seed = seed_of(history, settings)

    def said(learned: BoolArray) -> Float64Array:
        data = TrainingData(rows[learned], outcomes[learned])
        return by_straight_line(recipe, features, data, rows[newest], seed, boundary)

    of_newest = {weeks: said(learned) for weeks, learned in tried.items()}
    persons = persons_of(training[newest])
    weeks = weeks_to_learn_from(said(~newest), of_newest, outcomes[newest], persons)
    if weeks is None:
        return history
    get_logger().info("the newest weeks alone are learned from", weeks=weeks)
    learned = only_newest(history, ages < weeks, weeks)
    # Drift is measured against rows of the same weeks.
    acted_upon = history.acted_upon
    since = learned.training["Over"].min()
    return replace(learned, acted_upon=acted_upon[acted_upon["Over"] >= since])


def _tried(ages: Int64Array, outcomes: Int8Array, least: int, fewest: int) -> dict[int, BoolArray]:
    """The rows to learn from before those to judge on, (n,), by weeks, as far as the history
    reaches back; nothing with fewer than `least` rows of an outcome, or `fewest` in all."""
    newest = ages < WEEKS_TO_JUDGE_ON

    def are_enough(which: BoolArray) -> bool:
        return bool(np.bincount(outcomes[which], minlength=2).min() >= least)

    if not are_enough(newest):
        return {}
    of_weeks = {
        weeks: ~newest & (ages < WEEKS_TO_JUDGE_ON + weeks)
        for weeks in WEEKS_TO_LEARN_FROM
        if ages.max() >= WEEKS_TO_JUDGE_ON + weeks
    }
    return {
        weeks: learned
        for weeks, learned in of_weeks.items()
        if are_enough(learned) and learned.sum() >= fewest
    }
