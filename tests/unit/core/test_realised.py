"""What came true beside what was estimated, and when it is too little."""

import numpy as np

from pima.core.realised import followed_up, realised, realised_figures
from pima.core.watched import State
from tests.support.simulated_nights import THRESHOLD, probabilities_of, rows_of


def test_estimate_and_outcome_agree_without_drift_and_part_where_the_outcome_changes() -> None:
    random = np.random.default_rng(14)
    rows = rows_of(random, 2_000)
    probabilities = probabilities_of(rows)
    agree = []
    for changed in (probabilities, probabilities_of(rows_of(random, 2_000))):
        found = realised(probabilities, THRESHOLD, (random.random(2_000) < changed).astype(np.int8))
        estimate, accuracy = found.estimated_accuracy, found.accuracy
        agree.append(estimate.low <= accuracy.high and accuracy.low <= estimate.high)
    assert agree == [True, False]


def test_only_too_little_that_came_true_is_below_the_limit() -> None:
    random = np.random.default_rng(15)
    probabilities = random.random(400)
    outcomes = (probabilities > 0.5).astype(np.int8)
    states = []
    for known in (outcomes, 1 - outcomes, outcomes[:40]):
        found = realised(probabilities[: len(known)], 0.5, known)
        followed = followed_up(found.outcomes, 1_000)
        judged = {"correct": 75, "rows": 100}
        states.append([each.state for each in realised_figures(found, followed, judged) if each.allowed])
    assert states == [[State.USUAL, State.USUAL], [State.ALERT, State.ALERT], []]
    found = realised(probabilities, 0.5, outcomes)
    (accuracy, *_, share) = realised_figures(found, followed_up(found.outcomes, 1_000), None)
    assert (accuracy.value, accuracy.allowed, share.value) == (1.0, None, 0.4)
