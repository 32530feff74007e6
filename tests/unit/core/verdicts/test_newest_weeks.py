"""How far back a model learns: who is clearly better on the newest rows, whatever their
prevalence."""

import numpy as np
import pandas as pd
import pytest

from pima.core.arrays import Float64Array, Int8Array
from pima.core.verdicts.newest_weeks import ages_in_weeks, weeks_to_learn_from

ROWS = 1_000
_DRAW = np.random.default_rng(1)
TRUE = _DRAW.normal(-0.5, 1.0, ROWS)
OUTCOMES: Int8Array = (_DRAW.random(ROWS) < 1 / (1 + np.exp(-TRUE))).astype(np.int8)
NOISE = _DRAW.normal(size=ROWS)


def said(noise: float, higher: float = 0.0) -> Float64Array:
    """Probabilities that are more wrong the more noise there is."""
    return 1 / (1 + np.exp(-(TRUE + noise * NOISE + higher)))


def test_the_best_of_those_that_are_clearly_better_is_taken() -> None:
    of_newest = {52: said(0.6), 26: said(0.1), 13: said(0.3)}
    assert weeks_to_learn_from(said(1.0), of_newest, OUTCOMES) == 26
    del of_newest[26]
    assert weeks_to_learn_from(said(1.0), of_newest, OUTCOMES) == 13


@pytest.mark.parametrize(("errors", "weeks"), [(-5, None), (0, None), (1.95, None), (2.05, 52)])
def test_better_by_two_standard_errors_is_clearly_better(errors: float, weeks: int | None) -> None:
    # Both outcomes are mirrored, so no intercept fits better than 0.
    gains = np.tile([0.1, -0.1], 100)
    gains += errors * gains.std() / np.sqrt(400)
    right = np.stack([np.full(200, 0.6), 0.6 * np.exp(gains)])
    both = np.concatenate([right, 1 - right], axis=1)
    outcomes = np.repeat([1, 0], 200).astype(np.int8)
    assert weeks_to_learn_from(both[0], {52: both[1]}, outcomes) == weeks


def test_of_nothing_tried_all_rows_are_learned_from() -> None:
    assert weeks_to_learn_from(said(1.0), {}, OUTCOMES) is None


def test_another_prevalence_alone_is_no_reason() -> None:
    assert weeks_to_learn_from(said(0.0, higher=-1.5), {13: said(0.0)}, OUTCOMES) is None


def test_a_few_persons_who_come_often_say_less_than_as_many_rows() -> None:
    few = slice(30)
    rows = [np.tile(each[few], 20) for each in (said(1.0), said(0.5))]
    outcomes = np.tile(OUTCOMES[few], 20)
    persons = np.tile(np.arange(30), 20)
    assert weeks_to_learn_from(rows[0], {13: rows[1]}, outcomes) == 13
    assert weeks_to_learn_from(rows[0], {13: rows[1]}, outcomes, persons) is None


def test_ages_are_whole_weeks_before_the_newest_row() -> None:
    now = pd.Timestamp("2026-12-02 10:00", tz="UTC")
    days = [0, 6.9, 7, 55.9, 56, 365]
    over_at = pd.Series([now - pd.Timedelta(days=each) for each in days])
    assert ages_in_weeks(over_at).tolist() == [0, 0, 1, 7, 8, 52]
