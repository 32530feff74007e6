"""Numbers as a line of small bars, for a terminal."""

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_IN_ASCII = "_.-~=+*#"
"""For a terminal that has none."""


def spark_line(values: Sequence[float | None], low: float, high: float, encoding: str | None) -> str:
    """A letter a value, the lowest bar for `low` and the highest for `high`; a blank for None."""
    bars = _BARS if _knows(encoding, _BARS) else _IN_ASCII
    return "".join(" " if value is None else bars[_step(value, low, high)] for value in values)


def _knows(encoding: str | None, letters: str) -> bool:
    try:
        letters.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _step(value: float, low: float, high: float) -> int:
    """From 0 to 7; where all is alike, in the middle."""
    if high <= low:
        return 3
    return min(7, max(0, int(8 * (value - low) / (high - low))))
