"""Declared features: the rules for a version that was fitted on others, and names of columns."""

import pytest
from msgspec.structs import replace

from pima.core.declared.features import Declaration, Feature, Outcome, canonical_name
from pima.settings.reading import SHIPPED

REFERENCE_NUMBER = Feature("a", low=1, high=10)
CATEGORY = Feature("c", kind="category", codes={0: "no", 1: "yes"})


def _rule(today: Feature, fitted: Feature) -> Feature:
    (rule,) = Declaration(Outcome("ill"), (today,)).rules_for((fitted,))
    assert Declaration(Outcome("ill"), (), (today,)).rules_for((fitted,)) == (
        rule,
    )  # retired or not
    return rule


@pytest.mark.parametrize(
    ("fitted_low", "power", "low_today", "low"),
    [
        (1, None, 0, 1),
        (0, None, -1, 0),
        (1, 0.5, 0, 1),
        (1, -1, 0, 1),
        (1, 1, 0, 0),
        (-1, None, -2, -2),  # no root or reciprocal was open to the fit
        (1, None, 2, 2),
        (0, None, 0, 0),
    ],
)
def test_a_range_ends_where_that_of_the_fit_did_if_it_may_be_raised_to_a_power(
    fitted_low: float, power: float | None, low_today: float, low: float
) -> None:
    today = replace(REFERENCE_NUMBER, low=low_today, high=20, power=1)
    rule = _rule(today, replace(REFERENCE_NUMBER, low=fitted_low, power=power))
    assert rule == replace(today, low=low)


def test_a_code_that_the_fit_never_saw_is_missing_and_keeps_a_row_out_where_none_may_be_missing() -> (
    None
):
    today = replace(CATEGORY, codes={1: "Yes", 2: "maybe"})
    assert _rule(today, CATEGORY).codes == {1: "Yes"}
    optional = replace(today, may_be_missing=True)
    assert _rule(optional, CATEGORY) == optional


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("BloodPressure", "blood_pressure"),
        ("DiabetesPedigreeFunction", "diabetes_pedigree"),
        (" BMI ", "bmi"),
        ("Outcome", "outcome"),
        ("ID", "id"),
        ("weight", None),
        ("", None),
    ],
)
def test_column_names_are_recognised(spelled: str, meant: str | None) -> None:
    assert canonical_name(spelled, SHIPPED) == meant
