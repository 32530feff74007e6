"""From answers to cells: by how much we are behind a rival, and how sure that is. Pure."""

from dataclasses import dataclass

import numpy as np

from benches.look.rule import BEHIND, FAR_BEHIND, MOST_BEHIND
from pima.core.arrays import Float64Array, Int8Array
from pima.core.statistics.samples import log_losses


@dataclass(frozen=True, slots=True)
class Cell:
    """Us beside a rival on one table, learned from one number of rows."""

    data: str
    size: int
    rival: str
    behind: float
    """Our log loss less the rival's, below 0 if ours is lower."""
    error: float
    """The standard error of that."""

    @property
    def errors_behind(self) -> float:
        """How many standard errors we are behind."""
        return self.behind / self.error


Answered = list[tuple[Float64Array, Float64Array, Int8Array]]
"""For each fold our probabilities, the rival's, and the outcomes."""


def cell_of(data: str, size: int, rival: str, folds: Answered) -> Cell:
    """The mean over folds. Its error is the larger one of two: by the rows, which knows nothing
    of the luck of a fold's training rows, and by the folds, of which there are few."""
    differences = [
        log_losses(ours, outcomes) - log_losses(theirs, outcomes)
        for ours, theirs, outcomes in folds
    ]
    means = np.array([each.mean() for each in differences])
    by_rows = np.sqrt(sum(each.var(ddof=1) / len(each) for each in differences)) / len(folds)
    by_folds = means.std(ddof=1) / np.sqrt(len(folds)) if len(folds) > 1 else 0.0
    error = max(float(by_rows), float(by_folds))
    return Cell(data, size, rival, float(means.mean()), error)


@dataclass(frozen=True, slots=True)
class Promise:
    """A sentence of the rule."""

    wanted: str
    found: str
    is_kept: bool


def promises(cells: list[Cell], noisy: list[Cell]) -> list[Promise]:
    """The rule, read."""
    behind = [cell for cell in cells if cell.errors_behind >= BEHIND]
    far = [cell for cell in cells if cell.errors_behind >= FAR_BEHIND]
    means = {
        rival: np.mean([cell.behind for cell in cells if cell.rival == rival])
        for rival in dict.fromkeys(cell.rival for cell in cells)
    }
    told = ", ".join(f"{mean:+.4f} ({rival})" for rival, mean in means.items())
    ahead = [cell for cell in noisy if cell.behind < 0]
    return [
        Promise(
            f"behind by {BEHIND:g} standard errors in at most {MOST_BEHIND} cells",
            f"in {len(behind)} of {len(cells)}",
            len(behind) <= MOST_BEHIND,
        ),
        Promise(f"behind by {FAR_BEHIND:g} in none", f"in {len(far)} of {len(cells)}", not far),
        Promise("not behind in the mean of all cells", told, all(m <= 0 for m in means.values())),
        Promise(
            "ahead of a forest on both noisy tables",
            f"on {len(ahead)} of {len(noisy)}",
            len(ahead) == len(noisy),
        ),
    ]
