"""Rows that are visits of persons: what is written down again says no more, intervals are those of
drawing persons again, and where hardly anybody comes twice nothing changes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from msgspec import structs
from scipy.stats import norm, t

from pima.core.outcomes.realised import CameTrue, came_true
from pima.core.statistics.estimates import Estimate
from pima.core.statistics.samples import NO_CASES
from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.evidence import Evidence, evidence
from pima.core.verdicts.gate import GateOptions, Measure, decide
from pima.core.verdicts.pairs import PairEvidence
from pima.core.verdicts.reasons import Reason
from tests.support.contests import contest, contestant

PERSONS, AGAIN = 300, 5


@cache
def _written(times: int) -> Contest:
    """A contest of persons who have one row each, written down so many times, and a line that
    decides nothing."""
    draw = np.random.default_rng(5)
    known = draw.normal(-0.8, 1.1, PERSONS)
    outcomes = (draw.random(PERSONS) < 1 / (1 + np.exp(-known))).astype(np.int8)
    persons = np.repeat(np.arange(PERSONS), times)
    better, worse, line = (
        1 / (1 + np.exp(-(known + draw.normal(0, apart, PERSONS))))[persons]
        for apart in (0.3, 0.5, 0.5)
    )
    beside = replace(contestant(Role.STRAIGHT_LINE, line), name="a line", decides=False)
    both = contest(outcomes[persons], better, worse, threshold=0.3, persons=persons)
    return replace(both, contestants=(*both.contestants, beside))


def _widths(found: Evidence | PairEvidence) -> dict[str, tuple[float, float]]:
    told = {
        name: each for name, each in structs.asdict(found).items() if isinstance(each, Estimate)
    }
    return {name: (each.value - each.low, each.high - each.value) for name, each in told.items()}


def test_rows_that_are_written_down_again_say_no_more_than_once() -> None:
    once, again = (evidence(_written(times)) for times in (1, AGAIN))
    assert again.rows == AGAIN * once.rows
    models = zip(once.contestants, again.contestants, strict=True)
    for one, other in (*models, *zip(once.pairs, again.pairs, strict=True)):
        widths = _widths(other)
        for name, expected in _widths(one).items():
            assert widths[name] == pytest.approx(expected, rel=0.02), name
    for ours, theirs in (
        (again.treat_all, once.treat_all),
        (again.contestants[0].net_benefit, once.contestants[0].net_benefit),
    ):
        assert ours.net_benefit == pytest.approx(theirs.net_benefit)
        for bound, expected in ((ours.low, theirs.low), (ours.high, theirs.high)):
            shown = [pair for pair in zip(bound, expected, strict=True) if None not in pair]
            assert len(shown) > 20
            for one, other in shown:
                assert one == pytest.approx(other, rel=0.01, abs=1e-3)


@pytest.mark.parametrize("measure", Measure)
def test_a_verdict_on_rows_that_are_written_down_again_has_the_p_of_once(measure: Measure) -> None:
    once, again = (
        decide(_written(times), GateOptions(measure=measure)).figures for times in (1, AGAIN)
    )
    for name in ("interval_low", "interval_high", "p"):
        expected = getattr(once.measured, name)
        assert getattr(again.measured, name) == pytest.approx(expected, abs=2e-3), name
    for name in ("log_loss_p", "minimum_detectable_difference", "mcnemar_p", "interval_low"):
        expected = getattr(once.comparison, name)
        assert getattr(again.comparison, name) == pytest.approx(expected, abs=2e-3), name
    assert again.comparison.only_challenger_correct == 5 * once.comparison.only_challenger_correct


def test_the_veto_asks_what_persons_say_not_rows() -> None:
    drawn = np.random.default_rng(0).normal(size=60)
    errors = 0.5  # standard errors of the gain by person, so more than one of them by row
    gains = (drawn - drawn.mean()) / drawn.std(ddof=1) + errors / 60**0.5
    of_outcome = np.where(np.arange(60) == gains.argmax(), 0.49, 0.7)
    persons = np.repeat(np.arange(60), AGAIN)
    outcomes = (persons % 2).astype(np.int8)
    both = (of_outcome * np.exp(0.05 * gains), of_outcome)
    said = [np.where(outcomes == 1, each[persons], 1 - each[persons]) for each in both]
    by_person = contest(outcomes, *said, persons=persons)
    by_rows = replace(by_person, persons=np.arange(len(persons)))
    options = GateOptions(log_loss_veto=True)
    vetoed, passed = (decide(each, options) for each in (by_person, by_rows))
    assert (vetoed.reason, passed.reason) == (Reason.LOG_LOSS_VETO, Reason.MORE_CORRECT)
    assert vetoed.figures.comparison.log_loss_p == pytest.approx(norm.sf(errors), abs=0.01)
    assert passed.figures.comparison.log_loss_p == pytest.approx(
        norm.sf(errors * AGAIN**0.5), abs=0.01
    )


def _visits(persons: int, visits: int, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Probabilities, outcomes and persons, whose rows are alike by more than the model knows."""
    draw = np.random.default_rng(seed)
    whose = np.repeat(np.arange(persons), visits)
    known = draw.normal(-0.8, 0.8, persons)[whose] + draw.normal(0, 0.6, len(whose))
    unknown = draw.normal(0, 1.0, persons)[whose]
    outcomes = (draw.random(len(whose)) < 1 / (1 + np.exp(-known - unknown))).astype(np.int8)
    order = draw.permutation(len(whose))
    return (1 / (1 + np.exp(-known)))[order], outcomes[order], whose[order]


