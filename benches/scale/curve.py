"""Seconds by rows, drawn: nights on PostgreSQL, measured here, and files as their own part has
measured them."""

from collections.abc import Iterator
from functools import partial

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from benches.accuracy.pictures import COLOURS, STYLE, save
from benches.scale.page import lines_of, picture_of
from benches.scale.place import Place
from benches.speed.databases import assert_scored, fill_queue, postgresql_database
from benches.speed.measure import Line, run_job, seconds, side_by_side

_SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
_NIGHT = "{:,} rows, PostgreSQL: jobs.score, seconds"
_CURVES = {
    "a night on PostgreSQL": ("curve", _NIGHT),
    "files": ("files", "{:,} rows of Parquet: jobs.score, seconds"),
}


def curve(place: Place) -> Iterator[list[Line]]:
    """Whole processes; once at the largest size."""
    url = postgresql_database(place.uri, "curve", place.trained)
    for rows in (size for size in place.sizes if size < _SIZES[-1]):
        fill, check = partial(fill_queue, url, rows), partial(_check, url, rows)
        took = side_by_side(
            {"night": partial(run_job, "score", url)}, fill, check, 1 if rows >= _SIZES[-2] else 3
        )
        yield [seconds(_NIGHT.format(rows), took["night"])]
    if lines_of("curve"):
        draw()
        yield []  # now that there is a picture to show


def _check(url: str, rows: int, _peer: str) -> None:
    assert_scored(url, rows)


def draw() -> None:
    """What has been measured so far."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
        for (name, (part, what)), colour in zip(_CURVES.items(), COLOURS, strict=False):
            lines = lines_of(part)
            known = {
                rows: lines[what.format(rows)].measured
                for rows in _SIZES
                if what.format(rows) in lines
            }
            if known:
                axes.plot(
                    list(known), list(known.values()), "o-", color=colour, label=name, markersize=4
                )
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds, whole process")
        axes.legend(loc="upper left")
        save(figure, picture_of("curve"))
