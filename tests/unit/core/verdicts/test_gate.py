"""The gate: its rule, and what may be asked beyond it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.evidence import evidence
from pima.core.verdicts.gate import GateOptions, decide
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.verdict import Measure
from tests.support.contests import changed, contest, contestant

OUTCOMES = np.array([0] * 6 + [1] * 4, dtype=np.int8)


def _with_correct(count: int) -> np.ndarray:
    """Probabilities that are right on exactly `count` of the ten rows, the positives first."""
    order = np.argsort(-OUTCOMES, kind="stable")
    right = np.zeros(10, dtype=bool)
    right[order[:count]] = True
    return np.where(right == (OUTCOMES == 1), 0.9, 0.1)


def _contest(challenger: int, champion: int | None, **changes: object) -> Contest:
    champions = None if champion is None else _with_correct(champion)
    return contest(OUTCOMES, _with_correct(challenger), champions, 0.5, **changes)


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
        (
            _contest(7, None, champion_unloadable=True),
            Decision.PROMOTED,
            Reason.CHAMPION_UNLOADABLE,
        ),
        (
            _contest(6, None, champion_unloadable=True),
            Decision.NOT_BETTER,
            Reason.NOT_ABOVE_MAJORITY,
        ),
        (
            contest(np.ones(10, np.int8), np.full(10, 0.9), np.full(10, 0.1)),
            Decision.BLOCKED,
            Reason.SINGLE_CLASS,
        ),
        (_contest(9, 8, pinned=True), Decision.BLOCKED, Reason.PINNED),
        (_contest(8, 8, pinned=True), Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT),
        (_contest(9, 8, suspended=True, pinned=True), Decision.BLOCKED, Reason.SUSPENDED),
        (_contest(9, None, suspended=True), Decision.BLOCKED, Reason.SUSPENDED),
        (_contest(8, 8, suspended=True), Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT),
        (_contest(9, 8, parity_passed=False), Decision.BLOCKED, Reason.PARITY_FAILED),
        (_contest(9, 8, rolled_back_before=True), Decision.BLOCKED, Reason.ROLLED_BACK_BEFORE),
        (_contest(9, None, rolled_back_before=True), Decision.BLOCKED, Reason.ROLLED_BACK_BEFORE),
    ],
)
def test_the_rule(contest: Contest, decision: Decision, reason: Reason) -> None:
    verdict = decide(contest, GateOptions())
    assert (verdict.decision, verdict.reason) == (decision, reason)
    assert verdict.sentence.startswith(decision)


@pytest.mark.parametrize(
    ("won", "told"), [(5, "McNemar p 0.06"), (7, "McNemar p 0.02"), (8, "McNemar p below 0.01")]
)
def test_no_p_is_told_to_be_nothing(won: int, told: str) -> None:
    outcomes = np.array([0] * 30 + [1] * 30, dtype=np.int8)
    challenger = np.where(outcomes == 1, 0.9, 0.1)
    champion = challenger.copy()
    champion[:won] = 0.9
    verdict = decide(contest(outcomes, challenger, champion), GateOptions())
    assert f"{told})" in verdict.sentence


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_never_win(bad: float) -> None:
    challenger = _with_correct(10)
    challenger[3] = bad
    verdict = decide(
        changed(_contest(9, 2), of_challenger={"probabilities": challenger}), GateOptions()
    )
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.NOT_FINITE)
    # There is no figure by the measure then, and of the champion its accuracy is told.
    assert (verdict.figures.by_role, verdict.figures.rows) == ({"champion": 0.2}, None)
    told = decide(_contest(9, 2), GateOptions(measure=Measure.LOG_LOSS)).figures
    assert (list(told.by_role), told.rows) == (["challenger", "champion"], 10)
    assert told.measured is not None
    assert told.by_role["champion"] == told.measured.champion


def test_each_side_is_judged_by_its_own_threshold() -> None:
    cautious = {"probabilities": np.full(10, 0.4), "threshold": 0.3}
    verdict = decide(changed(_contest(9, 8), of_challenger=cautious), GateOptions())
    figures = verdict.figures
    assert figures.challenger_scores is not None
    assert figures.challenger_scores.correct == 4


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60
    ),
    st.booleans(),
)
def test_nothing_is_promoted_that_is_not_strictly_more_often_right(rows, pinned: bool) -> None:
    outcomes = np.array([row[0] for row in rows], dtype=np.int8)
    challenger, champion = (np.array([row[n] for row in rows]) for n in (1, 2))
    verdict = decide(contest(outcomes, challenger, champion, pinned=pinned), GateOptions())
    difference = int(((challenger >= 0.5) == outcomes).sum()) - int(
        ((champion >= 0.5) == outcomes).sum()
    )
    if verdict.decision is Decision.PROMOTED:
        assert difference > 0
        assert not pinned


def _many(
    challenger_right: np.ndarray,
    champion_right: np.ndarray,
    sureness: float = 0.9,
    **changes: object,
) -> Contest:
    """A contest over many rows of both classes, with who is right on which; the challenger is as
    sure as told."""
    rows = len(challenger_right)
    outcomes = np.arange(rows) % 2
    positive = outcomes == 1
    challenger = np.where(challenger_right == positive, sureness, 1 - sureness)
    return contest(
        outcomes.astype(np.int8),
        challenger,
        np.where(champion_right == positive, 0.9, 0.1),
        **changes,
    )


def _right(rows: int, *wrong: int) -> np.ndarray:
    right = np.ones(rows, dtype=bool)
    right[list(wrong)] = False
    return right


def test_the_verdict_is_given_on_the_window_and_the_whole_is_told_beside_it() -> None:
    challenger, champion = _right(100, 3, 4, 5, 90), _right(100, 90, 91)
    recent = np.arange(100) >= 50
    verdict = decide(_many(challenger, champion, in_window=recent), GateOptions())
    figures = verdict.figures
    assert (verdict.decision, verdict.reason) == (Decision.PROMOTED, Reason.MORE_CORRECT)
    assert figures.challenger_scores is not None
    assert (figures.challenger_scores.rows, figures.whole_rows) == (50, 100)
    assert figures.comparison is not None
    assert figures.comparison.accuracy_difference == 1 / 50
    assert figures.whole_accuracy_difference == pytest.approx(-2 / 100)
    assert decide(_many(challenger, champion), GateOptions()).reason is Reason.NOT_MORE_CORRECT


@pytest.mark.parametrize("unseen", [np.arange(100) >= 0, np.arange(100) >= 50])
def test_outputs_that_are_no_numbers_for_a_row_that_does_not_judge_never_win_either(
    unseen: np.ndarray,
) -> None:
    window = np.arange(100) >= 50
    right = _right(100), _right(100, 90, 91)
    contest = _many(*right, in_window=window, of_champion={"unseen": unseen})
    assert decide(contest, GateOptions()).decision is Decision.PROMOTED
    answers = np.where(np.arange(100) == 3, np.nan, contest.challenger.probabilities)
    contest = changed(contest, of_challenger={"probabilities": answers})
    verdict = decide(contest, GateOptions())
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.NOT_FINITE)
    assert verdict.figures.whole_accuracy_difference is None


@pytest.mark.parametrize(
    ("minimum_gain", "reason"),
    [(0.019, Reason.MORE_CORRECT), (0.02, Reason.MORE_CORRECT), (0.021, Reason.BELOW_MINIMUM_GAIN)],
)
def test_a_minimum_gain_is_asked_beside_the_rule(minimum_gain: float, reason: Reason) -> None:
    verdict = decide(_many(_right(100), _right(100, 1, 2)), GateOptions(minimum_gain=minimum_gain))
    assert verdict.reason is reason
    assert (verdict.decision is Decision.PROMOTED) == (reason is Reason.MORE_CORRECT)


def test_the_log_loss_veto_keeps_out_who_is_right_more_often_but_less_sure() -> None:
    hesitant = _many(_right(100), _right(100, 1), sureness=0.51)
    assert decide(hesitant, GateOptions()).decision is Decision.PROMOTED
    verdict = decide(hesitant, GateOptions(log_loss_veto=True))
    figures = verdict.figures
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.LOG_LOSS_VETO)
    assert figures.comparison is not None
    told = (
        f"log loss difference {figures.comparison.log_loss_difference:+.4f}, one-sided p 1.00, "
        "below 0.25 is asked)"
    )
    assert "gate.log_loss_veto" in verdict.sentence
    assert told in verdict.sentence
    sure = _many(_right(100), _right(100, 1), sureness=0.95)
    assert decide(sure, GateOptions(log_loss_veto=True)).decision is Decision.PROMOTED


@pytest.mark.parametrize("champion", [8, None])
def test_with_approval_asked_for_nobody_is_promoted_by_itself(champion: int | None) -> None:
    verdict = decide(_contest(9, champion), GateOptions(approve=True))
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.AWAITS_APPROVAL)
    assert "models promote" in verdict.sentence
    assert decide(_contest(8, 8), GateOptions(approve=True)).reason is Reason.NOT_MORE_CORRECT


def test_rows_that_the_champion_may_have_learned_from_count_for_neither() -> None:
    # On the first half, where it learned from, the champion is always right.
    challenger, champion = _right(100, 3, 4, 5, 90), _right(100, 90, 91)
    unseen = np.arange(100) >= 50
    contest = _many(challenger, champion, in_window=unseen, of_champion={"unseen": unseen})
    verdict = decide(contest, GateOptions())
    figures = verdict.figures
    assert (verdict.decision, verdict.reason) == (Decision.PROMOTED, Reason.MORE_CORRECT)
    assert figures.challenger_scores is not None
    assert figures.champion_scores is not None
    assert (
        figures.challenger_scores.rows == figures.champion_scores.rows == figures.whole_rows == 50
    )
    assert (figures.whole_accuracy_difference, figures.seen_rows) == (1 / 50, 50)
    assert "left out 50 that the champion may have learned from" in verdict.sentence
    assert "left out" not in decide(_many(challenger, champion), GateOptions()).sentence


@pytest.mark.parametrize("measure", list(Measure))
def test_rows_that_the_champion_cant_score_are_told_as_those_that_it_may_have_learned_from(
    measure: Measure,
) -> None:
    right = _right(100), _right(100, 90)
    scorable, unseen = np.arange(100) >= 20, np.arange(100) % 10 > 0
    options = GateOptions(measure=measure)
    alone = decide(_many(*right, of_champion={"scorable": scorable}), options)
    assert (alone.figures.seen_rows, alone.figures.unscorable_rows) == (0, 20)
    assert "left out 20 that the champion can't score)" in alone.sentence
    left_out = {"scorable": scorable, "unseen": unseen}
    both = decide(_many(*right, of_champion=left_out), options)
    told = (
        "left out 10 that the champion may have learned from and 20 that the champion can't score)"
    )
    assert told in both.sentence
    # Where the two are not compared, no row was left out.
    too_few = _many(*right, of_champion={"scorable": scorable}, too_few_unseen=True)
    assert "left out" not in decide(too_few, options).sentence


def test_where_too_few_rows_are_left_a_person_decides_with_the_challengers_figures_on_all_of_them() -> (
    None
):
    unseen = np.arange(100) >= 98
    right = _right(100), _right(100, 98)
    contest = _many(*right, of_champion={"unseen": unseen}, too_few_unseen=True)
    verdict = decide(contest, GateOptions())
    figures = verdict.figures
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.TOO_FEW_UNSEEN)
    assert figures.challenger_scores is not None
    assert (
        figures.challenger_scores.rows,
        figures.champion_scores,
        figures.comparison,
        figures.seen_rows,
    ) == (100, None, None, 98)
    assert "models promote" in verdict.sentence
    # It can't be compared with a champion that answers with no numbers, so there is nothing to wait
    # for.
    broken = changed(contest, of_champion={"probabilities": np.full(100, np.nan)})
    assert decide(broken, GateOptions()).reason is Reason.CHAMPION_UNLOADABLE


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_champion_that_gives_no_numbers_is_replaced_like_one_that_cannot_be_loaded(
    bad: float,
) -> None:
    champion = _with_correct(10)
    champion[2] = bad
    verdict = decide(
        changed(_contest(8, 8), of_champion={"probabilities": champion}), GateOptions()
    )
    figures = verdict.figures
    assert (verdict.decision, verdict.reason) == (Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE)
    assert figures.champion_scores is None
    assert figures.comparison is None


def test_a_contestant_that_decides_nothing_takes_no_row_from_the_verdict() -> None:
    contest = _many(_right(100, 3), _right(100, 3, 90, 91), in_window=np.arange(100) >= 20)
    third = replace(
        contestant(Role.CHAMPION, np.full(100, np.nan)),
        role="score",
        decides=False,
        scorable=np.arange(100) < 60,
    )
    with_a_third = replace(contest, contestants=(*contest.contestants, third))
    options = GateOptions(log_loss_veto=True, subgroup_margin=0.0)
    assert decide(with_a_third, options) == decide(contest, options)
    assert evidence(with_a_third) == evidence(contest)
    # It is compared with each of them on the rows that both can be judged on.
    assert len(with_a_third.between([contest.challenger, third]).outcomes) == 60
