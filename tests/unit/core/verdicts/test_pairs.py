"""Pairs: differences and intervals over all pairs of rows, counted out, and what a small or strange
set can't say."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from msgspec import structs
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benches.accuracy.shipped import shipped_rows
from pima.core.statistics.estimates import NO_SPREAD, Estimate
from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.evidence import document, evidence, read_evidence
from pima.core.verdicts.pairs import sentence_of
from tests.support.contests import changed, contest, contestant

Z = norm.ppf(0.975)


@cache
def _shipped() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The outcomes of every second shipped row, and two models' probabilities, to two digits, so
    that many are equal."""
    rows = shipped_rows()
    known = np.nan_to_num(rows.features, nan=30.0).astype(np.float64)
    told = []
    for columns in (slice(None), slice(0, 4)):
        model = LogisticRegression(max_iter=5000).fit(known[::2, columns], rows.outcomes[::2])
        told.append(model.predict_proba(known[1::2, columns])[:, 1].round(2))
    return rows.outcomes[1::2], *told


def _with_a_line(**changes: object) -> Contest:
    outcomes, better, worse = _shipped()
    line = replace(
        contestant(Role.STRAIGHT_LINE, worse), name="a straight line", decides=False, **changes
    )
    both = contest(outcomes, better, np.sqrt(better))
    return replace(both, contestants=(*both.contestants, line))


def test_a_line_stands_beside_each_who_decides_and_takes_nothing_from_the_evidence() -> None:
    outcomes, better, worse = _shipped()
    asked = _with_a_line()
    found = evidence(asked)
    assert structs.replace(found, pairs=()) == evidence(
        replace(asked, contestants=asked.contestants[:2])
    )
    assert [(each.role, each.beside) for each in found.pairs] == [
        ("straight_line", "challenger"),
        ("straight_line", "champion"),
    ]
    bounded = (each.clip(1e-7, 1 - 1e-7) for each in (better, worse))
    losses = [-np.log(np.where(outcomes == 1, each, 1 - each)) for each in bounded]
    gains = losses[1] - losses[0]
    pair = found.pairs[0]
    assert (pair.rows, pair.positive) == (len(outcomes), outcomes.sum())
    assert pair.log_loss.value == pytest.approx(losses[1].mean())
    assert pair.auroc.value == pytest.approx(roc_auc_score(outcomes, worse))
    low, high = norm.interval(0.95, gains.mean(), gains.std(ddof=1) / len(gains) ** 0.5)
    assert (pair.log_loss_gain.value, pair.log_loss_gain.low, pair.log_loss_gain.high) == (
        pytest.approx(gains.mean()),
        pytest.approx(low),
        pytest.approx(high),
    )


def test_a_pair_is_judged_on_the_rows_of_the_test_set_that_both_can_be_judged_on() -> None:
    count = len(_shipped()[0])
    asked = replace(_with_a_line(scorable=np.arange(count) < 200), in_window=np.arange(count) >= 50)
    asked = changed(asked, of_champion={"unseen": np.arange(count) % 3 > 0})
    with_challenger, with_champion = evidence(asked).pairs
    assert with_challenger.rows == 150
    assert with_champion.rows == sum(each % 3 > 0 for each in range(50, 200))


def test_without_a_champion_or_finite_answers_there_is_no_pair() -> None:
    outcomes = _shipped()[0]
    broken = changed(_with_a_line(), of_champion={"probabilities": np.full(len(outcomes), np.nan)})
    assert [each.beside for each in evidence(broken).pairs] == ["challenger"]
    assert evidence(_with_a_line(probabilities=np.full(len(outcomes), np.nan))).pairs == ()


def test_a_document_without_pairs_is_read_as_one_of_none() -> None:
    found = evidence(_with_a_line())
    kept = document(found)
    assert document(read_evidence(kept)) == kept
    del kept["pairs"]
    assert read_evidence(kept).pairs == ()


@pytest.mark.parametrize(("errors", "expected"), [(-2.99, False), (-3.01, True), (3.01, False)])
def test_a_line_is_clearly_better_from_three_standard_errors_on(
    errors: float, expected: bool
) -> None:
    outcomes = _shipped()[0]
    drawn = np.random.default_rng(0).normal(size=len(outcomes))
    gains = (drawn - drawn.mean()) / drawn.std(ddof=1) + errors / len(outcomes) ** 0.5
    of_outcome = 0.5 * np.exp(-0.01 * gains)
    asked = _with_a_line(probabilities=np.where(outcomes == 1, of_outcome, 1 - of_outcome))
    asked = changed(asked, of_challenger={"probabilities": np.full(len(outcomes), 0.5)})
    pair = evidence(asked).pairs[0]
    assert pair.log_loss_gain.value == pytest.approx(0.01 * gains.mean())
    assert pair.clearly_better is expected


@pytest.mark.parametrize(
    ("gain", "told"),
    [
        (Estimate(0.02, 0.01, 0.03), "better than a straight line by 0.020 (0.010 to 0.030)"),
        (
            Estimate(0.02, -0.01, 0.03),
            (
                "neither clearly better nor clearly worse than a straight line: its gain is 0.020 "
                "(-0.010 to 0.030)"
            ),
        ),
        (Estimate(-0.02, -0.03, -0.01), "worse than a straight line by 0.020 (0.010 to 0.030)"),
    ],
)
def test_a_pair_is_told_in_a_sentence(gain: Estimate, told: str) -> None:
    pair = structs.replace(evidence(_with_a_line()).pairs[1], auroc_gain=gain)
    assert sentence_of(pair, "version 3", "9 rows") == f"Version 3 is {told} in AUROC over 9 rows."


def test_a_pair_that_can_not_be_compared_says_why() -> None:
    gain = Estimate(0.0, reason=NO_SPREAD)
    pair = structs.replace(evidence(_with_a_line()).pairs[1], auroc_gain=gain)
    assert sentence_of(pair, "version 3", "9 rows").endswith(f" over 9 rows: {NO_SPREAD}.")
