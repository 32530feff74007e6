"""A night compared with the rows that its version learned from: a run's counts, and the figures
made from them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain

import msgspec
from sqlalchemy import Connection, Engine

from pima.core.arrays import Float64Array
from pima.core.declared.features import Features, names_of
from pima.core.nights.drift import (
    MINIMUM_ROWS,
    Reference,
    Tally,
    added,
    counted_for,
    night_figures,
    tally_of,
)
from pima.core.nights.kinds import UNSEEN_CODE, Kind, State, Watched
from pima.core.nights.watched import ALERTING_NIGHTS, ALERTING_POOLS, LAST_NIGHTS
from pima.core.rows.validation import Validated
from pima.errors import Interrupted
from pima.runs.recorded_run import never_failing
from pima.scorer import Scorer
from pima.store.engine import clock, writing
from pima.store.models import registry
from pima.store.service.monitoring import keep_figures
from pima.store.service.tallies import KeptTally, keep_tally, newest_tallies, tallies_of_parts

POOLED_FOR = timedelta(days=28)
"""How far back rows are pooled if a night has too few. A clinic of 20 visits a day has enough in
ten days."""


class NightTally:
    """The counts of one run's rows, added batch by batch."""

    def __init__(self, engine: Engine, version: int, scorer: Scorer) -> None:
        self._engine = engine
        self._version = version
        self._scorer = scorer
        self._references: dict[int, Reference] = {}
        with never_failing():
            self._references[version] = msgspec.convert(scorer.reference, Reference)
        self._counted = Tally()

    def tally(self, validated: Validated, probabilities: Float64Array) -> Tally:
        """Count one batch; any worker may call this at any time."""
        its_own = self._references.get(self._version)
        return tally_of(validated, probabilities, self._scorer.threshold, its_own)

    def add(self, tally: Tally) -> None:
        """Add a committed batch; one worker at a time may call this."""
        self._counted = added([self._counted, tally]) if self._counted.rows else tally

    def leave_figures(self, run_id: int, connection: Connection) -> None:
        """Store the figures of the night so far, with the parts of workers that share the run; none
        if the run took no row."""
        counted = added(
            [each for each in (*tallies_of_parts(connection, run_id), self._counted) if each.rows]
        )
        if not counted.rows:
            return
        now = clock(connection)
        tonight = KeptTally(self._version, counted, now)
        nights = last_nights(tonight, self._comparable(connection, run_id))
        found = figures_of(names_of(self._scorer.features), nights, self._references)
        if learned := self._references.get(self._version):
            lately = _pooled(self._version, chain(*nights), self._references)
            found.extend(_unseen_codes(self._scorer.features, lately, learned))
        keep_tally(connection, run_id, self._version, self._counted)
        keep_figures(connection, run_id, self._version, Kind.NIGHT, found)

    def _comparable(self, connection: Connection, run_id: int) -> Iterator[KeptTally]:
        """The tallies of other runs, newest first, back to the last version of other features."""
        if not self._references:
            return
        for each in newest_tallies(connection, but_of=run_id):
            if each.version not in self._references:
                features = registry.features_of(connection, each.version)
                if _inputs(features) != _inputs(self._scorer.features):
                    return
                stored = registry.reference_of(connection, each.version)
                try:
                    self._references[each.version] = msgspec.convert(stored, Reference)
                except msgspec.ValidationError:  # damaged
                    return
            # Whoever hands its run out to other processes counts no row itself.
            if each.tally.rows:
                yield each

    @contextmanager
    def part_at_the_end(self, run_id: int) -> Iterator[None]:
        """Store the counts of a worker that shares the run when its block ends, even if it is
        stopped, but not if it fails."""
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


def _inputs(features: Features) -> list[tuple[str, str]]:
    return [(each.name, each.kind) for each in features]


def last_nights(tonight: KeptTally, kept: Iterable[KeptTally]) -> list[list[KeptTally]]:
    """Put tallies together to nights, newest first. A night has the tallies of one day, and if they
    have too few rows, those of the days before it, too.

    `kept` are the tallies of other runs, newest first, and read no further than needed.
    """
    nights = [[tonight]]
    rows = tonight.tally.rows
    for each in kept:
        night = nights[-1]
        day = each.recorded_at.date()
        if day > tonight.recorded_at.date():
            continue  # from a time when the clock was ahead
        is_recent = night[0].recorded_at - each.recorded_at <= POOLED_FOR
        # Days pooled into a night are not nights of their own; otherwise a single odd day would be
        # in several nights.
        if day == night[-1].recorded_at.date() or (rows < MINIMUM_ROWS and is_recent):
            night.append(each)
            rows += each.tally.rows
        elif rows < MINIMUM_ROWS or len(nights) == LAST_NIGHTS:
            break
        else:
            nights.append([each])
            rows = each.tally.rows
    return nights


def _unseen_codes(features: Features, lately: Tally, learned: Reference) -> Iterator[Watched]:
    """Tell at once of rows with a declared code that no row has that a version learned from."""
    for feature, bins, counts in zip(features, learned.features, lately.features, strict=True):
        for code, usual, rows in zip(bins.codes, bins.counts, counts, strict=False):
            if rows and not usual:
                called = f"{feature.name}: {feature.codes[code]}"
                yield Watched(called, UNSEEN_CODE, rows, rows, state=State.ALERT)


def figures_of(
    names: Sequence[str],
    nights: Sequence[Sequence[KeptTally]],
    references: Mapping[int, Reference],
) -> list[Watched]:
    """Compare nights, newest first, with the rows that the version of the newest tally learned
    from; `references` are by version."""
    tonight = nights[0]
    version = tonight[0].version
    needed = ALERTING_NIGHTS
    if tonight[-1].recorded_at.date() < tonight[0].recorded_at.date():
        needed = ALERTING_POOLS
    counted = [_pooled(version, night, references) for night in nights]
    return list(night_figures(names, counted, references.get(version), needed))


def _pooled(version: int, night: Iterable[KeptTally], references: Mapping[int, Reference]) -> Tally:
    """Add up a night's tallies, whichever versions counted them, in the bins of one."""
    by_version = defaultdict(list)
    for each in night:
        by_version[each.version].append(each.tally)
    its_own = by_version.pop(version, [])
    others = (
        counted_for(added(tallies), references[number], references[version])
        for number, tallies in by_version.items()
    )
    return added([*its_own, *others])
