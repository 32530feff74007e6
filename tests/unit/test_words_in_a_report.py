"""A clinic's own words in the report, in whatever letters they are written."""

from pima.core.features import Feature
from pima.reporting.drawing import as_svg, drawn
from pima.reporting.page import values


def test_a_label_that_is_read_from_the_right_leaves_the_next_code_in_its_place() -> None:
    label = "\N{ARABIC LETTER MEEM}\N{ARABIC LETTER REH}"
    told = values(Feature(name="state", kind="category", codes={0: label, 1: '<b>former</b> & "so"'}))
    assert told == f"0 <bdi>{label}</bdi>, 1 <bdi>&lt;b&gt;former&lt;/b&gt; &amp; &#34;so&#34;</bdi>"
    assert values(Feature(name="age", unit="<years>", low=0, high=120)) == "0 to 120 <bdi>&lt;years&gt;</bdi>"
    assert values(Feature(name="visits", unit="count", low=0, high=1e30)) == "0 to 1e+30"


def test_letters_that_the_font_here_lacks_are_drawn_without_a_word() -> None:
    label = "\N{CJK UNIFIED IDEOGRAPH-65E5}\N{HIRAGANA LETTER NO}"
    with drawn("letters") as (figure, axes):  # a warning would fail this test
        axes.set_yticks([0], [label])
        assert label in as_svg(figure, "title", "words")
