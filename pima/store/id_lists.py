"""Patients' ids written into statements, so many at a time: a statement of all of them could be too long to parse."""

from collections.abc import Iterator, Sequence

_IDS_A_STATEMENT = 5_000


def id_lists(ids: Sequence[int]) -> Iterator[str]:
    """What stands in the parentheses of IN."""
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        yield ", ".join(map(str, ids[start : start + _IDS_A_STATEMENT]))
