"""When rows without a prediction are too many, and what a night is counted from."""

from collections import Counter

import pytest

from pima.core.unpredicted import (
    Cause,
    Limits,
    Marks,
    Pulled,
    Unpredicted,
    after_pulls,
    as_causes,
    as_counter,
    begun_after,
    is_good,
)

LIMITS = Limits(0.2, 10)


def _night(predicted: int, *causes: Cause, since: str = "2026-11-27T02:15:00+00:00") -> Unpredicted:
    return Unpredicted(since=since, predicted=predicted, causes=causes)


@pytest.mark.parametrize(
    ("predicted", "without", "too_many", "good"),
    [
        (0, 60, True, False),
        (40, 10, False, True),  # a fifth is not more than a fifth
        (39, 10, True, False),
        (0, 9, False, False),  # too few to tell of, and no good night
        (0, 0, False, False),
        (1, 0, False, True),
        (1_000_000, 250_000, False, True),
        (1_000_000, 250_001, True, False),
    ],
)
def test_too_many_are_more_than_a_share_and_no_fewer_than_a_number(
    predicted: int, without: int, too_many: bool, good: bool
) -> None:
    found = _night(predicted, Cause("", "missing", "age", without))
    assert (found.are_too_many(LIMITS), is_good(found, LIMITS)) == (too_many, good)


def test_a_share_of_nothing_is_of_each_row() -> None:
    found = _night(1_000, Cause("", "missing", "age", 1))
    assert found.are_too_many(Limits(0.0, 1))
    assert not is_good(found, Limits(0.0, 1))


def test_a_pull_of_all_says_what_stands_and_one_of_a_part_what_comes_on_top() -> None:
    standing = after_pulls(
        Counter({("", "never_queued", ""): 2}),
        [
            Pulled(1, "clinic", True, {("out_of_range", "glucose"): 15, ("missing", "age"): 1}),
            Pulled(2, "ward", True, {("out_of_range", "glucose"): 7}),
            Pulled(3, "clinic", False, {("out_of_range", "glucose"): 3}),
        ],
    )
    assert standing == {
        ("", "never_queued", ""): 2,
        ("clinic", "out_of_range", "glucose"): 18,
        ("clinic", "missing", "age"): 1,
        ("ward", "out_of_range", "glucose"): 7,
    }
    mended = after_pulls(standing, [Pulled(4, "clinic", True, {("out_of_range", "glucose"): 4})])
    assert mended == {
        ("", "never_queued", ""): 2,
        ("clinic", "out_of_range", "glucose"): 4,
        ("ward", "out_of_range", "glucose"): 7,
    }


def test_only_after_a_good_night_the_count_begins_anew() -> None:
    standing = (Cause("clinic", "missing", "age", 5),)
    marks = Marks(
        run_id=3, counted_run_id=9, highest_id=70, drawn=200, drawn_when_good=100, known_version=50, standing=standing
    )
    bad = Unpredicted(4, "2026-11-28", "2026-11-27", 6, standing, marks=marks)
    assert begun_after(bad) == bad
    good = Unpredicted(4, "2026-11-28", "2026-11-27", 60, standing, is_good=True, marks=marks)
    expected = Marks(
        run_id=9,
        counted_run_id=9,
        highest_id=70,
        drawn=200,
        drawn_when_good=200,
        known_version=100,  # a good night further back
        standing=standing,
        standing_when_good=standing,
    )
    assert begun_after(good) == Unpredicted(4, since="2026-11-28", marks=expected)


def test_causes_are_kept_with_the_most_rows_first_and_none_without_any() -> None:
    found = Counter({("", "missing", "age"): 1, ("clinic", "bad_outcome", ""): 4, ("", "missing", "bmi"): 0})
    kept = as_causes(found)
    assert kept == (Cause("clinic", "bad_outcome", "", 4), Cause("", "missing", "age", 1))
    assert as_counter(kept) == +found
