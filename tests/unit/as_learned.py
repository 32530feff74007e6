"""What a model version learned from, as the tests have it."""

from pima.core.history import Side
from pima.core.learned import Learned


def as_learned(holdout_share: float, rows: Side | None) -> Learned:
    """A version whose rows are kept; without any, one of which nothing but the share is known."""
    if rows is None:
        return Learned(holdout_share)
    return Learned(holdout_share, rows.patient_ids, rows.features, rows.ranked)
