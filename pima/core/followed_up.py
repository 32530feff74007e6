"""How many rows are followed up, which means that their outcome came once it was due.

Outcomes may come late, or only of some patients, such as those who were treated. Figures of the
weeks of which few came would tell of these alone, so they leave such weeks out.
"""

from dataclasses import dataclass

LEAST_FOLLOWED_UP = 0.9
"""The share of what is to be expected that a week needs to be in figures."""
HARDLY_FOLLOWED_UP = 0.5
"""Where less is usual, figures are said to be of those followed up, and nothing alarms."""

WEEK_FOLLOWED_UP = "realised_week_followed_up"
"""The figure of the newest finished week: the share of its rows that have an outcome."""


@dataclass(frozen=True, slots=True)
class WeekFollowedUp:
    """The rows of a week whose outcomes are due."""

    number: int
    """From the week of 1 January 1970 on, which is 0; weeks begin on Mondays, in UTC."""
    rows: int
    outcomes: int
    """How many of them have one."""
    is_finished: bool = False
    """Whether the outcomes of all its rows have been due for a week."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The newest weeks, and what is to be expected of each."""

    weeks: tuple[WeekFollowedUp, ...]
    """Newest first. With a horizon they are those of the rows' index, else of their
    predictions."""
    expected: float
    """The share of a week's rows: with a horizon all of them, else what is usual."""

    @property
    def left_out(self) -> set[int]:
        """The weeks that figures leave out."""
        return {
            each.number
            for each in self.weeks
            if each.outcomes < LEAST_FOLLOWED_UP * self.expected * each.rows
        }

    @property
    def is_of_few(self) -> bool:
        """Whether so few are followed up that figures say little of the others."""
        return self.expected < HARDLY_FOLLOWED_UP


def usual_share(weeks: tuple[WeekFollowedUp, ...]) -> float:
    """The median of the weeks' shares; 1 without weeks."""
    shares = sorted(each.outcomes / each.rows for each in weeks)
    return shares[len(shares) // 2] if shares else 1.0
