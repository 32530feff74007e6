"""Hindsight: values that were corrected after the prediction that counts, and so may tell the
outcome.

A laboratory value or a code that is completed once the outcome is known tells it. A model that
learns from such values, or is judged on them, looks better than it is: new rows have none. So
a history has the values that rows were predicted on, and whose values have changed since is counted
here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pima.core.watched import State, Watched

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

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


def corrections(
    history: "pd.DataFrame",
    today: "pd.DataFrame",
    names: Sequence[str],
    since: "datetime",
    in_time: tuple[int, int],
    not_kept: "pd.Index",
) -> Corrections:
    """Count the rows of a history that settled since a moment and have other values of these
    features `today`.

    `in_time` are all rows with outcome 0, and with 1, that settled since then and were predicted in
    time; `not_kept` are the ids of rows whose values then are not kept.
    """
    of_late = today[today["over_at"] > since]
    columns = list(names)
    then = history.loc[of_late.index, columns]
    outcomes = of_late.loc[of_late[columns].compare(then).index, "outcome"]
    ones = int(outcomes.sum())
    return Corrections(
        zeros=len(outcomes) - ones,
        of_zeros=in_time[0],
        ones=ones,
        of_ones=in_time[1],
        not_kept=int(history.index.isin(not_kept).sum()),
    )


def in_words(stored: Mapping[str, int] | None) -> str:
    """Say how many rows were corrected, by the stored form of `Corrections`; None stands for a
    version of a release that did not count them."""
    if stored is None:
        return "not counted"
    told = "{ones:,} of {of_ones:,} rows with outcome 1, {zeros:,} of {of_zeros:,} with outcome 0"
    if not stored["of_ones"] + stored["of_zeros"]:
        told = "no row was predicted before its outcome"
    told += " (settled in half a year); {not_kept:,} of all whose values then are not kept"
    return told.format(**stored)


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
