"""Of the counts by threshold that the ledger keeps, what pictures and tables may tell: steps of `FEWEST_ROWS` rows.

Whoever knows a patient's probability, as every reader of predictions does, would see the outcome in a step that is of
that patient alone. All that is shown of a model stands on the same steps, so that no two figures differ by fewer rows.
"""

from bisect import bisect
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pima.core.evidence.subgroups import FEWEST_ROWS
from pima.core.evidence.wording import TABLED_THRESHOLDS

_Counts = tuple[float, int, int]
"""A threshold, and the rows from there on: with outcome 1, and the others."""


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


def may_be_told(document: dict[str, Any] | None) -> bool:
    """Whether there is a document, and of rows enough to be nobody in particular."""
    return document is not None and document["rows"] >= FEWEST_ROWS


def cells(document: dict[str, Any], role: str) -> list[Cell]:
    """Between each two thresholds, the model's own among them, below the first and from the last on."""
    positive, model = document["positive"], document[role]
    everybody, called = (0.0, positive, document["rows"] - positive), model["called"]
    counts = [everybody, *zip(document["thresholds"], called["cases"], called["others"], strict=True), (1.0, 0, 0)]
    above = bisect([threshold for threshold, _, _ in counts], model["threshold"])
    if 0 < model["threshold"] < 1 and counts[above - 1][0] != model["threshold"]:
        counts.insert(above, _called_by_class(model, everybody, counts[above - 1 : above + 1]))
    return [
        Cell(low, high, cases - fewer_cases, others - fewer_others)
        for (low, cases, others), (high, fewer_cases, fewer_others) in pairwise(counts)
    ]


def _called_by_class(model: dict[str, Any], everybody: _Counts, beside: list[_Counts]) -> _Counts:
    """From the model's own threshold on: the figures of classes tell it, rounded, so between the counts beside it."""
    (_, most_cases, most_others), (_, fewest_cases, fewest_others) = beside
    cases = round((model["sensitivity"]["value"] or 0.0) * everybody[1])
    others = round((1 - (model["specificity"]["value"] or 0.0)) * everybody[2])
    within = (min(max(cases, fewest_cases), most_cases), min(max(others, fewest_others), most_others))
    return model["threshold"], *within


def blocks(document: dict[str, Any], role: str) -> list[list[Cell]]:
    """Neighbouring cells together, so that each block has `FEWEST_ROWS` rows, or all of them where there are fewer.

    They end at the model's own threshold and at those of the tables wherever that leaves enough on both sides. What its
    classes tell is known: where few rows lie on one side of its threshold, no block ends within so many of it.
    """
    parts = _split(cells(document, role), (document[role]["threshold"],))
    for bounds in (TABLED_THRESHOLDS, document["thresholds"]):
        parts = [piece for part in parts for piece in together(_split(part, bounds), FEWEST_ROWS)]
    return together(parts, FEWEST_ROWS)


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
