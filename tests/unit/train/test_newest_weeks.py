"""The rows that a challenger may learn from alone."""

import numpy as np
import pandas as pd

from pima.core.rows.history import Split, only_newest
from pima.train.newest_weeks import _tried

AGES = np.arange(0, 61).repeat(10)
OUTCOMES = np.tile([0, 1], 305).astype(np.int8)


def test_windows_with_too_few_rows_are_not_tried() -> None:
    assert sorted(_tried(AGES, OUTCOMES, 10, 100)) == [13, 26, 52]
    assert sorted(_tried(AGES, OUTCOMES, 10, 131)) == [26, 52]
    assert _tried(AGES, OUTCOMES, 41, 0) == {}


def test_a_verdicts_bands_and_scales_have_all_training_rows() -> None:
    rows = pd.DataFrame({"age": np.arange(4, dtype="float32")})
    whole = Split(rows, rows[:0], {})
    history = only_newest(whole, np.array([True, False, True, False]), 13)
    assert (len(history.training), len(history.all_training)) == (2, 4)
    assert len(whole.all_training) == 4
