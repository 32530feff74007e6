"""Files to files: against pyarrow alone, and the memory that it takes."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benches.scale.place import Place
from benches.speed.measure import (
    Line,
    Ran,
    processor_ratio,
    ratio,
    run_process,
    run_timed,
    seconds,
    side_by_side,
)
from tests.support.shipped import FEATURES

MILLION = 1_000_000
_ROUNDS = 3
_NOWHERE = "sqlite:///nowhere.db"


def files(place: Place) -> Iterator[list[Line]]:
    """At each size: ours and the copy side by side, whole processes."""
    yield from (_at(place, rows) for rows in place.sizes)


def _at(place: Place, rows: int) -> list[Line]:
    source, into = place.folder / "in", place.folder / "out"
    make(source, rows)
    peers = {
        "ours": partial(ours, place, source, into),
        "copy": partial(_copy, place, source, into),
    }
    emptied = partial(shutil.rmtree, into, ignore_errors=True)
    rounds = 1 if rows > 10 * MILLION else _ROUNDS
    took = side_by_side(peers, emptied, partial(check, into, rows), rounds)
    emptied()
    peak = run_timed(
        [place.python, "benches/speed/peak.py", "jobs.score", *_options(place, source, into)],
        _NOWHERE,
    )
    emptied()
    what = f"{rows:,} rows of Parquet"
    return [
        ratio(f"{what}: jobs.score / pyarrow's copy", took, "ours", "copy", "<=", 2.0),
        processor_ratio(f"{what}: processor seconds / the copy's", took, "ours", "copy"),
        seconds(f"{what}: jobs.score, seconds", took["ours"]),
        Line(f"{what}: peak memory of jobs.score, MB", peak.peak_mb, "<=", 400),
    ]


def make(folder: Path, rows: int) -> None:
    """Files of a million rows; beyond ten of them they are the same again, under other names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    each = min(rows, MILLION)
    for number in range(rows // each):
        path = folder / f"{number:03}.parquet"
        if number < 10:
            pq.write_table(
                _drawn(number, each), path, compression="zstd", row_group_size=MILLION // 2
            )
        else:
            path.hardlink_to(folder / f"{number % 10:03}.parquet")


def _drawn(seed: int, rows: int) -> pa.Table:
    """To three decimals, every twentieth that may be missing; none out of its range."""
    drawn = np.random.default_rng(seed)
    columns = {"id": pa.array(np.arange(seed * rows, (seed + 1) * rows))}
    for feature in FEATURES:
        values = np.round(drawn.uniform(feature.low, feature.high, rows), 3)
        missing = drawn.random(rows) < 0.05 if feature.may_be_missing else None
        columns[feature.name] = pa.array(values, mask=missing)
    return pa.table(columns)


def _options(place: Place, source: Path, into: Path) -> list[str]:
    return ["--input", str(source), "--output", str(into), "--model", str(place.model)]


def ours(place: Place, source: Path, into: Path, *more: str) -> Ran:
    """`jobs.score`, the whole process."""
    options = [*_options(place, source, into), *more]
    return run_process([place.python, "-m", "jobs.score", *options], _NOWHERE)


def _copy(place: Place, source: Path, into: Path) -> Ran:
    return run_process(
        [place.python, "-m", "benches.scale.copying", str(source), str(into)], _NOWHERE
    )


def check(into: Path, rows: int, _peer: str) -> None:
    """Every row has its prediction."""
    assert sum(pq.read_metadata(path).num_rows for path in into.rglob("*.parquet")) == rows
