"""The rows of a holdout as an older version takes them."""

import numpy as np
from msgspec.structs import replace

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
    taken = as_taken(side, DECLARED, (A, B))
    assert taken.features is side.features
    assert taken.scorable.all()


def test_a_version_of_fewer_features_takes_those() -> None:
    taken = as_taken(_side(), DECLARED, (B,))
    assert taken.features.shape == (4, 1)
    assert taken.scorable.all()


def test_retired_features_are_judged_by_their_own_rules_and_stand_where_the_version_has_them() -> None:
    taken = as_taken(_side(), DECLARED, (OLD, A))
    assert taken.scorable.tolist() == [True, False, True, False]  # out of range, and missing
    assert taken.features[taken.scorable].tolist() == [[4.0, 1.0], [5.0, 5.0]]


def test_a_retired_category_may_be_missing_but_not_unknown() -> None:
    taken = as_taken(_side(), DECLARED, (CODED, B))
    assert taken.scorable.tolist() == [True, True, False, True]
    assert np.isnan(taken.features[3, 0])


def test_what_lies_below_the_range_of_the_fit_is_not_scorable_and_what_stands_at_its_end_is() -> None:
    declared = Declaration(Outcome("ill"), (replace(A, low=-5), B))
    side = _side()
    side.features[:, 0] = np.array([0.7, 0.6, -1, 7], dtype=np.float32)  # 0.7 as float32 is below 0.7
    taken = as_taken(side, declared, (replace(A, low=0.7), B))
    assert taken.scorable.tolist() == [True, False, False, True]
    assert taken.features.tolist()[3] == [7, 8]


def test_a_code_that_the_fit_never_saw_is_not_scorable_where_it_may_not_be_missing() -> None:
    coded = replace(CODED, name="a", codes={1: "one", 3: "three", 5: "five", 7: "seven"}, may_be_missing=False)
    declared = Declaration(Outcome("ill"), (coded, B))
    taken = as_taken(_side(), declared, (replace(coded, codes={1: "one", 7: "seven"}), B))
    assert taken.scorable.tolist() == [True, False, False, True]
