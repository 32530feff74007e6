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
from dataclasses import dataclass, field

import numpy as np

from pima.core.arrays import BoolArray, Int64Array, UInt64Array

_TWO_TO_64 = float(2**64)


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
    return ranks_ < int(share * _TWO_TO_64)


@dataclass(frozen=True, slots=True)
class RowKeys:
    """The names of labelled rows, as the tables hold them."""

    first: list[str]
    """(n,), the name that decided each row's side when it first came: `person KEY`, `source NAME KEY`, its id, or
    `rank_name` where that was a person who was forgotten since."""
    persons: list[str | None]
    """(n,), each row's person by now; None where it has none."""
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """First name and person of each row that has a person and was first called otherwise, be it labelled or not, be it
    there or deleted."""


@dataclass(frozen=True, slots=True)
class RowRanks:
    """The ranks of labelled rows and of their persons, by which their sides are decided."""

    ranks: UInt64Array
    """(n,), each row's rank by what it was called first."""
    has_person: BoolArray
    """(n,)"""
    persons: UInt64Array
    """(n,), its person's rank; means nothing where it has none."""
    came_by_key: BoolArray
    """(n,), whether it was called first by a person or a source's key, and not by its id."""
    renamed: UInt64Array
    """(m,), ranks of rows that were first called otherwise than by their person: all that there ever were, and so the
    same whichever n rows these are."""
    persons_of_renamed: UInt64Array
    """(m,)"""

    def rows(self, which: BoolArray | Int64Array) -> "RowRanks":
        """Some of the rows; `which` is (n,), or their numbers."""
        arrays = (self.ranks[which], self.has_person[which], self.persons[which], self.came_by_key[which])
        return RowRanks(*arrays, self.renamed, self.persons_of_renamed)

    def with_persons(self, which: BoolArray) -> BoolArray:
        """These rows and all others of their persons, (n,)."""
        return which | (self.has_person & np.isin(self.persons, self.persons[which & self.has_person]))

    def undecided(self, share: float) -> BoolArray:
        """Find rows, (n,), of persons of whom some row is, or was, on another side than the person is.

        So these are rows of a person with rows on both sides, or whose person came later and belongs elsewhere.
        """
        # By ranks, and not by name: that two of a million persons share theirs is one in some 40 million.
        is_astray = below(self.persons_of_renamed, share) != below(self.renamed, share)
        return self.has_person & np.isin(self.persons, self.persons_of_renamed[is_astray])


_RANK = "rank "


def rank_name(name: str, salt: str) -> str:
    """A substitute for a name that is to be forgotten: it has the same rank, and so is on the same side whatever the
    share."""
    return f"{_RANK}{int(ranks([name.encode()], salt)[0]):016x}"


def _ranks_of_names(names: Sequence[str], salt: str) -> UInt64Array:
    found = ranks(map(str.encode, names), salt)
    for n, name in enumerate(names):
        if name.startswith(_RANK):
            found[n] = int(name.removeprefix(_RANK), 16)
    return found


def ranked(keys: RowKeys, salt: str) -> RowRanks:
    """Rank labelled rows."""
    first = _ranks_of_names(keys.first, salt)
    has_person = np.fromiter((person is not None for person in keys.persons), bool, count=len(keys.persons))
    persons = np.zeros_like(first)
    persons[has_person] = _ranks_of_names([f"person {each}" for each in keys.persons if each is not None], salt)
    # A row that was written while the triggers were switched off is among the labelled ones alone.
    others = has_person & (persons != first)
    renamed = np.concatenate([first[others], _ranks_of_names([name for name, _ in keys.renamed], salt)])
    owners = _ranks_of_names([f"person {person}" for _, person in keys.renamed], salt)
    of_renamed = np.concatenate([persons[others], owners])
    by_key = (name.startswith(("person ", "source ")) for name in keys.first)
    came_by_key = np.fromiter(by_key, bool, count=len(keys.first))
    return RowRanks(first, has_person, persons, came_by_key, renamed, of_renamed)
