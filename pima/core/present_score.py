"""The score in use today, by which a clinic judges the same outcome already: how it is declared.

No model sees it. It is kept beside each prediction, as it stood when the prediction was made.
"""

import math
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct


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
    low: float | None = None
    """The fewest points that it can have: fewer are not known, as where -1 means not assessed."""
    high: float | None = None
    """The most points that it can have: more are not known."""
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
            return 0.0, 1.0
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low, high

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """What must be changed before it can be used: the key, what is wrong, what was expected."""
        low, high = self.limits
        given = [each for each in (self.low, self.high) if each is not None]
        if not (low < high and all(map(math.isfinite, given))):
            yield "low", "and high are no range", "finite numbers, low below high; or none"
        if self.kind == "probability" and given:
            yield "low", "and high belong to points", "none: a probability has 0 and 1"
        if self.threshold is not None and not (
            low < self.threshold < high or self.threshold in given
        ):
            expected = "a finite number, for a probability between 0 and 1; or none"
            yield "threshold", "is none that the score can reach", expected
        if self.kind == "probability" and self.direction == "falling":
            yield "direction", "is falling", "rising: a probability is that of outcome 1"


PresentScores = tuple[PresentScore, ...]
