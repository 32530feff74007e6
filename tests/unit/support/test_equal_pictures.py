"""What the tests take for an equal picture is one: of the same figures, to the bit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pima.report.contents import Exhibit, Shown
from tests.support.equal_pictures import drawn_once

DOCUMENT = {"rows": 10, "positive": 0.1}
MODEL = Shown("challenger", "version 2")


def _exhibit(document: dict[str, Any], day: int = 1, model: Shown = MODEL) -> Exhibit:
    return Exhibit(datetime(2026, 1, day, tzinfo=UTC), document, (model,))


def test_a_picture_is_drawn_for_each_other_figure_and_name_alone(tmp_path: Path) -> None:
    drawn: list[tuple[Exhibit, str]] = []

    def picture(found: Exhibit, name: str) -> Markup:
        drawn.append((found, name))
        return Markup(f"<svg>{len(drawn)}</svg>")  # noqa: S704

    once = drawn_once(picture, tmp_path)
    first = once(_exhibit(DOCUMENT), "one")
    assert first == Markup("<svg>1</svg>")
    same = [_exhibit(DOCUMENT), _exhibit(DOCUMENT, day=2), _exhibit(dict(reversed(DOCUMENT.items())))]
    assert [drawn_once(picture, tmp_path)(each, "one") for each in same] == [first] * 3
    others = [_exhibit(DOCUMENT | {"positive": 0.1 + 2**-56}), _exhibit(DOCUMENT, model=Shown("champion", "version 2"))]
    assert [once(each, "one") for each in others] == ["<svg>2</svg>", "<svg>3</svg>"]
    assert once(_exhibit(DOCUMENT), "two") == "<svg>4</svg>"
    assert len(drawn) == 4
