"""The page of what was measured beyond one process: each part has its place, and keeps to it."""

import re
from pathlib import Path

import pytest

from tests.bench.scale import page
from tests.bench.scale.__main__ import PARTS
from tests.bench.speed.measure import Line


def test_lines_go_to_their_part_s_place_and_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, before = tmp_path / "scale.md", page.PAGE.read_text()
    written.write_text(before)
    monkeypatch.setattr(page, "PAGE", written)
    monkeypatch.setattr(page, "RESULTS", tmp_path / "scale.json")
    assert not any(page.has_figures(part) for part in PARTS)
    for part in PARTS:
        page.record(part, [Line(f"{part}: seconds", 1.0)])
        page.record(part, [Line(f"{part}: ratio", 3.0, "<=", 2.0), Line(f"{part}: seconds", 2.0)])
    assert all(page.has_figures(part) for part in PARTS)
    lines = written.read_text().splitlines()
    for part in PARTS:
        start = lines.index(f"<!-- measured: {part} -->")
        end = lines.index("<!-- /measured -->", start)
        assert lines[start + 3 : end] == [
            f"| {part}: seconds | 2 |  | | |",
            f"| {part}: ratio | 3 |  | <= 2 | **no** |",
        ]
    assert _without_tables(written.read_text()) == _without_tables(before)


def _without_tables(text: str) -> str:
    return re.sub(r"(<!-- measured: \w+ -->\n).*?(?=<!-- /measured -->)", r"\1", text, flags=re.DOTALL)
