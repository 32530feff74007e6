"""The horizon: how long an outcome is waited for, and how soon a prediction must come to be judged
by it.

An event is known on its day, and that there was none only at the end. Whoever counts outcomes as
soon as they are known sees too many events for weeks. So with a horizon both count once it is over.
"""

from dataclasses import dataclass

from pima.core.declared.features import Outcome
from pima.core.outcomes.followed_up import LEAST_FOLLOWED_UP

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
DAY_LENGTHS_MS = (_DAY_MS, 25 * _HOUR_MS, 23 * _HOUR_MS)
"""A day is kept as its last millisecond, one on which clocks change as the second or third last: so
it tells when it began."""
_MS = {"hour": _HOUR_MS, "day": _DAY_MS, "week": 7 * _DAY_MS}
NO_INDEX = "no_index_at"
TO_COME = "index_at_to_come"
AFTER_OUTCOME = "index_at_after_outcome"
NOT_OVER = "horizon_not_over"
NEVER_PREDICTED = "never_predicted"
"""Where models learn from rows alone that were predicted in time."""
ACTED_UPON = "acted_upon"
"""Where the risk is meant without acting."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """A declared horizon, in milliseconds."""

    length_ms: int
    """From the index of a row on, which is the moment `index_at`."""
    predicted_within_ms: int
    """A later prediction may know some of what it predicts."""
    least_followed_up: float


def horizon_of(outcome: Outcome) -> Horizon | None:
    """The horizon of an outcome; None if it has none."""
    if outcome.horizon is None:
        return None
    length = _milliseconds(outcome.horizon)
    within = max(length // 10, _DAY_MS)
    if outcome.predicted_within is not None:
        within = _milliseconds(outcome.predicted_within)
    return Horizon(length, within, outcome.least_followed_up or LEAST_FOLLOWED_UP)


def _milliseconds(span: str) -> int:
    number, unit = span.split()
    return int(number) * _MS[unit.removesuffix("s")]
