"""The straight line: scikit-learn's on the shipped rows, whatever the strength, and the strength
with the lowest loss on folds that a fit has not seen."""

from functools import cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from benches.accuracy.shipped import shipped_rows
from pima.core.statistics.logistic_regression import (
    STRENGTHS,
    choose_strength,
    fit_penalised,
    predict,
)


@cache
def _shipped() -> tuple[np.ndarray, np.ndarray]:
    rows = shipped_rows()
    mean = np.nanmean(rows.features, axis=0)
    known = np.where(np.isnan(rows.features), mean, rows.features)
    return ((known - mean) / known.std(axis=0)).astype(np.float32), rows.outcomes


def _theirs(inputs: np.ndarray, outcomes: np.ndarray, strength: float) -> LogisticRegression:
    model = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-10)
    return model.fit(inputs.astype(np.float64), outcomes)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_fit_is_scikit_learns(strength: float) -> None:
    inputs, outcomes = _shipped()
    line = fit_penalised(inputs, outcomes, strength)
    model = _theirs(inputs, outcomes, strength)
    assert line == pytest.approx([*model.intercept_, *model.coef_[0]], abs=1e-7)
    expected = model.predict_proba(inputs.astype(np.float64))[:, 1]
    assert predict(line, inputs) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("rows", [60, 768])
def test_the_strength_is_that_of_the_lowest_loss_out_of_fold(rows: int) -> None:
    inputs, outcomes = (each[:rows] for each in _shipped())
    folds = np.arange(rows) % 5
    losses = []
    for strength in STRENGTHS:
        told = np.empty(rows)
        for fold in range(5):
            inside = folds == fold
            model = _theirs(inputs[~inside], outcomes[~inside], strength)
            told[inside] = model.predict_proba(inputs[inside].astype(np.float64))[:, 1]
        losses.append(log_loss(outcomes, told))
    strength, of_rows = choose_strength([inputs] * 5, outcomes, folds)
    assert strength == STRENGTHS[int(np.argmin(losses))]
    assert of_rows.mean() == pytest.approx(min(losses), abs=1e-6)
    strongest = STRENGTHS[:2]
    best = strongest[int(np.argmin(losses[:2]))]
    assert choose_strength([inputs] * 5, outcomes, folds, strongest)[0] == best


def test_for_each_fold_the_inputs_may_be_others() -> None:
    inputs, outcomes = _shipped()
    folds = np.arange(768) % 2
    for_folds = [inputs, 0 * inputs]
    _, losses = choose_strength(for_folds, outcomes, folds, [1.0])
    line = fit_penalised(inputs[1::2], outcomes[1::2], 1.0)
    of_first = log_loss(outcomes[::2], predict(line, inputs[::2]))
    of_second = log_loss(outcomes[1::2], np.full(384, outcomes[::2].mean()))
    assert losses[:384].mean() == pytest.approx(of_first, abs=1e-6)
    assert losses[384:].mean() == pytest.approx(of_second, abs=1e-6)


def test_a_fit_finds_the_peak_where_full_steps_would_miss_it() -> None:
    inputs = (100 * np.random.default_rng(82).normal(size=(100, 3)) ** 3).astype(np.float32)
    log_odds = inputs @ np.array([1.0, -1.0, 1.0])
    outcomes = (log_odds > np.quantile(log_odds, 0.9)).astype(np.int8)
    outcomes[0] = 1 - outcomes[0]
    line = fit_penalised(inputs, outcomes, 0.1)
    missed = outcomes - predict(line, inputs)
    assert missed.sum() == pytest.approx(0, abs=1e-6)
    assert inputs.T @ missed == pytest.approx(0.1 * line[1:], abs=1e-6)


def test_equal_rows_get_equal_answers_wherever_they_stand() -> None:
    inputs, outcomes = _shipped()
    line = fit_penalised(inputs, outcomes, 1.0)
    again = np.tile(inputs[:7], (50, 1))
    assert len(np.unique(predict(line, again))) == 7
