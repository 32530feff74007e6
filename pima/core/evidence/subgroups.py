"""Which subgroups may be shown."""

FEWEST_ROWS = 10
"""A subgroup with fewer is not shown: too few people to be nobody in particular."""
FEW_ROWS = 50
"""One with fewer is marked, since its figures say little."""


def shown(sizes: tuple[int, ...]) -> tuple[bool, ...]:
    """Which groups of one feature may be shown. They add up to the test set, whose rows are known: so what is held back
    is two groups at least, of `FEWEST_ROWS` together at least, the next larger ones with the small ones."""
    ascending = sorted((size, group) for group, size in enumerate(sizes) if size)
    held_back: list[int] = []
    rows = 0
    for size, group in ascending:
        is_enough = not held_back or (len(held_back) > 1 and rows >= FEWEST_ROWS)
        if size >= FEWEST_ROWS and is_enough:
            break
        held_back.append(group)
        rows += size
    return tuple(bool(size) and group not in held_back for group, size in enumerate(sizes))
