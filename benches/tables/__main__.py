"""`make bench-tables`: our recipe beside its peers on data sets that are none of its own, into
docs/measured/tables.md.

python -m benches.tables [--shuffles N] [--sets NAME ...] [--page PATH]
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benches.accuracy.provenance import Clock
from benches.accuracy.shipped import ROOT
from benches.tables.data_sets import data_sets
from benches.tables.page import page
from benches.tables.standings import Standings, targets
from benches.tables.trials import Answer, attempt, trials

PEERS_LIBRARIES = ("tensorflow", "keras", "scikit-learn", "catboost", "interpret-core", "numpy")


def main() -> None:
    """Everything, a process a core."""
    names = [data.name for data in data_sets()]
    asked = _arguments(names)
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["PYTHONWARNINGS"] = "ignore"  # a peer's advice about its settings
    clock = Clock()
    sets = [data for data in data_sets() if data.name in asked.sets]
    standings = Standings(
        sets, asked.shuffles, _answered([data.name for data in sets], asked.shuffles)
    )
    asked.page.write_text(page(standings, clock.provenance(PEERS_LIBRARIES)))
    for target in targets(standings):
        print(
            f"{'met   ' if target.is_met else 'MISSED'}  {target.what}: {target.found} (wanted "
            f"{target.wanted})"
        )
    print(f"\nwritten: {asked.page}")


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.tables", allow_abbrev=False)
    parser.add_argument(
        "--shuffles", type=int, default=5, help="of the ten folds (default %(default)s)"
    )
    parser.add_argument(
        "--sets", nargs="+", choices=names, default=names, help="the data sets (default all)"
    )
    parser.add_argument(
        "--page",
        type=Path,
        default=ROOT / "docs" / "measured" / "tables.md",
        help="where the page goes",
    )
    return parser.parse_args()


def _answered(names: list[str], shuffles: int) -> list[Answer]:
    start, found = time.monotonic(), []
    asked = trials(names, shuffles)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for answer in pool.map(attempt, asked):
            found.append(answer)
            what = answer.trial
            told = (
                f"{what.data}: {what.candidate}, shuffle {what.shuffle}, {answer.seconds:.2f} s a "
                "fold"
            )
            print(
                f"{time.monotonic() - start:6.0f} s  {len(found)} of {len(asked)}  {told}",
                flush=True,
            )
    return found


if __name__ == "__main__":
    main()
