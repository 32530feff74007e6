"""Files to files by networks of one's own: one process, and two workers of Dask on the same cores."""

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench.scale.files import MILLION, check, make, ours
from tests.bench.scale.nights import cluster
from tests.bench.scale.place import Place
from tests.bench.speed.measure import Line, ratio, run_job, seconds, side_by_side
from tests.support.own_networks import file_of
from tests.support.shipped import ROOT, SHIPPED

ROWS = {128: 10 * MILLION, 512: 4 * MILLION}
"""Rows by the units of each of the two layers."""
FEW = 1_000
"""Rows of a run that costs its start alone."""
WORKERS = 2
_ROUNDS = 3
_NAMES = {"one": "one process", "Dask": "two workers of a Dask cluster", "local": "--dask local"}
_CORES = (16, 64)
_ROWS_WORKED_OUT = (10 * MILLION, 100 * MILLION, 1_000 * MILLION)


def heavy(place: Place) -> Iterator[list[Line]]:
    """Whole processes; the cluster is there before."""
    with ExitStack() as opened:
        address = opened.enter_context(cluster(place.folder, "sqlite:///nowhere.db"))
        options = {"one": (), "Dask": ("--dask", address), "local": ("--dask", "local")}
        for units, rows in ROWS.items():
            heavier = replace(place, model=_trained(place.folder / f"{units}", units))
            for many in (FEW, place.rows(rows)):
                yield _lines(heavier, _what(many, units), many, options)


def _what(rows: int, units: int) -> str:
    return f"{rows:,} rows of Parquet, a network of {units}-{units}"


def _lines(place: Place, what: str, rows: int, options: dict[str, tuple[str, ...]]) -> list[Line]:
    source, into = place.folder / "in", place.folder / "out"
    make(source, rows)
    emptied = partial(shutil.rmtree, into, ignore_errors=True)
    peers = {name: partial(ours, place, source, into, *more) for name, more in options.items()}
    took = side_by_side(peers, emptied, partial(check, into, rows), _ROUNDS)
    emptied()
    lines = [seconds(f"{what}: {_NAMES[name]}, seconds", took[name]) for name in peers]
    if rows > FEW:
        compared = f"{what}: one process / {_NAMES['Dask']}"
        lines.append(ratio(compared, took, "one", "Dask", ">=", 1.0))
    return lines


def _trained(folder: Path, units: int) -> Path:
    """A model file of an own network that was really trained."""
    asked = {
        "network = ": 'network = "clinic_net.py"',
        "epochs = ": "epochs = 5",
        "members = ": "members = 1",
    }
    shipped = (ROOT / "config" / "pima.toml").read_text().splitlines()
    lines = (
        next((to for key, to in asked.items() if line.startswith(key)), line) for line in shipped
    )
    layer = f"keras.layers.Dense({units}, activation='relu')"
    layers = f"{layer}, {layer}, keras.layers.Dense(1, activation='sigmoid')"
    folder.mkdir()
    (folder / "clinic_net.py").write_text(file_of(layers))
    (folder / "pima.toml").write_text("\n".join(lines))
    url = f"sqlite:///{folder / 'heavy.db'}"
    model = folder / "version-1.pima"
    run_job("migrate", url)
    run_job("load", url, str(SHIPPED))
    run_job("retrain", url, "--config", str(folder / "pima.toml"))
    run_job("models", url, "export", "1", "--out", str(model))
    return model


# ---- what follows for more cores


def worked_out(lines: Mapping[str, Line]) -> list[str]:
    """A table for machines of more cores, from the parts that were measured; nothing before all are.

    One process takes its start, and a time a part of a million rows. A cluster takes its start, and
    for each round of its workers a part on a busy core; of the rounds measured the slowest is taken,
    since a cluster waits for its stragglers. Disk and network are taken to keep up.
    """
    whats = [f"{_what(rows, units)}: {_NAMES['Dask']}, seconds" for units, rows in ROWS.items()]
    if not lines.keys() >= set(whats):
        return []
    head = ["network", "rows", "one process", *(f"{cores} cores" for cores in _CORES)]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for units in ROWS:
        for many in _ROWS_WORKED_OUT:
            parts = many // MILLION
            one = _seconds(lines, units, "one", parts)
            many_cores = [
                _seconds(lines, units, "Dask", math.ceil(parts / cores)) for cores in _CORES
            ]
            taken = [f"{each:,.0f} s" for each in (one, *many_cores)]
            rows.append([f"{units}-{units}", f"{many:,}", *taken])
    table = [f"| {' | '.join(row)} |" for row in rows]
    return ["", *table, "", *(f"- {_worth_it_from(lines, units)}" for units in ROWS)]


def _worth_it_from(lines: Mapping[str, Line], units: int) -> str:
    """From how many rows on a cluster of 16 cores is faster."""
    cores = _CORES[0]
    parts = next(
        parts
        for parts in range(1, 1_000)
        if _seconds(lines, units, "Dask", math.ceil(parts / cores))
        < _seconds(lines, units, "one", parts)
    )
    return (
        f"A network of {units}-{units}: one process is faster below {parts * MILLION:,} rows, and "
        f"{cores} cores from there on."
    )


def _seconds(lines: Mapping[str, Line], units: int, name: str, parts_in_a_row: int) -> float:
    few = lines[f"{_what(FEW, units)}: {_NAMES[name]}, seconds"]
    many = lines[f"{_what(ROWS[units], units)}: {_NAMES[name]}, seconds"]
    measured_parts = ROWS[units] / MILLION
    if name == "one":
        return few.measured + parts_in_a_row * (many.measured - few.measured) / measured_parts
    assert many.most is not None
    slowest = (many.most - few.measured) / (measured_parts / WORKERS)
    return few.measured + parts_in_a_row * slowest
