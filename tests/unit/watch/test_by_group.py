"""In which groups the probabilities do not hold, and where that is not said."""

import numpy as np
import pytest

from pima.core.outcomes.realised import came_true
from pima.watch.by_group import doubts

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, None]


def _rows(probability: float, ones: int, rows: int = 400) -> Rows:
    outcomes = np.zeros(rows, dtype=np.int8)
    outcomes[:ones] = 1
    return np.full(rows, probability), np.full(rows, 0.5), outcomes, None


def _doubts(north: Rows, south: Rows) -> list[str]:
    every = tuple(np.concatenate([a, b]) for a, b in zip(north[:3], south[:3], strict=True))
    told = {"north": came_true(*north), "south": came_true(*south)}
    return list(doubts("site", told, (*every, None)))


@pytest.mark.parametrize("ones_there", [160, 50])
def test_a_group_with_too_many_or_too_few_ones_is_told_where_all_together_are_right(
    ones_there: int,
) -> None:
    *_, told = _doubts(_rows(0.25, 200 - ones_there), _rows(0.25, ones_there))
    assert "in site: south" in told
    assert f"is {ones_there / 100:.2f} (" in told


@pytest.mark.parametrize("ones", [180, 50])
def test_nothing_is_said_of_groups_where_all_are_as_wrong(ones: int) -> None:
    assert _doubts(_rows(0.25, ones), _rows(0.25, ones)) == []


def test_nothing_is_said_where_the_probabilities_hold() -> None:
    assert _doubts(_rows(0.25, 100), _rows(0.4, 160)) == []


def test_nothing_is_said_before_there_are_outcomes() -> None:
    assert list(doubts("site", {}, _rows(0.25, 0, 0))) == []
