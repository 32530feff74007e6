"""Estimates and paired tests against SciPy, and their intervals by
simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest, t, ttest_1samp

from pima.core.statistics.estimates import lower_p, mcnemar_p, mean, paired_interval


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


@pytest.mark.parametrize("persons", [6, 12, 40])
def test_the_interval_of_few_persons_is_student_s(persons: int) -> None:
    values = np.random.default_rng(persons).normal(size=persons)
    found = mean(np.repeat(values, 50), np.repeat(np.arange(persons), 50))
    low, high = t.interval(0.95, persons - 1, values.mean(), values.std(ddof=1) / persons**0.5)
    assert (found.low, found.high) == (
        pytest.approx(low, abs=0.015),
        pytest.approx(high, abs=0.015),
    )
