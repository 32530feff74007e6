"""Rows without a prediction: counting them at the end of each run of scoring, and reporting in
words whether they are too many."""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from pima.core.nights.unpredicted import (
    NEVER_QUEUED,
    Cause,
    Limits,
    Marks,
    Rule,
    Unpredicted,
    as_causes,
    as_counter,
    begun_after,
    is_good,
)
from pima.logs import counted, in_brackets
from pima.runs.recorded_run import as_json
from pima.store.database import database_of
from pima.store.engine import clock, reading
from pima.store.service import unpredicted as store
from pima.store.service.runs import counts_of

_WEEKS = timedelta(weeks=4)
"""After so long the count over weeks begins anew."""


def rows_before(engine: Engine, run_id: int) -> Marks:
    """Read the state of the rows before a run takes the first one: what it is counted from, with
    the counter of row versions at its start."""
    with reading(engine) as connection:
        drawn = store.versions_drawn(connection)
        marks = _before(store.newest_unpredicted(connection), run_id, drawn).marks
    return replace(marks, drawn=drawn)


@dataclass(frozen=True, slots=True)
class NightEnd:
    """Counts the rows without a prediction when a run closes; the figures go into its counts."""

    run_id: int
    rule: Rule
    rows_before: Marks | None = None
    """The rows before the run; None if it took no row."""

    def __call__(self, connection: Connection) -> dict[str, object]:
        return {store.UNPREDICTED: as_json(_counted(connection, self))}


def _before(last: Unpredicted | None, run_id: int, drawn: int) -> Unpredicted:
    """The figures that this run's counts are added to."""
    if last is None:  # earlier runs, if any, are not counted
        return Unpredicted(marks=Marks(run_id=run_id - 1, counted_run_id=run_id - 1))
    before = begun_after(last)
    if before.marks.known_version <= drawn:
        return before
    # The counter was set back since.
    return replace(before, marks=replace(before.marks, known_version=0))


def _counted(connection: Connection, night: NightEnd) -> Unpredicted:
    # Last night's statistics don't cover tonight's rows.
    database_of(connection).join_by_index(connection)
    last = store.lock_newest_unpredicted(connection)
    drawn = (
        store.versions_drawn(connection) if night.rows_before is None else night.rows_before.drawn
    )
    before = _before(last, night.run_id, drawn)
    marks = before.marks
    highest = store.highest_id(connection)
    predicted, last_counted = store.predicted_since(connection, marks.counted_run_id, night.run_id)
    by_pulls, pulls = store.rejected_in_sources(connection, night.rule.sources, marks.pulls)
    by_scoring = store.rejected_by_scoring(
        connection, marks.run_id, night.run_id, marks.known_version
    )
    # The first night does not look for earlier rows: that could be a whole long history.
    lost = 0 if last is None else _never_queued(connection, night, marks, highest)
    causes = by_pulls + by_scoring + Counter({("", NEVER_QUEUED, ""): lost})
    found = replace(before, predicted=before.predicted + predicted, causes=as_causes(causes))
    good = is_good(found, night.rule.limits) and lost < night.rule.limits.rows
    left = replace(marks, counted_run_id=max(last_counted, marks.counted_run_id), drawn=drawn)
    # Until lost rows are queued, they are looked for again from the same id.
    if good or not lost:
        left = replace(left, highest_id=highest)
    if good:
        left = replace(left, pulls=pulls)
    now = clock(connection)
    at = now.isoformat(timespec="seconds")
    weeks = before.lately
    if weeks is None or now - datetime.fromisoformat(weeks.at) >= _WEEKS:
        weeks = replace(before, at=at, lately=None)
    of_weeks, _ = store.rejected_in_sources(connection, night.rule.sources, weeks.marks.pulls)
    of_weeks += store.rejected_by_scoring(
        connection, weeks.marks.run_id, night.run_id, weeks.marks.known_version
    )
    of_weeks["", NEVER_QUEUED, ""] = lost
    # Counted as they stand now: what was mended lacks nothing.
    weeks = replace(weeks, predicted=weeks.predicted + predicted, causes=as_causes(of_weeks))
    by_pulls_tonight = (by_pulls - as_counter(before.causes)).total()
    return replace(
        found,
        number=before.number + 1,
        at=at,
        rejected_by_pulls=by_pulls_tonight,
        is_good=good,
        marks=left,
        lately=weeks,
    )


