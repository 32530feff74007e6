"""Which holdout rows are the test set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.contest import Window, in_window

WEEK = 7 * 24 * 3600 * 1000
NOW = 1_000 * WEEK


def _times(*counts_by_age: tuple[int, float]) -> np.ndarray:
    """So many rows labelled so many weeks ago each, oldest first."""
    return np.concatenate([np.full(count, NOW - int(weeks * WEEK)) for count, weeks in counts_by_age]).astype(np.int64)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (_times((500, 60), (300, 10)), 300),  # enough in the last 26 weeks: those
        (_times((500, 60), (100, 10)), 250),  # too few: back to 250
        (_times((50, 60), (100, 10)), 150),  # fewer than that exist: all
        (_times((500, 60), (3_000, 10)), 1_000),  # too many: the newest 1,000
        (_times((300, 26), (260, 25.99)), 260),  # 26 weeks ago to the millisecond is not in the last 26 weeks
        (_times((400, -1)), 400),  # a clock that was ahead
    ],
)
def test_the_window(times: np.ndarray, expected: int) -> None:
    chosen = in_window(times, Window(), NOW)
    assert chosen.sum() == expected
    # The newest ones, and of equally new ones those that stand last.
    assert chosen[-expected:].all()


def test_without_a_window_all_rows_count() -> None:
    assert in_window(_times((500, 60), (3_000, 10)), None, NOW).all()


@given(
    st.lists(st.integers(0, 60 * WEEK), max_size=40),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 60),
)
def test_no_row_outside_is_newer_than_one_inside(ages: list[int], minimum: int, maximum: int, weeks: int) -> None:
    times = NOW - np.array(ages, dtype=np.int64)
    chosen = in_window(times, Window(weeks, minimum, maximum), NOW)
    recent = int((times > NOW - weeks * WEEK).sum())
    assert chosen.sum() == min(max(recent, minimum), maximum, len(times))
    if chosen.any() and not chosen.all():
        assert times[~chosen].max() <= times[chosen].min()
