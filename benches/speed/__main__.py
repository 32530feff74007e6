"""python -m benches.speed [CASE ...]: measures, prints, and fills in the table of
docs/measured/speed.md.

Without names all cases, which then are the page's: one run of one commit. With names those, and
with --rows a clinic's table has so many (of `pull`; 1,000 at least): both are for a quick try, and
are printed alone.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benches.endings import end_in_order, to_its_end
from benches.speed import around, pull, scoring
from benches.speed.databases import train
from benches.speed.features import features
from benches.speed.page import commit_here, record
from benches.speed.place import Place
from benches.speed.settled import settled
from benches.speed.triggers import triggers
from tests.support.databases import postgresql_server

CASES = {
    "postgresql": scoring.on_postgresql,
    "sqlite": scoring.on_sqlite,
    "features": features,
    "memory": scoring.memory,
    "history": scoring.history,
    "processes": scoring.processes,
    "load": around.load,
    "triggers": triggers,
    "pull": pull.pull,
    "pull_memory": pull.memory,
    "status": around.status,
    "settled": settled,
    "requeue": around.requeue,
    "retrain": around.retrain,
    "nights": around.nights,
}


def main(names: list[str], rows: int | None) -> None:
    """Run the named cases, or all."""
    end_in_order()
    # Before anything runs: somebody may commit meanwhile.
    commit = commit_here()
    with ExitStack() as opened:
        with to_its_end():
            folder = opened.enter_context(tempfile.TemporaryDirectory())
            uri = opened.enter_context(postgresql_server())
        place = Place(
            uri, Path(folder), train(Path(folder)), **({} if rows is None else {"rows": rows})
        )
        measured = {}
        for name in names or CASES:
            print(name, flush=True)
            began = time.monotonic()
            lines = measured[name] = CASES[name](place)
            print(
                "\n".join(line.as_row() for line in lines),
                f"{time.monotonic() - began:.0f} s",
                sep="\n",
                flush=True,
            )
        if measured.keys() == CASES.keys() and rows is None:
            record(measured, commit)


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m benches.speed", description=__doc__)
    options.add_argument("names", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    options.add_argument("--rows", type=int, help="of a clinic's table, in place of 1,000,000")
    given = options.parse_args()
    main(given.names, given.rows)
