"""From points to probabilities: beside scikit-learn on the shipped rows, and what few or odd rows
give."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pima.core.declared.present_score import PresentScore
from pima.core.verdicts.score_scale import ScoreScale, is_known, scale_of, without_few
from tests.bench.accuracy.shipped import shipped_rows

POINTS = PresentScore("ward", threshold=3)


def _ward() -> tuple[np.ndarray, np.ndarray]:
    """Points of three features, and the outcomes."""
    rows = shipped_rows()
    pregnancies, age = rows.raw[:, 0], rows.raw[:, 7]
    bmi = np.nan_to_num(rows.raw[:, 5])
    points = (pregnancies >= 4).astype(float) + 2 * (age >= 40) + (bmi >= 30)
    return points, rows.outcomes


def test_points_become_the_probability_of_a_logistic_regression() -> None:
    points, outcomes = _ward()
    scale = scale_of(POINTS, points, outcomes)
    assert scale is not None
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    model.fit(points[:, None], outcomes)
    assert scale.intercept == pytest.approx(model.intercept_[0], abs=1e-6)
    assert scale.slope == pytest.approx(model.coef_[0, 0], abs=1e-6)
    told = scale.probabilities(points)
    assert told == pytest.approx(model.predict_proba(points[:, None])[:, 1], abs=1e-6)
    # The classes at its threshold are those of the points.
    assert ((told >= scale.threshold(POINTS)) == (points >= 3)).all()


def test_the_risk_never_moves_against_the_direction() -> None:
    points, outcomes = _ward()
    falling = PresentScore("ward", direction="falling")
    along, against = scale_of(falling, -points, outcomes), scale_of(falling, points, outcomes)
    assert along is not None
    assert against is not None
    assert along.probabilities(-points) == pytest.approx(
        scale_of(POINTS, points, outcomes).probabilities(points),
        abs=1e-9,  # type: ignore[union-attr]
    )
    assert against.probabilities(points) == pytest.approx(outcomes.mean(), abs=1e-12)


def test_what_a_scale_needs_and_what_it_leaves_alone() -> None:
    points, outcomes = _ward()
    risk = PresentScore("risk", kind="probability", threshold=0.2)
    assert scale_of(risk, points, outcomes) == ScoreScale()
    assert ScoreScale().threshold(risk) == 0.2
    assert ScoreScale().threshold(PresentScore("risk", kind="probability")) == math.inf
    few = np.concatenate([np.flatnonzero(outcomes == 1)[:9], np.flatnonzero(outcomes == 0)])
    assert scale_of(POINTS, points[few], outcomes[few]) is None
    values = np.array([0.0, 1.0, -0.1, 1.1, np.nan, np.inf])
    assert is_known(risk, values).tolist() == [True, True, False, False, False, False]
    assert is_known(POINTS, values).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("unknown", "left"), [(0, 100), (1, 90), (9, 90), (10, 90), (40, 60), (100, 0)]
)
def test_no_few_rows_are_told_apart_by_what_is_left_out(unknown: int, left: int) -> None:
    known = np.arange(100) >= unknown
    told = without_few(known, np.ones(100, dtype=bool))
    assert (int(told.sum()), bool((told & ~known).any())) == (left, False)
