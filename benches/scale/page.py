"""docs/measured/scale.md: the tables of what was measured, each between its own marks; scale.json
has the figures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benches.speed.measure import Line, between
from tests.support.shipped import ROOT

PAGE = ROOT / "docs" / "measured" / "scale.md"
RESULTS = PAGE.with_suffix(".json")
_COLUMNS = ("measured", "single rounds", "target", "met")
_GRIDS = ("files",)
"""Parts that have the same measures at several sizes: a row for each size."""


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
    PAGE.write_text(filled_in(PAGE.read_text()))


def filled_in(page: str) -> str:
    """The page with all figures that there are."""
    for part in _results():
        lines = lines_of(part)
        rows = _grid(lines) if part in _GRIDS else _list(lines)
        if picture_of(part).exists():
            alt = f"{part.capitalize()}: seconds by rows, both by their powers of ten"
            rows += ["", f"![{alt}]({picture_of(part).name})"]
        page = between(page, f"measured: {part}", "\n".join(rows))
    said = (
        sentence({what: line.measured for what, line in lines_of(part).items()})
        for part, sentence in _SAID_FIRST.items()
        if has_figures(part)
    )
    return between(page, "said", "\n".join(f"- {each}" for each in said))


def _list(lines: dict[str, Line]) -> list[str]:
    """A row for each, without the columns in which nothing stands. What all begin with is said
    once, at the head."""
    rows = [
        [cell.strip() for cell in line.as_row().strip("|").split("|")] for line in lines.values()
    ]
    kept = [n for n, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    begins = {cells[0].partition(": ")[0] for cells in rows}
    head = begins.pop() if len(begins) == 1 else "what"
    said = [[head, *_COLUMNS], *([row[0].removeprefix(f"{head}: "), *row[1:]] for row in rows)]
    return _table([[cells[n] for n in kept] for cells in said])


def _grid(lines: dict[str, Line]) -> list[str]:
    """What a line says ends with its measure, behind a colon."""
    cells: dict[str, dict[str, str]] = {}
    heads: dict[str, str] = {}
    for line in lines.values():
        size, _, measure = line.what.partition(": ")
        _, measured, rounds, *_ = line.as_row().split(" | ")
        is_spread = line.least != line.most
        told = measured if line.is_met else f"**{measured}**"
        cells.setdefault(size, {})[measure] = f"{told} ({rounds})" if is_spread else told
        heads.setdefault(measure, measure)
        if line.target is not None:
            heads[measure] = f"{measure} ({line.sense} {line.target:g})"
    rows = [[size, *(of.get(measure, "") for measure in heads)] for size, of in cells.items()]
    return _table([["", *heads.values()], *rows])


def _table(rows: list[list[str]]) -> list[str]:
    head, *others = (f"| {' | '.join(cells)} |" for cells in rows)
    return [head, f"|{'---|' * len(rows[0])}", *others]


def _of_nights(of: dict[str, float]) -> str:
    less = of[
        "3,000,000 rows, PostgreSQL: one process with two threads / two workers of a Dask cluster"
    ]
    return (
        f"Where server and workers share two cores, one process takes {less:.2f} of the time of "
        "two Dask workers. Servers with cores to spare were not measured."
    )


def _of_files(of: dict[str, float]) -> str:
    rows = "10,000,000 rows of Parquet"
    copied = of[f"{rows}: jobs.score / pyarrow's copy"]
    return (
        f"Scoring {rows} from files to files takes {of[f'{rows}: jobs.score, seconds']:.1f} s, "
        f"{copied:.1f} times as long as copying them, and "
        f"{of[f'{rows}: peak memory of jobs.score, MB']:.0f} MB."
    )


def _of_server(of: dict[str, float]) -> str:
    night = "a night of 1,000,000 rows"
    row = (
        of[f"{night}: a prediction in the table, bytes"]
        + of[f"{night}: a prediction in its key, bytes"]
    )
    return (
        f"A prediction takes {row:.0f} bytes on PostgreSQL, and "
        f"{of[f'{night}: write-ahead log, bytes a row']:.0f} bytes of write-ahead log."
    )


def _of_year(of: dict[str, float]) -> str:
    nights = "365 nights of 20,000 rows, all kept"
    last = of[f"{nights}: a night's seconds in the last eighth / in the first"]
    return (
        f"Of {nights}, one at the end of the year takes {last:.2f} of the time of one at its start."
    )


def _of_curve(of: dict[str, float]) -> str:
    return (
        "A night of 10,000,000 rows takes "
        f"{of['10,000,000 rows, PostgreSQL: jobs.score, seconds']:.0f} s on this page's machine."
    )


_SAID_FIRST = {
    "curve": _of_curve,
    "year": _of_year,
    "server": _of_server,
    "nights": _of_nights,
    "files": _of_files,
}


def _results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found
