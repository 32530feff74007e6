"""What a source's values become, and what of them is counted as not to be taken."""

import math
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.declared.features import Feature, SeenByNoModel
from pima.core.declared.source import MappedColumn
from pima.core.rows.mapping import Moments, SourceMapping, SourceTally, mapped

GLUCOSE = Feature(
    "glucose", unit="mg/dL", low=20, high=600, zero_is_missing=True, may_be_missing=True
)
SEX = Feature("sex", kind="category", codes={0: "female", 1: "male"})
MMOL = MappedColumn("glucose_mmol", factor=18.016)
LETTERS = MappedColumn("sex", words={"M": 1, "F": 0})
MAPPING = SourceMapping(("text",), (), False, {}, (GLUCOSE, SEX), (MMOL, LETTERS))


def _mapped(mapping: SourceMapping, *rows: tuple[Any, ...]) -> tuple[pd.DataFrame, SourceTally]:
    tally = SourceTally()
    return mapped(
        mapping, [pd.Series(column, dtype=object) for column in zip(*rows, strict=True)], tally
    ), tally


def _values(block: pd.DataFrame, *features: str) -> list[Any]:
    """What stands in these columns, row by row, None for NULL."""
    columns = [
        [None if value is pd.NA or value != value else value for value in block[name]]
        for name in features
    ]
    return columns[0] if len(features) == 1 else list(map(list, zip(*columns, strict=True)))


def _rejected(block: pd.DataFrame) -> list[bool]:
    return (block["reason"] != "").tolist()


def _one(
    feature: Feature, how: MappedColumn, value: Any
) -> tuple[float | None, dict[tuple[str, str], int]]:
    """What a value becomes beside one that is not known, None for NULL; and why it is rejected."""
    mapping = replace(MAPPING, features=(feature,), columns=(how,))
    rows, tally = _mapped(mapping, ("a", value), ("b", None))
    assert _rejected(rows) == [bool(+tally.rejected), False]
    return _values(rows, feature.name)[0], dict(+tally.rejected)


def test_units_and_codes_become_the_declared_ones() -> None:
    rows, tally = _mapped(MAPPING, ("a", 5.5, "M"), ("b", None, "f "), ("c", Decimal("10.25"), "F"))
    assert rows.index.tolist() == ["a", "b", "c"]
    assert _values(rows, "glucose", "sex") == [[5.5 * 18.016, 1], [None, 0], [10.25 * 18.016, 0]]
    assert not any(_rejected(rows))
    assert (tally.rows, dict(+tally.missing), tally.without_key) == (3, {"glucose": 1}, 0)


def test_an_offset_is_added_behind_the_factor() -> None:
    fahrenheit = MappedColumn("t", factor=5 / 9, offset=-160 / 9)
    assert _one(Feature("t", low=30, high=45), fahrenheit, 98.6)[0] == pytest.approx(37)


@pytest.mark.parametrize("value", [7.0, 7, Decimal(7), "7", " 7.0 ", "+7", "7e0"])
def test_a_number_is_one_in_whatever_type_it_comes(value: object) -> None:
    assert _one(GLUCOSE, MMOL, value) == (7 * 18.016, {})


@pytest.mark.parametrize(("value", "found"), [(None, None), ("", None), ("   ", None), (0, 0.0)])
def test_nothing_is_null_and_zero_stays_the_zero_that_means_missing(
    value: object, found: float | None
) -> None:
    assert _one(GLUCOSE, MMOL, value) == (found, {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("5,5", "not_a_number"),
        ("high", "not_a_number"),
        ("1_0", "not_a_number"),
        ("\u0665", "not_a_number"),
        ("nan", "not_finite"),
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (Decimal("sNaN"), "not_a_number"),
        (10**400, "not_finite"),
        (1e308, "not_finite"),
        (100, "out_of_range"),
        (-1, "out_of_range"),
    ],
)
def test_a_number_that_can_not_be_taken_is_rejected_by_its_reason(
    value: object, reason: str
) -> None:
    assert _one(GLUCOSE, MMOL, value)[1] == {(reason, "glucose"): 1}


def test_words_may_stand_among_numbers_and_are_in_the_declared_unit() -> None:
    how = MappedColumn("glucose", factor=18.016, words={"below 2": 20, "HIGH": 600})
    assert _one(GLUCOSE, how, "Below 2") == (20, {})
    assert _one(GLUCOSE, how, "high ") == (600, {})
    assert _one(GLUCOSE, how, "5") == (5 * 18.016, {})
    assert _one(GLUCOSE, how, None) == (None, {})
    assert _one(GLUCOSE, how, "low")[1] == {("not_a_number", "glucose"): 1}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("male", 1),
        ("Female", 0),
        (" MALE", 1),
        ("1", 1),
        (0, 0),
        (1.0, 1),
        (Decimal(1), 1),
        (None, None),
    ],
)
def test_without_words_a_category_goes_by_its_codes_and_labels(
    value: object, code: int | None
) -> None:
    mapping = replace(MAPPING, features=(SEX,), columns=(MappedColumn("sex"),))
    rows, tally = _mapped(mapping, ("a", value))
    assert _values(rows, "sex") == [code]
    assert not +tally.rejected


