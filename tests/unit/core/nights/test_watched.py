"""When figures alarm: years of nights by luck, a change that stays, one odd night; and rows without
a prediction."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from msgspec import structs
from scipy import stats

from pima.core.declared.features import names_of
from pima.core.nights.drift import Tally
from pima.core.nights.kinds import State, Watched
from pima.core.nights.unpredicted import (
    Cause,
    Limits,
    Marks,
    Unpredicted,
    as_causes,
    as_counter,
    begun_after,
    is_good,
)
from pima.core.nights.watched import alerts, volume, volumes
from tests.support.simulated_nights import (
    FEATURES,
    champions,
    night_tally,
    nights,
    nights_of_versions,
    reference,
)

NAMES = names_of(FEATURES)


def _alarms(found: tuple[Watched, ...]) -> set[str]:
    return {each.name for each in found if each.state == State.ALERT}


def test_three_of_the_last_five_nights_alarm() -> None:
    beyond, usual = ["psi bmi"], ["psi age"]
    assert alerts(True, "psi bmi", [beyond, beyond])
    assert alerts(True, "psi bmi", [usual, beyond, usual, beyond])
    assert alerts(False, "psi bmi", [beyond, beyond, beyond])
    assert not alerts(True, "psi bmi", [beyond])
    assert not alerts(True, "psi bmi", [usual, beyond, usual, usual, beyond])


@pytest.mark.parametrize(("rows", "learned"), [(250, 100), (2_000, 378), (250, 5_000)])
def test_a_stationary_year_alarms_at_most_once_in_all(rows: int, learned: int) -> None:
    random = np.random.default_rng(8)
    kept = reference(random, learned)
    found = list(nights(kept, (night_tally(random, kept, rows) for _ in range(364))))
    alarms = [alarm for night in found for alarm in _alarms(night)]
    assert len(alarms) <= 1, alarms
    assert not any(
        each.state == State.INSUFFICIENT_DATA
        for night in found
        for each in night
        if not each.feature
    )


@pytest.mark.parametrize(("rows", "days"), [(1, 364), (35, 364), (20, 7)])
def test_a_stationary_year_of_small_nights_alarms_never(rows: int, days: int) -> None:
    """Also where a new champion comes every week."""
    random = np.random.default_rng(9)
    by_night = champions(random, [0.0] * 364, rows, days)
    found = list(nights_of_versions(*by_night))
    assert [alarm for night in found for alarm in _alarms(night)] == []
    states = {each.state for each in found[-1] if not each.feature}
    # Six nights of 35 are enough together; a week of single rows is not.
    assert states == ({State.INSUFFICIENT_DATA} if rows == 1 else {State.USUAL})
    if rows == 1:
        assert {each.value for each in found[-1]} == {None}


@pytest.mark.parametrize(
    ("feature", "shift"), [("age", 0.8), ("visits", 1.0), ("ward", 1.0), ("insulin", 60.0)]
)
def test_a_shift_in_one_feature_alarms_in_the_third_night_of_it_alone(
    feature: str, shift: float
) -> None:
    random = np.random.default_rng(10)
    kept = reference(random, 378)
    shifted = [0.0] * 30 + [shift] * 6
    found = list(
        nights(kept, (night_tally(random, kept, 1_000, **{feature: each}) for each in shifted))
    )
    alarms = [_alarms(night) for night in found]
    assert not any(alarms[:32])
    for night in alarms[32:]:
        assert f"psi {feature}" in night
        assert {name.split()[-1] for name in night} == {feature}


def test_one_odd_night_alarms_nobody_also_where_several_are_pooled_and_a_change_that_stays_does() -> (
    None
):
    random = np.random.default_rng(1)
    kept = reference(random, 378)
    for shifts, alarming in (([0.0] * 20 + [2.0] + [0.0] * 9, 0), ([0.0] * 20 + [2.0] * 10, 7)):
        found = nights(kept, (night_tally(random, kept, 70, age=shift) for shift in shifts))
        alarms = [_alarms(night) for night in found]
        assert sum("wasserstein age" in night for night in alarms) == alarming, alarms
        assert set().union(*alarms) <= {"psi age", "wasserstein age"}


@pytest.mark.parametrize("days", [61, 7])
def test_a_unit_that_is_wrong_is_told_within_three_weeks_where_twenty_rows_come_a_night(
    days: int,
) -> None:
    """Also where a new champion comes every week."""
    random = np.random.default_rng(2)
    for shift, told in ((0.0, False), (3.0, True)):
        shifts = [0.0] * 40 + [shift] * 21
        found = list(nights_of_versions(*champions(random, shifts, 20, days)))
        alarms = [_alarms(night) for night in found]
        assert set().union(*alarms) == ({"psi age", "wasserstein age"} if told else set())
        assert not any(alarms[:42])


def test_an_alarm_of_pooled_nights_is_over_once_the_newest_are_as_usual() -> None:
    random = np.random.default_rng(3)
    shifts = [0.0] * 40 + [3.0] * 25 + [0.0] * 30
    found = list(nights_of_versions(*champions(random, shifts, 20, 61)))
    alarms = [_alarms(night) for night in found]
    assert "psi age" in alarms[64]
    assert not any(alarms[77:])


def test_what_is_missing_or_rejected_alarms_with_its_feature_and_reason() -> None:
    random = np.random.default_rng(11)
    kept = reference(random, 378)

    def without_ages(tally: Tally) -> Tally:
        counts = dict(zip(NAMES, tally.features, strict=True)) | {
            "age": (0,) * len(kept.features[2].counts)
        }
        rejected = tally.rejected | {"out_of_range bmi": 100}
        return structs.replace(
            tally, rows=tally.rows + 100, features=tuple(counts.values()), rejected=rejected
        )

    found = list(nights(kept, (without_ages(night_tally(random, kept, 1_000)) for _ in range(3))))
    assert list(map(_alarms, found)) == [set(), set(), {"missing age", "rejected_out_of_range bmi"}]
    psi = next(each for each in found[-1] if each.name == "psi age")
    assert (psi.value, psi.rows, psi.state) == (None, 0, State.INSUFFICIENT_DATA)


NIGHTS = 9 * 7
"""So many are looked back at."""


def _states(rows: Sequence[int]) -> tuple[str, str]:
    """Of the night and of the week, after the last of these nights."""
    night, week = volumes(dict(enumerate(reversed(rows))))
    return night.state, week.state


def _alarms_of(rows: Sequence[int]) -> list[tuple[bool, bool]]:
    """Of each night that has enough behind it."""
    found = [_states(rows[max(0, end - 91) : end]) for end in range(NIGHTS, len(rows) + 1)]
    return [(night == State.ALERT, week == State.ALERT) for night, week in found]


def test_a_volume_is_beyond_what_the_weekday_varies_by() -> None:
    weeks = [100, 104, 96, 101, 99, 300, 98, 102]
    assert (volume(100, weeks).reference, volume(100, weeks).state) == (100.5, State.USUAL)
    assert [volume(rows, weeks).is_beyond for rows in (0, 45, 55, 145, 155)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert volume(0, [4] * 8).is_beyond is False  # luck, of so few
    assert [volume(rows, [0] * 8).is_beyond for rows in (1, 5, 6)] == [False, False, True]
    assert [volume(rows, [400] * 8).is_beyond for rows in (250, 150)] == [
        False,
        True,
    ]  # half may be missing
    assert volume(0, [400] * 3).state == State.INSUFFICIENT_DATA


@pytest.mark.parametrize("usual", [1, 7, 15, 16, 25, 40, 80, 99, 100, 900, 1_000_000])
def test_what_is_too_few_is_poissons_or_half(usual: int) -> None:
    five_deviations = stats.norm.sf(5)
    for rows in {0, 1, 2, 3, 4, 5, usual // 3, max(0, usual // 2 - 1), usual // 2}:
        too_few = rows < usual / 2 and stats.poisson.cdf(rows, usual) <= five_deviations
        assert volume(rows, [usual] * 8).is_beyond == too_few, rows


def test_what_varies_more_than_a_count_may_be_fewer() -> None:
    steady, varying = [40, 45, 35, 41, 39, 44, 36, 40], [40, 70, 10, 55, 25, 60, 20, 40]
    assert [volume(rows, steady).is_beyond for rows in (0, 12, 16)] == [True, True, False]
    assert volume(0, varying).is_beyond is False


def test_a_source_that_stops_alarms_in_the_third_night() -> None:
    usual = [100, 98, 103, 100, 101, 99, 102] * 9
    assert [_states(usual + [0] * empty)[0] for empty in range(4)] == [State.USUAL] * 3 + [
        State.ALERT
    ]


def test_a_night_that_came_to_no_end_is_none() -> None:
    rows = dict.fromkeys(range(NIGHTS), 100)
    assert [each.state for each in volumes(rows)] == [State.USUAL] * 2
    without_tonight = {night: count for night, count in rows.items() if night > 0}
    found = [(each.figure, each.value, each.state) for each in volumes(without_tonight)]
    assert found == [
        ("rows", None, State.INSUFFICIENT_DATA),
        ("rows_in_week", None, State.INSUFFICIENT_DATA),
    ]
    # What two such nights left came with the next one, and makes neither night nor week odd.
    caught_up = {night: count for night, count in rows.items() if night not in (1, 2)} | {0: 300}
    assert [each.state for each in volumes(caught_up)] == [State.USUAL] * 2
    # Of a week without a single one nothing is known.
    only_lately = {night: count for night, count in rows.items() if night < 4 * 7}
    assert [each.state for each in volumes(only_lately)] == [State.INSUFFICIENT_DATA] * 2


def test_one_odd_night_alarms_nobody() -> None:
    for odd in (0, 5_000):
        rows = [10] * NIGHTS + [odd] + [10] * 30
        assert not any(map(any, _alarms_of(rows)))


@pytest.mark.parametrize("usual", [0.4, 5, 25, 400])
@pytest.mark.parametrize("varying", [0.0, 0.3])
def test_years_of_usual_volumes_with_quiet_weekends_alarm_never(
    usual: float, varying: float
) -> None:
    random = np.random.default_rng(13)
    nights = np.arange(2_000)
    busy = usual * np.where(nights % 7 > 4, 0.2, 1.0) * random.lognormal(0, varying, len(nights))
    assert not any(map(any, _alarms_of(random.poisson(busy).tolist())))


@pytest.mark.parametrize(("usual", "most_nights"), [(5, 8), (10, 6), (25, 5), (100, 3)])
def test_an_empty_feed_alarms_within_a_week_or_so(usual: int, most_nights: int) -> None:
    random = np.random.default_rng(14)
    nights = []
    for _ in range(100):
        rows = [*random.poisson(usual, NIGHTS).tolist(), *[0] * 14]
        nights.append([any(each) for each in _alarms_of(rows)].index(True))
    assert np.quantile(nights, 0.9) <= most_nights, nights


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


def test_only_after_a_good_night_the_count_begins_anew() -> None:
    causes = (Cause("clinic", "missing", "age", 5),)
    marks = Marks(
        run_id=3,
        counted_run_id=9,
        highest_id=70,
        drawn=200,
        drawn_when_good=100,
        known_version=50,
        pulls={"clinic": 8},
    )
    bad = Unpredicted(4, "2026-11-28", "2026-11-27", 6, causes, marks=marks)
    assert begun_after(bad) == bad
    good = Unpredicted(4, "2026-11-28", "2026-11-27", 60, causes, is_good=True, marks=marks)
    expected = Marks(
        run_id=9,
        counted_run_id=9,
        highest_id=70,
        drawn=200,
        drawn_when_good=200,
        known_version=100,  # a good night further back
        pulls={"clinic": 8},
    )
    assert begun_after(good) == Unpredicted(4, since="2026-11-28", marks=expected)


def test_causes_are_kept_with_the_most_rows_first_and_none_without_any() -> None:
    found = Counter(
        {("", "missing", "age"): 1, ("clinic", "bad_outcome", ""): 4, ("", "missing", "bmi"): 0}
    )
    kept = as_causes(found)
    assert kept == (Cause("clinic", "bad_outcome", "", 4), Cause("", "missing", "age", 1))
    assert as_counter(kept) == +found
