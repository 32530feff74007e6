"""What a model version learned from, as the tests have it."""

from pima.core.history import Learned, Side


def as_learned(rows: Side) -> Learned:
    """A version whose rows are kept."""
    return Learned(rows.patient_ids, rows.features, rows.ranked)