def test_a_truth_value_is_a_code_only_where_words_or_labels_say_which() -> None:
    labelled = Feature("sex", kind="category", codes={0: "True", 1: "false"})
    for feature, words, code in (
        (SEX, {}, None),
        (SEX, {"true": 1}, None),
        (SEX, {"true": 1, "FALSE": 0}, 1),
        (labelled, {}, 0),
    ):
        mapping = replace(MAPPING, features=(feature,), columns=(MappedColumn("sex", words=words),))
        rows, tally = _mapped(mapping, ("a", True))
        assert (_values(rows, "sex"), tally.wrong_types) == (
            [code],
            {"sex": "bool"} if code is None else {},
        )
    assert _one(SEX, MappedColumn("sex"), "true")[1] == {("unknown_code", "sex"): 1}


@pytest.mark.parametrize("value", ["X", 1, "male", 7])
def test_where_words_are_given_nothing_else_is_a_code(value: object) -> None:
    assert _one(SEX, LETTERS, value)[1] == {("unknown_code", "sex"): 1}


def test_a_code_may_be_a_number_of_the_source() -> None:
    how = MappedColumn("sex", words={"1": 1, "2": 0})
    mapping = replace(MAPPING, features=(SEX,), columns=(how,))
    rows, _ = _mapped(mapping, ("a", 1), ("b", Decimal(2)), ("c", 2.0))
    assert (_values(rows, "sex"), any(_rejected(rows))) == ([1, 0, 0], False)


@pytest.mark.parametrize("value", [date(2020, 1, 1), b"5", [5], {}])
def test_a_type_that_is_neither_number_nor_text_is_told_by_its_name(value: object) -> None:
    _, tally = _mapped(MAPPING, ("a", 5.5, "M"), ("b", value, "M"))
    assert tally.wrong_types == {"glucose": type(value).__name__}
    mapping = replace(MAPPING, has_outcome=True)
    _, tally = _mapped(mapping, ("a", value, 5.5, "M"))
    assert tally.wrong_types == {"outcome": type(value).__name__}


@pytest.mark.parametrize(
    ("words", "value", "outcome"),
    [
        *(({}, one, 1) for one in (1, 1.0, Decimal(1), True, "1")),
        *(({}, zero, 0) for zero in (0, 0.0, Decimal(0), False, "0")),
        *(({}, none, None) for none in (None, "", " ")),
        ({"yes": 1, "no": 0}, "Yes ", 1),
        ({"yes": 1, "no": 0}, "no", 0),
        ({"2": 1, "1": 0}, 1, 0),
        *(({}, bad, "bad") for bad in ("yes", 2, 0.5, -1, math.nan, Decimal("0.5"))),
        *(({"yes": 1, "no": 0}, bad, "bad") for bad in ("maybe", 1, "1")),
    ],
)
def test_an_outcome_is_0_or_1_or_not_known_or_rejected(
    words: dict[str, int], value: object, outcome: object
) -> None:
    mapping = replace(MAPPING, has_outcome=True, outcome_words=words)
    rows, tally = _mapped(mapping, ("a", value, 5.5, "M"))
    assert _values(rows, "outcome") == [None if outcome == "bad" else outcome]
    assert _rejected(rows) == [outcome == "bad"]
    assert dict(+tally.rejected) == ({("bad_outcome", "outcome"): 1} if outcome == "bad" else {})


def test_a_person_that_is_not_known_is_none_and_one_that_is_no_key_is_a_fault() -> None:
    mapping = replace(MAPPING, person_types=("integer",))
    rows, tally = _mapped(mapping, ("a", 17, 5, "M"), ("b", None, 5, "M"), ("c", 1.5, 5, "M"))
    assert (_values(rows, "person_key"), _rejected(rows)) == (
        ["17", None, None],
        [False, False, True],
    )
    assert dict(+tally.rejected) == {("bad_person", "person_key"): 1}


def test_a_row_without_a_key_is_counted_and_left_out() -> None:
    rows, tally = _mapped(MAPPING, ("a", 5, "M"), (None, 6, "M"), (1.5, 7, "M"), ("d", 8, "F"))
    assert (rows.index.tolist(), _values(rows, "sex")) == (["a", "d"], [1, 0])
    assert (tally.rows, tally.without_key) == (4, 2)


def test_a_row_counts_once_by_its_first_fault_and_each_feature_counts_its_own() -> None:
    mapping = replace(MAPPING, has_outcome=True)
    _, tally = _mapped(
        mapping,
        ("a", "yes", "x", "X"),
        ("b", "yes", 5, "X"),
        ("c", "yes", 5, "M"),
        ("d", 1, 0, "M"),
    )
    assert dict(+tally.rejected) == {
        ("not_a_number", "glucose"): 1,
        ("unknown_code", "sex"): 1,
        ("bad_outcome", "outcome"): 1,
    }
    assert (dict(+tally.unusable), dict(+tally.missing)) == (
        {"glucose": 1, "sex": 2},
        {"glucose": 1},
    )


