"""Rows of a block as tuples, None where there is nothing."""

from typing import Any

import pandas as pd

from pima.core.declared.columns import of_kind
from tests.support.shipped import FEATURE_NAMES


def as_tuples(block: pd.DataFrame) -> list[tuple[Any, ...]]:
    """(line, id, measurements, outcome), and behind them the keys, where the file has them."""
    names = ("id", *FEATURE_NAMES, "outcome", *(name for name in of_kind("key") if name in block))
    columns = [_values(block, name) for name in names]
    return list(zip(block.index.tolist(), *columns, strict=True))


def _values(block: pd.DataFrame, name: str) -> list[Any]:
    if name not in block:
        return [None] * len(block)
    return [
        None if value is None or value is pd.NA or value != value else value
        for value in block[name].tolist()
    ]
