"""python -m benches.paired CHECKOUT: what a night costs here beside another checkout of this
repository.

Both score the same rows by their own code on databases of their own, in turn, as whole processes;
what is told is the ratio of each pair, its mean on the logarithmic scale, and the 95 % interval of
that by Student's t.
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t

from benches.endings import end_in_order, to_its_end
from tests.support.databases import clean_environ, postgresql_server
from tests.support.shipped import ROOT

_MAKE = """import sys
from pathlib import Path
from benches.speed.databases import postgresql_database, sqlite_database, train
uri, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
trained = train(folder)
print(postgresql_database(uri, name, trained) if uri else sqlite_database(folder, name, trained))"""
_FILL = (
    "import sys; from benches.speed.databases import fill_queue; fill_queue(sys.argv[1], "
    "int(sys.argv[2]))"
)


@dataclass(frozen=True)
class Side:
    """A checkout and its database."""

    checkout: Path
    url: str

    def score(self, rows: int) -> tuple[float, float]:
        """Seconds of the clock and of the processor that a night of so many rows takes; nothing is
        empty before."""
        _python(self.checkout, self.url, "-c", _FILL, self.url, str(rows))
        before, began = _processor_seconds(), time.perf_counter()
        _python(self.checkout, self.url, "-m", "jobs.score")
        return time.perf_counter() - began, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _python(checkout: Path, url: str, *arguments: str) -> str:
    variables = clean_environ() | {"DATABASE_URL": url, "TF_CPP_MIN_LOG_LEVEL": "3"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    variables.pop("PYTHONPATH", None)
    command = [sys.executable, *arguments]
    ended = subprocess.run(
        command, cwd=checkout, env=variables, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(
            f"{' '.join(arguments[:2])} in {checkout} ended with {ended.returncode}: "
            f"{ended.stderr[-999:]}"
        )
    return ended.stdout


def _side(checkout: Path, uri: str, folder: Path, name: str) -> Side:
    folder.mkdir()
    return Side(
        checkout, _python(checkout, "", "-c", _MAKE, uri, str(folder), name).splitlines()[-1]
    )


def _told(ratios: list[float]) -> str:
    logs = [math.log(ratio) for ratio in ratios]
    margin = t.ppf(0.975, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    middle = mean(logs)
    low, high = math.exp(middle - margin), math.exp(middle + margin)
    return f"{math.exp(middle):.3f} ({low:.3f} to {high:.3f})"


def _compare(kind: str, here: Side, other: Side, rows: int, rounds: int) -> None:
    for side in (here, other):
        side.score(rows)
    clock, processor = [], []
    for number in range(rounds):
        order = (here, other) if number % 2 else (other, here)
        took = {side: side.score(rows) for side in order}
        clock.append(took[here][0] / took[other][0])
        processor.append(took[here][1] / took[other][1])
    seconds = f"{took[here][0]:.2f} s beside {took[other][0]:.2f} s in the last round"
    print(
        f"{kind}, {rows:,} rows, {rounds} pairs: clock {_told(clock)}, processor "
        f"{_told(processor)}; {seconds}",
        flush=True,
    )


def main(checkout: Path, kinds: list[str], sizes: list[int], rounds: int) -> None:
    """Compare on each kind of database and each number of rows."""
    end_in_order()
    with ExitStack() as opened:
        with to_its_end():
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            uri = opened.enter_context(postgresql_server()) if "postgresql" in kinds else ""
        for kind in kinds:
            at = uri if kind == "postgresql" else ""
            here, other = (
                _side(place, at, folder / f"{kind}_{name}", name)
                for name, place in (("here", ROOT), ("other", checkout.resolve()))
            )
            for rows in sizes:
                _compare(kind, here, other, rows, rounds)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = argparse.ArgumentParser(prog="python -m benches.paired", description=__doc__)
    options.add_argument(
        "checkout", type=Path, help="a folder with another commit (git worktree add FOLDER COMMIT)"
    )
    options.add_argument(
        "--kinds", nargs="+", default=["postgresql", "sqlite"], choices=["postgresql", "sqlite"]
    )
    options.add_argument("--rows", nargs="+", type=int, default=[20_000, 1_000_000])
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()
    main(given.checkout, given.kinds, given.rows, given.rounds)
