"""What the gate may ask of subgroups: that a challenger is in none of them much worse than the champion."""

from dataclasses import replace

import numpy as np
import pytest

from pima.core.contest import Contest
from pima.core.subgroups import Grouping
from pima.core.subgroups import FEW_ROWS
from pima.core.contest import Measure
from pima.core.promotion import GateOptions, decide
from pima.core.promotion import Decision, Reason


def _grouping(name: str, *sizes: int) -> Grouping:
    groups = tuple(f"group {n}" for n in range(len(sizes)))
    return Grouping(name, groups, np.repeat(np.arange(len(sizes)), sizes).astype(np.int16))


OUTCOMES = np.array([0, 1] * 100, dtype=np.int8)
"""Two hundred rows in two halves, by `SITE`."""
SITE = _grouping("site", 100, 100)


def _right(first_half: int, second_half: int) -> np.ndarray:
    """Probabilities that are right on so many of each half's rows."""
    right = np.zeros(200, dtype=bool)
    right[:first_half] = right[100 : 100 + second_half] = True
    return np.where(right == (OUTCOMES == 1), 0.9, 0.1)


def _contest(challenger: np.ndarray, champion: np.ndarray | None, *found: Grouping) -> Contest:
    return Contest(
        outcomes=OUTCOMES,
        in_window=np.ones(200, dtype=bool),
        challenger=challenger,
        challenger_threshold=0.5,
        champion=champion,
        champion_threshold=0.5,
        champion_unloadable=False,
        parity_passed=True,
        pinned=False,
        rolled_back_before=False,
        groupings=found or (SITE,),
    )


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
def test_a_challenger_that_does_worse_in_a_subgroup_is_kept_out(margin: float | None, reason: Reason) -> None:
    verdict = decide(WINS_AT_ONE_SITE, GateOptions(subgroup_margin=margin))
    assert verdict.reason is reason
    if reason is Reason.SUBGROUP_WORSE:
        assert verdict.decision is Decision.BLOCKED
        assert "(site group 1, 100 rows: -6.0 points; correct of 200 holdout rows" in verdict.sentence
        assert (verdict.worst_subgroup.group, verdict.worst_subgroup.gain) == ("group 1", pytest.approx(-0.06))
    else:
        assert (verdict.worst_subgroup is None) == (margin is None)


@pytest.mark.parametrize("sizes", [(201 - FEW_ROWS, FEW_ROWS - 1), (101, 91, 8)])
def test_no_subgroup_is_asked_that_is_marked_or_may_not_be_shown(sizes: tuple[int, ...]) -> None:
    """On rows 174 to 179 the challenger is worse: in a group of 49, and in one that tells of a small one."""
    champion, challenger = _right(70, 80), _right(90, 74)
    asked = _contest(challenger, champion, _grouping("site", *sizes))
    assert decide(asked, GateOptions(subgroup_margin=0.0)).reason is Reason.MORE_CORRECT


def test_the_margin_is_in_the_measures_unit() -> None:
    options = GateOptions(measure=Measure.LOG_LOSS)
    margins = decide(WINS_AT_ONE_SITE, replace(options, subgroup_margin=0.9)).worst_subgroup
    # Six rows in a hundred of which one has 0.9 for the outcome and the other 0.1.
    assert margins.gain == pytest.approx(-0.06 * np.log(9))
    verdict = decide(WINS_AT_ONE_SITE, replace(options, subgroup_margin=0.1))
    assert (verdict.reason, "site group 1, 100 rows: -0.1318" in verdict.sentence) == (Reason.SUBGROUP_WORSE, True)
    assert decide(WINS_AT_ONE_SITE, replace(options, subgroup_margin=0.14)).reason is Reason.LOWER_LOG_LOSS


def test_only_the_test_set_s_rows_count_for_subgroups() -> None:
    assert decide(WINS_AT_ONE_SITE, GateOptions(subgroup_margin=0.0)).reason is Reason.SUBGROUP_WORSE
    too_few_of_the_second = replace(WINS_AT_ONE_SITE, in_window=np.arange(200) < 149)
    assert decide(too_few_of_the_second, GateOptions(subgroup_margin=0.0)).reason is Reason.MORE_CORRECT


def test_without_a_champion_no_subgroup_is_worse() -> None:
    verdict = decide(replace(WINS_AT_ONE_SITE, champion=None), GateOptions(subgroup_margin=0.0))
    assert (verdict.reason, verdict.worst_subgroup) == (Reason.FIRST_CHAMPION, None)


def test_a_loser_stays_a_loser_whatever_its_subgroups() -> None:
    verdict = decide(_contest(_right(70, 70), _right(70, 80)), GateOptions(subgroup_margin=0.0))
    assert verdict.reason is Reason.NOT_MORE_CORRECT
