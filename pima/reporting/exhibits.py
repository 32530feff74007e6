"""The evidence beside a verdict, as curves: from the document that the ledger keeps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pima.core.evidence import Cell, blocks, joined, may_be_told, together
from pima.core.figures import NO_CASES, Figure, share


@dataclass(frozen=True, slots=True)
class Shown:
    """One model in an exhibit."""

    role: str
    """Its key in the document: challenger or champion."""
    name: str
    """What it is called in the report."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The evidence of one verdict."""

    decided_at: datetime
    document: dict[str, Any]
    """As `docs/model-and-gate.md` tells it."""
    first: Shown
    """Of which more is drawn."""
    second: Shown | None

    @property
    def models(self) -> tuple[Shown, ...]:
        """Those that it has evidence of."""
        return (self.first,) if self.second is None else (self.first, self.second)

    def of(self, model: Shown) -> dict[str, Any]:
        """A model's part of the document."""
        found: dict[str, Any] = self.document[model.role]
        return found


def exhibit(document: dict[str, Any], decided_at: datetime, names: dict[str, str], first: str) -> Exhibit | None:
    """Of the models that the document has evidence of, `first` first; None where it has of none, or of so few rows that
    it may not be told. Names are by role."""
    if not may_be_told(document):
        return None
    order = sorted(names, key=lambda role: role != first)
    models = [Shown(role, names[role]) for role in order if document[role] is not None]
    return Exhibit(decided_at, document, models[0], models[1] if len(models) > 1 else None) if models else None


def roc(document: dict[str, Any], role: str) -> list[tuple[float, float, float]]:
    """Threshold, 1 - specificity and sensitivity, from the highest threshold that may be told to the lowest, with both
    corners."""
    positive = document["positive"]
    negative = document["rows"] - positive
    if not positive or not negative:
        return []
    points, cases, others = [(1.0, 0.0, 0.0)], 0, 0
    for block in map(joined, reversed(blocks(document, role))):
        cases, others = cases + block.cases, others + block.others
        points.append((block.low, others / negative, cases / positive))
    return points


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of like probability."""

    rows: int
    predicted: float
    """Their mean probability, to half a point."""
    observed: Figure
    """The share of outcome 1 among them."""


def calibration(document: dict[str, Any], role: str, groups: int = 10) -> list[Group]:
    """As many groups of nearly as many rows, or fewer where they would hold too few rows to be shown."""
    return [_group(each) for each in together(blocks(document, role), document["rows"] // groups)]


def _group(found: list[Cell]) -> Group:
    rows = sum(cell.rows for cell in found)
    predicted = sum(cell.rows * (cell.low + cell.high) / 2 for cell in found) / rows
    return Group(rows, predicted, share(sum(cell.cases for cell in found), rows, NO_CASES))


def distribution(document: dict[str, Any], role: str) -> list[Cell]:
    """By tenths of probability, those of few rows together."""
    tenths: list[list[Cell]] = []
    for block in blocks(document, role):
        if not tenths or block[0].low in _TENTHS:
            tenths.append([])
        tenths[-1] += block
    return [joined(each) for each in tenths]


_TENTHS = tuple(each / 10 for each in range(1, 10))
