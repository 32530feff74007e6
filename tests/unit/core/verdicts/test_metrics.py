"""Performance against scikit-learn, and the paired statistics beside a verdict against scipy and by
simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pima.core.verdicts.contest import Role
from pima.core.verdicts.gate import compare
from pima.core.verdicts.metrics import (
    auc,
    lower_p,
    majority_correct,
    mcnemar_p,
    paired_interval,
    performance_of,
)
from tests.support.contests import contest, contestant


@pytest.mark.parametrize(
    ("won", "lost"), [(0, 0), (1, 0), (5, 9), (9, 5), (30, 12), (200, 260), (5_000, 5_200)]
)
def test_mcnemar_is_the_exact_binomial_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar_p(won, lost) == pytest.approx(expected, rel=1e-9)


def test_the_log_loss_p_is_the_one_sided_t_test_on_many_rows() -> None:
    differences = np.random.default_rng(5).normal(-0.01, 0.2, 1_000)
    assert lower_p(differences) == pytest.approx(
        ttest_1samp(differences, 0, alternative="less").pvalue, abs=1e-3
    )
    assert lower_p(-differences) == pytest.approx(1 - lower_p(differences))


@pytest.mark.parametrize("differences", [np.zeros(5), np.full(5, -0.25), np.array([-1.0])])
def test_without_spread_there_is_no_evidence(differences: np.ndarray) -> None:
    assert lower_p(differences) == 1.0


def test_the_paired_interval_holds_the_true_difference_about_95_times_in_100() -> None:
    draw = np.random.default_rng(11)
    won_share, lost_share, rows, trials = 0.08, 0.05, 250, 4_000
    counts = draw.multinomial(rows, [won_share, lost_share, 1 - won_share - lost_share], trials)
    intervals = [paired_interval(int(won), int(lost), rows) for won, lost, _ in counts]
    covered = sum(low <= won_share - lost_share <= high for low, high in intervals) / trials
    assert 0.94 < covered < 0.97


def test_an_interval_never_leaves_what_is_possible_and_has_a_width_even_without_discordant_rows() -> (
    None
):
    assert paired_interval(3, 0, 3) == (pytest.approx(0.0186, abs=1e-4), 1.0)
    low, high = paired_interval(0, 0, 250)
    assert low == -high < 0


def test_all_figures_are_of_the_same_rows() -> None:
    ones = np.ones(5, dtype=np.int8)
    challenger, champion = (
        contestant(role, np.exp(-np.array(losses)))
        for role, losses in (
            (Role.CHALLENGER, (0.1, 0.2, 0.3, 0.9, 0.1)),
            (Role.CHAMPION, (0.1, 0.8, 0.7, 0.2, 0.2)),
        )
    )
    found = compare(contest(ones, challenger.probabilities), champion)
    assert (found.only_challenger_correct, found.only_champion_correct) == (2, 1)
    assert found.accuracy_difference == pytest.approx(1 / 5)
    assert found.interval_low < found.accuracy_difference < found.interval_high
    assert found.log_loss_difference == pytest.approx(-0.08)
    assert found.minimum_detectable_difference == pytest.approx(2.49 * math.sqrt(0.6 / 5))


def test_metrics_equal_scikit_learns() -> None:
    draw = np.random.default_rng(3)
    probabilities = np.round(draw.random(500), 2)  # with ties
    outcomes = (draw.random(500) < probabilities).astype(np.int8)
    found = performance_of(probabilities, outcomes, 0.5)
    bounded = np.clip(probabilities, 1e-7, 1 - 1e-7)
    assert found.rows == 500
    assert found.correct == int(((probabilities >= 0.5) == outcomes).sum())
    assert found.log_loss == pytest.approx(log_loss(outcomes, bounded))
    assert found.brier == pytest.approx(brier_score_loss(outcomes, probabilities))
    assert found.auc == pytest.approx(roc_auc_score(outcomes, probabilities))


def test_one_class_has_no_auc_and_the_majority_is_all_of_it() -> None:
    outcomes = np.ones(4, dtype=np.int8)
    assert auc(np.linspace(0, 1, 4), outcomes) is None
    assert majority_correct(outcomes) == 4
