"""Figures of rows in order: the area's interval where DeLong has no variance, and decision
curves."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from pima.core.verdicts.figures import (
    FIGURES,
    TABLED_THRESHOLDS,
    THRESHOLDS,
    all_figures,
    auroc,
    decision_curve,
    gained,
    of_classes,
    ranked,
    treating_all,
)
from pima.core.verdicts.verdict import Measure, Measured
from tests.oracle.decision_curve import THRESHOLDS as ASKED_OF_DCURVES
from tests.oracle.decision_curve import VALUES as SAID_BY_DCURVES
from tests.oracle.shapley import model as log_odds_model
from tests.oracle.shapley import real_outcomes, real_rows

Z = norm.ppf(0.975)


@pytest.mark.parametrize(
    ("cases", "others", "area"), [(3, 9, 1.0), (5, 15, 1.0), (4, 4, 0.0), (1, 8, 0.75)]
)
def test_where_delong_has_no_variance_the_interval_is_newcombe_s(
    cases: int, others: int, area: float
) -> None:
    outcomes = np.array([0] * others + [1] * cases, dtype=np.int8)
    probabilities = (
        np.concatenate([1 + np.arange(others), np.full(cases, area * others + 0.5)]) / 100
    )
    found = auroc(ranked(probabilities, outcomes))

    def too_far(theta: float) -> float:
        pairs = (cases + others) / 2 - 1
        variance = (
            theta * (1 - theta) * (1 + pairs * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        )
        return (found.value - theta) ** 2 - Z**2 * variance / (cases * others)

    assert found.value == area
    middle = min(max(area, 1e-9), 1 - 1e-9)
    low = 0.0 if area == 0 else brentq(too_far, 1e-12, middle)
    high = 1.0 if area == 1 else brentq(too_far, middle, 1 - 1e-12)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_all_figures_have_names_for_people() -> None:
    rows = ranked(np.linspace(0, 1, 9), np.resize([0, 1], 9).astype(np.int8), 0.5)
    assert list(all_figures(rows)) == list(FIGURES)
    assert list(of_classes(4, 5, 2, 1)) == list(FIGURES)[-4:]


def test_a_verdict_s_gain_is_told_with_its_interval_and_without_a_champion_nothing_is() -> None:
    told = Measured(measure=Measure.LOG_LOSS, challenger=0.5, constant=0.6, gain_on_constant=0.1)
    assert (gained(None), gained(told)) == ("", "")
    won = replace(told, gain=0.02, interval_low=0.0101, interval_high=0.03)
    assert gained(won) == "; gain 0.0200 (0.0101 to 0.0300)"


def test_the_tables_thresholds_are_some_of_those_of_the_curves() -> None:
    assert set(TABLED_THRESHOLDS) < set(THRESHOLDS)
    assert sorted(TABLED_THRESHOLDS) == list(TABLED_THRESHOLDS)


def test_the_decision_curves_are_those_of_dcurves() -> None:
    said, outcomes = json.loads(SAID_BY_DCURVES.read_text()), real_outcomes()
    curve = decision_curve(ranked(log_odds_model(real_rows()), outcomes), ASKED_OF_DCURVES)
    everybody = treating_all(outcomes, None, ASKED_OF_DCURVES)
    assert curve.net_benefit == pytest.approx(said["model"], abs=1e-12)
    assert everybody.net_benefit == pytest.approx(said["all"], abs=1e-12)
