"""Alarms over settled outcomes: what they tell, from which outcomes on, and when they end."""

import numpy as np
import pytest

from pima.core.nights.kinds import OUTCOME_ALARMS, OutcomeAlarm
from pima.core.outcomes.cusum import (
    BAND,
    BARS,
    DRAWN_TO,
    FACTOR,
    HELD,
    SECONDS_A_DAY,
    FoundFault,
    PredictedOutcomes,
    alarms,
    at_end_of_day,
    evidence_of,
)
from pima.core.statistics.discrimination import auroc
from pima.core.statistics.samples import sample_of

A_DAY = 20
PREVALENCE = 0.2


def _settled(*spans: tuple[int, float | None], seed: int = 1) -> PredictedOutcomes:
    """Spans of so many days, whose odds are the predicted ones times a factor; None: the relation
    has vanished. The version is the span's number."""
    random = np.random.default_rng(seed)
    probabilities, outcomes, versions = [], [], []
    for number, (days, factor) in enumerate(spans, 1):
        log_odds = random.normal(-1.6, 1.1, days * A_DAY)
        true = log_odds + np.log(factor) if factor else np.full(len(log_odds), -1.386)
        probabilities.append(1 / (1 + np.exp(-log_odds)))
        outcomes.append(random.random(len(true)) < 1 / (1 + np.exp(-true)))
        versions.append(np.full(len(true), number))
    rows = sum(len(each) for each in versions)
    return PredictedOutcomes(
        over_at=np.arange(rows) / A_DAY * SECONDS_A_DAY,
        versions=np.concatenate(versions),
        probabilities=np.concatenate(probabilities),
        outcomes=np.concatenate(outcomes).astype(np.int8),
        constants=np.full(rows, PREVALENCE),
    )


def test_the_evidence_is_the_log_likelihood_ratio_by_hand() -> None:
    (constant, more, less), _ = evidence_of(
        np.array([0.2, 0.2]), np.array([1, 0], np.int8), np.array([0.1, 0.1])
    )
    drawn = 1 / 9 * (0.25 / (1 / 9)) ** DRAWN_TO
    assert constant == pytest.approx(np.log(0.1 / (drawn / (1 + drawn))))
    for found, factor, band in ((more, FACTOR, BAND), (less, 1 / FACTOR, 1 / BAND)):
        fault, sound = 0.25 * factor, 0.25 * band
        assert found == pytest.approx(np.log(fault / (1 + fault) / (sound / (1 + sound))))


@pytest.mark.parametrize(
    ("factor", "fault"),
    [
        (None, OutcomeAlarm.NO_BETTER_THAN_CONSTANT),
        (2.5, OutcomeAlarm.OUTCOME_MORE_FREQUENT),
        (0.3, OutcomeAlarm.OUTCOME_LESS_FREQUENT),
    ],
)
def test_each_fault_is_told_with_the_outcomes_since_its_sum_was_zero(
    factor: float | None, fault: OutcomeAlarm
) -> None:
    assert alarms(_settled((100, 1.0))) == {}
    found = _settled((100, 1.0), (40, factor))
    alarm = alarms(found)[fault]
    assert alarm.versions[2] > 25 * A_DAY
    assert alarm.versions.get(1, 0) < 20 * A_DAY
    rows = slice(len(found.outcomes) - sum(alarm.versions.values()), None)
    rows = slice(len(found.outcomes) - alarm.figure.rows, None)
    figure = alarm.figure
    if fault is OutcomeAlarm.NO_BETTER_THAN_CONSTANT:
        area = auroc(sample_of(found.probabilities[rows], found.outcomes[rows]))
        assert (figure.value, figure.low, figure.high) == (area.value, area.low, area.high)
        assert figure.reference is None
    else:
        assert figure.value == found.outcomes[rows].mean()
        assert figure.reference == pytest.approx(found.probabilities[rows].mean())


def test_an_alarm_ends_once_its_sum_is_back_at_zero() -> None:
    assert alarms(_settled((100, 1.0), (60, 2.5), (1, 1.0))) != {}
    assert alarms(_settled((100, 1.0), (60, 2.5), (60, 1.0))) == {}


def test_an_alarm_goes_on_whichever_version_predicts() -> None:
    for factor in (None, 2.5):
        found = alarms(_settled((100, 1.0), (40, factor), (40, factor), (40, factor)))
        (alarm,) = found.values()
        assert alarm.versions.keys() >= {2, 3, 4}


def test_an_alarm_that_has_long_held_has_no_farther_to_climb_down() -> None:
    sums = np.zeros(3)
    alarming = sums > 0
    for _ in range(50):
        sums, alarming = at_end_of_day(sums, alarming, np.full(3, 2.0))
    assert alarming.all()
    assert sums.tolist() == [HELD] * 3
    sums, alarming = at_end_of_day(sums, alarming, np.full(3, 0.1 - HELD))
    assert alarming.all()  # not over below the bar
    sums, alarming = at_end_of_day(sums, alarming, np.full(3, -0.2))
    assert not alarming.any()


def test_the_order_within_a_day_alarms_nobody() -> None:
    found = _settled((30, 1.0))
    for order in (np.argsort(found.outcomes), np.argsort(-found.outcomes)):
        columns = {name: getattr(found, name)[order] for name in PredictedOutcomes.__slots__}
        columns["over_at"] = np.full(len(order), 0.5)
        assert alarms(PredictedOutcomes(**columns)) == {}


def test_neither_one_outcome_nor_nine_alarm() -> None:
    for rows, are_told in ((1, False), (9, False), (10, True)):
        found = PredictedOutcomes(
            over_at=np.zeros(rows),
            versions=np.ones(rows, np.int64),
            probabilities=np.zeros(rows),
            outcomes=np.ones(rows, np.int8),
            constants=np.full(rows, 0.5),
        )
        assert bool(alarms(found)) is are_told


def test_bars_stand_for_the_faults_in_order() -> None:
    assert len(BARS) == len(OUTCOME_ALARMS)
    for number, fault in enumerate(OUTCOME_ALARMS):
        evidence = np.zeros(3)
        evidence[number] = BARS[number]
        _, alarming = at_end_of_day(np.zeros(3), np.zeros(3, bool), evidence)
        assert [
            each for each, is_told in zip(OUTCOME_ALARMS, alarming, strict=True) if is_told
        ] == [fault]


def test_of_one_class_the_alarm_says_how_many_are_1() -> None:
    found = PredictedOutcomes(
        over_at=np.zeros(60),
        versions=np.ones(60, np.int64),
        probabilities=np.full(60, 0.05),
        outcomes=np.ones(60, np.int8),
        constants=np.full(60, 0.5),
    )
    alarm: FoundFault = alarms(found)[OutcomeAlarm.NO_BETTER_THAN_CONSTANT]
    assert (alarm.figure.value, alarm.figure.reference) == (1.0, pytest.approx(0.05))
