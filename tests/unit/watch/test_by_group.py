"""In which groups the probabilities do not hold, and where that is not said."""

import numpy as np
import pytest

from pima.core.outcomes.realised import CameTrue, came_true
from pima.watch.by_group import doubts

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, None]


def _rows(probability: float, ones: int, rows: int = 400) -> Rows:
    outcomes = np.zeros(rows, dtype=np.int8)
    outcomes[:ones] = 1
    return np.full(rows, probability), np.full(rows, 0.5), outcomes, None


def _doubts(north: Rows, south: Rows) -> list[str]:
    told = {"north": came_true(*north), "south": came_true(*south)}
    return list(doubts("site", told, {"north": told["south"], "south": told["north"]}))


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


def test_groups_are_told_that_are_wrong_in_both_directions_and_so_over_all() -> None:
    north, south = _doubts(_rows(0.25, 304, 800), _rows(0.25, 31))
    assert "in site: north. Observed / expected is 1.52 (" in north
    assert "in site: south. Observed / expected is 0.31 (" in south


def test_the_one_that_holds_is_not_told_beside_one_that_does_not() -> None:
    (told,) = _doubts(_rows(0.25, 100), _rows(0.25, 180))
    assert "in site: south" in told


def test_nothing_is_said_where_the_probabilities_hold() -> None:
    assert _doubts(_rows(0.25, 100), _rows(0.4, 160)) == []


def test_nothing_is_said_before_there_are_outcomes() -> None:
    assert list(doubts("site", {}, {})) == []


def test_luck_alone_hardly_ever_makes_a_doubt(at_length: bool) -> None:
    clinics = 400 if at_length else 60
    assert sum(map(_has_doubt, range(clinics))) <= 0.03 * clinics


def _has_doubt(seed: int) -> bool:
    """In a clinic of five sites whose probabilities hold."""
    draw = np.random.default_rng(seed)
    chances = draw.beta(1, 3, 1500)
    every = (chances, np.full(1500, 0.5), (draw.random(1500) < chances).astype(np.int8), None)
    sites = draw.choice(5, 1500, p=[0.4, 0.25, 0.15, 0.12, 0.08])

    def at(is_in: np.ndarray) -> CameTrue:
        return came_true(*(column if column is None else column[is_in] for column in every))

    told, rest = {}, {}
    for site in range(5):
        told[str(site)], rest[str(site)] = at(sites == site), at(sites != site)
    return bool(list(doubts("site", told, rest)))
