"""Groups of patients, which of them may be shown, and a challenger that is worse in one of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from benches.accuracy.shipped import shipped_rows
from pima.core.declared.faults import first_fault
from pima.core.declared.features import Declaration, Feature, Outcome, as_divided
from pima.core.declared.group import Group
from pima.core.statistics.disclosure import FEW_ROWS
from pima.core.verdicts.contest import Contest
from pima.core.verdicts.evidence import evidence
from pima.core.verdicts.gate import GateOptions, decide
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.subgroups import groupings, quartile_bands, worst_subgroup
from pima.core.verdicts.verdict import Measure
from pima.settings.reading import SHIPPED
from tests.support import contests
from tests.support.contests import contest

AGE = Feature("age", low=18, high=120, bands=(30, 45.5))
SEX = Feature("sex", kind="category", codes={2: "male", 1: "female"}, may_be_missing=True)


def _divided(feature: Feature, *values: float, training: Sequence[float] = (50.0,)) -> pd.Series:
    rows, learned = (
        pd.DataFrame({feature.name: each}, dtype=np.float32) for each in (values, training)
    )
    return groupings((feature,), rows, learned)[feature.name]


def _all_divided(features: np.ndarray, training: np.ndarray) -> dict[str, list[str]]:
    rows, learned = (pd.DataFrame(each, columns=SHIPPED.names) for each in (features, training))
    return {
        name: list(each.cat.categories)
        for name, each in groupings(SHIPPED.features, rows, learned).items()
    }


def test_declared_bands_begin_at_their_number() -> None:
    found = _divided(AGE, 29.9, 30, 45.4, 45.5, 80)
    assert found.cat.categories.tolist() == [
        "under 30",
        "30 to under 45.5",
        "45.5 and over",
        "missing",
    ]
    assert found.cat.codes.tolist() == [0, 1, 1, 2, 2]


def test_whatever_stands_in_a_group_s_column_is_one_of_its_categories_or_missing() -> None:
    rows = pd.DataFrame(
        {"site": [2, 5, 7, 2.5, np.nan, np.inf], "beds": [1, 0.1, 9, *[np.inf] * 3]}
    )
    site = as_divided(Group("site", codes={5: "north", 2: "south"}))
    beds = as_divided(Group("beds", bands=(0.1, 9)))
    found = groupings((site, beds), rows, rows)
    assert found["site"].tolist() == ["south", "north", *["missing"] * 4]
    among = ["0.1 to under 9", "0.1 to under 9", "9 and over", *["missing"] * 3]
    assert found["beds"].tolist() == among


def test_a_few_people_of_a_group_do_not_hide_the_next_larger_one_from_the_margin() -> None:
    rows = pd.DataFrame({"place": ["north"] * 100 + ["south"] * 60 + ["abroad"] * 5})
    rows = rows.astype(pd.CategoricalDtype(["north", "south", "abroad"]))
    gains = np.repeat([0.1, -0.2, 0.0], (100, 60, 5))
    found = worst_subgroup(gains, rows, ("place",))
    assert found is not None
    assert (found.feature, found.group, found.rows) == ("place", "south, abroad", 65)
    assert found.gain == pytest.approx(-12 / 65)
    # Of a feature it stays as it was.
    of_feature = worst_subgroup(gains, rows)
    assert of_feature is not None
    assert of_feature.group == "north"


@pytest.mark.parametrize("edge", [0.1, 0.7, 28.1, 1e-7, 123456.7])
def test_a_value_that_stands_on_an_edge_is_above_it_however_it_is_rounded(edge: float) -> None:
    assert _divided(changed(AGE, low=0, high=1e6, bands=(edge,)), edge).cat.codes.tolist() == [1]


def test_a_category_has_its_codes_in_their_order_and_what_is_missing_is_a_group() -> None:
    assert _divided(SEX, 2, 1, np.nan, 2).tolist() == ["male", "female", "missing", "male"]
    called_so = changed(SEX, codes={0: "missing", 1: "female"})
    assert _divided(called_so, 0, 1, np.nan).tolist() == ["missing", "female", "missing"]


def test_without_declared_bands_the_training_rows_quartiles_are_rounded() -> None:
    divided = _all_divided(shipped_rows().features, shipped_rows().features)
    assert divided["age"] == [
        "under 25",
        "25 to under 30",
        "30 to under 40",
        "40 and over",
        "missing",
    ]
    assert divided["glucose"] == [
        "under 100",
        "100 to under 120",
        "120 to under 140",
        "140 and over",
        "missing",
    ]
    assert divided["bmi"] == [
        "under 28",
        "28 to under 32",
        "32 to under 36",
        "36 and over",
        "missing",
    ]
    assert divided["pregnancies"] == [
        "under 1",
        "1 to under 3",
        "3 to under 6",
        "6 and over",
        "missing",
    ]
    pedigree = ["under 0.3", "0.3 to under 0.4", "0.4 to under 0.6", "0.6 and over", "missing"]
    assert divided["diabetes_pedigree"] == pedigree


@pytest.mark.parametrize(
    ("values", "bands"),
    [
        ([], ()),
        ([np.nan, np.nan], ()),
        ([5], ()),
        ([7] * 20, ()),
        ([0] * 15 + [9] * 5, ()),
        ([0] * 12 + [9] * 8, (8,)),
        ([0, 1] * 10, (1,)),
        ([1e30, 2e30, 3e30, 4e30], (2e30, 3e30)),
        ([-3, -2, -1, 0, 1, 2, 3], (-2, 0, 2)),
    ],
)
def test_bands_of_few_or_equal_values(values: list[float], bands: tuple[float, ...]) -> None:
    assert quartile_bands(np.array(values, dtype=np.float64)) == pytest.approx(bands)


@given(st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=1, max_size=30))
def test_bands_ascend_and_each_has_something_below_it(values: list[float]) -> None:
    bands = quartile_bands(np.array(values))
    assert list(bands) == sorted(set(bands))
    assert all(min(values) < edge for edge in bands)


def test_bands_seldom_move_from_one_week_to_the_next() -> None:
    """Two years of 13 new patients a week, after 300, each labelled up to eight weeks after the ids
    were given."""
    draw = np.random.default_rng(5)
    rows = 300 + 104 * 13
    features = shipped_rows().features[draw.integers(0, 768, rows)]
    known_in_week = np.maximum(0, (np.arange(rows) - 300) // 13 + 1) + draw.integers(0, 9, rows)
    trainings = [features[known_in_week <= week] for week in range(8, 105)]
    bands = [list(_all_divided(rows[:1], rows).values()) for rows in trainings]
    moved = sum(
        one != other
        for before, after in pairwise(bands)
        for one, other in zip(before, after, strict=True)
    )
    # Eight features, of which each may move when there are 512 rows and when there are 1,024.
    assert moved <= 16


@pytest.mark.parametrize(
    ("bands", "told"),
    [
        ((18,), "are no ends of bands"),
        ((30, 30), "are no ends of bands"),
        ((45, 30), "are no ends of bands"),
        ((30, 121), "are no ends of bands"),
        ((30, float("nan"), 50), "are no ends of bands"),
        (tuple(range(30, 51)), "are 21"),
    ],
)
def test_wrong_bands_are_refused(bands: tuple[float, ...], told: str) -> None:
    fault = first_fault(Declaration(Outcome("ill"), (changed(AGE, bands=bands),)))
    assert fault is not None
    assert (fault.key, fault.what) == ("feature 1 (age): bands", told)


def test_sound_bands_are_taken_and_a_category_has_none() -> None:
    assert first_fault(Declaration(Outcome("ill"), (changed(AGE, bands=(19, 120)), SEX))) is None
    fault = first_fault(Declaration(Outcome("ill"), (changed(SEX, bands=(1.5,)),)))
    assert (fault.key, fault.what) == ("feature 1 (sex): bands", "belongs to a number")


def _of_sizes(name: str, *sizes: int) -> pd.DataFrame:
    groups = [f"group {n}" for n, size in enumerate(sizes) for _ in range(size)]
    return pd.DataFrame({name: groups}, dtype="category")


def test_of_a_group_that_is_held_back_nothing_is_said() -> None:
    outcomes, answers = np.array([0, 1] * 60, dtype=np.int8), np.linspace(0.1, 0.9, 120)
    divided = pd.concat([_of_sizes("site", 3, 40, 77), _of_sizes("all", 120)], axis=1)
    found = evidence(contest(outcomes, answers, answers, groups=divided))
    assert [each.group for each in found.subgroups] == ["group 0", "group 1", "group 2"]
    first, second, third = found.subgroups
    for each in (first, second):
        assert (each.rows, each.positive, each.few, each.treat_all) == (None,) * 4
        assert each.contestants == ()
    assert (third.rows, third.few) == (77, False)


OUTCOMES = np.array([0, 1] * 100, dtype=np.int8)
"""Two hundred rows in two halves, by `SITE`."""
SITE = _of_sizes("site", 100, 100)


def _right(first_half: int, second_half: int) -> np.ndarray:
    """Probabilities that are right on so many of each half's rows."""
    right = np.zeros(200, dtype=bool)
    right[:first_half] = right[100 : 100 + second_half] = True
    return np.where(right == (OUTCOMES == 1), 0.9, 0.1)


