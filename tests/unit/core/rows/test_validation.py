"""Each rule that a row must keep, at both ends of each range, and whichever way rows come."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.declared.features import Feature
from pima.core.rows.validation import (
    MISSING,
    NOT_FINITE,
    OUT_OF_RANGE,
    UNKNOWN_CODE,
    FeatureValues,
    Measurements,
    as_features,
    by_feature,
    validate,
)
from tests.support.declared import declaration
from tests.support.shipped import FEATURE_NAMES, FEATURES, SHIPPED, SOUND


def _rows(*changes: dict[str, float | None]) -> list[FeatureValues]:
    table = [[(SOUND | change)[name] for name in FEATURE_NAMES] for change in changes]
    is_null = np.array([[value is None for value in row] for row in table])
    values = np.array(
        [[0.0 if value is None else value for value in row] for row in table], dtype=np.float64
    )
    return Measurements(values, is_null).by_feature


def _shipped() -> np.ndarray:
    return np.loadtxt(SHIPPED, delimiter=",")


def test_the_shipped_data_are_the_articles_rows_in_order() -> None:
    content = SHIPPED.read_bytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "33e704cdafa8769a75728e4658dcce5bc1da1ce36174603687fe545f46e39394"
    )
    assert content.count(b"\n") == 768
    assert _shipped()[:, 8].sum() == 268


def test_every_shipped_row_is_accepted() -> None:
    rows = _shipped()[:, :8]
    divided = validate(by_feature(rows), FEATURES)
    assert len(divided.accepted) == 768
    assert np.isnan(divided.features).sum(axis=0).tolist() == [0, 5, 35, 227, 374, 11, 0, 0]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_each_range_is_inclusive_and_holds_on_both_ends(feature) -> None:
    inside = _rows({feature.name: feature.low}, {feature.name: feature.high})
    assert validate(inside, FEATURES).reasons == ()
    above = math.nextafter(feature.high, math.inf)
    below = math.nextafter(feature.low, -math.inf)
    divided = validate(_rows({feature.name: below}, {feature.name: above}), FEATURES)
    assert divided.reasons == (OUT_OF_RANGE,) * 2
    assert divided.fields == (feature.name,) * 2


_SMOKING = Feature(
    name="smoking",
    kind="category",
    codes={0: "never", 1: "former", 2: "current"},
    may_be_missing=True,
)
_CELLS = st.floats() | st.none() | st.integers(-1, 300).map(float)


def _reason(value: float | None, feature: Feature) -> str:
    """The rule that one value breaks, said once more without arrays."""
    if value is None:
        return "" if feature.may_be_missing else MISSING
    if not math.isfinite(value):
        return NOT_FINITE
    if feature.kind == "category":
        return "" if value in feature.codes else UNKNOWN_CODE
    is_sound = feature.low <= value <= feature.high or (value == 0 and feature.zero_is_missing)
    return "" if is_sound else OUT_OF_RANGE


@given(st.lists(st.dictionaries(st.integers(0, 8), _CELLS, max_size=3), max_size=20))
def test_each_row_is_judged_as_its_values_are_one_by_one(
    changed: list[dict[int, float | None]],
) -> None:
    features = (*FEATURES, _SMOKING)
    sound = dict(enumerate([*SOUND.values(), 1.0]))
    table = [list((sound | changes).values()) for changes in changed]
    is_null = np.array([[v is None for v in row] for row in table], dtype=bool).reshape(-1, 9)
    values = np.array(
        [[math.nan if v is None else v for v in row] for row in table], dtype=np.float64
    ).reshape(-1, 9)
    without_nulls = [
        each if each.is_null.any() else FeatureValues(each.values)
        for each in Measurements(values, is_null).by_feature
    ]
    found = validate(without_nulls, features)
    reasons = [
        [_reason(value, feature) for value, feature in zip(row, features, strict=True)]
        for row in table
    ]
    first = [next((n for n, reason in enumerate(row) if reason), None) for row in reasons]
    assert found.rejected.tolist() == [n for n, field in enumerate(first) if field is not None]
    assert found.fields == tuple(features[field].name for field in first if field is not None)
    assert found.reasons == tuple(
        row[n] for row, n in zip(reasons, first, strict=True) if n is not None
    )
    np.testing.assert_array_equal(
        found.features, as_features(without_nulls, features)[found.accepted]
    )


def test_rows_are_judged_by_what_is_declared(tmp_path: Path) -> None:
    features = declaration(tmp_path).features
    rows = [
        [3, 1.0, 37.0, 2],
        [3, 1.0, 0.0, 2],
        [3, 1.0, 37.0, 3],
        [41, 1.0, 37.0, 0],
        [3, 1.0, 37.0, 0.5],
    ]
    values = np.array(rows, dtype=np.float64)
    divided = validate(by_feature(values), features)
    assert divided.accepted.tolist() == [0, 1]
    assert np.isnan(divided.features[1, 2])
    assert divided.reasons == (UNKNOWN_CODE, OUT_OF_RANGE, UNKNOWN_CODE)
    assert divided.fields == ("smoking", "order", "smoking")
    nothing = validate(Measurements(values[:1], np.ones((1, 4), dtype=bool)).by_feature, features)
    assert (nothing.reasons, nothing.fields) == ((MISSING,), ("order",))
