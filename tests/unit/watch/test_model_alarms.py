"""The words of an alarm of the model, by the figure that it is about."""

from datetime import UTC, datetime

import pytest

from pima.core.watched import State
from pima.store.monitoring import KeptFigure
from pima.watch.model_alarms import model_alarms

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
    kept = (value, None, None, 900, reference, 0.25, State.ALERT, NOW)
    (alarm,) = model_alarms([KeptFigure(1, 2, "bmi", "psi", *kept)], None)
    assert str(alarm) == f"drift:psi:bmi: psi of bmi, of version 2, {said}"