def _contest(
    challenger: np.ndarray, champion: np.ndarray | None, divided: pd.DataFrame = SITE
) -> Contest:
    return contest(OUTCOMES, challenger, champion, groups=divided)


WINS_AT_ONE_SITE = _contest(_right(90, 74), _right(70, 80))
"""20 points better in one half, 6 worse in the other."""


@pytest.mark.parametrize(
    ("margin", "reason"),
    [
        (None, Reason.MORE_CORRECT),
        (0.0, Reason.SUBGROUP_WORSE),
        (0.05, Reason.SUBGROUP_WORSE),
        (0.06, Reason.MORE_CORRECT),
        (0.5, Reason.MORE_CORRECT),
    ],
)
def test_a_challenger_that_does_worse_in_a_subgroup_is_kept_out(
    margin: float | None, reason: Reason
) -> None:
    verdict = decide(WINS_AT_ONE_SITE, GateOptions(subgroup_margin=margin))
    assert verdict.reason is reason
    worst = verdict.figures.worst_subgroup
    if reason is Reason.SUBGROUP_WORSE:
        assert verdict.decision is Decision.BLOCKED
        assert (
            "(site group 1, 100 rows: -6.0 points; correct of 200 holdout rows" in verdict.sentence
        )
        assert (worst.group, worst.gain) == ("group 1", pytest.approx(-0.06))
    else:
        assert (worst is None) == (margin is None)


