"""One model's answers, ascending by probability: sorted once, for the whole test set and for every subgroup of it."""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int16Array, Int64Array
from pima.core.metrics import bounded, log_losses


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows (n,) in ascending order of the probability that a model gave them."""

    order: Int64Array
    """Which row of the test set each is."""
    probabilities: Float64Array
    cases: BoolArray
    """Which have outcome 1."""
    log_losses: Float64Array
    log_odds: Float64Array
    """Of the probabilities, which are bounded for it as for the log loss."""

    def __len__(self) -> int:
        return len(self.probabilities)

    def rows(self, which: Int64Array | slice) -> "Ranked":
        """Some of the rows; ascending row numbers keep the order."""
        return Ranked(
            self.order[which],
            self.probabilities[which],
            self.cases[which],
            self.log_losses[which],
            self.log_odds[which],
        )


def ranked(probabilities: Float64Array, outcomes: Int8Array) -> Ranked:
    """A model's finite probabilities on the test set and its outcomes, both (n,)."""
    order = np.argsort(probabilities, kind="stable")
    ascending, sorted_outcomes = probabilities[order], outcomes[order]
    within = bounded(ascending)
    log_odds = np.log(within) - np.log1p(-within)
    return Ranked(order, ascending, sorted_outcomes == 1, log_losses(ascending, sorted_outcomes), log_odds)


def by_group(rows: Ranked, members: Int16Array, groups: int) -> list[Ranked]:
    """The rows of each group in their order; `members` (n,) is the group of each row of the test set."""
    # Small numbers are sorted by their digits: linear in the rows, however many groups there are.
    of_ranked = members[rows.order]
    together = np.argsort(of_ranked, kind="stable")
    ends = np.cumsum(np.bincount(of_ranked, minlength=groups))
    sorted_rows = rows.rows(together)
    return [sorted_rows.rows(slice(start, end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
