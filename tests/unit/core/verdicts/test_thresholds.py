"""What is said of a threshold that nobody reaches, that is not in use, or that accuracy is no measure
for."""

import pytest

from pima.core.verdicts.thresholds import misjudged, not_in_use, out_of_reach
from pima.core.verdicts.verdict import Measure


def test_where_hardly_anybody_is_predicted_1_it_says_so_and_how_to_change_it() -> None:
    (told,) = out_of_reach(3, 0.5, 0.03)
    assert told.startswith("hardly anybody is predicted 1: at its threshold of 0.5 version 3 finds")
    assert "finds 3 % of those with outcome 1. Set retrain.threshold" in told
    (nobody,) = out_of_reach(3, 0.5, 0.0)
    assert nobody.startswith("nobody is predicted 1")
    assert not list(out_of_reach(3, 0.5, 0.1))
    # A verdict on no row with outcome 1 tells nothing of it.
    assert not list(out_of_reach(3, 0.5, None))


def test_a_threshold_that_is_set_and_not_in_use_says_how_to_take_it() -> None:
    (waits,) = not_in_use(3, 0.5, 0.1, newest=5)
    assert "retrain.threshold is 0.1, but version 3 was fitted with 0.5" in waits
    assert waits.endswith("python -m jobs.models promote 5 --reason TEXT takes one at once")
    (unfitted,) = not_in_use(3, 0.5, "sensitivity >= 0.8", newest=None)
    assert unfitted.endswith("python -m jobs.retrain fits one")
    assert not list(not_in_use(3, 0.1, 0.1, newest=5))


@pytest.mark.parametrize("threshold", [0.2, 0.8, "sensitivity >= 0.85"])
def test_accuracy_beside_a_threshold_away_from_a_half_is_told(threshold: float | str) -> None:
    (told,) = misjudged(threshold, Measure.ACCURACY)
    assert told.startswith(f"gate.measure is accuracy and retrain.threshold {threshold}: ")
    assert not list(misjudged(0.5, Measure.ACCURACY))
    for other in (Measure.LOG_LOSS, Measure.NET_BENEFIT):
        assert not list(misjudged(threshold, other))
