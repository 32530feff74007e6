"""Who is never trained on: membership by a salted hash of the patient's id, the same for ever.

A stored list would grow and a redrawn split would leak: last week's training rows would judge this week's model.
The hash needs no storage, moves nobody when rows are added, and the salt keeps an id from being chosen to fall on
one side.
"""

import hmac

import numpy as np

from pima.core.arrays import BoolArray, Float32Array, Int64Array

_TWO_TO_64 = float(2**64)


def in_holdout(patient_ids: Int64Array, salt: str, share: float) -> BoolArray:
    """Membership of each id, (n,): HMAC-SHA256 of the id below `share` of its range."""
    key = salt.encode()
    limit = int(share * _TWO_TO_64)
    digests = (hmac.digest(key, b"%d" % patient_id, "sha256") for patient_id in patient_ids.tolist())
    return np.fromiter((int.from_bytes(d[:8], "big") < limit for d in digests), dtype=bool, count=len(patient_ids))


def twins_of(features: Float32Array, holdout: Float32Array) -> BoolArray:
    """Which rows (n, 8) have exactly the features of some holdout row (m, 8); NaN equals NaN.

    The same person entered twice, under two ids, would otherwise stand on both sides.
    """
    known = {row.tobytes() for row in _canonical(holdout)}
    return np.fromiter((row.tobytes() in known for row in _canonical(features)), bool, count=len(features))


def _canonical(rows: Float32Array) -> Float32Array:
    """One bit pattern a value: NaNs alike, -0.0 as 0.0."""
    return np.where(np.isnan(rows), np.float32(np.nan), rows) + np.float32(0)
