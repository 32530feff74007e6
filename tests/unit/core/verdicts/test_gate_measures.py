"""The test set, and what better means by each measure, with the figures beside it."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss

from pima.core.verdicts.contest import Contest
from pima.core.verdicts.gate import GateOptions, Verdict, Window, decide, in_window, measured
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.verdict import Measure, Measured
from tests.support.contests import contest

WEEK = 7 * 24 * 3600 * 1000
NOW = pd.Timestamp(1_000 * WEEK, unit="ms", tz="UTC")


def _times(*counts_by_age: tuple[int, float]) -> pd.Series:
    """So many rows labelled so many weeks ago each, oldest first."""
    return _ago([int(weeks * WEEK) for count, weeks in counts_by_age for _ in range(count)])


def _ago(milliseconds: list[int]) -> pd.Series:
    return NOW.as_unit("ms") - pd.Series(np.array(milliseconds, dtype="m8[ms]"))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (_times((500, 60), (300, 10)), 300),  # enough in the last 26 weeks: those
        (_times((500, 60), (100, 10)), 250),  # too few: back to 250
        (_times((50, 60), (100, 10)), 150),  # fewer than that exist: all
        (_times((500, 60), (3_000, 10)), 1_000),  # too many: the newest 1,000
        (
            _times((300, 26), (260, 25.99)),
            260,
        ),  # 26 weeks ago to the millisecond is not in the last 26 weeks
        (_times((400, -1)), 400),  # a clock that was ahead
    ],
)
def test_the_window(times: pd.Series, expected: int) -> None:
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
def test_no_row_outside_is_newer_than_one_inside(
    ages: list[int], minimum: int, maximum: int, weeks: int
) -> None:
    times = _ago(ages)
    chosen = in_window(times, Window(weeks, minimum, maximum), NOW)
    recent = sum(age < weeks * WEEK for age in ages)
    assert chosen.sum() == min(max(recent, minimum), maximum, len(times))
    if chosen.any() and not chosen.all():
        assert times[~chosen].max() <= times[chosen].min()


# Five of a hundred have the outcome.
OUTCOMES = np.array([1] * 5 + [0] * 95, dtype=np.int8)
KNOWING = np.where(OUTCOMES == 1, 0.4, 0.03)
"""Says who is at risk, and calls nobody ill at 0.5."""
VAGUE = np.where(OUTCOMES == 1, 0.1, 0.048)
CONSTANT = np.full(100, 0.05)
WORSE = np.full(100, 0.2)
LOG_LOSS, NET_BENEFIT = (
    GateOptions(measure=Measure.LOG_LOSS),
    GateOptions(measure=Measure.NET_BENEFIT),
)


def _contest(
    challenger: np.ndarray, champion: np.ndarray | None = None, **changes: object
) -> Contest:
    return contest(OUTCOMES, challenger, champion, 0.1, **changes)


def _decided(contest: Contest, options: GateOptions) -> tuple[Decision, Reason]:
    verdict = decide(contest, options)
    assert verdict.sentence.startswith(verdict.decision)
    return verdict.decision, verdict.reason


@pytest.mark.parametrize(
    ("contest", "decision", "reason"),
    [
        (_contest(KNOWING), Decision.PROMOTED, Reason.FIRST_CHAMPION),
        (_contest(CONSTANT), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (_contest(np.full(100, 0.05 + 1e-9)), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (_contest(WORSE), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (_contest(KNOWING, VAGUE), Decision.PROMOTED, Reason.LOWER_LOG_LOSS),
        (_contest(KNOWING, KNOWING), Decision.NOT_BETTER, Reason.NOT_LOWER_LOG_LOSS),
        (_contest(VAGUE, KNOWING), Decision.NOT_BETTER, Reason.NOT_LOWER_LOG_LOSS),
        (_contest(CONSTANT, WORSE), Decision.PROMOTED, Reason.LOWER_LOG_LOSS),
        (_contest(np.full(100, 0.15), WORSE), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (
            _contest(KNOWING, champion_unloadable=True),
            Decision.PROMOTED,
            Reason.CHAMPION_UNLOADABLE,
        ),
        (
            _contest(CONSTANT, champion_unloadable=True),
            Decision.NOT_BETTER,
            Reason.NOT_ABOVE_CONSTANT,
        ),
        (_contest(KNOWING, np.full(100, np.nan)), Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE),
        (_contest(KNOWING, VAGUE, pinned=True), Decision.BLOCKED, Reason.PINNED),
        (
            contest(np.zeros(100, np.int8), KNOWING, VAGUE, 0.1),
            Decision.BLOCKED,
            Reason.SINGLE_CLASS,
        ),
        (_contest(np.append(KNOWING[:-1], np.nan), VAGUE), Decision.BLOCKED, Reason.NOT_FINITE),
    ],
)
def test_the_rule_by_log_loss(contest: Contest, decision: Decision, reason: Reason) -> None:
    assert _decided(contest, LOG_LOSS) == (decision, reason)


def _calling(cases: int, false_alarms: int) -> np.ndarray:
    """Calls so many of the five cases and of the 95 others ill."""
    called = np.zeros(100, dtype=bool)
    called[:cases] = True
    called[5 : 5 + false_alarms] = True
    return np.where(called, 0.9, 0.05)


@pytest.mark.parametrize(
    ("contest", "decision", "reason"),
    [
        (_contest(_calling(3, 10)), Decision.PROMOTED, Reason.FIRST_CHAMPION),
        (_contest(_calling(0, 0)), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),  # treats none
        # At a threshold of 0.1 nine false alarms are one case: worth nothing, though no float says
        # so exactly.
        (_contest(_calling(1, 9)), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (_contest(_calling(1, 10)), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (_contest(_calling(1, 8)), Decision.PROMOTED, Reason.FIRST_CHAMPION),
        # At 0.04 treating all is better than treating none: 5 - 95 / 24 = 1.04 cases.
        (
            _contest(_calling(1, 0), of_challenger={"threshold": 0.04}),
            Decision.NOT_BETTER,
            Reason.NOT_ABOVE_CONSTANT,
        ),
        (
            _contest(_calling(5, 95), of_challenger={"threshold": 0.04}),
            Decision.NOT_BETTER,
            Reason.NOT_ABOVE_CONSTANT,
        ),
        (_contest(_calling(4, 18), _calling(3, 10)), Decision.PROMOTED, Reason.MORE_NET_BENEFIT),
        (
            _contest(_calling(4, 19), _calling(3, 10)),
            Decision.NOT_BETTER,
            Reason.NOT_MORE_NET_BENEFIT,
        ),  # a tie
        (
            _contest(_calling(4, 20), _calling(3, 10)),
            Decision.NOT_BETTER,
            Reason.NOT_MORE_NET_BENEFIT,
        ),
        (_contest(_calling(0, 1), _calling(0, 9)), Decision.NOT_BETTER, Reason.NOT_ABOVE_CONSTANT),
        (_contest(_calling(0, 0), _calling(0, 9)), Decision.PROMOTED, Reason.MORE_NET_BENEFIT),
        (
            _contest(_calling(2, 1), np.full(100, np.nan)),
            Decision.PROMOTED,
            Reason.CHAMPION_UNLOADABLE,
        ),
        (_contest(_calling(3, 0), _calling(2, 0), pinned=True), Decision.BLOCKED, Reason.PINNED),
    ],
)
def test_the_rule_by_net_benefit(contest: Contest, decision: Decision, reason: Reason) -> None:
    assert _decided(contest, NET_BENEFIT) == (decision, reason)


@pytest.mark.parametrize("false_alarms", range(1, 31))
def test_one_case_more_for_as_many_false_alarms_as_it_is_worth_is_a_tie(false_alarms: int) -> None:
    """Whatever the floats say: some of these sums come out above 0 by their rounding."""
    contest = _contest(
        _calling(4, 3 + false_alarms),
        _calling(3, 3),
        of_challenger={"threshold": 1 / (1 + false_alarms)},
    )
    assert _decided(contest, NET_BENEFIT) == (Decision.NOT_BETTER, Reason.NOT_MORE_NET_BENEFIT)


@pytest.mark.parametrize("champions", [0.01, 0.06, 0.5, 0.99])
@pytest.mark.parametrize("probabilities", [_calling(3, 10), KNOWING, VAGUE])
def test_another_threshold_by_itself_is_no_net_benefit(
    probabilities: np.ndarray, champions: float
) -> None:
    """Each threshold is the best under its own odds: the same model would win at every change of
    the setting."""
    contest = _contest(
        probabilities,
        probabilities,
        of_challenger={"threshold": 0.06},
        of_champion={"threshold": champions},
    )
    assert _decided(contest, NET_BENEFIT) == (Decision.NOT_BETTER, Reason.NOT_MORE_NET_BENEFIT)
    assert decide(contest, NET_BENEFIT).figures.measured.gain == 0


@pytest.mark.parametrize(
    ("measure", "contest"),
    [(LOG_LOSS, _contest(KNOWING, VAGUE)), (NET_BENEFIT, _contest(_calling(3, 2), _calling(2, 2)))],
)
def test_the_options_are_asked_in_the_measures_unit(measure: GateOptions, contest: Contest) -> None:
    gain = decide(contest, measure).figures.measured.gain
    for minimum, decision in ((gain, Decision.PROMOTED), (gain * 1.001, Decision.NOT_BETTER)):
        assert decide(contest, replace(measure, minimum_gain=minimum)).decision is decision
    assert _decided(contest, replace(measure, minimum_gain=0.9))[1] is Reason.BELOW_MINIMUM_GAIN
    assert _decided(contest, replace(measure, approve=True)) == (
        Decision.BLOCKED,
        Reason.AWAITS_APPROVAL,
    )


def test_the_veto_stands_beside_either_measure() -> None:
    vetoed = replace(NET_BENEFIT, log_loss_veto=True)
    # Two cases found and no false alarm, but sure of what is wrong elsewhere.
    reckless = np.where(np.arange(100) == 4, 1e-7, _calling(2, 0))
    assert _decided(_contest(reckless, VAGUE * 0.9), vetoed)[1] is Reason.LOG_LOSS_VETO
    barely = np.where(np.arange(100) == 0, 0.1001, VAGUE)
    assert _decided(_contest(barely, VAGUE), LOG_LOSS)[1] is Reason.LOWER_LOG_LOSS
    assert (
        _decided(_contest(barely, VAGUE), replace(LOG_LOSS, log_loss_veto=True))[1]
        is Reason.LOWER_LOG_LOSS
    )
    mixed = np.where(np.arange(100) < 2, 0.5, np.where(np.arange(100) < 20, 0.1, VAGUE))
    assert _decided(_contest(mixed, VAGUE), LOG_LOSS)[1] is Reason.LOWER_LOG_LOSS
    close = np.where(np.arange(100) == 0, 0.3, np.where(np.arange(100) < 20, 0.1, VAGUE))
    verdict = decide(_contest(close, VAGUE), replace(LOG_LOSS, log_loss_veto=True))
    assert (verdict.reason, verdict.figures.comparison.log_loss_p > 0.25) == (
        Reason.LOG_LOSS_VETO,
        True,
    )


FOUND_ONE_MORE = _contest(_calling(3, 10), _calling(2, 10))


@pytest.mark.parametrize(
    ("options", "contest", "told"),
    [
        (LOG_LOSS, _contest(CONSTANT), "constant answer .*constant prevalence 0.1985)"),
        (
            LOG_LOSS,
            _contest(KNOWING, VAGUE),
            "log loss on 100 .*challenger 0.07.*champion 0.16.*constant.*gain +0.08",
        ),
        (
            NET_BENEFIT,
            FOUND_ONE_MORE,
            "odds of the threshold 0.1 on 100 holdout rows, 5 .*one-sided p 0.16)",
        ),
        (
            NET_BENEFIT,
            FOUND_ONE_MORE,
            "0.0189, champion 0.0089, treating all or none 0.00.*gain +0.0100, 95 %",
        ),
    ],
)
def test_people_are_told_the_figures_of_the_measure_that_decided(
    options: GateOptions, contest: Contest, told: str
) -> None:
    sentence = decide(contest, options).sentence
    assert np.sum([word in sentence for word in ("majority", "McNemar", "correct")]) == 0
    assert re.search(re.escape(told).replace(r"\.\*", ".*"), sentence), sentence


def test_the_figures_are_of_the_window_and_of_rows_that_both_can_be_judged_on() -> None:
    window, unseen = np.arange(100) % 2 == 0, np.arange(100) >= 3
    contest = _contest(KNOWING, VAGUE, in_window=window & unseen, of_champion={"unseen": unseen})
    found = decide(contest, LOG_LOSS)
    judged = window & unseen
    assert found.figures.challenger_scores.rows == judged.sum()
    assert found.figures.measured.challenger == pytest.approx(
        log_loss(OUTCOMES[judged], KNOWING[judged])
    )
    assert found.figures.measured.champion == pytest.approx(
        log_loss(OUTCOMES[judged], VAGUE[judged])
    )
    whole = log_loss(OUTCOMES[unseen], VAGUE[unseen]) - log_loss(OUTCOMES[unseen], KNOWING[unseen])
    assert found.figures.measured.whole_gain == pytest.approx(whole)
    assert "left out 3 that the champion may have learned from" in found.sentence


# ---- beside scikit-learn

rows = st.lists(
    st.tuples(st.integers(0, 1), st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6)),
    min_size=2,
    max_size=60,
)
thresholds = st.floats(0.01, 0.99)


def _drawn(
    given: list[tuple[int, float, float]], threshold: float, champions: float | None = None
) -> Contest:
    outcomes, challenger, champion = (np.array([row[n] for row in given]) for n in range(3))
    assume(0 < outcomes.sum() < len(outcomes))
    others = threshold if champions is None else champions
    return contest(
        outcomes.astype(np.int8), challenger, champion, threshold, of_champion={"threshold": others}
    )


def _net_benefit(outcomes: np.ndarray, predicted: np.ndarray, threshold: float) -> float:
    (_, false_alarms), (_, found) = confusion_matrix(outcomes, predicted, labels=[0, 1])
    return float(found / len(outcomes) - false_alarms / len(outcomes) * threshold / (1 - threshold))


def _consistent(verdict: Verdict, found: Measured, reference: float) -> None:
    """Nothing is promoted that is not strictly better, and what is clearly better is."""
    assert found.gain == pytest.approx(reference, abs=1e-9)
    assert found.interval_low <= found.gain <= found.interval_high
    assert 0 <= found.p <= 1
    if verdict.decision is Decision.PROMOTED:
        assert reference > -1e-9
        assert found.gain_on_constant > -1e-9
    elif reference > 1e-9:
        assert found.gain_on_constant < 1e-9


@settings(max_examples=40)
@given(rows)
def test_log_loss_is_scikit_learns(drawn: list[tuple[int, float, float]]) -> None:
    contest = _drawn(drawn, 0.5)
    verdict = decide(contest, LOG_LOSS)
    found = verdict.figures.measured
    outcomes = contest.outcomes
    assert found.challenger == pytest.approx(log_loss(outcomes, contest.challenger.probabilities))
    assert found.champion == pytest.approx(log_loss(outcomes, contest.champion.probabilities))
    assert found.constant == pytest.approx(
        log_loss(outcomes, np.full(len(outcomes), outcomes.mean()))
    )
    _consistent(verdict, found, found.champion - found.challenger)


@settings(max_examples=40)
@given(rows, thresholds, thresholds)
def test_net_benefit_is_the_written_out_sum(
    drawn: list[tuple[int, float, float]], threshold: float, champions: float
) -> None:
    contest = _drawn(drawn, threshold, champions)
    verdict = decide(contest, NET_BENEFIT)
    found, outcomes = verdict.figures.measured, contest.outcomes
    both = (each.probabilities >= threshold for each in contest.contestants)
    challenger, champion = (_net_benefit(outcomes, predicted, threshold) for predicted in both)
    all_of_them = _net_benefit(outcomes, np.ones(len(outcomes)), threshold)
    assert (found.challenger, found.champion) == (
        pytest.approx(challenger),
        pytest.approx(champion),
    )
    assert found.constant == pytest.approx(max(0.0, all_of_them))
    _consistent(verdict, found, challenger - champion)


@settings(max_examples=40)
@given(rows, thresholds)
def test_by_accuracy_the_figures_are_those_of_the_comparison(
    drawn: list[tuple[int, float, float]], threshold: float
) -> None:
    contest = _drawn(drawn, threshold)
    verdict = decide(contest, GateOptions())
    figures = verdict.figures
    found, comparison = figures.measured, figures.comparison
    assert found.gain == comparison.accuracy_difference
    assert (found.interval_low, found.interval_high) == (
        comparison.interval_low,
        comparison.interval_high,
    )
    assert (found.p, found.whole_gain) == (
        comparison.mcnemar_p,
        pytest.approx(figures.whole_accuracy_difference),
    )
    assert (found.challenger, found.champion) == (
        figures.challenger_scores.accuracy,
        figures.champion_scores.accuracy,
    )
    assert found.constant == figures.majority_correct / figures.challenger_scores.rows


def test_probabilities_of_0_and_1_cost_much_and_not_infinitely() -> None:
    found = measured(Measure.LOG_LOSS, _contest(np.where(OUTCOMES == 1, 0.0, 1.0), KNOWING))
    assert 15 < found.challenger < 17
    assert np.isfinite(
        measured(
            Measure.NET_BENEFIT, _contest(KNOWING, VAGUE, of_challenger={"threshold": 1.0})
        ).gain
    )
