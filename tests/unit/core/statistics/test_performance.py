"""All figures of a sample, and decision
curves."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from pima.core.statistics.performance import (
    FIGURES,
    TABLED_THRESHOLDS,
    THRESHOLDS,
    all_figures,
    decision_curve,
    of_classes,
    treating_all,
)
from pima.core.statistics.samples import sample_of
from tests.oracle.decision_curve import THRESHOLDS as ASKED_OF_DCURVES
from tests.oracle.decision_curve import VALUES as SAID_BY_DCURVES
from tests.oracle.shapley import model as log_odds_model
from tests.oracle.shapley import real_outcomes, real_rows

Z = norm.ppf(0.975)


def test_all_figures_have_names_for_people() -> None:
    rows = sample_of(np.linspace(0, 1, 9), np.resize([0, 1], 9).astype(np.int8), 0.5)
    assert list(all_figures(rows)) == list(FIGURES)
    assert list(of_classes(4, 5, 2, 1)) == list(FIGURES)[-4:]


def test_the_tables_thresholds_are_some_of_those_of_the_curves() -> None:
    assert set(TABLED_THRESHOLDS) < set(THRESHOLDS)
    assert sorted(TABLED_THRESHOLDS) == list(TABLED_THRESHOLDS)


def test_the_decision_curves_are_those_of_dcurves() -> None:
    said, outcomes = json.loads(SAID_BY_DCURVES.read_text()), real_outcomes()
    curve = decision_curve(sample_of(log_odds_model(real_rows()), outcomes), ASKED_OF_DCURVES)
    everybody = treating_all(outcomes, None, ASKED_OF_DCURVES)
    assert curve.net_benefit == pytest.approx(said["model"], abs=1e-12)
    assert everybody.net_benefit == pytest.approx(said["all"], abs=1e-12)
