"""The shipped rows, in the two ways in which they are read: as the article does, and as the service
does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pima.core.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.rows.validation import as_features, by_feature
from pima.settings.reading import SHIPPED

ROOT = Path(__file__).parents[2]
ARTICLE_TRAINING_ROWS = 568


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows."""

    raw: Float64Array
    """(n, 8) as they stand in the file, zeros as zeros."""
    features: Float32Array
    """(n, 8) as the service reads them, NaN where missing."""
    outcomes: Int8Array
    """(n,), 0 or 1."""

    def __len__(self) -> int:
        return len(self.outcomes)

    def take(self, which: Int64Array | slice) -> "Rows":
        """Some of the rows."""
        return Rows(self.raw[which], self.features[which], self.outcomes[which])


def shipped_rows() -> Rows:
    """All 768, in the file's order."""
    table = np.loadtxt(ROOT / "pima" / "data" / "pima.csv", delimiter=",")
    raw = table[:, :8]
    return Rows(
        raw,
        as_features(by_feature(raw), SHIPPED.features),
        table[:, 8].astype(np.int8),
    )
