"""The evidence beside a verdict, as curves: from the document that the ledger keeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pima.core.evidence.figures import NO_CASES, Figure, share
from pima.core.evidence.subgroups import FEWEST_ROWS


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
    """Of the models that the document has evidence of, `first` first; None where it has of none. Names are by role."""
    order = sorted(names, key=lambda role: role != first)
    models = [Shown(role, names[role]) for role in order if document[role] is not None]
    return Exhibit(decided_at, document, models[0], models[1] if len(models) > 1 else None) if models else None


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


def roc(document: dict[str, Any], role: str) -> list[tuple[float, float, float]]:
    """Threshold, 1 - specificity and sensitivity, from the highest threshold to the lowest, with both corners."""
    positive, called = document["positive"], document[role]["called"]
    negative = document["rows"] - positive
    if not positive or not negative:
        return []
    points = [
        (threshold, others / negative, cases / positive)
        for threshold, cases, others in zip(document["thresholds"], called["cases"], called["others"], strict=True)
    ]
    return [(1.0, 0.0, 0.0), *reversed(points), (0.0, 1.0, 1.0)]


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
    fewest = max(FEWEST_ROWS, document["rows"] // groups)
    gathered: list[list[Cell]] = [[]]
    for cell in cells(document, role):
        if sum(each.rows for each in gathered[-1]) >= fewest:
            gathered.append([])
        gathered[-1].append(cell)
    if len(gathered) > 1 and sum(each.rows for each in gathered[-1]) < fewest:
        gathered[-2:] = [gathered[-2] + gathered[-1]]
    return [_group(each) for each in gathered if sum(cell.rows for cell in each)]


def _group(found: list[Cell]) -> Group:
    rows = sum(cell.rows for cell in found)
    predicted = sum(cell.rows * (cell.low + cell.high) / 2 for cell in found) / rows
    return Group(rows, predicted, share(sum(cell.cases for cell in found), rows, NO_CASES))


def distribution(document: dict[str, Any], role: str) -> list[Cell]:
    """By tenths of probability."""
    return list(_tenths(cells(document, role)))


def _tenths(found: list[Cell]) -> Iterator[Cell]:
    for n in range(0, len(found), 10):
        tenth = found[n : n + 10]
        cases, others = sum(cell.cases for cell in tenth), sum(cell.others for cell in tenth)
        yield Cell(tenth[0].low, tenth[-1].high, cases, others)