@pytest.mark.parametrize("sizes", [(201 - FEW_ROWS, FEW_ROWS - 1), (101, 91, 8)])
def test_no_subgroup_is_asked_that_is_marked_or_may_not_be_shown(sizes: tuple[int, ...]) -> None:
    """On rows 174 to 179 the challenger is worse: in a group of 49, and in one that tells of a
    small one."""
    champion, challenger = _right(70, 80), _right(90, 74)
    asked = _contest(challenger, champion, _of_sizes("site", *sizes))
    assert decide(asked, GateOptions(subgroup_margin=0.0)).reason is Reason.MORE_CORRECT


def test_the_margin_is_in_the_measures_unit() -> None:
    options = GateOptions(measure=Measure.LOG_LOSS)
    margins = decide(WINS_AT_ONE_SITE, replace(options, subgroup_margin=0.9)).figures.worst_subgroup
    # Six rows in a hundred of which one has 0.9 for the outcome and the other 0.1.
    assert margins.gain == pytest.approx(-0.06 * np.log(9))
    verdict = decide(WINS_AT_ONE_SITE, replace(options, subgroup_margin=0.1))
    assert (verdict.reason, "site group 1, 100 rows: -0.1318" in verdict.sentence) == (
        Reason.SUBGROUP_WORSE,
        True,
    )
    assert (
        decide(WINS_AT_ONE_SITE, replace(options, subgroup_margin=0.14)).reason
        is Reason.LOWER_LOG_LOSS
    )


def test_neither_a_first_champion_nor_a_loser_is_asked_about_subgroups() -> None:
    first, loser = _contest(_right(90, 74), None), _contest(_right(70, 70), _right(70, 80))
    for asked, reason in ((first, Reason.FIRST_CHAMPION), (loser, Reason.NOT_MORE_CORRECT)):
        assert decide(asked, GateOptions(subgroup_margin=0.0)).reason is reason


def test_only_the_test_set_s_rows_count_for_subgroups() -> None:
    assert (
        decide(WINS_AT_ONE_SITE, GateOptions(subgroup_margin=0.0)).reason is Reason.SUBGROUP_WORSE
    )
    too_few_of_the_second = contests.changed(WINS_AT_ONE_SITE, in_window=np.arange(200) < 149)
    assert (
        decide(too_few_of_the_second, GateOptions(subgroup_margin=0.0)).reason
        is Reason.MORE_CORRECT
    )
