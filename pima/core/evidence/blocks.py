"""Of the counts by threshold that the ledger keeps, what pictures and tables may tell: steps of `FEWEST_ROWS` rows.

Whoever knows a patient's probability, as every reader of predictions does, would see the outcome in a step that is of
that patient alone. All that is shown of a model stands on the same steps, so that no two figures differ by fewer rows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pima.core.evidence.subgroups import FEWEST_ROWS
from pima.core.evidence.wording import TABLED_THRESHOLDS


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows whose probability lies between two bounds."""

    low: float
    high: float
    cases: int
    """With outcome 1."""
    others: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.cases + self.others


def cells(document: dict[str, Any], role: str) -> list[Cell]:
    """Between each two thresholds, below the first and from the last on, with what the document counts at them."""
    bounds = [0.0, *document["thresholds"], 1.0]
    called = document[role]["called"]
    cases = [document["positive"], *called["cases"], 0]
    others = [document["rows"] - document["positive"], *called["others"], 0]
    return [
        Cell(bounds[n], bounds[n + 1], cases[n] - cases[n + 1], others[n] - others[n + 1])
        for n in range(len(bounds) - 1)
    ]


def blocks(document: dict[str, Any], role: str) -> list[list[Cell]]:
    """Neighbouring cells together, so that each block has `FEWEST_ROWS` rows, or all of them where there are fewer.

    They end at the model's own threshold and at those of the tables wherever that leaves enough on both sides.
    """
    parts = [cells(document, role)]
    for bounds in ((document[role]["threshold"],), TABLED_THRESHOLDS, document["thresholds"]):
        parts = [piece for part in parts for piece in together(_split(part, bounds), FEWEST_ROWS)]
    return parts


def told_thresholds(document: dict[str, Any], role: str) -> set[float]:
    """Those of the document at which a block begins."""
    return {block[0].low for block in blocks(document, role)[1:]}


def _split(part: list[Cell], bounds: Collection[float]) -> list[list[Cell]]:
    """Before each cell that begins at one of the bounds."""
    pieces = [part[:1]]
    for cell in part[1:]:
        if cell.low in bounds:
            pieces.append([])
        pieces[-1].append(cell)
    return pieces


def together(pieces: list[list[Cell]], fewest: int) -> list[list[Cell]]:
    """Each piece with those after it until there are so many rows; what is left at the end with the last."""
    found: list[list[Cell]] = []
    for piece in pieces:
        if found and joined(found[-1]).rows < fewest:
            found[-1] = found[-1] + piece
        else:
            found.append(piece)
    if len(found) > 1 and joined(found[-1]).rows < fewest:
        found[-2:] = [found[-2] + found[-1]]
    return found


def joined(part: list[Cell]) -> Cell:
    """Neighbouring cells, one or more, as one."""
    return Cell(part[0].low, part[-1].high, sum(each.cases for each in part), sum(each.others for each in part))
