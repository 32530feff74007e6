"""What a few held-out rows can show."""

import numpy as np
import pytest

from pima.core.reasons import chance_to_beat_majority, rows_to_beat_majority


@pytest.mark.parametrize("rarer_share", [0.1, 0.35, 0.5])
@pytest.mark.parametrize("rows", [40, 60, 150])
def test_the_chance_is_what_draws_show(rows: int, rarer_share: float) -> None:
    """That a model which finds 55 % of the rarer class and errs on 25 % as many others beats the majority class."""
    draw = np.random.default_rng([rows, round(1000 * rarer_share)])
    cells = [0.55 * rarer_share, 0.25 * rarer_share]
    found, wrong = draw.multinomial(rows, [*cells, 1 - sum(cells)], 40_000)[:, :2].T
    assert chance_to_beat_majority(rows, rarer_share) == pytest.approx((found > wrong).mean(), abs=0.02)


@pytest.mark.parametrize("rarer_share", [0.05, 0.1, 0.35, 0.5])
def test_on_so_many_rows_and_no_fewer_it_is_19_in_20(rarer_share: float) -> None:
    rows = rows_to_beat_majority(rarer_share)
    assert chance_to_beat_majority(rows, rarer_share) >= 0.95 > chance_to_beat_majority(rows - 1, rarer_share)


def test_of_200_labels_about_one_first_retraining_in_twelve_gives_no_champion() -> None:
    """As 30 % of 200 of the shipped rows are held out, of which 35 % have the disease."""
    assert 1 - chance_to_beat_majority(60, 0.35) == pytest.approx(1 / 12, abs=0.02)
    assert rows_to_beat_majority(0.35) == 76
