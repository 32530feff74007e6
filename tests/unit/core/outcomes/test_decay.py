"""Slow decay: the last whole weeks beside those before, whichever version predicted in them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benches.gate.decay import counted
from pima.core.arrays import Int64Array
from pima.core.nights.kinds import State, Watched
from pima.core.outcomes.decay import BAR, BEFORE, NEWEST, figure_of_decay
from pima.core.statistics.logistic_regression import logistic

LAST = 2_900
"""The number of the last whole week."""
Rows = tuple[Int64Array, Int64Array, Int64Array]
"""The week, the bin and the outcome of each."""


def _rows(shifts: list[float], cases: int = 49) -> Rows:
    """140 rows a week up to the last. In each the log odds of cases are higher by a shift, and
    nothing is left to luck."""
    found = []
    for week, shift in enumerate(shifts, start=LAST + 1 - len(shifts)):
        for outcome, rows in ((1, cases), (0, 140 - cases)):
            places = (np.arange(rows) + 0.5) / rows
            bins = np.round(10 * (np.log(places / (1 - places)) + outcome * shift)).astype(int)
            found += [(week, each, outcome) for each in bins.tolist()]
    weeks, bins, outcomes = np.array(found).T
    return weeks, bins, outcomes


def _figure(rows: Rows, last: int = LAST) -> Watched | None:
    weeks, bins, outcomes = rows
    return next(figure_of_decay(counted(weeks, logistic(bins / 10), outcomes), last), None)


def _area(rows: Rows, weeks: range) -> float:
    is_asked = np.isin(rows[0], list(weeks))
    return float(roc_auc_score(rows[2][is_asked], rows[1][is_asked]))


def test_a_clear_fall_alarms_with_both_areas_as_the_rows_have_them() -> None:
    rows = _rows([1.6] * BEFORE + [0.8] * NEWEST)
    found = _figure(rows)
    assert found is not None
    assert (found.state, found.rows) == (State.ALERT, 140 * NEWEST)
    assert found.value == pytest.approx(_area(rows, range(LAST + 1 - NEWEST, LAST + 1)))
    before = range(LAST + 1 - NEWEST - BEFORE, LAST + 1 - NEWEST)
    assert found.reference == pytest.approx(_area(rows, before))


@pytest.mark.parametrize(("shifts", "state"), [((1.6, 1.6), "usual"), ((0.8, 1.6), "usual")])
def test_neither_what_stays_nor_what_gets_better_alarms(
    shifts: tuple[float, float], state: str
) -> None:
    found = _figure(_rows([shifts[0]] * BEFORE + [shifts[1]] * NEWEST))
    assert found is not None
    assert found.state == state


def test_the_bar_is_that_many_standard_errors_of_the_difference() -> None:
    rows = _rows([1.6] * BEFORE + [1.3] * NEWEST)
    found = _figure(rows)
    assert found is not None
    errors = []
    for weeks in (range(LAST + 1 - NEWEST, LAST + 1), range(LAST - 38, LAST + 1 - NEWEST)):
        # Hanley and McNeil's (Radiology 1982, 143:29), an approximation of its own.
        area = _area(rows, weeks)
        cases, others = 49 * len(weeks), 91 * len(weeks)
        of_cases = area / (2 - area) - area**2
        of_others = 2 * area**2 / (1 + area) - area**2
        spread = area * (1 - area) + (cases - 1) * of_cases + (others - 1) * of_others
        errors.append(spread / cases / others)
    assert found.allowed == pytest.approx(BAR * sum(errors) ** 0.5, rel=0.1)


def test_the_running_week_and_what_is_older_than_nine_months_are_left_out() -> None:
    calm = [1.6] * (BEFORE + NEWEST)
    asked = _figure(_rows(calm))
    # The same weeks, with one more before them and the running one behind.
    assert _figure(_rows([0.0, *calm, 0.0]), LAST - 1) == asked


@pytest.mark.parametrize(
    ("weeks", "cases", "is_told"),
    [(2 * NEWEST, 49, True), (2 * NEWEST - 1, 49, False), (BEFORE + NEWEST, 1, True),
     (BEFORE + NEWEST, 139, True), (BEFORE + NEWEST, 0, False)],
)  # fmt: skip
def test_it_is_told_from_half_a_year_on_where_both_outcomes_come(
    weeks: int, cases: int, is_told: bool
) -> None:
    assert (_figure(_rows([1.6] * weeks, cases)) is not None) is is_told


def test_fewer_than_ten_of_the_rarer_outcome_say_nothing() -> None:
    rows = _rows([1.6] * (BEFORE + NEWEST), cases=1)
    is_kept = (rows[2] == 0) | (rows[0] < LAST - 3)
    assert _figure(rows) is not None
    assert _figure((rows[0][is_kept], rows[1][is_kept], rows[2][is_kept])) is None
