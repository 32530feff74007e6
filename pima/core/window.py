"""The test set: which of the holdout rows a verdict is given on.

A test set of all history blocks recovery from a drift: for years most of its rows would say that the old champion is
right. One of the last weeks only is too small in a quiet clinic. So: what was labelled in the last weeks, reaching
further back to a minimum and stopping at a maximum.
"""

from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Int64Array

_MILLISECONDS_A_WEEK = 7 * 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Window:
    """How far back the test set reaches."""

    weeks: int = 26
    minimum_rows: int = 250
    """Where fewer were labelled in those weeks, it reaches back to this many, or to all there are."""
    maximum_rows: int = 1_000
    """Where more were, only the newest count."""


def in_window(labelled_at_ms: Int64Array, window: Window | None, now_ms: int) -> BoolArray:
    """Which holdout rows are the test set, (n,); None takes all.

    Times are milliseconds since 1970, UTC. Rows labelled at the same moment count as newer the later they stand, so
    by patient id where the rows are in that order.
    """
    if window is None:
        return np.ones(len(labelled_at_ms), dtype=bool)
    recent = int((labelled_at_ms > now_ms - window.weeks * _MILLISECONDS_A_WEEK).sum())
    wanted = min(max(recent, window.minimum_rows), window.maximum_rows)
    newest_first = np.argsort(labelled_at_ms, kind="stable")[::-1]
    chosen = np.zeros(len(labelled_at_ms), dtype=bool)
    chosen[newest_first[:wanted]] = True
    return chosen
