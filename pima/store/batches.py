"""What passes between the queue, the scorer and the tables: rows of one batch, as arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pima.core.arrays import Float64Array, Int64Array

if TYPE_CHECKING:
    from pima.core.validation import Measurements


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed rows, by patient id."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    measurements: "Measurements"
    """n rows of the features that were asked for"""

    def __len__(self) -> int:
        return len(self.patient_ids)

    @property
    def last(self) -> int:
        """The highest patient id; there is one."""
        return int(self.patient_ids[-1])


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one model version for one batch."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    probabilities: Float64Array
    """(n,)"""


@dataclass(frozen=True, slots=True)
class Rejections:
    """Rows of one batch that can't be scored."""

    patient_ids: Int64Array
    """(n,)"""
    patient_versions: Int64Array
    """(n,)"""
    reasons: tuple[str, ...]
    """Reason codes of `pima.core.validation`."""
    fields: tuple[str, ...]
    """The column that broke the rule."""