def _told(found: CameTrue) -> dict[str, Estimate]:
    return {name: each for name, each in found.figures.items() if name != "expected_accuracy"}


def test_intervals_are_those_of_drawing_persons_again() -> None:
    probabilities, outcomes, persons = _visits(150, 8)
    found = _told(came_true(probabilities, 0.35, outcomes, persons=persons))
    of_rows = _told(came_true(probabilities, 0.35, outcomes))
    rows_of = [np.flatnonzero(persons == each) for each in range(150)]
    draw = np.random.default_rng(2)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([rows_of[each] for each in draw.integers(0, 150, 150)])
        again = _told(came_true(probabilities[rows], 0.35, outcomes[rows]))
        drawn.append([each.value for each in again.values()])
    spread = dict(zip(found, np.std(drawn, axis=0), strict=True))
    for name, figure in found.items():
        width = (figure.high - figure.low) / 2
        apart = width / (t.ppf(0.975, 149) * spread[name])
        # Its variance is that of the outcomes, as if all had the same probability.
        most = 1.25 if name == "observed_expected" else 1.15
        assert 0.87 < apart < most, name
        assert width > 1.04 * (of_rows[name].high - of_rows[name].low) / 2, name
        assert figure.value == pytest.approx(of_rows[name].value)


def test_where_hardly_anybody_comes_twice_each_row_counts_for_itself() -> None:
    probabilities, outcomes, _ = _visits(120, 1)
    few = np.concatenate([np.arange(100), np.arange(20)])
    found = came_true(probabilities, 0.35, outcomes, persons=few)
    assert found == came_true(probabilities, 0.35, outcomes)
    more = np.concatenate([np.arange(99), np.arange(21)])
    assert came_true(probabilities, 0.35, outcomes, persons=more) != found


@pytest.mark.parametrize("value", [0.01, 0.99])
def test_where_all_are_alike_a_person_says_as_much_as_a_row(value: float) -> None:
    outcomes = np.tile([0, 1], 50).astype(np.int8)
    persons = np.repeat(np.arange(20), 5)
    found = came_true(np.full(100, value), 0.5, outcomes, persons=persons).figures
    name = {0.01: "specificity", 0.99: "sensitivity"}[value]
    alone = came_true(np.full(20, value), 0.5, np.tile([0, 1], 10).astype(np.int8)).figures
    assert found[name].value == 1
    assert found[name].low < came_true(np.full(100, value), 0.5, outcomes).figures[name].low
    assert found[name].low == pytest.approx(alone[name].low, abs=0.3)


def test_one_person_says_hardly_anything_and_reasons_stay() -> None:
    probabilities, outcomes, _ = _visits(60, 1)
    of_one = came_true(probabilities, 0.35, outcomes, persons=np.zeros(60, dtype=np.int64))
    apart = came_true(probabilities, 0.35, outcomes)
    widths = (each.high - each.low for each in (of_one.figures["brier"], apart.figures["brier"]))
    assert next(widths) > 3 * next(widths)
    persons = np.repeat(np.arange(20), 3)
    nobody = came_true(probabilities, 0.35, np.zeros(60, np.int8), persons=persons)
    assert nobody.figures["sensitivity"].reason == NO_CASES
