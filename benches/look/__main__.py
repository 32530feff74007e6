"""The one look at tables on which nothing was fitted before: docs/measured/tables.md has what came
out.

python -m benches.look ANSWERS [--minutes N] [--rehearse]

Each answer is kept in the file ANSWERS as it comes, so a look that was stopped goes on. With
--rehearse the tables are two of the old ones, and the commit need not be frozen.
"""

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benches.look.drafted import Drafted, drafted, with_noise
from benches.look.frozen import frozen, require_recipe_of
from benches.look.rule import NOISY
from benches.look.section import section
from benches.look.trials import Trial, attempt, trials
from benches.look.unseen import unseen
from benches.tables.data_sets import data_sets
from pima.core.arrays import Float64Array

REHEARSED = ("heart", "haberman")


def main() -> None:
    """All trials that have no answer yet, then the section."""
    parser = argparse.ArgumentParser(prog="python -m benches.look", allow_abbrev=False)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="asks no longer")
    parser.add_argument("--rehearse", action="store_true")
    asked = parser.parse_args()
    for kind in ("OPENBLAS_NUM", "OMP_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
        os.environ[f"{kind}_THREADS"] = "1"
    os.environ["PYTHONWARNINGS"] = "ignore"
    tables, noisy = _rehearsed() if asked.rehearse else _frozen()
    sets = [each.data for each in tables]
    noise = [with_noise(data) for data in sets if data.name in noisy]
    known = {data.name: data for data in (*sets, *noise)}
    wanted = trials(sets, noise)
    answered = _answered(asked.answers)
    start = time.monotonic()
    with asked.answers.open("a") as file:
        for trial in wanted:
            if trial in answered or time.monotonic() - start > 60 * asked.minutes:
                continue
            probabilities, seconds = attempt(trial, known[trial.data])
            rounded = np.round(probabilities, 8).tolist()
            kept = asdict(trial) | {"seconds": round(seconds, 2), "probabilities": rounded}
            file.write(json.dumps(kept) + "\n")
            file.flush()
            answered = answered | {trial: (probabilities, seconds)}
            print(f"{time.monotonic() - start:6.0f} s  {trial}  {seconds:.2f} s", flush=True)
    print(section(tables, noise, answered))


def _rehearsed() -> tuple[list[Drafted], tuple[str, ...]]:
    old = [data for data in data_sets() if data.name in REHEARSED]
    return [Drafted(data, len(data.rows), 0, 0) for data in old], REHEARSED[:1]


def _frozen() -> tuple[list[Drafted], tuple[str, ...]]:
    """The new tables, if the recipe is the frozen one."""
    require_recipe_of(frozen()["recipe"])
    return [drafted(each) for each in unseen()], NOISY


def _answered(path: Path) -> dict[Trial, tuple[Float64Array, float]]:
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        kept = json.loads(line)
        probabilities = np.array(kept.pop("probabilities"))
        seconds = kept.pop("seconds")
        found[Trial(**kept)] = (probabilities, seconds)
    return found


if __name__ == "__main__":
    main()
