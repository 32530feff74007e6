"""The rows of patient files, whatever kind of file: what columns there are, and the rules that a line must keep.

A line that is bad in any way is reported by its number and a reason code, never by what stood there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from pima.core.features import Declaration, Feature, Features
from pima.core.identifiers import LARGEST_GIVEN_ID
from pima.core.validation import MISSING, NOT_FINITE, REASONS, Measurements, broken_rules

BLOCK_ROWS = 10_000

Cell = float | int | None
Row = tuple[Any, ...]
"""(line, id, measurements, outcome), and behind them, in a file that has them, the keys of its source and its person;
None where the cell is empty or the column is absent."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that can't be loaded."""

    line: int
    """Counted from 1, as an editor shows it; of a Parquet file the row."""
    reason: str
    field: str | None = None
    """The column, where one is at fault."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of the file, the good and the bad."""

    rows: list[Row]
    bad: list[BadLine]


def known_columns(declaration: Declaration) -> tuple[str, ...]:
    """What a file may hold, in the order in which rows have it."""
    return ("id", *declaration.names, "outcome")


def in_order(columns: tuple[str, ...], known: tuple[str, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A function from cells in the file's order to (id, measurements, outcome), None for an absent column."""
    positions = [columns.index(name) if name in columns else len(columns) for name in known]
    pick = itemgetter(*positions)
    return lambda cells: pick((*cells, None))


def code_of_label(feature: Feature, label: str) -> int | None:
    """The code that a text stands for, itself or its label in whatever case; None where it is neither."""
    folded = label.strip().casefold()
    return next(
        (code for code, known in feature.codes.items() if folded in (known.strip().casefold(), str(code))), None
    )


def checked(rows: list[Row], bad: list[BadLine], features: Features) -> Block:
    """Judge ids, outcomes and measurements; the latter by the same rules as scoring, save that a cell may be empty."""
    outcome_at = 2 + len(features)
    cells = np.array([row[2:outcome_at] for row in rows], dtype=object).reshape(len(rows), len(features))
    is_null = cells == None  # noqa: E711 (element by element)
    values = np.where(is_null, np.nan, cells).astype(np.float64)
    broken = broken_rules(Measurements(values, is_null), features)
    broken[broken == REASONS.index(MISSING)] = 0
    good: list[Row] = []
    any_broken = np.any(broken, axis=1).tolist()
    for row, rules, is_broken in zip(rows, broken, any_broken, strict=True):
        patient_id, outcome = row[1], row[outcome_at]
        if patient_id is None and outcome is None and not is_broken:
            good.append(row)
        elif (fault := _fault(row, rules, is_broken, features)) is None:
            good.append((*row[:outcome_at], None if outcome is None else int(outcome), *row[outcome_at + 1 :]))
        else:
            bad.append(fault)
    return Block(good, bad)


def _fault(row: Row, rules: Any, is_broken: bool, features: Features) -> BadLine | None:
    line, patient_id, outcome = row[0], row[1], row[2 + len(features)]
    if patient_id is not None and not (isinstance(patient_id, int) and 0 < patient_id <= LARGEST_GIVEN_ID):
        return BadLine(line, "bad_id", "id")
    if is_broken:
        position = int((rules != 0).argmax())
        return BadLine(line, REASONS[rules[position]], features[position].name)
    if outcome is not None and outcome not in (0, 1):
        is_finite = math.isfinite(outcome)
        return BadLine(line, "bad_outcome" if is_finite else NOT_FINITE, "outcome")
    return None
