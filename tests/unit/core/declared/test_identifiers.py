"""One canonical text for a key, whatever driver it comes from."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima.core.declared.identifiers import (
    LONGEST_KEY,
    canonical_key,
    canonical_keys,
    canonical_text,
    key_of_text,
)
from pima.core.declared.source import KeyType

ONE = "123e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("A-17", "A-17"),
        ("a-17", "a-17"),
        ("A-17   ", "A-17"),
        (" A-17", " A-17"),
        ("A-17\t", "A-17\t"),
        ("Zu\u0308rich", "Z\u00fcrich"),
        ("x" * LONGEST_KEY, "x" * LONGEST_KEY),
        ("x" * LONGEST_KEY + "  ", "x" * LONGEST_KEY),
        ("x" * (LONGEST_KEY + 1), None),
        ("\u00fc" * (LONGEST_KEY // 2), "\u00fc" * (LONGEST_KEY // 2)),
        ("\u00fc" * (LONGEST_KEY // 2 + 1), None),
        ("", None),
        ("   ", None),
        ("a\0b", None),
        ("\ud800", None),
    ],
)
def test_a_text_is_composed_and_loses_its_trailing_spaces_and_keeps_its_case(
    given_text: str, expected: str | None
) -> None:
    assert canonical_text(given_text) == expected
    assert canonical_key([given_text], ["text"]) == expected
    assert canonical_keys([[given_text, "other"]], ["text"]) == [expected, "other"]


@pytest.mark.parametrize(
    "spelled", [ONE, ONE.upper(), ONE.replace("-", ""), f"{{{ONE}}}", f"{ONE}  ", UUID(ONE)]
)
def test_every_spelling_of_a_uuid_is_one_key(spelled: object) -> None:
    assert canonical_key([spelled], ["uuid"]) == ONE
    assert canonical_keys([[spelled, ONE]], ["uuid"]) == [ONE, ONE]


@pytest.mark.parametrize("whole", [17, Decimal(17), Decimal("17.000"), Decimal("1.7E1")])
def test_an_integer_is_one_key_whatever_the_driver_makes_of_it(whole: object) -> None:
    assert canonical_key([whole], ["integer"]) == "17"
    assert (
        canonical_key([Decimal("12345678901234567890123")], ["integer"])
        == "12345678901234567890123"
    )
    assert canonical_key([-(2**63)], ["integer"]) == str(-(2**63))


@pytest.mark.parametrize(
    ("value", "key_type"),
    [
        *((None, key_type) for key_type in ("text", "integer", "uuid")),
        *((17.0, key_type) for key_type in ("text", "integer", "uuid")),
        *((True, key_type) for key_type in ("text", "integer", "uuid")),
        *((b"17", key_type) for key_type in ("text", "integer", "uuid")),
        (17, "text"),
        (17, "uuid"),
        ("17", "integer"),
        (Decimal("17.5"), "integer"),
        (Decimal("NaN"), "integer"),
        (Decimal("Infinity"), "integer"),
        (UUID(ONE), "text"),
        (ONE[:-1], "uuid"),
        (f"{ONE}0", "uuid"),
        (ONE.replace("a", "g"), "uuid"),
        ("\u0661" * 32, "uuid"),
    ],
)
def test_what_is_not_of_the_declared_type_is_no_key(value: object, key_type: KeyType) -> None:
    assert canonical_key([value], [key_type]) is None
    assert canonical_keys([[value]], [key_type]) == [None]


def test_several_columns_are_an_array_of_strings_that_none_else_can_be() -> None:
    assert canonical_key(["north", 17], ["text", "integer"]) == '["north","17"]'
    assert canonical_key(['a","b', "c"], ["text", "text"]) != canonical_key(
        ["a", 'b","c'], ["text", "text"]
    )
    assert (
        canonical_key(["Zu\u0308rich ", ONE.upper()], ["text", "uuid"])
        == f'["Z\u00fcrich","{ONE}"]'
    )
    assert canonical_key(["north", None], ["text", "integer"]) is None
    assert canonical_key(["x" * 150, "y" * 150], ["text", "text"]) is None
    assert canonical_keys([["north", "south"], [1, 2]], ["text", "integer"]) == [
        '["north","1"]',
        '["south","2"]',
    ]


_ANY = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.text(" \0aZ\u00fc", max_size=3),
    st.uuids().map(str),
    st.integers(),
    st.floats(),
)


@given(
    st.lists(_ANY, min_size=1) | st.lists(st.none() | st.integers(), min_size=1),
    st.sampled_from(["text", "integer", "uuid"]),
)
def test_many_keys_at_once_are_what_each_would_be(values: list[object], key_type: KeyType) -> None:
    assert canonical_keys([values], [key_type]) == [
        canonical_key([value], [key_type]) for value in values
    ]


@given(st.text())
def test_a_canonical_key_stays_as_it_is(value: str) -> None:
    once = canonical_text(value)
    assert once is None or canonical_text(once) == once


@pytest.mark.parametrize(
    ("written", "key_type", "expected"),
    [
        *(
            (written, "integer", "7")
            for written in ("7", "007", "+7", "7.0", "7.", " 7 ", "+0007.000")
        ),
        ("-0", "integer", "0"),
        ("-07", "integer", "-7"),
        ("9007199254740993", "integer", "9007199254740993"),
        ("1e5", "integer", None),
        (ONE.upper(), "integer", None),
        (f"{{{ONE.upper()}}}", "uuid", ONE),
        ("7", "uuid", None),
        ("007", "text", "007"),
    ],
)
def test_a_key_that_is_written_down_is_the_one_that_a_driver_gives(
    written: str, key_type: KeyType, expected: str | None
) -> None:
    assert key_of_text(written, [key_type]) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "7.5",
        "7,0",
        "1_0",
        "--7",
        "\u0667",
        "7 7",
        "nan",
        "0" * 5_000,
        "7\n",
        "x",
        ".0",
        "\udcff",
    ],
)
def test_what_is_no_integer_is_no_key(written: str) -> None:
    assert key_of_text(written, ["integer"]) is None


@pytest.mark.parametrize(
    "written", ['["7","a"]', '[ "07", "a " ]', '[7, "a"]', '["+7", "\\u0061"]']
)
def test_several_columns_that_are_written_down_are_one_key(written: str) -> None:
    assert key_of_text(written, ["integer", "text"]) == canonical_key([7, "a"], ["integer", "text"])


@pytest.mark.parametrize(
    "written",
    [
        *(
            "7",
            "a",
            "",
            '"7"',
            "[]",
            '["7"]',
            '["7","a","b"]',
            '["x","a"]',
            '[7.5,"a"]',
            '[true,"a"]',
            "[7,7]",
        ),
        *(
            '["7",""]',
            '{"7":"a"}',
            "[" * 100_000,
            '["7",null]',
            '["7","\\ud800"]',
            f"[{'7' * 5_000},1]",
        ),
    ],
)
def test_what_is_no_array_of_their_types_is_no_key(written: str) -> None:
    assert key_of_text(written, ["integer", "text"]) is None
