"""Hindsight: values that were corrected after the prediction that counts, and so may tell the
outcome.

A laboratory value or a code that is completed once the outcome is known tells it. A model that
learns from such values, or is judged on them, looks better than it is: new rows have none. So
a history has the values that rows were predicted on, and whose values have changed since is counted
here.

People at high risk are measured again more often, and more of them have outcome 1. So ones are
compared with zeros of the same predicted risk, day by day after the prediction. Not after the
outcome: a 1 is known early, and so has more days in which it can be corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

COUNTED_WEEKS = 26
"""How long after an outcome is settled its row is counted. So a source that was put right is no
longer told of after half a year, however long its history is."""
FEWEST_ONES = 10
DEVIATIONS = 6
"""Standard errors above what is expected that luck hardly ever reaches."""
TIMES = 2
"""How many times as often as zeros alike ones must be corrected. Risk differs within a fifth, so
honest corrections reach 1.3 times, and with many rows that is no luck."""
FIFTHS = 5


@dataclass(frozen=True, slots=True)
class Corrections:
    """How many of the rows that settled lately have other values today than those they were
    predicted on."""

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
    expected: float = 0.0
    """How many ones would be corrected if, each day, they were as often as zeros of their risk."""
    variance: float = 0.0
    """That of `ones` then."""

    @property
    def follow_outcome(self) -> bool:
        """Whether ones are corrected more often than luck explains, beside zeros of the same
        predicted risk, as many days after the prediction."""
        expected_zeros = self.ones + self.zeros - self.expected
        is_more_often = self.ones * expected_zeros > TIMES * self.zeros * self.expected
        is_no_luck = self.ones - self.expected > DEVIATIONS * self.variance**0.5
        return self.ones >= FEWEST_ONES and is_more_often and is_no_luck


def corrections(
    history: "pd.DataFrame",
    today: "pd.DataFrame",
    names: Sequence[str],
    in_time: "pd.DataFrame",
    since: "datetime",
    not_kept: "pd.Index",
) -> Corrections:
    """Count the rows of a history that settled since a moment and have other values of these
    features `today`.

    `in_time` has the rows that were predicted in time, by id. `predicted` and `replaced` say how
    many days ago the values that count were predicted, and were replaced; the latter is NaN if they
    still stand. `not_kept` are the ids of rows whose values at their prediction are not kept.
    """
    columns = list(names)
    then = history.loc[today.index, columns]
    is_of_late = history["Over"] > since
    rows = in_time.join(history.loc[is_of_late, "outcome"], how="inner")
    corrected = rows.index.isin(today[columns].compare(then).index)
    days = (rows["predicted"] - rows["replaced"].where(corrected, 0)) // 1
    found = by_risk(rows.assign(corrected=corrected, days=days))
    return replace(found, not_kept=int(history.index.isin(not_kept).sum()))


def by_risk(rows: "pd.DataFrame") -> Corrections:
    """Compare how often ones and zeros were corrected, within each fifth of the `probability`.

    It is a log-rank test: a row's `days` run from its prediction until it was `corrected`, or else
    until now.
    """
    risk = rows["probability"]
    fifth = FIFTHS * (risk.rank() - 0.5) // len(risk)
    by_day = rows.groupby([fifth, "days"])
    # The rows, and the ones among them, that were not corrected before each day.
    still = by_day["outcome"].agg(["sum", "count"])[::-1].groupby(level=0).cumsum()
    of_day = by_day["corrected"].sum()
    share = still["sum"] / still["count"]
    variance = of_day * share * (1 - share) * (1 - of_day / still["count"])
    corrected = rows.loc[rows["corrected"], "outcome"]
    ones = int(corrected.sum())
    of_ones = int(rows["outcome"].sum())
    return Corrections(
        zeros=len(corrected) - ones,
        of_zeros=len(rows) - of_ones,
        ones=ones,
        of_ones=of_ones,
        expected=float((of_day * share).sum()),
        variance=float(variance.sum()),
    )


def corrections_in_words(stored: Mapping[str, float] | None) -> str:
    """Say how many rows were corrected, by the stored form of `Corrections`; None stands for a
    version of a release that did not count them."""
    if stored is None:
        return "not counted"
    told = "{ones:,} of {of_ones:,} rows with outcome 1, {zeros:,} of {of_zeros:,} with outcome 0"
    if not stored["of_ones"] + stored["of_zeros"]:
        told = "no row was predicted before its outcome"
    told += " (settled in half a year); {not_kept:,} of all whose values then are not kept"
    return told.format(**stored)