WHOLE = st.none() | st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)
REAL = st.none() | st.floats() | st.sampled_from([0.0, 1.0, 5.5])


@given(st.lists(st.tuples(WHOLE, WHOLE, WHOLE, REAL, WHOLE, REAL, WHOLE), min_size=1, max_size=12))
def test_numbers_that_were_read_at_once_become_what_the_same_objects_become(
    rows: list[tuple[Any, ...]],
) -> None:
    worded = MappedColumn("age", words={"3": 30, "1.0": 31})
    age, bmi = (
        Feature(name, low=1, high=60, zero_is_missing=True, may_be_missing=True)
        for name in ("age", "bmi")
    )
    features = (GLUCOSE, SEX, age, bmi)
    columns = (MMOL, MappedColumn("sex"), worded, MappedColumn("bmi"))
    mapping = SourceMapping(("integer",), ("integer",), True, {}, features, columns)
    as_objects = [pd.Series(column, dtype=object) for column in zip(*rows, strict=True)]
    by_object, by_column = SourceTally(), SourceTally()
    expected = mapped(mapping, as_objects, by_object)
    found = mapped(mapping, list(map(_at_once, as_objects)), by_column)
    assert by_column == by_object
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def _at_once(column: pd.Series) -> pd.Series:
    is_float = any(isinstance(value, float) for value in column)
    # What stands where one is NULL is whatever was read there.
    values = np.array(
        [17 if value is None else value for value in column],
        dtype=np.float64 if is_float else np.int64,
    )
    is_null = np.array([value is None for value in column])
    return pd.Series(
        (pd.arrays.FloatingArray if is_float else pd.arrays.IntegerArray)(values, is_null)
    )


FILES_WORDS = [
    "007",
    "9007199254740993",
    "NA",
    "null",
    "nan",
    "1_000",
    "1e3",
    "",
    "5.5",
    "+7",
    " 8 ",
    "\u0665",
    "x",
]


@given(st.lists(st.sampled_from(FILES_WORDS), min_size=2, max_size=20), st.integers(1, 19))
def test_rows_cut_into_any_blocks_become_the_same(words: list[str], cut: int) -> None:
    """Nothing is inferred from what else stands in a block."""
    rows = [(f"0{n}", word, "M") for n, word in enumerate(words)]
    whole, counted = _mapped(MAPPING, *rows)
    parts, tallies = zip(
        *(_mapped(MAPPING, *some) for some in (rows[:cut], rows[cut:]) if some), strict=True
    )
    joined = pd.concat(parts)
    joined.index = joined.index.astype(object)
    pd.testing.assert_frame_equal(joined, whole, check_exact=True)
    assert sum((tally.rejected for tally in tallies), Counter()) == counted.rejected
    for word, value in zip(words, whole["glucose"], strict=True):
        expected = (
            float(word) * 18.016
            if word.strip(" +").replace(".", "").isdigit() and word.isascii()
            else None
        )
        assert expected is None or value == expected or (word in ("9007199254740993", "1e3"))


@pytest.mark.parametrize(
    ("unknown", "value", "found"), [("missing", "X", None), (1, "X", 1), (1, None, 1), (1, "F", 0)]
)
def test_a_word_that_nobody_knows_is_taken_for_what_the_feature_says(
    unknown: Any, value: object, found: object
) -> None:
    feature = msgspec.structs.replace(SEX, unknown=unknown)
    rows, tally = _mapped(replace(MAPPING, features=(feature,), columns=(LETTERS,)), ("a", value))
    assert (_values(rows, "sex"), _rejected(rows)) == ([found], [False])
    assert tally.unknown["sex"] == (value == "X")


def test_a_score_beyond_its_range_is_not_known_and_counted_and_one_within_is_taken() -> None:
    news = SeenByNoModel("news", low=0, high=20, may_be_missing=True, unknown="missing")
    mapping = replace(MAPPING, features=(news,), columns=(MappedColumn("news"),))
    rows, tally = _mapped(mapping, *zip("abcd", [20, 999, math.inf, None], strict=True))
    assert (_values(rows, "news"), any(_rejected(rows))) == ([20, None, None, None], False)
    assert tally.unknown["news"] == 2


def test_a_category_s_0_may_mean_that_nothing_was_measured() -> None:
    codes = msgspec.structs.replace(SEX, codes={1: "a", 2: "b"}, zero_is_missing=True)
    assert _one(codes, MappedColumn("sex"), "0") == (0, {})


def test_a_row_has_its_moment_and_one_that_can_not_be_read_rejects_a_row_with_an_outcome() -> None:
    mapping = replace(MAPPING, has_outcome=True)
    nobody = np.zeros(2, dtype=bool)
    moments = Moments(pd.Series([7, None], dtype="Int64"), ~nobody, nobody, nobody)
    columns = [
        pd.Series(each, dtype=object) for each in (["a", "b"], [1, None], [5, 5], ["M", "F"])
    ]
    rows = mapped(mapping, columns, tally := SourceTally(), {"index_at": moments})
    assert _values(rows, "index_at") == [7, None]
    assert (_rejected(rows), tally.rejected) == ([True, False], {("bad_index_at", "index_at"): 1})