def _never_queued(connection: Connection, night: NightEnd, marks: Marks, highest: int) -> int:
    """Count never-queued rows among the rows that came since the last night, or since the last
    night without any."""
    claimed: int | None = 0
    if night.rows_before is not None:
        is_the_same = night.rows_before.highest_id == marks.highest_id
        claimed = (
            int(counts_of(connection, night.run_id).get("new_ids", 0)) if is_the_same else None
        )
    return store.never_queued(connection, marks.highest_id, highest, claimed)


# ---- The figures in words, for health, alerts, status, the metrics and the report.

_CAUSES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class NewRows:
    """The figures of the last run of scoring, or of the last weeks if these alone are too many; the
    field names are keys of the JSON of `status`."""

    since: datetime | None = None
    """The time of the last good night, or of the weeks' beginning; None before the first."""
    rows: int = 0
    without_prediction: int = 0
    too_many: bool = False
    """Whether too many rows lack a prediction."""
    causes: tuple[Cause, ...] = ()
    what: str = ""
    """All that in a sentence."""


def as_shown(connection: Connection, limits: Limits, waiting: int) -> NewRows | None:
    """Return the figures of the last run of scoring, and in words how many rows are `waiting`; None
    until a run has left some."""
    newest = store.newest_unpredicted(connection)
    if newest is None:
        return None
    too_many = newest.too_many(limits)
    found = too_many or newest
    since = None
    if found.since:
        since = datetime.fromisoformat(found.since)
    what = unpredicted_in_words(found)
    if waiting:
        what += f"; {counted(waiting, 'row')} waiting for the next run"
    return NewRows(
        since=since,
        rows=found.rows,
        without_prediction=found.without,
        too_many=too_many is not None,
        causes=found.causes,
        what=what,
    )


def unpredicted_in_words(found: Unpredicted) -> str:
    """Describe the figures in a sentence, without its full stop."""
    since = ""
    if found.since:
        since = f"new or changed since {datetime.fromisoformat(found.since):%Y-%m-%d %H:%M} UTC"
    if not found.rows:
        return f"no row was {since}" if since else "no new row has come yet"
    all_of_them = f"the {counted(found.rows, 'new row')}"
    if since:
        were = "was" if found.rows == 1 else "were"
        all_of_them = f"the {counted(found.rows, 'row')} that {were} {since}"
    if not found.without:
        return f"none of {all_of_them} lacks a prediction"
    by_whom = defaultdict(list)
    for cause in found.causes:
        by_whom[_by_whom(cause)].append(cause)
    causes = ", ".join(
        f"{sum(each.rows for each in group):,} {who}{_why(group)}" for who, group in by_whom.items()
    )
    have = "has" if found.without == 1 else "have"
    share = found.without / found.rows
    return f"{found.without:,} of {all_of_them} {have} no prediction ({share:.1%}): {causes}"


def _by_whom(cause: Cause) -> str:
    if cause.reason == NEVER_QUEUED:
        return "never queued, written while the triggers were switched off"
    if cause.source:
        return f"rejected by the pull of {cause.source}"
    return "rejected by scoring"


def _why(causes: list[Cause]) -> str:
    """The reasons and columns with the most rows, in brackets; empty if none is known."""
    known = [each for each in causes if each.reason not in (NEVER_QUEUED, "")]
    others = sum(each.rows for each in causes)
    whys = []
    for each in known[:_CAUSES_SHOWN]:
        why = ": ".join(filter(None, (each.reason, each.column))).replace("_", " ")
        if len(causes) > 1:
            why = f"{each.rows:,} {why}"
        whys.append(why)
        others -= each.rows
    if whys and others:
        whys.append(f"{others:,} other")
    return in_brackets(", ".join(whys))
