"""How far back a model learns: from all settled rows, or from the newest weeks alone, where these
now tell patients apart better.

What an outcome depends on may move. A model that learns from years alike is then behind for years.
Models of the newest weeks are judged on newer rows still. A season moves how frequent the outcome
is, and moves it back, and a quarter of a year would follow it at the wrong time. So each model's
intercept is fitted to these rows first, and only what tells patients apart counts. `make
bench-gate` measures what this gains where something moves, and what it costs where nothing does.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pima.core.arrays import Float64Array, Int8Array, Int64Array
from pima.core.statistics.estimates import Persons, lower_p
from pima.core.statistics.logistic_regression import fit_logistic, logistic
from pima.core.statistics.samples import log_odds, sample_of

WEEKS_TO_JUDGE_ON = 8
"""The newest ones."""
WEEKS_TO_LEARN_FROM = (52, 26, 13)
ASKED_P = 0.0228
"""Two standard errors: else a clinic where nothing moves would often learn from fewer rows."""


def ages_in_weeks(over_at: pd.Series) -> Int64Array:
    """How many whole weeks before the newest row each row counts, (n,)."""
    return ((over_at.max() - over_at) // pd.Timedelta(weeks=1)).to_numpy(np.int64)


def weeks_to_learn_from(
    of_all: Float64Array,
    of_newest: Mapping[int, Float64Array],
    outcomes: Int8Array,
    persons: Persons = None,
) -> int | None:
    """Choose by what models say of the newest rows: `of_all` (n,) are the probabilities of one that
    learned from all rows before, `of_newest` those of models of so many weeks before. None: all
    rows, unless one of the newest weeks is clearly better."""
    losses = _losses(of_all, outcomes)
    gains = {weeks: losses - _losses(said, outcomes) for weeks, said in of_newest.items()}
    clear = [weeks for weeks, gain in gains.items() if lower_p(-gain, persons) < ASKED_P]
    return max(clear, key=lambda weeks: gains[weeks].mean(), default=None)


def _losses(said: Float64Array, outcomes: Int8Array) -> Float64Array:
    """Of each row, (n,), with the intercept that fits these rows."""
    offset = log_odds(said)
    ones = np.ones((len(said), 1))
    shift = fit_logistic(ones, outcomes == 1, np.zeros(1), offset)[0]
    return sample_of(logistic(offset + shift), outcomes).log_losses
