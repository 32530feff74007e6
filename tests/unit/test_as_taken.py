"""The rows of a holdout as an older version takes them."""

import numpy as np

from pima.core.features import Declaration, Feature, Outcome
from pima.core.history import Side, as_taken
from pima.core.validation import Measurements

A, B = Feature("a", low=0, high=10), Feature("b", low=0, high=10, may_be_missing=True)
OLD = Feature("old", low=0, high=10)
CODED = Feature("coded", kind="category", codes={0: "no", 1: "yes"}, may_be_missing=True)
DECLARED = Declaration(Outcome("ill"), (A, B), (OLD, CODED))


def _side() -> Side:
    features = np.array([[1, 2], [3, np.nan], [5, 6], [7, 8]], dtype=np.float32)
    values = np.array([[4.0, 1.0], [11.0, 0.0], [5.0, 2.0], [0.0, 0.0]])
    is_null = np.array([[False, False], [False, False], [False, False], [True, True]])
    nothing = np.zeros(4, dtype=np.int64)
    return Side(nothing, features, nothing.astype(np.int8), nothing, Measurements(values, is_null))


def test_a_version_of_todays_features_takes_the_rows_as_they_are() -> None:
    side = _side()
    taken = as_taken(side, DECLARED, ("a", "b"))
    assert taken.features is side.features
    assert taken.scorable.all()


def test_a_version_of_fewer_features_takes_those() -> None:
    taken = as_taken(_side(), DECLARED, ("b",))
    assert taken.features.shape == (4, 1)
    assert taken.scorable.all()


def test_retired_features_are_judged_by_their_own_rules_and_stand_where_the_version_has_them() -> None:
    taken = as_taken(_side(), DECLARED, ("old", "a"))
    assert taken.scorable.tolist() == [True, False, True, False]  # out of range, and missing
    assert taken.features[taken.scorable].tolist() == [[4.0, 1.0], [5.0, 5.0]]


def test_a_retired_category_may_be_missing_but_not_unknown() -> None:
    taken = as_taken(_side(), DECLARED, ("coded", "b"))
    assert taken.scorable.tolist() == [True, True, False, True]
    assert np.isnan(taken.features[3, 0])
