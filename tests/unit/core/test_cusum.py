"""Alarms over settled outcomes: what they tell, from which outcomes on, and when they end."""

import numpy as np
import pytest

from pima.core.cusum import (
    BAND,
    BARS,
    DRAWN_TO,
    FACTOR,
    SECONDS_A_DAY,
    Finding,
    PredictedOutcomes,
    evidence_of,
    findings,
)
from pima.core.watched import OUTCOME_ALARMS, OutcomeAlarm

A_DAY = 20
PREVALENCE = 0.2


def _settled(*spans: tuple[int, float | None], seed: int = 1) -> PredictedOutcomes:
    """Spans of so many days, whose odds are the predicted ones times a factor; None: the relation
    has vanished. What settles was predicted a day before, the version is the span's number."""
    random = np.random.default_rng(seed)
    probabilities, outcomes, versions = [], [], []
    for number, (days, factor) in enumerate(spans, 1):
        log_odds = random.normal(-1.6, 1.1, days * A_DAY)
        true = log_odds + np.log(factor) if factor else np.full(len(log_odds), -1.386)
        probabilities.append(1 / (1 + np.exp(-log_odds)))
        outcomes.append(random.random(len(true)) < 1 / (1 + np.exp(-true)))
        versions.append(np.full(len(true), number))
    rows = sum(len(each) for each in versions)
    settled_at = np.arange(rows) / A_DAY * SECONDS_A_DAY
    return PredictedOutcomes(
        settled_at=settled_at,
        predicted_at=settled_at - SECONDS_A_DAY,
        versions=np.concatenate(versions),
        probabilities=np.concatenate(probabilities),
        outcomes=np.concatenate(outcomes).astype(np.int8),
        constants=np.full(rows, PREVALENCE),
    )


def _alarms(found: PredictedOutcomes, *champion_changes: float) -> dict[OutcomeAlarm, Finding]:
    return {each.fault: each for each in findings(found, champion_changes) if each.alarms}


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
    assert _alarms(_settled((100, 1.0))) == {}
    found = _settled((100, 1.0), (40, factor))
    alarm = _alarms(found)[fault]
    assert alarm.versions[2] > 25 * A_DAY
    assert alarm.versions.get(1, 0) < 20 * A_DAY
    rows = slice(len(found.outcomes) - sum(alarm.versions.values()), None)
    assert alarm.observed == found.outcomes[rows].sum()
    assert alarm.expected == pytest.approx(found.probabilities[rows].sum())


def test_an_alarm_ends_once_its_sum_is_back_at_zero() -> None:
    assert _alarms(_settled((100, 1.0), (60, 2.5), (3, 1.0))) != {}
    assert _alarms(_settled((100, 1.0), (60, 2.5), (60, 1.0))) == {}


def test_all_begins_again_with_what_the_champion_predicts_that_follows_an_alarm() -> None:
    found = _settled((100, 1.0), (40, 2.5), (40, 2.5))
    before, follows, much_later = (day * SECONDS_A_DAY for day in (90.5, 139.5, 200))
    assert _alarms(found, before)[OutcomeAlarm.OUTCOME_MORE_FREQUENT].versions.keys() >= {2, 3}
    (again,) = _alarms(found, before, follows).values()
    assert again.versions.keys() == {3}
    assert again.versions[3] <= 39.5 * A_DAY
    assert _alarms(found, much_later) == {}


def test_the_order_within_a_day_alarms_nobody() -> None:
    found = _settled((30, 1.0))
    for order in (np.argsort(found.outcomes), np.argsort(-found.outcomes)):
        columns = {name: getattr(found, name)[order] for name in PredictedOutcomes.__slots__}
        columns["settled_at"] = np.full(len(order), 0.5)
        assert _alarms(PredictedOutcomes(**columns)) == {}


def test_neither_one_outcome_nor_nine_alarm() -> None:
    for rows, alarms in ((1, False), (9, False), (10, True)):
        found = PredictedOutcomes(
            settled_at=np.zeros(rows),
            predicted_at=np.zeros(rows),
            versions=np.ones(rows, np.int64),
            probabilities=np.zeros(rows),
            outcomes=np.ones(rows, np.int8),
            constants=np.full(rows, 0.5),
        )
        assert bool(_alarms(found)) is alarms


def test_bars_stand_for_the_faults_in_order() -> None:
    assert len(BARS) == len(OUTCOME_ALARMS)
    assert [each.fault for each in findings(_settled((1, 1.0)), [])] == list(OUTCOME_ALARMS)
