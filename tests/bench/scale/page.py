"""docs/measured/scale.md: the tables of what was measured, each between its own marks; scale.json has the figures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.speed.measure import Line
from tests.support.shipped import ROOT

PAGE = ROOT / "docs" / "measured" / "scale.md"
RESULTS = PAGE.with_suffix(".json")
_BEGIN, _END = "<!-- measured: {} -->\n", "<!-- /measured -->\n"
_HEAD = ("| what | measured | single rounds | target | met |", "|---|---|---|---|---|")


def picture_of(part: str) -> Path:
    """Where it is drawn, if it is."""
    return PAGE.parent / f"scale-{part}.svg"


def has_figures(part: str) -> bool:
    """Whether it has been measured."""
    return bool(_results().get(part))


def lines_of(part: str) -> dict[str, Line]:
    """What was measured of it, by what it says."""
    return {what: Line(**line) for what, line in _results().get(part, {}).items()}


def record(part: str, lines: list[Line]) -> None:
    """Into the figures and the page; lines that say something else stay as they were."""
    results = _results()
    results[part] = results.get(part, {}) | {line.what: asdict(line) for line in lines}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    rows = [line.as_row() for line in lines_of(part).values()]
    if picture_of(part).exists():
        rows += ["", f"![{part.capitalize()}: seconds by rows, both by their powers of ten]({picture_of(part).name})"]
    before, begin, rest = PAGE.read_text().partition(_BEGIN.format(part))
    assert begin, f"{PAGE} has no place for {part}"
    PAGE.write_text(before + begin + "\n".join([*_HEAD, *rows]) + "\n" + _END + rest.partition(_END)[2])


def _results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found
