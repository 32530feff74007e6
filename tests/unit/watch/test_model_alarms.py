"""The words of an alarm of the model, by the figure that it is about."""

from datetime import UTC, datetime

import pytest

from pima.core.nights.kinds import FOLLOWED_UP, GAIN_ON_LINE, ONES_CORRECTED, OutcomeAlarm, State
from pima.store.service.monitoring import KeptFigure
from pima.watch.model_alarms import model_alarms

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = {"run_id": 1, "model_version": 2, "kind": "night", "recorded_at": NOW}


@pytest.mark.parametrize(
    ("value", "reference", "said"),
    [
        (0.9, None, "is 0.9, but should be at most 0.25"),
        (0.2, 0.6, "is 0.2, but should be at least 0.35"),
        (0.0915, None, "is 0.0915 now, which is fine, but was not at most 0.25 on nights before"),
    ],
)
def test_an_alarm_of_nights_before_says_that_tonight_is_fine(
    value: float, reference: float | None, said: str
) -> None:
    figure = KeptFigure("bmi", "psi", value, 900, reference, 0.25, State.ALERT, **KEPT)
    (alarm,) = model_alarms([figure], None)
    assert str(alarm) == f"drift:psi:bmi: psi of bmi, of version 2, {said}"


@pytest.mark.parametrize("figure", [*OutcomeAlarm, ONES_CORRECTED, GAIN_ON_LINE])
@pytest.mark.parametrize(("least", "ends"), [(0.9, False), (0.6, True)])
def test_where_a_clinic_asks_for_fewer_an_alarm_over_outcomes_says_whose_they_are(
    figure: str, least: float, ends: bool
) -> None:
    alarms = KeptFigure("", figure, 0.5, 900, 0.1, None, State.ALERT, 0.4, 0.6, **KEPT)
    share = KeptFigure("", FOLLOWED_UP, 0.7, 999, least, **KEPT)
    (alarm,) = model_alarms([alarms, share], 2)
    whose = "; these are rows of those followed up, of whom 60% are enough"
    assert str(alarm).endswith(whose) is ends
