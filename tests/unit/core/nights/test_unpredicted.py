"""Rows without a prediction, of a night and over several weeks."""

import pytest

from pima.core.nights.unpredicted import USUAL_LIMITS, Cause, Limits, Unpredicted


@pytest.mark.parametrize(
    ("predicted", "cause", "is_told"),
    [
        (190, Cause("", "missing", "age", 10), False),
        (189, Cause("", "missing", "age", 10), True),
        (90, Cause("", "missing", "age", 9), False),
        (10_000, Cause("clinic", "unknown_code", "ward", 10), True),
        (10_000, Cause("", "unknown_code", "ward", 9), False),
        (10_000, Cause("", "never_queued", "", 10), True),
        (10_000, Cause("", "out_of_range", "age", 99), False),
    ],
)
def test_weeks_are_told_by_share_and_by_number(predicted: int, cause: Cause, is_told: bool) -> None:
    night = Unpredicted(lately=Unpredicted(predicted=predicted, causes=(cause,)))
    assert night.too_many(USUAL_LIMITS) is (night.lately if is_told else None)
    assert night.too_many(Limits(0.9, 1_000)) is None


def test_a_night_that_is_too_bad_is_told_before_its_weeks() -> None:
    missing = Cause("", "missing", "age", 30)
    night = Unpredicted(causes=(missing,), lately=Unpredicted(predicted=70, causes=(missing,)))
    assert night.too_many(USUAL_LIMITS) is night
