"""The figures beside a verdict: those of scikit-learn and SciPy on the shipped rows, and on sets
that say little None with a reason, never NaN."""

import json
from dataclasses import astuple, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs
from scipy.stats import binomtest, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, roc_auc_score

from benches.accuracy.shipped import shipped_rows
from pima.core.statistics.estimates import NO_SPREAD, TOO_FEW_ROWS, Estimate
from pima.core.statistics.performance import (
    CONSTANT,
    SEPARATED,
    THRESHOLDS,
    THRESHOLDS_OF_SUBGROUPS,
)
from pima.core.statistics.samples import NO_CASES, NO_OTHERS
from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import (
    Evidence,
    GroupEvidence,
    ModelEvidence,
    ScoreEvidence,
    calibration_doubts,
    document,
    evidence,
    read_evidence,
)
from pima.core.verdicts.score_scale import ScoreScale
from pima.core.verdicts.subgroups import groupings
from pima.settings.reading import SHIPPED
from tests.support.contests import contest

Z = norm.ppf(0.975)
THRESHOLD = 0.35


@cache
def _shipped() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and outcomes of every second shipped row, by a logistic regression that was
    fitted on the others; to two digits, so that many are equal."""
    rows = shipped_rows()
    known = np.nan_to_num(rows.features, nan=30.0)
    model = LogisticRegression(max_iter=5000).fit(known[::2], rows.outcomes[::2])
    return model.predict_proba(known[1::2].astype(np.float64))[:, 1].round(2), rows.outcomes[1::2]


def _divided() -> pd.DataFrame:
    rows = pd.DataFrame(shipped_rows().features, columns=SHIPPED.names)
    return groupings(SHIPPED.features, rows[1::2], rows[::2]).reset_index(drop=True)


@cache
def _found() -> ModelEvidence:
    probabilities, outcomes = _shipped()
    return evidence(contest(outcomes, probabilities, None, THRESHOLD)).contestants[0]


def _figures(found: ModelEvidence) -> dict[str, Estimate]:
    each = structs.asdict(found)
    return {name: figure for name, figure in each.items() if isinstance(figure, Estimate)}


def test_discrimination_and_losses_are_scikit_learns() -> None:
    probabilities, outcomes = _shipped()
    found = _found()
    assert found.auroc.value == pytest.approx(roc_auc_score(outcomes, probabilities), abs=1e-12)
    assert found.log_loss.value == pytest.approx(log_loss(outcomes, probabilities), abs=1e-12)
    assert found.brier.value == pytest.approx(brier_score_loss(outcomes, probabilities), abs=1e-12)


def test_losses_have_the_interval_of_a_mean() -> None:
    probabilities, outcomes = _shipped()
    squares = (probabilities - outcomes) ** 2
    low, high = norm.interval(0.95, squares.mean(), squares.std(ddof=1) / len(squares) ** 0.5)
    assert (_found().brier.low, _found().brier.high) == (pytest.approx(low), pytest.approx(high))


def test_figures_of_classes_are_those_of_the_confusion_matrix_with_wilson_s_intervals() -> None:
    probabilities, outcomes = _shipped()
    (right_others, false_alarms), (missed, found_cases) = confusion_matrix(
        outcomes, probabilities >= THRESHOLD
    )
    expected = {
        "sensitivity": (found_cases, found_cases + missed),
        "specificity": (right_others, right_others + false_alarms),
        "positive_predictive_value": (found_cases, found_cases + false_alarms),
        "negative_predictive_value": (right_others, right_others + missed),
    }
    for name, (counted, of) in expected.items():
        figure = getattr(_found(), name)
        interval = binomtest(int(counted), int(of)).proportion_ci(0.95, method="wilson")
        assert figure.value == pytest.approx(counted / of, abs=1e-12)
        assert (figure.low, figure.high) == (
            pytest.approx(interval.low, abs=1e-7),
            pytest.approx(interval.high, abs=1e-7),
        )


def test_net_benefit_is_its_published_formula_row_by_row() -> None:
    probabilities, outcomes = _shipped()
    found = evidence(contest(outcomes, probabilities, None, THRESHOLD))
    curve = found.contestants[0].net_benefit
    assert found.thresholds == tuple(k / 100 for k in range(1, 100))
    for n, threshold in enumerate(THRESHOLDS):
        cost = threshold / (1 - threshold)
        worths = [
            (1.0 if y else -cost) if p >= threshold else 0.0
            for p, y in zip(probabilities, outcomes, strict=True)
        ]
        mean, deviation = np.mean(worths), np.std(worths, ddof=1) / len(worths) ** 0.5
        assert curve.net_benefit[n] == pytest.approx(mean, abs=1e-12)
        if deviation:
            assert curve.low[n] == pytest.approx(mean - Z * deviation, abs=1e-6)
            assert curve.high[n] == pytest.approx(mean + Z * deviation, abs=1e-6)
        else:
            assert curve.low[n] is curve.high[n] is None
        everybody = np.mean([1.0 if y else -cost for y in outcomes])
        assert found.treat_all.net_benefit[n] == pytest.approx(everybody, abs=1e-9)


def _evidence(probabilities: Any, outcomes: Any) -> Evidence:
    return evidence(
        contest(np.array(outcomes, dtype=np.int8), np.array(probabilities, dtype=np.float64))
    )


HALVES = [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    ("probabilities", "outcomes", "lacking"),
    [
        (
            [0.3],
            [0],
            {
                "auroc": NO_CASES,
                "sensitivity": NO_CASES,
                "log_loss": TOO_FEW_ROWS,
            },
        ),
        (
            [0.7],
            [1],
            {
                "auroc": NO_OTHERS,
                "specificity": NO_OTHERS,
                "brier": TOO_FEW_ROWS,
            },
        ),
        (
            [0.1, 0.2, 0.6],
            [0, 0, 0],
            {"auroc": NO_CASES, "calibration_slope": NO_CASES},
        ),
        (
            [0.1, 0.2, 0.6],
            [1, 1, 1],
            {"auroc": NO_OTHERS, "calibration_intercept": NO_OTHERS},
        ),
        (
            [0.4] * 20,
            HALVES,
            {
                "calibration_slope": CONSTANT,
                "positive_predictive_value": "no rows at the threshold",
            },
        ),
        (
            [0.6] * 20,
            HALVES,
            {"calibration_slope": CONSTANT, "negative_predictive_value": "no rows below the"},
        ),
        (
            HALVES,
            HALVES,
            {
                "calibration_slope": SEPARATED,
                "log_loss": NO_SPREAD,
                "brier": NO_SPREAD,
            },
        ),
        ([0.0] * 20, HALVES, {"calibration_slope": CONSTANT}),
        ([1.0] * 20, HALVES, {"calibration_slope": CONSTANT}),
        ([0.5] * 10 + [0.5] * 9 + [0.9], HALVES, {"calibration_slope": SEPARATED}),
        ([0.2, 0.8], [0, 1], {"calibration_slope": SEPARATED}),
    ],
)
def test_what_a_small_or_strange_set_can_not_say_is_none_with_a_reason(
    probabilities: list[float], outcomes: list[int], lacking: dict[str, str]
) -> None:
    found = _evidence(probabilities, outcomes)
    named = _figures(found.contestants[0])
    for name, reason in lacking.items():
        assert named[name].reason.startswith(reason), name
        assert named[name].low is named[name].high is None
    _assert_sound(found)


def _assert_sound(found: Evidence) -> None:
    """Finite, within its interval, and a reason wherever something is lacking."""
    json.dumps(document(found), allow_nan=False)
    assert read_evidence(document(read_evidence(document(found)))) == read_evidence(document(found))
    for model in (each for part in (found, *found.subgroups) for each in part.contestants):
        for name, figure in _figures(model).items():
            assert (figure.reason is None) == (
                None not in (figure.value, figure.low, figure.high)
            ), name
            if figure.low is not None:
                assert figure.low - 1e-12 <= figure.value <= figure.high + 1e-12, name


LEVELS = (0.0, 1e-9, 0.1, 0.25, 0.5, 0.5 + 1e-16, 0.75, 0.999, 1 - 1e-12, 1.0)


# Their information has a determinant above 0 and is singular to LAPACK all the same.
SINGULAR = [
    (0.0, 1),
    (0.0, 1),
    (0.0, 1),
    (0.5, 0),
    (0.5000000000000001, 1),
    (0.999, 0),
    (1 - 1e-12, 0),
]


@example(SINGULAR)
@given(
    st.lists(
        st.tuples(st.sampled_from(LEVELS) | st.floats(0, 1), st.integers(0, 1)),
        min_size=1,
        max_size=40,
    )
)
def test_whatever_the_rows_no_figure_is_nan(rows: list[tuple[float, int]]) -> None:
    probabilities, outcomes = zip(*rows, strict=True)
    found = _evidence(probabilities, outcomes)
    _assert_sound(found)
    area = found.contestants[0].auroc.value
    if len(set(outcomes)) == 2:
        assert area == pytest.approx(roc_auc_score(outcomes, probabilities), abs=1e-12)
    else:
        assert area is None


def test_both_models_are_told_in_all_and_by_subgroup_as_on_those_rows_alone() -> None:
    probabilities, outcomes = _shipped()
    champion = np.sqrt(probabilities)
    divided = _divided()
    whole = contest(
        outcomes, probabilities, champion, THRESHOLD, divided, of_champion={"threshold": 0.5}
    )
    found = evidence(whole)
    _assert_sound(found)
    shown = [each for each in found.subgroups if each.rows]
    assert {each.feature for each in shown} == set(SHIPPED.names)
    for each in shown:
        members = divided[each.feature] == each.group
        alone = evidence(replace(whole.only(members.to_numpy()), groups=divided[members][[]]))
        assert (each.rows, each.positive) == (members.sum(), outcomes[members].sum())
        assert each.few == (members.sum() < 50)
        for ours, theirs in zip(each.contestants, alone.contestants, strict=True):
            for one, other in zip(_figures(ours).values(), _figures(theirs).values(), strict=True):
                assert astuple(one)[:3] == pytest.approx(astuple(other)[:3], abs=1e-9, nan_ok=False)
            assert ours.net_benefit.net_benefit == pytest.approx(
                theirs.net_benefit.net_benefit[4::5], abs=1e-12
            )
            assert ours.called is None
    assert (
        found.subgroup_thresholds == THRESHOLDS_OF_SUBGROUPS == pytest.approx(np.arange(1, 20) / 20)
    )


def test_declared_groups_are_told_in_which_probabilities_are_clearly_too_high_or_too_low() -> None:
    chances = np.full(600, 0.3)
    outcomes = np.zeros(600, dtype=np.int8)
    for first, ones in ((0, 30), (200, 90), (400, 60)):
        outcomes[first : first + ones] = 1
    site = pd.Categorical(np.repeat(["north", "south", "east"], 200))
    both = pd.DataFrame({"site": site, "smoker": site})
    judged = contest(outcomes, chances, groups=both, declared_groups=("site",))
    found = structs.replace(
        evidence(judged), groups=(GroupEvidence(group="site", name="the site", training=()),)
    )
    north, south = calibration_doubts(found, Role.CHALLENGER, 3)
    assert north.startswith(
        "In the site: north, the calibration intercept of version 3 was -0.89 (-1.28 to -0.50) in"
    )
    assert south.startswith("In the site: south, the calibration intercept of version 3 was 0.65 (")
    assert list(calibration_doubts(evidence(judged), Role.CHALLENGER, 3)) == []
    assert list(calibration_doubts(found, Role.CHAMPION, 3)) == []


def test_a_model_without_numbers_has_no_evidence_and_the_other_one_has() -> None:
    probabilities, outcomes = _shipped()
    found = evidence(
        contest(outcomes, np.full(len(outcomes), np.nan), probabilities, THRESHOLD, _divided())
    )
    (model,) = found.contestants
    assert _figures(model) == _figures(_found())
    told = [each.role for group in found.subgroups for each in group.contestants]
    assert set(told) == {Role.CHAMPION}


def test_a_document_of_the_first_version_is_read_as_one_of_today() -> None:
    probabilities, outcomes = _shipped()
    both = contest(outcomes, probabilities, np.sqrt(probabilities), THRESHOLD, _divided())
    today = document(evidence(both))

    def as_then(told: dict[str, Any]) -> dict[str, Any]:
        found = dict.fromkeys(map(str, Role)) | told
        for each in found.pop("contestants"):
            found[each["role"]] = {
                name: each[name] for name in each if name not in ("role", "name")
            }
        return found

    then = as_then(today) | {"version": 1, "subgroups": [*map(as_then, today["subgroups"])]}
    assert document(read_evidence(then)) == document(read_evidence(today))


def test_the_scale_of_a_score_keeps_all_its_digits() -> None:
    scale = ScoreScale(-1234.5678901, 0.1234567)
    told = ScoreEvidence(score="ward", name="the ward", scale=scale, rows=9, as_it_stands=0)
    probabilities, outcomes = _shipped()
    found = evidence(contest(outcomes, probabilities, None, THRESHOLD))
    kept = document(structs.replace(found, scores=(told,)))
    assert read_evidence(kept).scores == (told,)
