"""A night compared with the rows that its version learned from: a run's counts, and the figures
made from them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, Engine

from pima.core.arrays import Float64Array
from pima.core.drift import MINIMUM_ROWS, Reference, Tally, added, night_figures, tally_of
from pima.core.features import names_of
from pima.core.validation import Validated
from pima.core.watched import ALERTING_NIGHTS, ALERTING_POOLS, LAST_NIGHTS, volumes
from pima.errors import Interrupted
from pima.runs.recorded_run import never_failing
from pima.scorer import Scorer
from pima.store.engine import clock, writing
from pima.store.monitoring import (
    KeptTally,
    keep_figures,
    keep_tally,
    newest_tallies,
    parts_of,
    rows_of_nights,
)

POOLED_FOR = timedelta(days=28)
"""How far back rows are pooled if a night has too few. A clinic of 20 visits a day has enough in
ten days."""


class NightTally:
    """The counts of one run's rows, added batch by batch."""

    def __init__(self, engine: Engine, version: int, scorer: Scorer) -> None:
        self._engine = engine
        self._version = version
        self._scorer = scorer
        self._reference: Reference | None = None
        with never_failing():
            self._reference = msgspec.convert(scorer.reference, Reference)
        self._counted = Tally()

    def tally(self, validated: Validated, probabilities: Float64Array) -> Tally:
        """Count one batch; any worker may call this at any time."""
        return tally_of(validated, probabilities, self._scorer.threshold, self._reference)

    def add(self, tally: Tally) -> None:
        """Add a committed batch; one worker at a time may call this."""
        self._counted = added([self._counted, tally]) if self._counted.rows else tally

    def leave_figures(self, run_id: int, connection: Connection) -> None:
        """Store the figures of the night so far, with the parts of workers that share the run; none
        if the run took no row."""
        counted = added(
            [each for each in (*parts_of(connection, run_id), self._counted) if each.rows]
        )
        if not counted.rows:
            return
        kept = newest_tallies(connection, self._version, but_of=run_id)
        now = clock(connection)
        names = names_of(self._scorer.features)
        night, before, needed = night_so_far(counted, kept, now)
        found = list(night_figures(names, night, self._reference, before, needed))
        beyond = (
            [each.name for each in found if each.is_beyond] if night.rows >= MINIMUM_ROWS else None
        )
        keep_tally(connection, run_id, self._version, self._counted, beyond)
        keep_figures(
            connection, run_id, self._version, (*volumes(rows_of_nights(connection, now)), *found)
        )

    @contextmanager
    def part_at_the_end(self, run_id: int) -> Iterator[None]:
        """Store such a worker's counts at the end of the block, also if it is stopped, but not if
        it fails."""
        try:
            yield
        except Interrupted:
            self._leave_part(run_id)
            raise
        self._leave_part(run_id)

    def _leave_part(self, run_id: int) -> None:
        if self._counted.rows:
            with never_failing(), writing(self._engine) as connection:
                keep_tally(connection, run_id, self._version, self._counted, is_part=True)


def night_so_far(
    counted: Tally, kept: Iterable[KeptTally], now: datetime
) -> tuple[Tally, list[tuple[str, ...]], int]:
    """Add the counts of other runs to a run's counts: those of the same day, and of the days before
    if they are too few. Also return the figures beyond their limits in each earlier night that had
    enough rows, newest first, and how many nights beyond them make an alert.

    `kept` is newest first, and read no further than needed.
    """
    pooled = [counted]
    rows = counted.rows
    needed = ALERTING_NIGHTS
    before: list[tuple[str, ...]] = []
    # Days pooled into a night are not nights of their own; otherwise a single odd day would be in
    # several nights.
    day, rows_of_night = now.date(), counted.rows
    for each in kept:
        recorded = each.recorded_at.date()
        if recorded > now.date():
            continue  # from a time when the clock was ahead
        is_tonight, is_recent = recorded == now.date(), now - each.recorded_at <= POOLED_FOR
        is_short = rows < MINIMUM_ROWS and is_recent
        # Tonight has too few rows for a statement, or enough earlier nights are known.
        is_known = rows < MINIMUM_ROWS or len(before) == LAST_NIGHTS - 1
        if is_known and not is_tonight and not is_short:
            break
        # A run without a right to read the reference counts no features, so its tally can't be
        # added.
        if (is_tonight or is_short) and len(each.tally.features) == len(counted.features):
            pooled.append(each.tally)
            rows += each.tally.rows
            if not is_tonight:
                needed = ALERTING_POOLS
        if recorded == day or rows_of_night < MINIMUM_ROWS:
            day, rows_of_night = recorded, rows_of_night + each.tally.rows
        elif each.beyond is not None and len(before) < LAST_NIGHTS - 1:
            # A day's last run has counted the whole day.
            day, rows_of_night = recorded, each.tally.rows
            before.append(each.beyond)
    return added(pooled), before, needed
