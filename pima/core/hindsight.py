"""Hindsight: values that were corrected after the prediction that counts, and so may tell the
outcome.

A laboratory value or a code that is completed once the outcome is known tells it. A model that
learns from such values, or is judged on them, looks better than it is: new rows have none. So
a history has the values that rows were predicted on, and whose values have changed since is counted
here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pima.core.watched import State, Watched

ONES_CORRECTED = "realised_ones_corrected"
"""The figure's name: the share of rows with outcome 1 that were corrected, beside that of rows with
outcome 0."""
COUNTED_WEEKS = 26
"""How long after an outcome is settled its row is counted. So a source that was put right is no
longer told of after half a year, however long its history is."""
FEWEST_ONES = 10
DEVIATIONS = 6
"""Standard errors by which the shares differ that luck hardly ever reaches."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """How many rows that settled of late have other values today than they were predicted on."""

    zeros: int = 0
    """Those with outcome 0."""
    of_zeros: int = 0
    """All rows with outcome 0 that were predicted in time."""
    ones: int = 0
    """Those with outcome 1."""
    of_ones: int = 0
    """All rows with outcome 1 that were predicted in time."""
    not_kept: int = 0
    """Rows that were corrected, and whose values then are not kept: they are used as they
    stand."""

    @property
    def follow_outcome(self) -> bool:
        """Whether ones are corrected so much more often than zeros that it is no luck."""
        corrected = self.ones + self.zeros
        rows = self.of_ones + self.of_zeros
        # By this the shares of ones and of zeros differ, times the numbers of both. The bound is
        # that of the test of two proportions, without its divisions.
        more = self.ones * self.of_zeros - self.zeros * self.of_ones
        variance = corrected * (rows - corrected) * self.of_ones * self.of_zeros
        is_no_luck = rows * more**2 > DEVIATIONS**2 * variance
        # With many rows a small difference is no luck either.
        is_twice = more > self.zeros * self.of_ones
        return self.ones >= FEWEST_ONES and is_twice and is_no_luck


_IN_WORDS = (
    "{ones:,} of {of_ones:,} rows with outcome 1, {zeros:,} of {of_zeros:,} with outcome 0 "
    "(settled in half a year); {not_kept:,} of all whose values then are not kept"
)


def in_words(stored: Mapping[str, int] | None) -> str:
    """Say how many rows were corrected, by the stored form of `Corrections`; None stands for a
    version of a release that did not count them."""
    return "not counted" if stored is None else _IN_WORDS.format(**stored)


def figure_of_corrections(found: Corrections) -> Iterator[Watched]:
    """Make a row of `monitoring`, if rows of both outcomes were predicted."""
    if found.of_ones and found.of_zeros:
        figure = Watched(
            feature="",
            figure=ONES_CORRECTED,
            value=found.ones / found.of_ones,
            rows=found.of_ones + found.of_zeros,
            reference=found.zeros / found.of_zeros,
        )
        yield replace(figure, state=State.ALERT) if found.follow_outcome else figure
