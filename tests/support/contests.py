"""Contests for the gate, in which nothing speaks for or against anybody but the numbers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pima.core.gate import Contest


def contest(
    outcomes: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray | None = None,
    threshold: float = 0.5,
    groups: pd.DataFrame | None = None,
    **changes: Any,
) -> Contest:
    """Both sides are judged by one threshold, on all rows, unless the changes say otherwise;
    `groups` are subgroups by feature. A change whose name is capitalised is a column of the
    rows."""
    columns = {
        "outcome": outcomes,
        "Challenger": challenger,
        "InWindow": True,
        "Unseen": True,
        "Scorable": True,
    }
    rows = pd.DataFrame(columns | ({} if champion is None else {"Champion": champion}))
    if groups is not None:
        rows = pd.concat([rows, groups.reset_index(drop=True)], axis=1)
    return changed(Contest(rows, threshold, threshold), **changes)


def changed(contest: Contest, **changes: Any) -> Contest:
    """Another contest, in which columns of the rows, whose names are capitalised, and fields are
    others."""
    of_rows = {name: change for name, change in changes.items() if name[0].isupper()}
    fields = {name: change for name, change in changes.items() if name not in of_rows}
    return replace(contest, rows=contest.rows.assign(**of_rows), **fields)
