"""Rows that equal a holdout row: the same person entered twice, or, where the features are coarse, nothing at all."""

import math

import numpy as np
import pytest

from pima.core.features import Feature
from pima.core.history import History, Side, split
from pima.core.history import unseen_by
from pima.core.history import MOST_TWINS, twins_of
from pima.core.validation import Measurements
from tests.unit.as_learned import as_learned

COARSE = (
    Feature("age", low=0, high=120),
    Feature("sex", kind="category", codes={0: "male", 1: "female"}),
    *(Feature(f"code{n}", kind="category", codes={0: "a", 1: "b", 2: "c"}) for n in range(5)),
)


def _coarse(rows: int) -> History:
    draw = np.random.default_rng(rows)
    codes = draw.choice(3, (5, rows), p=(0.9, 0.08, 0.02))  # as most codes are: one is common
    columns = [draw.integers(40, 90, rows), draw.integers(0, 2, rows), *codes]
    values = np.stack(columns, axis=1).astype(np.float64)
    ids = np.arange(1, rows + 1)
    nothing = np.zeros(values.shape, dtype=bool)
    return History(ids, Measurements(values, nothing), draw.integers(0, 2, rows).astype(np.int8), ids * 1000)


def _twins(side: Side, holdout: Side) -> int:
    return int(twins_of(side.features, holdout.features).sum())


def test_where_most_rows_are_twins_they_stay_and_are_counted() -> None:
    found = split(_coarse(5_000), COARSE, "salt", 0.30, MOST_TWINS)
    assert found.left_out == {}
    assert found.twins_kept == _twins(found.training, found.holdout) > 0.5 * len(found.training)


@pytest.mark.parametrize(("share", "left_out"), [(0.04, True), (0.06, False)])
def test_the_limit_is_a_twentieth_of_the_training_rows(share: float, left_out: bool) -> None:
    history = _coarse(2_000)
    history.measurements.values[:, 0] = np.linspace(18, 90, 2_000)  # no two rows are alike
    apart = split(history, COARSE, "salt", 0.30, MOST_TWINS)
    assert (apart.left_out, apart.twins_kept) == ({}, 0)
    wanted = math.ceil(share * len(apart.training))
    history.measurements.values[apart.training.patient_ids[:wanted] - 1] = history.measurements.values[
        apart.holdout.patient_ids[:wanted] - 1
    ]
    found = split(history, COARSE, "salt", 0.30, MOST_TWINS)
    assert found.left_out == ({"twin_of_holdout": wanted} if left_out else {})
    assert found.twins_kept == (0 if left_out else wanted)
    assert len(found.training) == len(apart.training) - (wanted if left_out else 0)


def test_without_a_limit_no_twin_is_ever_trained_on() -> None:
    found = split(_coarse(5_000), COARSE, "salt", 0.30)
    assert found.twins_kept == _twins(found.training, found.holdout) == 0
    assert found.left_out["twin_of_holdout"] > 2_000


def test_equal_features_keep_no_row_from_judging_where_they_say_nothing() -> None:
    found = split(_coarse(5_000), COARSE, "salt", 0.30, MOST_TWINS)
    learned = as_learned(found.training)
    assert unseen_by(learned, found.holdout, found.holdout.features, by_features=False).all()
    assert not unseen_by(learned, found.holdout, found.holdout.features).all()
