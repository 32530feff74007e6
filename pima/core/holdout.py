"""The holdout: a salted hash of what a row was called when it first came decides who is in it, for ever.

A stored list would grow and a redrawn split would leak: last week's training rows would judge this week's model.
The hash needs no storage, moves nobody when rows are added, and the salt keeps a key from being chosen to fall on
one side. A row of its own is called by its id; of rows with keys the first name is kept.

A person's rows are visits, and belong on one side. What was learned from can't be judged on afterwards, so nothing
moves over where a person arrives, or is corrected, later: such rows are used for neither side. Nor are the person's
other rows, whatever became of the one that was on another side: a model may have learned from it.
"""

import hmac
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Int64Array, UInt64Array

SIDES = ["training", "holdout", "undecided"]


def in_holdout(patient_ids: Int64Array, salt: str, share: float) -> BoolArray:
    """Membership of each id, (n,): HMAC-SHA256 of the id below `share` of its range."""
    return below(ranks((b"%d" % patient_id for patient_id in patient_ids.tolist()), salt), share)


def ranks(keys: Iterable[bytes], salt: str) -> UInt64Array:
    """Rank keys, (n,): the first 64 bits of each one's HMAC-SHA256."""
    keyed = hmac.new(salt.encode(), digestmod="sha256")

    def digest(key: bytes) -> bytes:
        # A copy of the keyed state costs less than keying anew for each of a million keys.
        state = keyed.copy()
        state.update(key)
        return state.digest()

    digests = b"".join([digest(key) for key in keys])
    return np.frombuffer(digests, dtype=">u8")[:: keyed.digest_size // 8].astype(np.uint64)


def below(ranks_: UInt64Array, share: float) -> BoolArray:
    """Membership of ranks, (n,), in a holdout of this share."""
    return ranks_ < int(share * 2.0**64)


_RANK = "rank "


def rank_name(name: str, salt: str) -> str:
    """A substitute for a name that is to be forgotten: it has the same rank, and so is on the same side whatever the
    share."""
    return f"{_RANK}{int(ranks([name.encode()], salt)[0]):016x}"


def ranks_of_names(names: Sequence[str], salt: str) -> UInt64Array:
    """Rank names of rows, (n,); a substitute has the rank of what it stands for."""
    found = ranks(map(str.encode, names), salt)
    for n, name in enumerate(names):
        if name.startswith(_RANK):
            found[n] = int(name.removeprefix(_RANK), 16)
    return found


def ranked(names: Sequence[str], persons: Sequence[str | None], salt: str) -> pd.DataFrame:
    """Rank n rows by their first names and by their persons, in the columns `Rank`, `Person` and `Keyed`.

    A first name is `person KEY`, `source NAME KEY`, the row's id, or `rank_name` where that was a person who was
    forgotten since. `Person` is NA where a row has none. `Keyed` rows came by a person or a source's key.
    """
    # By ranks, and not by name: that two of a million persons share theirs is one in some 40 million.
    has_none = np.fromiter((person is None for person in persons), bool, count=len(persons))
    of_persons = np.zeros(len(persons), dtype=np.uint64)
    of_persons[~has_none] = ranks_of_names([f"person {person}" for person in persons if person is not None], salt)
    return pd.DataFrame(
        {
            "Rank": pd.array(ranks_of_names(names, salt), dtype="UInt64"),
            "Person": pd.arrays.IntegerArray(of_persons, has_none),
            "Keyed": np.fromiter((name.startswith(("person ", "source ")) for name in names), bool, count=len(names)),
        }
    )


def with_sides(rows: pd.DataFrame, renamed: pd.DataFrame, share: float) -> pd.DataFrame:
    """Put the rows' `Side` in the place of their `Rank`: `training`, `holdout`, or `undecided`.

    Undecided are the rows of a person of whom some row is, or was, on another side than the person is: of one with rows
    on both sides, or one who came later and belongs elsewhere. `renamed` are the `Rank` and `Person` of each row that
    has a person and was first called otherwise, be it labelled or not, be it there or deleted.
    """
    # A row that was written while the triggers were switched off is among the rows alone.
    renamed = pd.concat([renamed, rows.loc[(rows["Person"] != rows["Rank"]).fillna(False), ["Rank", "Person"]]])
    person_is_held = below(renamed["Person"].to_numpy(np.uint64), share)
    astray = renamed.loc[person_is_held != below(renamed["Rank"].to_numpy(np.uint64), share), "Person"]
    side = np.where(below(rows["Rank"].to_numpy(np.uint64), share), SIDES.index("holdout"), SIDES.index("training"))
    side[rows["Person"].isin(astray).to_numpy(bool)] = SIDES.index("undecided")
    return rows.drop(columns="Rank").assign(Side=pd.Categorical.from_codes(side, SIDES))
