"""On whom somebody acted, told of the predictions as they were served; nothing where nobody did, or
where it is not declared what that means."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from pima.core.outcomes.acted import SIDES, OfActing, apart, by_risk, difference, jump
from pima.core.outcomes.horizon import horizon_of
from pima.core.outcomes.realised import WEEKS_ON_TOP, CameTrue, came_true
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import in_words
from pima.core.statistics.samples import sample_of
from pima.store.models.registry import newest_declaration
from pima.store.rows.settled import (
    SettledOutcome,
    SettledOutcomes,
    columns_of,
    of_weeks,
    persons_beside,
)

MEANS = (
    f"All predictions of the last {WEEKS_ON_TOP} weeks as they were served. A row was acted on if "
    "somebody acted after its first prediction and before its outcome. The jump says by how much "
    "the share of outcome 1 changes where the prediction becomes 1. That is what the prediction "
    "changes there, over all rows, if nothing else changes at the threshold."
)
HEADS = ("figure", "rows", "with its 95 % interval")
"""Those of `ActedUpon.table`."""


@dataclass(frozen=True, slots=True)
class ActedUpon:
    """On whom somebody acted, and what came true."""

    figures: tuple[OfActing, ...]
    remarks: tuple[str, ...]

    @property
    def table(self) -> list[tuple[str, str, str]]:
        """The figures for people."""
        return [(each.name, f"{each.rows:,}", in_words(each.figure, 2)) for each in self.figures]

    def __str__(self) -> str:
        told = [f"{share} of {rows} {name}" for name, rows, share in self.table if name in SIDES]
        return "; ".join(told).replace("acted on where ", "") or "too few to be told"


def acted_upon(connection: Connection, settled: SettledOutcomes, last: int) -> ActedUpon | None:
    """Tell of the weeks on top up to the `last`; None if nobody acted."""
    served = settled.served.of_weeks(last, WEEKS_ON_TOP)
    served = served.only(served.model_version > 0)
    if not served.acted.any():
        return None
    every = [*settled.in_time, *(settled.acted_upon or ())]
    every = of_weeks(every, last, WEEKS_ON_TOP)
    probabilities, thresholds, outcomes = columns_of(every)
    rows = sample_of(probabilities, outcomes, thresholds, persons_beside(connection, every)).ranked
    counts = settled.acted_upon is None
    figures = [*by_risk(served, not counts)]
    remarks = [*_late(connection, every), *_again(every), *_at_other_times(every)]
    if counts:
        told = [*apart(_parts(connection, every))]
        figures += told
        remarks += difference(told[:2])
    return ActedUpon((*figures, jump(rows)), tuple(remarks))


def _parts(connection: Connection, rows: Sequence[SettledOutcome]) -> list[CameTrue]:
    """Those predicted 1 on whom somebody acted, and the others; nothing if there are none of
    either."""
    called = [each for each in rows if each.predicted_class == 1]
    parts = [[each for each in called if each.is_acted_upon == which] for which in (True, False)]
    if not all(parts):
        return []
    return [came_true(*columns_of(part), persons_beside(connection, part)) for part in parts]


def _late(connection: Connection, rows: Sequence[SettledOutcome]) -> Iterator[str]:
    """Say how many were acted on late: the outcomes that came first stay among the others."""
    horizon = horizon_of(newest_declaration(connection).outcome)
    if horizon is not None:
        tenth = timedelta(milliseconds=horizon.length_ms / 10)
        acted = [each for each in rows if each.is_acted_upon]
        late = sum((each.acted_at or each.scored_at) - each.scored_at > tenth for each in acted)
        if late >= FEWEST_ROWS:
            yield (
                f"On {late:,} of {len(acted):,} somebody acted later than a tenth of the horizon "
                "after the prediction. Outcomes that came first are not among them, so those left "
                "alone have outcome 1 too often."
            )


def _again(rows: Sequence[SettledOutcome]) -> Iterator[str]:
    acted = (each for each in rows if each.is_acted_upon)
    again = sum((each.acted_at or each.scored_at) < each.scored_at for each in acted)
    if again >= FEWEST_ROWS:
        yield (
            f"{again:,} of those acted on were predicted again before the outcome, and count by "
            "that."
        )


def _at_other_times(rows: Sequence[SettledOutcome]) -> Iterator[str]:
    others = sum(each.acted_at is not None and not each.is_acted_upon for each in rows)
    if others >= FEWEST_ROWS:
        yield (
            f"On {others:,} more somebody acted before the first prediction, or after the outcome "
            "or horizon. They count as left alone."
        )
