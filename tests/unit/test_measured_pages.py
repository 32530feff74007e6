"""The pages of docs/measured are what their benches write: the templates' words, the figures that are kept."""

import json
import re
from pathlib import Path

import pytest

from tests.bench import accuracy, tables
from tests.bench.gate import page, page_of_margins, page_of_measures
from tests.bench.scale import page as page_of_scale
from tests.bench.speed import page as page_of_speed
from tests.bench.speed.__main__ import CASES
from tests.support.shipped import ROOT

FOLDER = ROOT / "docs" / "measured"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.md")))
def test_each_page_begins_with_what_it_says_in_five_lines(name: str) -> None:
    head = re.sub(r"<!--.*?-->\n", "", (FOLDER / name).read_text()).partition("\n\n")[2].partition("\n\n")[0]
    assert head.count("\n- ") + head.startswith("- ") == 5


@pytest.mark.parametrize("bench", [accuracy, tables], ids=["accuracy", "tables"])
def test_a_page_from_a_template_has_all_that_the_template_says(bench: object) -> None:
    folder = Path(str(bench.__file__)).parent  # type: ignore[attr-defined]
    said = (folder / "template.md").read_text().splitlines()
    written = (FOLDER / f"{folder.name}.md").read_text().splitlines()
    assert [line for line in said if "$" not in line and line not in written] == []


@pytest.mark.parametrize(
    "part",
    [
        page._HEAD,
        page._LEARNERS,
        page._SIMULATION.format(runs=60),
        page._DIFFERENCES,
        page._LIMITS,
        page_of_measures._HEAD.format(runs=20),
        page_of_margins._HEAD.format(runs=10),
    ],
    ids=["head", "learners", "simulation", "differences", "limits", "measures", "margins"],
)
def test_the_page_of_the_gate_has_all_that_its_parts_say(part: str) -> None:
    assert page.filled(part.strip()) in (FOLDER / "gate.md").read_text()


def test_the_page_of_speed_has_the_figures_that_are_kept() -> None:
    text = page_of_speed.PAGE.read_text()
    lines = page_of_speed.lines_of(json.loads(page_of_speed.RESULTS.read_text()), CASES)
    (where,) = re.findall(r"<!-- measured -->\n(.*)\n", text)
    assert page_of_speed.filled_in(text, lines, where) == text


def test_the_page_of_scale_has_the_figures_that_are_kept() -> None:
    text = page_of_scale.PAGE.read_text()
    assert page_of_scale.filled_in(text) == text
