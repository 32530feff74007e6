"""The figures of a verdict: of one model those of scikit-learn, and of two on the same rows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pima.core.statistics.samples import sample_of
from pima.core.verdicts.gate import compare
from pima.core.verdicts.verdict import Measure, Measured, gained, performance_of
from tests.support.contests import contest


def test_all_figures_are_of_the_same_rows() -> None:
    ones = np.ones(5, dtype=np.int8)
    losses = ((0.1, 0.2, 0.3, 0.9, 0.1), (0.1, 0.8, 0.7, 0.2, 0.2))
    found = compare(contest(ones, *(np.exp(-np.array(each)) for each in losses)))
    assert (found.only_challenger_correct, found.only_champion_correct) == (2, 1)
    assert found.accuracy_difference == pytest.approx(1 / 5)
    assert found.interval_low < found.accuracy_difference < found.interval_high
    assert found.log_loss_difference == pytest.approx(-0.08)
    assert found.minimum_detectable_difference == pytest.approx(2.49 * math.sqrt(0.6 / 5))


def test_metrics_equal_scikit_learns() -> None:
    draw = np.random.default_rng(3)
    probabilities = np.round(draw.random(500), 2)  # with ties
    outcomes = (draw.random(500) < probabilities).astype(np.int8)
    found = performance_of(sample_of(probabilities, outcomes))
    bounded = np.clip(probabilities, 1e-7, 1 - 1e-7)
    assert found.rows == 500
    assert found.correct == int(((probabilities >= 0.5) == outcomes).sum())
    assert found.log_loss == pytest.approx(log_loss(outcomes, bounded))
    assert found.brier == pytest.approx(brier_score_loss(outcomes, probabilities))
    assert found.auc == pytest.approx(roc_auc_score(outcomes, probabilities))


def test_one_class_has_no_area_and_no_share_of_the_other() -> None:
    found = performance_of(sample_of(np.linspace(0, 1, 4), np.ones(4, dtype=np.int8)))
    assert (found.auc, found.sensitivity, found.specificity) == (None, 0.5, None)


def test_a_verdict_s_gain_is_told_with_its_interval_and_without_a_champion_nothing_is() -> None:
    told = Measured(measure=Measure.LOG_LOSS, challenger=0.5, constant=0.6, gain_on_constant=0.1)
    assert (gained(None), gained(told)) == ("", "")
    won = replace(told, gain=0.02, interval_low=0.0101, interval_high=0.03)
    assert gained(won) == "; gain 0.0200 (0.0101 to 0.0300)"
