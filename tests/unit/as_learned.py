"""What a model version learned from, as the tests have it."""

from pima.core.history import Side
from pima.core.history import Learned


def as_learned(rows: Side) -> Learned:
    """A version whose rows are kept."""
    return Learned(rows.patient_ids, rows.features, rows.ranked)
