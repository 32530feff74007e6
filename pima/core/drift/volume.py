"""How many rows came, beside what the same weekday usually brings. Without numpy, which an empty night does without."""

from collections.abc import Sequence
from dataclasses import replace

from pima.core.drift.watched import LAST_NIGHTS, State, Watched, alerts

WEEKS = 8
"""Back, of the same weekday."""
FEWEST_WEEKS = 4
"""With which there is a usual volume."""
SHARE_ALLOWED = 0.5
"""Of what is usual: half as many more or less."""
DEVIATIONS_ALLOWED = 5.0
"""Robust ones, of what is usual: from the median distance to the median, which no single odd week moves."""
_DEVIATION_OF_MEDIAN_DISTANCE = 1.4826


def volume(rows: int, weeks: Sequence[int]) -> Watched:
    """Of a night with so many rows, after the same weekday of these weeks; one with no runs is none of them."""
    if len(weeks) < FEWEST_WEEKS:
        return Watched("", "rows", rows, rows, state=State.INSUFFICIENT_DATA)
    usual = _median(weeks)
    deviation = _DEVIATION_OF_MEDIAN_DISTANCE * _median([abs(each - usual) for each in weeks])
    # A count alone varies by its root.
    allowed = max(SHARE_ALLOWED * usual, DEVIATIONS_ALLOWED * max(deviation, usual**0.5))
    return Watched("", "rows", rows, rows, usual, allowed)


def volume_of_nights(nights: Sequence[tuple[int, Sequence[int]]]) -> Watched:
    """Of tonight and the nights before it, newest first: its rows, and those of its weekday in the weeks before."""
    found = [volume(rows, weeks) for rows, weeks in nights[:LAST_NIGHTS]] or [volume(0, ())]
    tonight = found[0]
    before = [[each.name] if each.is_beyond else [] for each in found[1:]]
    if tonight.state == State.USUAL and alerts(tonight.is_beyond, tonight.name, before):
        return replace(tonight, state=State.ALERT)
    return tonight


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
