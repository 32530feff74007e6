"""A clinic's own words in the report, in whatever letters they are written."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from pima.core.declared.features import Feature
from pima.core.statistics.estimates import Estimate, in_words
from pima.report.explain import contribution_in_words
from pima.report.page import _area, breakable, values
from pima.report.pictures import _dates, as_svg, drawn, nights_picture, short
from pima.watch.overview import NightRun


def test_a_label_that_is_read_from_the_right_leaves_the_next_code_in_its_place() -> None:
    label = "\N{ARABIC LETTER MEEM}\N{ARABIC LETTER REH}"
    told = values(
        Feature(name="state", kind="category", codes={0: label, 1: '<b>former</b> & "so"'})
    )
    assert (
        told == f"0 <bdi>{label}</bdi>, 1 <bdi>&lt;b&gt;former&lt;/b&gt; &amp; &#34;so&#34;</bdi>"
    )
    assert (
        values(Feature(name="age", unit="<years>", low=0, high=120))
        == "0 to 120 <bdi>&lt;years&gt;</bdi>"
    )
    assert values(Feature(name="visits", unit="count", low=0, high=1e30)) == "0 to 1e+30"


def test_letters_that_the_font_here_lacks_are_drawn_without_a_word() -> None:
    label = "\N{CJK UNIFIED IDEOGRAPH-65E5}\N{HIRAGANA LETTER NO}"
    with drawn("letters") as (figure, axes):  # a warning would fail this test
        axes.set_yticks([0], [label])
        assert label in as_svg(figure, "title", "words")


@pytest.mark.parametrize("value", [-0.0, -0.0001, 0.0001])
def test_what_rounds_to_nothing_has_no_minus(value: float) -> None:
    assert in_words(Estimate(value, -0.3, value)) == "0.000 (-0.300 to 0.000)"
    assert _area(Estimate(value, -0.3, value)) == "0.00 (-0.30\N{EN DASH}0.00)"
    assert (
        contribution_in_words(Feature("age", unit="years", low=0, high=120), 37, value, None)
        == "age 37 years: +0.00"
    )


def test_the_longest_labels_leave_a_picture_its_room() -> None:
    with drawn("labels") as (figure, axes):
        axes.set_yticks([0], [short("a long label of many letters " * 3)])
        as_svg(figure, "title", "words")
        assert axes.get_position().width > 0.2
    assert short("a" * 30) == "a" * 30
    assert short("a" * 31) == "a" * 29 + "…"


def test_a_long_word_may_be_broken_and_stays_one_word() -> None:
    assert breakable("W" * 25 + " & Co") == "WWWWWWWWWW<wbr>" + "W" * 15 + " &amp; Co"
    assert breakable("a & b" * 9).replace("<wbr>", "") == "a &amp; b" * 9
    assert breakable("diabetes_pedigree") == "diabetes_pedigree"


@pytest.mark.parametrize(
    "apart", [[], [1], [20], [200], [3_600], [86_400], [3.2 * 86_400], [3_600, 7_200], [4e7], [1e8]]
)
def test_the_ticks_of_a_time_axis_differ(apart: list[float]) -> None:
    first = datetime(2026, 11, 29, 2, 15, 7, tzinfo=UTC)
    moments = [first, *(first + timedelta(seconds=seconds) for seconds in apart)]
    with drawn("times") as (figure, axes):
        axes.plot(moments, [1] * len(moments), "o")
        _dates(axes, moments)
        as_svg(figure, "title", "words")
        shown = [each.get_text() for each in axes.get_xticklabels()]
    assert len(shown) == len(set(shown)) >= 2
    # The picture is of the days, or hours, of which it tells.
    low, high = axes.get_xlim()
    assert high - low <= max(0.1, 1.2 * max(apart, default=0) / 86_400)


def test_a_time_axis_of_no_moment_is_drawn() -> None:
    with drawn("never") as (figure, axes):
        _dates(axes, [])
        assert "<svg" in as_svg(figure, "title", "words")


def test_a_single_night_has_a_time_axis_of_that_night() -> None:
    night = NightRun(datetime(2026, 11, 29, 2, 15, 7, tzinfo=UTC), "succeeded", 2.5, 60, 0, 0)
    ticks = re.findall(r">(\d\d:\d\d[^<]*)<", nights_picture((night,), "nights"))
    assert ticks == ["02:00", "02:15", "02:30", "02:45"]
