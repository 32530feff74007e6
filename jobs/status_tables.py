"""The service's state on one screen: facts, and tables of verdicts, rejections and runs."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.table import Table

from pima.core.nights.kinds import State
from pima.core.outcomes.realised import FEW_EVENTS, told_figures, version_in_words
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import in_words
from pima.core.verdicts.verdict import gain_of
from pima.logs import counted, in_brackets
from pima.store.models.ledger import VerdictLine
from pima.store.service.monitoring import KeptFigure
from pima.store.service.runs import DRY_RUN, Run
from pima.watch import suspension
from pima.watch.overview import (
    ChampionState,
    FollowedUpWeek,
    NightRun,
    Overview,
    Rejected,
    SettledCounts,
    SourceState,
)
from pima.watch.realised import AsServed

REJECTIONS_SHOWN = 5
VERSIONS_SHOWN = 3


def screen(found: Overview, next_runs: Mapping[str, datetime | None]) -> Iterator[Table | str]:
    """Give all parts that have something to show, open alarms first."""
    if found.alarms:
        yield f"ALERT: {'; '.join(found.alarms)}\n"
    yield _facts(found, next_runs)
    yield from _headed("Last verdicts", _verdicts(found.verdicts))
    yield from _gains(found.verdicts)
    yield from _headed("Rejected, and not taken back", _rejections(found.rejections))
    yield from _headed("Last runs", _runs(found.runs))


def _headed(heading: str, table: Table) -> Iterator[Table | str]:
    if table.row_count:
        yield f"\n{heading}"
        yield table


def _facts(found: Overview, next_runs: Mapping[str, datetime | None]) -> Table:
    facts = Table("", "", box=None, show_header=False)
    facts.add_row("champion", _champion(found.champion))
    queue = found.queue
    oldest = f", the oldest since {_when(queue.oldest)}" if queue.oldest else ""
    facts.add_row("queue", f"{counted(queue.rows, 'row')} waiting{oldest}")
    for label, words in _standing(found):
        facts.add_row(label, words)
    if found.follow_up:
        facts.add_row("followed up", _followed_up(found.follow_up))
    if found.outcomes_before_1900:
        early = counted(found.outcomes_before_1900, "outcome")
        facts.add_row("outcome times", f"{early} known before 1900: correct patients.labelled_at")
    if found.nights:
        facts.add_row("last night", _night(found.nights[0]))
    if found.new_rows:
        alert = "ALERT: " if found.new_rows.too_many else ""
        facts.add_row("new rows", f"{alert}{found.new_rows.what}")
    if found.monitoring:
        facts.add_row("monitoring", _monitoring(found.monitoring, len(found.alarms)))
    for source in found.sources:
        facts.add_row(f"source {source.source}", _pulled(source))
    for job, moment in next_runs.items():
        told = f"{_when(moment)}, if a scheduler is running" if moment else "never"
        facts.add_row(f"next {job}", told)
    return facts


def _champion(champion: ChampionState) -> str:
    if champion.version is None:
        if champion.last_verdict is None:
            return "none yet: python -m jobs.retrain makes the first"
        return f"none yet; the last retraining said {champion.last_verdict}"
    held = ", pinned" if champion.pinned else ""
    held += suspension.in_words(champion.suspended_at)
    judged = ""
    if champion.holdout_accuracy is not None:
        judged = f", holdout accuracy {champion.holdout_accuracy:.3f}"
    return f"version {champion.version}, trained {_when(champion.trained_at)}{judged}{held}"


def _settled(found: AsServed | None, realised: SettledCounts) -> str:
    told = realised.none_counts or "none of the last half-year"
    if found is not None:
        told = f"{found.every.outcomes:,} from {found.since} on, by whichever version, "
        told += f"{found.every.positive} with outcome 1"
        if found.every.events < FEW_EVENTS:
            told += " (few: what follows may be luck)"
    if realised.of_those_followed_up:
        told += ", of those followed up"
    left_out = 0
    if realised.none_counts is None:
        left_out = realised.left_out
    for rows, why in (
        (left_out, "left out, of weeks that are hardly followed up"),
        (realised.late, "apart, predicted too late"),
        (realised.early, "apart, come before a prediction"),
        (realised.acted_upon, "rows apart, acted upon"),
    ):
        if rows:
            told += f"; {rows:,} {why}"
    return told


def _standing(found: Overview) -> Iterator[tuple[str, str]]:
    stands = found.standing
    yield "settled outcomes", _settled(stands, found.realised)
    if stands is not None and stands.every.outcomes >= FEWEST_ROWS:
        yield from told_figures(stands.every, 2, stands.lately)
        if stands.intervals is not None:
            yield "intervals", stands.intervals
        for each in stands.by_version[: len(stands.by_version) - 1 and VERSIONS_SHOWN]:
            yield f"version {each.version}", version_in_words(each)
    if found.acted is not None:
        yield "acted upon", str(found.acted)
    for told in found.beside_scores:
        yield "score in use", told
    for told in found.in_groups:
        yield "group", told
    for remark in found.champion.threshold_remarks:
        yield "threshold", remark


def _followed_up(weeks: Sequence[FollowedUpWeek]) -> str:
    rows = sum(week.rows for week in weeks)
    outcomes = sum(week.outcomes for week in weeks)
    told = f"{outcomes / rows:.1%} of {counted(rows, 'row')} whose horizon is over"
    least = min(weeks, key=lambda week: week.outcomes / week.rows)
    if least.in_figures:
        return told
    share = least.outcomes / least.rows
    return f"{told}; of the week of {least.monday:%Y-%m-%d} {share:.0%}"


def _night(last: NightRun) -> str:
    by_pulls = f" ({last.rejected_by_pulls:,} by pulls)" if last.rejected_by_pulls else ""
    told = f"{last.predicted:,} predicted, {last.rejected:,} rejected{by_pulls}"
    return f"{last.status}: {told} in {last.seconds:.1f} s"


def _monitoring(figures: Sequence[KeptFigure], alarms: int) -> str:
    compared = [each for each in figures if each.allowed is not None]
    told = f"no alert in {counted(len(compared), 'figure')}"
    if alarms:
        told = f"{counted(alarms, 'alarm')}, on top"
    few = sum(each.state == State.INSUFFICIENT_DATA for each in figures)
    if few:
        told += f"; {few} rest on too few rows"
    estimated = [
        f"estimated accuracy {each.value:.1%} ({each.low:.0%} to {each.high:.0%})"
        for each in figures
        if each.figure == "estimated_accuracy" and each.value is not None
    ]
    return "; ".join((told, *estimated[:1]))


def _pulled(source: SourceState) -> str:
    last = source.last_pull
    if last is None:
        return "never pulled"
    error = in_brackets(last.error_code)
    rows = f", {counted(last.counts['rows'], 'row')} read"
    rejected = sum(each.rows for each in source.rejected)
    if rejected:
        rows += f", {counted(rejected, 'row')} rejected as they are there"
    before = ""
    if source.last_success and source.last_success != last.at:
        before = f"; the last that succeeded: {_when(source.last_success)}"
    return f"pull {last.status}{error}, {_when(last.at)}{rows}{before}"


def _verdicts(verdicts: Sequence[VerdictLine]) -> Table:
    table = Table("decided", "version", "against", "verdict", "reason", box=None)
    for each in verdicts:
        against = "-" if each.against is None else str(each.against)
        words = (each.verdict.replace("_", " "), each.reason)
        table.add_row(_when(each.decided_at), str(each.challenger), against, *words)
    return table


def _gains(verdicts: Sequence[VerdictLine]) -> Iterator[str]:
    """A line for each verdict against a champion: with its interval a gain is too wide for the
    table."""
    for each in verdicts:
        gain = gain_of(each.measured)
        if each.measured is not None and gain is not None:
            measure = each.measured.measure.replace("_", " ")
            both = f"version {each.challenger} on version {each.against}"
            yield f" gain of {both} in {measure}: {in_words(gain, 4)}"


def _rejections(rejections: Sequence[Rejected]) -> Table:
    table = Table("reason", "column", box=None)
    table.add_column("rows", justify="right")
    for each in rejections[:REJECTIONS_SHOWN]:
        table.add_row(each.reason, each.field, f"{each.rows:,}")
    if others := sum(each.rows for each in rejections[REJECTIONS_SHOWN:]):
        table.add_row("other", "", f"{others:,}")
    return table


def _runs(runs: Sequence[Run]) -> Table:
    table = Table("run", "job", "started", "ended", box=None)
    for run in runs:
        error = in_brackets(run.error_code)
        dry = " (dry run)" if run.trigger == DRY_RUN else ""
        table.add_row(str(run.id), run.job, _when(run.started_at), f"{run.status}{error}{dry}")
    return table


def _when(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M %Z}"
