"""Straight lines beside champions, in the clinics whose outcomes settle: how often a line that is
truly no better is told to be, and how soon one that is. The rule is the real one
(`pima.core.verdicts.pairs`)."""

from dataclasses import dataclass

import numpy as np

from benches.gate.settled import (
    DAYS,
    OUTCOMES_A_DAY,
    Clinic,
    outcomes_of,
    predictions,
    probability,
    true_log_odds,
)
from benches.gate.trials import HOLDOUT_SHARE
from pima.core.arrays import Float64Array
from pima.core.statistics.estimates import lower_p
from pima.core.statistics.samples import log_losses
from pima.core.verdicts.gate import Window
from pima.core.verdicts.pairs import CLEAR_P
from pima.train.ledger import VERDICTS_IN_A_ROW

A_WEEK = 7 * OUTCOMES_A_DAY
WEEKS = DAYS // 7
FIRST_WEEK = 3
"""The first week with a verdict."""


@dataclass(frozen=True, slots=True)
class Overfitted:
    """A champion that learned from luck: its log odds are steeper than the true ones, and noisy."""

    clinic: Clinic
    steeper: float
    noise: float


@dataclass(frozen=True, slots=True)
class Told:
    """What becomes of some clinics in a year."""

    weeks: Float64Array
    """(clinics,), the week of the first alarm; infinite if there is none."""
    true_gains: Float64Array
    """(clinics,), the champion's true gain in log loss over the line: above 0 it is better."""

    @property
    def falsely(self) -> Float64Array:
        """(clinics,), whether a line that is no better was told to be."""
        return np.isfinite(self.weeks) & (self.true_gains >= 0)


def calm_lines(clinic: Clinic, seed: int) -> Told:
    """The clinics and champions of `calm_years` of this seed, each beside a line that is as wrong
    as its champion, on average."""
    draw = np.random.default_rng([seed, 1])
    true = true_log_odds(clinic, DAYS, draw)
    outcomes = outcomes_of(true, draw)
    _, champions = predictions(clinic, true, draw)
    _, lines = predictions(clinic, true, draw)
    return _told(true, outcomes, champions, lines, draw)


def overfitted(what: Overfitted, seed: int) -> Told:
    """Clinics whose champion learned from luck, each beside a line as in calm ones."""
    draw = np.random.default_rng([seed, 3])
    true = true_log_odds(what.clinic, DAYS, draw)
    outcomes = outcomes_of(true, draw)
    usual = np.log(what.clinic.prevalence / (1 - what.clinic.prevalence))
    noise = draw.normal(0, what.noise, size=true.shape)
    champions = probability(usual + what.steeper * (true - usual) + noise)
    _, lines = predictions(what.clinic, true, draw)
    return _told(true, outcomes, champions, lines, draw)


def _told(
    true: Float64Array,
    outcomes: np.ndarray,
    champions: Float64Array,
    lines: Float64Array,
    draw: np.random.Generator,
) -> Told:
    gains = log_losses(lines, outcomes) - log_losses(champions, outcomes)
    expected = probability(true)
    true_gains = sum(
        (share * (log_losses(lines, outcome) - log_losses(champions, outcome))).mean(axis=1)
        for share, outcome in ((expected, np.int8(1)), (1 - expected, np.int8(0)))
    )
    held_out = draw.random(true.shape) < HOLDOUT_SHARE
    weeks = [_first_alarm(*each) for each in zip(gains, held_out, strict=True)]
    return Told(np.array(weeks), true_gains)


def _first_alarm(gains: Float64Array, held_out: np.ndarray) -> float:
    """The week in which the verdicts on a year's rows, 20 a day, of which some are held out, have
    been clear three times in a row."""
    window = Window()
    in_a_row = 0
    for week in range(FIRST_WEEK, WEEKS + 1):
        begin = max(week - window.weeks, 0) * A_WEEK
        until = week * A_WEEK
        recent = int(held_out[begin:until].sum())
        wanted = min(max(recent, window.minimum_rows), window.maximum_rows)
        test_set = gains[:until][held_out[:until]][-wanted:]
        in_a_row = in_a_row + 1 if lower_p(test_set) <= CLEAR_P else 0
        if in_a_row == VERDICTS_IN_A_ROW:
            return week
    return np.inf
