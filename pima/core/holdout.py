"""Who is held out of training, by a salted hash of what a row was called when it first came, the same for ever.

A stored list would grow and a redrawn split would leak: last week's training rows would judge this week's model.
The hash needs no storage, moves nobody when rows are added, and the salt keeps a key from being chosen to fall on
one side. A row of its own is called by its id; of rows with keys the first name is kept.
"""

import hmac
from collections.abc import Iterable

import numpy as np

from pima.core.arrays import BoolArray, Int64Array, UInt64Array

_TWO_TO_64 = float(2**64)


def in_holdout(patient_ids: Int64Array, salt: str, share: float) -> BoolArray:
    """Membership of each id, (n,): HMAC-SHA256 of the id below `share` of its range."""
    return below(ranks((b"%d" % patient_id for patient_id in patient_ids.tolist()), salt), share)


def ranks(keys: Iterable[bytes], salt: str) -> UInt64Array:
    """Where each key stands in the range, (n,): the first 64 bits of its HMAC-SHA256."""
    keyed = hmac.new(salt.encode(), digestmod="sha256")
    digests = b"".join([_digest(keyed, key) for key in keys])
    return np.frombuffer(digests, dtype=">u8")[:: keyed.digest_size // 8].astype(np.uint64)


def below(ranks_: UInt64Array, share: float) -> BoolArray:
    """Which ranks are in a holdout of this share, (n,)."""
    return ranks_ < int(share * _TWO_TO_64)


def _digest(keyed: hmac.HMAC, key: bytes) -> bytes:
    # A copy of the keyed state costs less than keying anew for each of a million keys.
    state = keyed.copy()
    state.update(key)
    return state.digest()
