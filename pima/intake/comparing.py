"""Rows of a source beside ours of the same keys: what is new, what has changed, and what is no longer there."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import BoolArray, Int64Array
from pima.core.cells import NO_OUTCOME
from pima.core.mapping import NO_MOMENT, SourceRows


@dataclass(frozen=True, slots=True)
class Compared:
    """What was found between two keys."""

    new: SourceRows
    """Rows of the source that we lack."""
    changed: SourceRows
    """Rows of the source that ours differ from."""
    vanished: list[str]
    """Keys of ours that are no longer in the source."""
    ours: SourceRows
    """All of ours, whatever became of them."""
    unchanged: int
    """Rows that are the same here and there."""
    arrived: int
    """Outcomes that ours lacked."""
    corrected: int
    """Outcomes that ours had otherwise."""
    cleared: int
    """Outcomes that the source has no more."""


Pair = tuple[SourceRows, SourceRows]
"""Rows of the source, and all that we have between the same two keys, or of the same keys."""


def side_by_side(theirs: Iterable[SourceRows], ours: Iterable[SourceRows], features: int) -> Iterator[Pair]:
    """Blocks of both sides, each with keys that ascend, walked side by side; a block of each is in memory."""
    source, known = _Side(theirs, features), _Side(ours, features)
    while lasts := [side.last for side in (source, known) if side.last is not None]:
        # No farther than both reach, so that what lies between two keys of one side is never all there.
        reached = min(lasts)
        yield source.taken(reached), known.taken(reached)


class _Side:
    """The rows of one side, taken from its front."""

    def __init__(self, blocks: Iterable[SourceRows], features: int) -> None:
        self._blocks = iter(blocks)
        self._none = SourceRows.none(features)
        self._block = self._next()

    def _next(self) -> SourceRows:
        return next(filter(len, self._blocks), self._none)

    @property
    def last(self) -> str | None:
        """The last key that is there to be taken; None where nothing is left."""
        return self._block.keys[-1] if len(self._block) else None

    def taken(self, last: str) -> SourceRows:
        """The rows up to a key."""
        block = self._block
        end = bisect_right(block.keys, last)
        self._block = block.part(end, len(block)) if end < len(block) else self._next()
        return block.part(0, end)


def compared(theirs: SourceRows, ours: SourceRows, has_outcome: bool, has_person: bool) -> Compared:
    """What a pair differs by. Outcomes and persons count where the source has them."""
    at = _positions(theirs.keys, ours.keys)
    is_there = np.zeros(len(ours), bool)
    is_there[at[at >= 0]] = True
    both = np.flatnonzero((at >= 0) & ~theirs.rejected)
    known, here = theirs.rows(both), ours.rows(at[both])
    before, now = here.outcomes, known.outcomes
    differs = _measurements_differ(known, here)
    if has_person:
        differs |= np.array(_differ(known.persons, here.persons), bool)
    other_outcome = (before != now) & has_outcome
    # Where the source says nothing of it, the time of the pull that brought the outcome stays.
    other_moment = (known.labelled_at != NO_MOMENT) & (known.labelled_at != here.labelled_at)
    changed = np.flatnonzero(differs | other_outcome | other_moment)
    return Compared(
        new=theirs.rows(np.flatnonzero((at < 0) & ~theirs.rejected)),
        changed=known.rows(changed),
        vanished=[ours.keys[n] for n in np.flatnonzero(~is_there).tolist()],
        ours=ours,
        unchanged=len(both) - len(changed),
        arrived=int(np.count_nonzero(other_outcome & (before == NO_OUTCOME))),
        corrected=int(np.count_nonzero(other_outcome & (before != NO_OUTCOME) & (now != NO_OUTCOME))),
        cleared=int(np.count_nonzero(other_outcome & (now == NO_OUTCOME))),
    )


def _positions(keys: list[str], among: list[str]) -> Int64Array:
    """Where each key stands among others; -1 where it does not."""
    if keys == among:
        return np.arange(len(keys))
    place = {key: n for n, key in enumerate(among)}
    return np.array([place.get(key, -1) for key in keys], dtype=np.int64)


def _measurements_differ(theirs: SourceRows, ours: SourceRows) -> BoolArray:
    one, other = theirs.measurements, ours.measurements
    # What is NULL has the value 0 on both sides.
    differs: BoolArray = ((one.values != other.values) | (one.is_null != other.is_null)).any(axis=1)
    return differs


def _differ(theirs: list[str | None], ours: list[str | None]) -> list[bool]:
    if theirs == ours:
        return [False] * len(theirs)
    return [one != other for one, other in zip(theirs, ours, strict=True)]
