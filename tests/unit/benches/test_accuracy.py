"""The pure pieces of the accuracy benchmark."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from benches.accuracy.aside import Aside, as_aside
from benches.accuracy.judgement import calibration_error, judge, reliability
from benches.accuracy.results import Row, as_large


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([0.1, 0.9, 0.2, 0.8])
    outcomes = np.array([0, 1, 1, 1], dtype=np.int8)
    low, high = reliability(probabilities, outcomes, bins=2)
    assert (low.rows, low.mean_probability, low.share_positive) == (2, pytest.approx(0.15), 0.5)
    assert (high.rows, high.mean_probability, high.share_positive) == (2, pytest.approx(0.85), 1.0)
    # In ten bins of equal count each row is alone: (0.1 + 0.8 + 0.2 + 0.1) / 4.
    assert calibration_error(probabilities, outcomes) == pytest.approx(0.3)


def test_repetitions_are_judged_one_by_one() -> None:
    outcomes = np.array([0, 1, 1, 0], dtype=np.int8)
    right, half = np.array([0.1, 0.9, 0.8, 0.2]), np.array([0.1, 0.2, 0.8, 0.9])
    figures = judge(np.array([right, half]), outcomes)
    assert figures.error == 0.25
    assert figures.worst_error == 0.5
    assert figures.auc == 0.75


def _child(what: str, seconds: float, rows: int = 700) -> dict[str, object]:
    said = {"training_rows": rows, "fit_seconds": seconds / 2}
    return {
        "what": what,
        "seconds": seconds,
        "processor_seconds": 1.0,
        "peak_megabytes": 10.0,
        "said": said,
    }


def test_rounds_become_medians_and_the_faster_boosting_counts() -> None:
    names = ("boosting", "boosting, one thread", "our fit", "retrain")
    large = as_large(
        "SQLite", [_child(name, n * 10.0 + k) for n in (1, 3, 2) for k, name in enumerate(names)]
    )
    assert (large.rounds, large.training_rows) == (3, 700)
    assert large.of("retrain", "seconds") == 23
    assert (large.boosting_seconds, large.boosting_fit_seconds) == (20, 10)


def test_fits_on_different_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different numbers of training rows"):
        as_large("SQLite", [_child("retrain", 1.0), _child("boosting", 1.0, rows=701)])


def test_what_is_measured_aside_comes_back_as_it_was() -> None:
    figures = judge(np.array([[0.1, 0.9]]), np.array([0, 1], dtype=np.int8))
    found = Aside([Row("pima", figures, 0.5, 10)], {"pima": {50: figures, 400: figures}})
    assert as_aside(json.loads(json.dumps(asdict(found)))) == found
