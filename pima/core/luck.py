"""How likely a sound model beats always guessing the majority class on so few rows that it may be luck.

Sound is a model that does what fits of 140 of the shipped rows do, mean over draws: of the rows of the rarer class it
finds 55 %, and it takes as many of the others for them as make 25 %. So it is right on more rows than the majority
class by 30 % of the rarer class.
"""

import math
from statistics import NormalDist

_FOUND = 0.55
_TAKEN_FOR_THEM = 0.25


def chance_to_beat_majority(rows: int, rarer_share: float) -> float:
    """On so many rows, of which this share has the rarer outcome: of the paired difference, by normal approximation."""
    gained, lost = _FOUND * rarer_share, _TAKEN_FOR_THEM * rarer_share
    gain = gained - lost
    deviation = math.sqrt(rows * (gained + lost - gain**2))
    # A tie is not enough: half a row less, as whole rows ask for.
    return NormalDist().cdf((gain * rows - 0.5) / deviation)


def rows_to_beat_majority(rarer_share: float, chance: float = 0.95) -> int:
    """The fewest rows on which the chance is this high; `rarer_share` is above 0."""
    gained, lost = _FOUND * rarer_share, _TAKEN_FOR_THEM * rarer_share
    gain = gained - lost
    spread = NormalDist().inv_cdf(chance) * math.sqrt(gained + lost - gain**2)
    return math.ceil(((spread + math.sqrt(spread**2 + 2 * gain)) / (2 * gain)) ** 2)


def told_of_luck(rows: int, majority_rows: int, holdout_share: float) -> str | None:
    """What a person should know where a model did not beat the majority class; None where there were rows enough."""
    rarer_share = (rows - majority_rows) / rows
    needed = rows_to_beat_majority(rarer_share)
    if rows >= needed:
        return None
    passed = f"{100 * chance_to_beat_majority(rows, rarer_share):.0f}"
    labels = 10 * math.ceil(needed / holdout_share / 10)
    return (
        f"on {rows} rows luck decides: there a sound model beats it in {passed} of 100 cases, and in 95 on {needed},"
        f" as about {labels} labelled rows hold out"
    )
