"""Counts in sentences."""


def counted(count: int, noun: str) -> str:
    """Such as "1 row" and "1,000 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
