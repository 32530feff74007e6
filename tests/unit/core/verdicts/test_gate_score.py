"""A score in use beside challenger and champion: from points to probabilities, and that it decides
nothing, but that a first champion must beat it where the settings say so."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benches.accuracy.shipped import shipped_rows
from pima.core.declared.present_score import PresentScore
from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.evidence import evidence
from pima.core.verdicts.gate import GateOptions, decide
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.score_scale import ScoreScale, is_known, scale_of, without_few
from pima.core.verdicts.verdict import Measure
from tests.support.contests import contest, contestant

DRAW = np.random.default_rng(46)
OUTCOMES = (DRAW.random(400) < 0.3).astype(np.int8)
GOOD = np.clip(0.3 + 0.35 * (OUTCOMES - 0.3) + DRAW.normal(0, 0.1, 400), 0.01, 0.99)
VAGUE = np.clip(0.3 + 0.05 * (OUTCOMES - 0.3) + DRAW.normal(0, 0.1, 400), 0.01, 0.99)
NAME = "the ward's points"
TO_BEAT = PresentScore("ward", label=NAME)


def _asked(
    challenger: np.ndarray,
    score: np.ndarray,
    champion: np.ndarray | None = None,
    known: float = 1.0,
    threshold: float = 0.3,
    **circumstances: Any,
) -> Contest:
    asked = contest(OUTCOMES, challenger, champion, threshold=0.4, **circumstances)
    theirs = contestant(Role.PRESENT_SCORE, score, threshold)
    scorable = np.arange(400) < 400 * known
    beside = replace(theirs, name=NAME, declared=TO_BEAT.name, decides=False, scorable=scorable)
    return replace(asked, contestants=(*asked.contestants, beside))


@pytest.mark.parametrize("known", [1.0, 0.6, 0.0])
def test_a_score_takes_nothing_from_the_verdict(known: float) -> None:
    score = np.where(np.arange(400) < 400 * known, VAGUE, np.nan)
    asked = _asked(GOOD, score, champion=VAGUE[::-1], known=known)
    alone = replace(asked, contestants=asked.contestants[:2])
    for measure in Measure:
        options = GateOptions(measure=measure, first_must_beat=TO_BEAT)
        assert decide(asked, options) == decide(alone, options)
    assert [each.rows for each in evidence(asked).pairs] == [400 * known] * (2 if known else 0)


def test_the_gain_in_net_benefit_is_that_of_each_row() -> None:
    (pair, _) = evidence(_asked(GOOD, VAGUE, champion=VAGUE[::-1])).pairs
    worth = {
        name: [
            0.0 if p < 0.3 else (1.0 if outcome else -0.3 / 0.7)
            for p, outcome in zip(told, OUTCOMES, strict=True)
        ]
        for name, told in (("ours", GOOD), ("theirs", VAGUE))
    }
    differences = np.subtract(worth["ours"], worth["theirs"])
    margin = 1.959964 * differences.std(ddof=1) / 20
    found = pair.net_benefit_gain
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx(
        (differences.mean(), differences.mean() - margin, differences.mean() + margin)
    )


@pytest.mark.parametrize(
    ("challenger", "score", "known", "expected"),
    [
        (GOOD, VAGUE, 1.0, (Decision.PROMOTED, Reason.FIRST_CHAMPION)),
        (GOOD, GOOD, 1.0, (Decision.BLOCKED, Reason.NOT_BETTER_THAN_SCORE)),
        (GOOD, np.sqrt(GOOD * OUTCOMES), 1.0, (Decision.BLOCKED, Reason.NOT_BETTER_THAN_SCORE)),
        (GOOD, VAGUE, 0.2, (Decision.BLOCKED, Reason.TOO_FEW_WITH_SCORE)),
        (GOOD, VAGUE, 0.0, (Decision.BLOCKED, Reason.TOO_FEW_WITH_SCORE)),
    ],
)
@pytest.mark.parametrize("measure", [Measure.LOG_LOSS, Measure.ACCURACY, Measure.NET_BENEFIT])
def test_a_first_champion_must_beat_the_score(
    challenger: np.ndarray,
    score: np.ndarray,
    known: float,
    expected: tuple[Decision, Reason],
    measure: Measure,
) -> None:
    asked = _asked(challenger, score, known=known, threshold=0.4)
    verdict = decide(asked, GateOptions(measure=measure, first_must_beat=TO_BEAT))
    assert (verdict.decision, verdict.reason) == expected
    assert f"beside {NAME} on {int(400 * known)} rows" in verdict.sentence
    assert decide(asked, GateOptions(measure=measure)).decision is Decision.PROMOTED


@pytest.mark.parametrize(
    ("noise", "look", "bar", "expected"),
    [
        (0.15, 1, "0.1", Decision.PROMOTED),
        (0.15, 2, "0.005", Decision.BLOCKED),
        (0.15, 40, "0.005", Decision.BLOCKED),
        (0.3, 1, "0.1", Decision.PROMOTED),
        (0.3, 40, "0.005", Decision.PROMOTED),
    ],
)
@pytest.mark.parametrize("as_loaded", [True, False])
def test_later_looks_at_the_holdout_ask_for_more(
    noise: float, look: int, bar: str, expected: Decision, as_loaded: bool
) -> None:
    score = np.clip(GOOD + noise * np.random.default_rng(7).normal(size=400), 0.01, 0.99)
    asked = _asked(GOOD, score, consultations=look, score_as_loaded=as_loaded)
    verdict = decide(asked, GateOptions(measure=Measure.LOG_LOSS, first_must_beat=TO_BEAT))
    beside = verdict.figures.against_score
    assert beside is not None
    assert beside.p is not None
    assert (beside.p < 0.005) == (noise == 0.3)
    assert beside.p < 0.1
    assert verdict.decision is expected
    told = f"p {beside.p:.4f}" if noise == 0.15 else "p below 0.0001"
    assert f"one-sided {told}, below {bar} is asked at look {look} at" in verdict.sentence
    assert ("all with the score as loaded" in verdict.sentence) == as_loaded


def test_beside_a_champion_each_look_asks_for_the_same() -> None:
    first = _asked(GOOD, GOOD, champion=VAGUE, score_as_loaded=True)
    later = _asked(GOOD, GOOD, champion=VAGUE, score_as_loaded=True, consultations=40)
    options = GateOptions(first_must_beat=TO_BEAT)
    assert decide(first, options).decision is Decision.PROMOTED
    assert decide(first, options).sentence == decide(later, options).sentence


# A score that tells better apart than the challenger.
RISK = DRAW.normal(-0.4, 1.6, 400)
ITS_OUTCOMES = (DRAW.random(400) < 1 / (1 + np.exp(-RISK))).astype(np.int8)
CLEAR = 1 / (1 + np.exp(-RISK))
DULL = 1 / (1 + np.exp(-0.7 * RISK - DRAW.normal(0, 0.7, 400)))


@pytest.mark.parametrize(
    ("challenger", "threshold", "measure"),
    [
        # People act on it early, so by accuracy it looks bad at its own threshold.
        (DULL, 0.1, Measure.ACCURACY),
        # Equal probabilities, at another threshold.
        (CLEAR, 0.8, Measure.NET_BENEFIT),
    ],
)
def test_thresholds_of_their_own_beat_no_score(
    challenger: np.ndarray, threshold: float, measure: Measure
) -> None:
    asked = contest(ITS_OUTCOMES, challenger, None, threshold=0.2)
    score = replace(
        contestant(Role.PRESENT_SCORE, CLEAR, threshold),
        name=NAME,
        declared=TO_BEAT.name,
        decides=False,
    )
    asked = replace(asked, contestants=(*asked.contestants, score))
    options = GateOptions(measure=measure, first_must_beat=TO_BEAT, log_loss_veto=True)
    verdict = decide(asked, options)
    assert verdict.reason is Reason.NOT_BETTER_THAN_SCORE
    beside = verdict.figures.against_score
    assert beside is not None
    by_veto = measure is Measure.ACCURACY
    assert beside.p is not None
    assert (beside.p < 0.1) == by_veto
    alone = decide(asked, replace(options, log_loss_veto=False)).decision
    assert alone is (Decision.PROMOTED if by_veto else Decision.BLOCKED)


def test_a_score_without_a_threshold_is_judged_by_log_loss() -> None:
    asked = _asked(GOOD, VAGUE, threshold=np.inf)
    found = decide(asked, GateOptions(first_must_beat=TO_BEAT)).figures.against_score
    assert found is not None
    gained = -np.log(np.where(OUTCOMES == 1, GOOD, 1 - GOOD))
    gained = -np.log(np.where(OUTCOMES == 1, VAGUE, 1 - VAGUE)) - gained
    assert (found.measure, found.gain) == (Measure.LOG_LOSS, pytest.approx(gained.mean()))
    # Who is no score of the contest can't be beaten.
    missing = decide(asked, GateOptions(first_must_beat=PresentScore("another")))
    assert missing.reason is Reason.TOO_FEW_WITH_SCORE


def test_the_score_to_beat_is_found_by_its_declared_name_among_equal_labels() -> None:
    asked = _asked(GOOD, VAGUE, threshold=0.4)
    score = asked.contestants[-1]
    other = replace(score, declared="points_at_night", probabilities=GOOD)
    for contestants in ((score, other), (other, score)):
        both = replace(asked, contestants=(asked.challenger, *contestants))
        weak = decide(both, GateOptions(first_must_beat=TO_BEAT))
        good = decide(both, GateOptions(first_must_beat=PresentScore("points_at_night", NAME)))
        assert (weak.reason, good.reason) == (Reason.FIRST_CHAMPION, Reason.NOT_BETTER_THAN_SCORE)
        assert f"beside {NAME} on 400 rows" in weak.sentence


POINTS = PresentScore("ward", threshold=3)


def _ward() -> tuple[np.ndarray, np.ndarray]:
    """Points of three features, and the outcomes."""
    rows = shipped_rows()
    pregnancies, age = rows.raw[:, 0], rows.raw[:, 7]
    bmi = np.nan_to_num(rows.raw[:, 5])
    points = (pregnancies >= 4).astype(float) + 2 * (age >= 40) + (bmi >= 30)
    return points, rows.outcomes


def test_points_become_the_probability_of_a_logistic_regression() -> None:
    points, outcomes = _ward()
    scale = scale_of(POINTS, points, outcomes)
    assert scale is not None
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    model.fit(points[:, None], outcomes)
    assert scale.intercept == pytest.approx(model.intercept_[0], abs=1e-6)
    assert scale.slope == pytest.approx(model.coef_[0, 0], abs=1e-6)
    told = scale.probabilities(points)
    assert told == pytest.approx(model.predict_proba(points[:, None])[:, 1], abs=1e-6)
    # The classes at its threshold are those of the points.
    assert ((told >= scale.threshold(POINTS)) == (points >= 3)).all()


def test_the_risk_never_moves_against_the_direction() -> None:
    points, outcomes = _ward()
    falling = PresentScore("ward", direction="falling")
    along, against = scale_of(falling, -points, outcomes), scale_of(falling, points, outcomes)
    assert along is not None
    assert against is not None
    assert along.probabilities(-points) == pytest.approx(
        scale_of(POINTS, points, outcomes).probabilities(points),
        abs=1e-9,  # type: ignore[union-attr]
    )
    assert against.probabilities(points) == pytest.approx(outcomes.mean(), abs=1e-12)


def test_what_a_scale_needs_and_what_it_leaves_alone() -> None:
    points, outcomes = _ward()
    risk = PresentScore("risk", kind="probability", threshold=0.2)
    assert scale_of(risk, points, outcomes) == ScoreScale()
    assert ScoreScale().threshold(risk) == 0.2
    assert ScoreScale().threshold(PresentScore("risk", kind="probability")) == math.inf
    few = np.concatenate([np.flatnonzero(outcomes == 1)[:9], np.flatnonzero(outcomes == 0)])
    assert scale_of(POINTS, points[few], outcomes[few]) is None
    values = np.array([0.0, 1.0, -0.1, 1.1, np.nan, np.inf])
    assert is_known(risk, values).tolist() == [True, True, False, False, False, False]
    assert is_known(POINTS, values).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("unknown", "left"), [(0, 100), (1, 90), (9, 90), (10, 90), (40, 60), (100, 0)]
)
def test_no_few_rows_are_told_apart_by_what_is_left_out(unknown: int, left: int) -> None:
    known = np.arange(100) >= unknown
    told = without_few(known, np.ones(100, dtype=bool))
    assert (int(told.sum()), bool((told & ~known).any())) == (left, False)
