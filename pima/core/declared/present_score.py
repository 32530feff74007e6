"""The score in use today, by which a clinic judges the same outcome already: how it is declared.

No model sees it. It is kept beside each prediction, as it stood when the prediction was made.
"""

import math
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

FEWEST_OF_EACH_OUTCOME = 10
"""Rows of each outcome, below which nothing is found out about a score: neither how its points
become probabilities, nor whether a first champion beats it."""


FEWEST_LOOKED_AT = 30
"""Rows looked at before their outcome, none of which had the score. If one in ten had it then, so
many would all lack it in 4 of 100 clinics."""
_LATER = (
    "{0.called}: filled in later, so nothing can be compared with it: of {1} rows none had it "
    "before its outcome came, and {2} with an outcome have it. It must be written into {0.name} "
    "before score predicts the row; until then gate.first_must_beat can't name it"
)


class PresentScore(Struct, frozen=True, forbid_unknown_fields=True):
    """One declared score that people use today."""

    name: str
    """The column in the tables, and in files."""
    label: str = ""
    """The name that people use; empty: as the column's."""
    kind: Literal["points", "probability"] = "points"
    """Points mean nothing by themselves; a probability is that of outcome 1."""
    threshold: float | None = None
    """From here on people act. None: they use it without a threshold."""
    direction: Literal["rising", "falling"] = "rising"
    """Whether the risk rises or falls as the score rises."""
    low: float = -1e30
    """The lowest value that it can have: what is below it, as -1 for not assessed, is not known."""
    high: float = 1e30
    """The highest value that it can have."""
    also_called: tuple[str, ...] = ()
    """Other names that its column may have in files."""
    perhaps_called: tuple[str, ...] = ()
    """Names that mean it in some files and something else in others: only a hint in an error."""

    @property
    def called(self) -> str:
        """The name for people."""
        return self.label or self.name.replace("_", " ")

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value that it can have."""
        if self.kind == "probability":
            return max(self.low, 0.0), min(self.high, 1.0)
        return self.low, self.high

    def if_later(self, before: int, known_before: int, known_with: int) -> str:
        """Say that the score is filled in later, if many rows were seen `before` their outcome
        came, none of them had the score, and many have it now `with` their outcome; else
        nothing."""
        if known_before or min(before, known_with) < FEWEST_LOOKED_AT:
            return ""
        return _LATER.format(self, before, known_with)

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """What must be changed before it can be used: the key, what is wrong, what was expected."""
        low, high = self.limits
        if not -math.inf < low < high < math.inf:
            yield "low", "and high are no range", "finite numbers, low below high"
        if self.threshold is not None and not low <= self.threshold <= high:
            expected = "a number from low to high, for a probability from 0 to 1; or none"
            yield "threshold", "is none that the score can reach", expected
        if self.kind == "probability" and self.direction == "falling":
            yield "direction", "is falling", "rising: a probability is that of outcome 1"


PresentScores = tuple[PresentScore, ...]
