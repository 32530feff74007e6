"""The gate's rule."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.promotion import Contest, Decision, Reason, decide

OUTCOMES = np.array([0] * 6 + [1] * 4, dtype=np.int8)


def _with_correct(count: int) -> np.ndarray:
    """Probabilities that are right on exactly `count` of the ten rows, the positives first."""
    order = np.argsort(-OUTCOMES, kind="stable")
    right = np.zeros(10, dtype=bool)
    right[order[:count]] = True
    return np.where(right == (OUTCOMES == 1), 0.9, 0.1)


def _contest(challenger: int, champion: int | None, **changes: object) -> Contest:
    contest = Contest(
        outcomes=OUTCOMES,
        challenger=_with_correct(challenger),
        challenger_threshold=0.5,
        champion=None if champion is None else _with_correct(champion),
        champion_threshold=0.5,
        champion_unloadable=False,
        parity_passed=True,
        pinned=False,
        rolled_back_before=False,
    )
    return replace(contest, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("contest", "decision", "reason"),
    [
        (_contest(9, 8), Decision.PROMOTED, Reason.MORE_CORRECT),
        (_contest(8, 8), Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT),
        (_contest(7, 8), Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT),
        (_contest(6, 5), Decision.PROMOTED, Reason.MORE_CORRECT),
        (_contest(5, 4), Decision.NOT_BETTER, Reason.NOT_ABOVE_MAJORITY),
        (_contest(7, None), Decision.PROMOTED, Reason.FIRST_CHAMPION),
        (_contest(6, None), Decision.NOT_BETTER, Reason.NOT_ABOVE_MAJORITY),
        (_contest(7, None, champion_unloadable=True), Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE),
        (_contest(6, None, champion_unloadable=True), Decision.NOT_BETTER, Reason.NOT_ABOVE_MAJORITY),
        (_contest(9, 8, pinned=True), Decision.BLOCKED, Reason.PINNED),
        (_contest(8, 8, pinned=True), Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT),
        (_contest(9, 8, parity_passed=False), Decision.BLOCKED, Reason.PARITY_FAILED),
        (_contest(9, 8, rolled_back_before=True), Decision.BLOCKED, Reason.ROLLED_BACK_BEFORE),
        (_contest(9, None, rolled_back_before=True), Decision.BLOCKED, Reason.ROLLED_BACK_BEFORE),
    ],
)
def test_the_rule(contest: Contest, decision: Decision, reason: Reason) -> None:
    verdict = decide(contest)
    assert (verdict.decision, verdict.reason) == (decision, reason)
    assert verdict.sentence.startswith(decision)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_never_win(bad: float) -> None:
    challenger = _with_correct(10)
    challenger[3] = bad
    verdict = decide(replace(_contest(9, 2), challenger=challenger))
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.NOT_FINITE)


def test_each_side_is_judged_by_its_own_threshold() -> None:
    verdict = decide(replace(_contest(9, 8), challenger=np.full(10, 0.4), challenger_threshold=0.3))
    assert verdict.challenger is not None
    assert verdict.challenger.correct == 4


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60),
    st.booleans(),
)
def test_nothing_is_promoted_that_is_not_strictly_more_often_right(rows, pinned: bool) -> None:
    outcomes = np.array([row[0] for row in rows], dtype=np.int8)
    challenger, champion = (np.array([row[n] for row in rows]) for n in (1, 2))
    contest = replace(_contest(0, 0, pinned=pinned), outcomes=outcomes, challenger=challenger, champion=champion)
    verdict = decide(contest)
    difference = int(((challenger >= 0.5) == outcomes).sum()) - int(((champion >= 0.5) == outcomes).sum())
    if verdict.decision is Decision.PROMOTED:
        assert difference > 0
        assert not pinned
