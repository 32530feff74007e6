"""python -m benches.scale [PART ...]: measures beyond one process, into docs/measured/scale.md.

Each part's lines go into the page as soon as they are there, so that what ends it loses the part in
work alone; --missing does the parts that the page has no figures of. A part that takes four times
as long as it says is given up, and the next begins. With --rows it is measured at that size alone
and printed, with --hundred-million at 1e8 rows besides.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benches.endings import end_in_order, to_its_end
from benches.scale.curve import curve
from benches.scale.files import files
from benches.scale.network import network
from benches.scale.nights import nights
from benches.scale.page import has_figures, record
from benches.scale.patience import at_most
from benches.scale.place import Place
from benches.scale.server import server
from benches.scale.year import year
from benches.speed.databases import train
from benches.speed.measure import Line, run_job
from tests.support.databases import postgresql_server


@dataclass(frozen=True)
class Part:
    """Something that is measured, its lines in groups as they come."""

    measure: Callable[[Place], Iterator[list[Line]]]
    minutes: int
    """About how long it takes; with 1e8 rows by files, ten more."""


PARTS = {
    "server": Part(server, 1),
    "network": Part(network, 3),
    "nights": Part(nights, 5),
    "files": Part(files, 4),
    "curve": Part(curve, 4),
    "year": Part(year, 25),
}
SIZES = (100_000, 1_000_000, 10_000_000)
_PATIENCE = 4


def main(names: list[str], sizes: tuple[int, ...], is_recorded: bool) -> int:
    """Run the named parts, or all; how many of them were given up."""
    end_in_order()
    with ExitStack() as opened:
        with to_its_end():
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            uri = opened.enter_context(postgresql_server())
        trained = train(folder)
        place = Place(uri, folder, trained, _model(folder, trained), sizes)
        return len([name for name in names if not _measure(name, place, is_recorded)])


def _measure(name: str, place: Place, is_recorded: bool) -> bool:
    """Whether all of the part came out."""
    minutes = PARTS[name].minutes + (10 if max(place.sizes) > SIZES[-1] else 0)
    print(f"{name}: about {minutes} minutes", flush=True)
    began = time.monotonic()
    try:
        with at_most(60 * _PATIENCE * minutes):
            for lines in PARTS[name].measure(place):
                print("\n".join(line.as_row() for line in lines), flush=True)
                if is_recorded:
                    record(name, lines)
    except (AssertionError, OSError, RuntimeError, ValueError, psycopg.Error) as error:
        print(
            f"{name}: given up after {time.monotonic() - began:.0f} s, {type(error).__name__}: "
            f"{error}",
            flush=True,
        )
        return False
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return True


def _model(folder: Path, trained: Path) -> Path:
    path = folder / "version-1.pima"
    run_job("models", f"sqlite:///{trained}", "export", "1", "--out", str(path))
    return path


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m benches.scale", description=__doc__)
    options.add_argument("names", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)}")
    options.add_argument(
        "--missing", action="store_true", help="the parts of which there are no figures yet"
    )
    options.add_argument("--rows", type=int, help="at this size alone, and nothing is recorded")
    options.add_argument(
        "--hundred-million", action="store_true", help="of files, at 100,000,000 rows besides"
    )
    given = options.parse_args()
    if unknown := set(given.names) - set(PARTS):
        options.error(f"no part is called {', '.join(sorted(unknown))}")
    larger = (100_000_000,) if given.hundred_million else ()
    asked = given.names or [name for name in PARTS if not (given.missing and has_figures(name))]
    sys.exit(
        main(asked, SIZES + larger if given.rows is None else (given.rows,), given.rows is None)
    )
