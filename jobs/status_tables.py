"""The service's state on one screen: facts, and tables of verdicts, rejections and runs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.table import Table

from pima.core.figures import FEWEST_ROWS, Figure, in_words
from pima.core.realised import FEW_EVENTS, STANDING
from pima.core.watched import State
from pima.logs import counted
from pima.store.runs import DRY_RUN

REJECTIONS_SHOWN = 5


def screen(result: dict[str, Any]) -> Iterator[Table | str]:
    """Give all parts that have something to show."""
    yield _facts(result)
    for heading, table in (
        ("Last verdicts", _verdicts(result["verdicts"])),
        ("Rejected, and not taken back", _rejections(result["rejections"])),
        ("Last runs", _runs(result["runs"])),
    ):
        if table.row_count:
            yield f"\n{heading}"
            yield table


def _facts(result: dict[str, Any]) -> Table:
    facts = Table("", "", box=None, show_header=False)
    facts.add_row("champion", _champion(result["champion"]))
    queue = result["queue"]
    oldest = f", the oldest since {_when(queue['oldest'])}" if queue["oldest"] else ""
    facts.add_row("queue", f"{counted(queue['rows'], 'row')} waiting{oldest}")
    for label, words in _standing(result):
        facts.add_row(label, words)
    if result["follow_up"]:
        facts.add_row("followed up", _followed_up(result["follow_up"]))
    if result["outcomes_before_1900"]:
        early = counted(result["outcomes_before_1900"], "outcome")
        facts.add_row("outcome times", f"{early} known before 1900: correct patients.labelled_at")
    if result["nights"]:
        facts.add_row("last night", _night(result["nights"][0]))
    if result["new_rows"]:
        alert = "ALERT: " if result["new_rows"]["too_many"] else ""
        facts.add_row("new rows", f"{alert}{result['new_rows']['what']}")
    if result["monitoring"]:
        facts.add_row("monitoring", _monitoring(result["monitoring"], result["alarms"]))
    for source in result["sources"]:
        facts.add_row(f"source {source['source']}", _pulled(source))
    for job, moment in result["next_runs"].items():
        facts.add_row(
            f"next {job}", f"{_when(moment)}, if a scheduler is running" if moment else "never"
        )
    return facts


def _champion(champion: dict[str, Any]) -> str:
    if champion["version"] is None:
        if champion["last_verdict"] is None:
            return "none yet: python -m jobs.retrain makes the first"
        return f"none yet; the last retraining said {champion['last_verdict']}"
    pinned = ", pinned" if champion["pinned"] else ""
    accuracy = champion["holdout_accuracy"]
    judged = f", holdout accuracy {accuracy:.3f}" if accuracy is not None else ""
    return f"version {champion['version']}, trained {_when(champion['trained_at'])}{judged}{pinned}"


def _settled(found: dict[str, Any] | None, realised: dict[str, Any]) -> str:
    told = "none yet of any prediction"
    if found is not None:
        told = f"{found['outcomes']:,} predicted by version {found['version']}, "
        told += f"{found['positive']} with outcome 1"
        if found["events"] < FEW_EVENTS:
            told += " (few: what follows may be luck)"
    if realised["of_those_followed_up"]:
        told += ", of those followed up"
    for what, why in _APART.items():
        if realised[what]:
            told += f"; {realised[what]:,} {why}"
    return told


_APART = {
    "left_out": "left out, of weeks that are hardly followed up",
    "late": "apart, predicted too late",
    "early": "apart, come before a prediction",
}


def _standing(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    found = result["standing"]
    yield "settled outcomes", _settled(found, result["realised"])
    if found is not None and found["outcomes"] >= FEWEST_ROWS:
        for name, label in STANDING.items():
            words = in_words(Figure(**found["figures"][name]), 2)
            if name == "auroc" and found["verdict_auroc"] is not None:
                words += f"; in its verdict {found['verdict_auroc']:.2f}"
            yield label, words
    for remark in result["champion"]["threshold_remarks"]:
        yield "threshold", remark


def _followed_up(weeks: list[dict[str, Any]]) -> str:
    rows, outcomes = (sum(week[what] for week in weeks) for what in ("rows", "outcomes"))
    told = f"{outcomes / rows:.1%} of {counted(rows, 'row')} whose horizon is over"
    least = min(weeks, key=lambda week: week["outcomes"] / week["rows"])
    if least["in_figures"]:
        return told
    share = least["outcomes"] / least["rows"]
    return f"{told}; of the week of {least['monday']:%Y-%m-%d} {share:.0%}"


def _night(last: dict[str, Any]) -> str:
    by_pulls = f" ({last['rejected_by_pulls']:,} by pulls)" if last["rejected_by_pulls"] else ""
    told = f"{last['predicted']:,} predicted, {last['rejected']:,} rejected{by_pulls}"
    return f"{last['status']}: {told} in {last['seconds']:.1f} s"


def _monitoring(figures: list[dict[str, Any]], alarms: list[str]) -> str:
    compared = [each for each in figures if each["allowed"] is not None]
    told = f"no alert in {counted(len(compared), 'figure')}"
    if alarms:
        told = f"ALERT: {'; '.join(alarms)}"
    few = sum(each["state"] == State.INSUFFICIENT_DATA for each in figures)
    too_few = [f"{few} rest on too few rows"] if few else []
    estimated = [
        f"estimated accuracy {each['value']:.1%} ({each['low']:.0%} to {each['high']:.0%})"
        for each in figures
        if each["figure"] == "estimated_accuracy" and each["value"] is not None
    ]
    return "; ".join((told, *too_few, *estimated[:1]))


def _pulled(source: dict[str, Any]) -> str:
    last, success = source["last_pull"], source["last_success"]
    if last is None:
        return "never pulled"
    error = f" ({last['error_code']})" if last["error_code"] else ""
    rows = f", {counted(last['counts']['rows'], 'row')} read"
    rejected = sum(each["rows"] for each in source["rejected"])
    rows += f", {counted(rejected, 'row')} rejected as they are there" if rejected else ""
    before = (
        f"; the last that succeeded: {_when(success)}" if success and success != last["at"] else ""
    )
    return f"pull {last['status']}{error}, {_when(last['at'])}{rows}{before}"


def _verdicts(verdicts: list[dict[str, Any]]) -> Table:
    table = Table("decided", "version", "against", "verdict", "reason", box=None)
    for each in verdicts:
        against = "-" if each["against"] is None else str(each["against"])
        words = (each["verdict"].replace("_", " "), each["reason"])
        table.add_row(_when(each["decided_at"]), str(each["challenger"]), against, *words)
    return table


def _rejections(rejections: list[dict[str, Any]]) -> Table:
    table = Table("reason", "column", box=None)
    table.add_column("rows", justify="right")
    for each in rejections[:REJECTIONS_SHOWN]:
        table.add_row(each["reason"], each["field"], f"{each['rows']:,}")
    if others := sum(each["rows"] for each in rejections[REJECTIONS_SHOWN:]):
        table.add_row("other", "", f"{others:,}")
    return table


def _runs(runs: list[dict[str, Any]]) -> Table:
    table = Table("run", "job", "started", "ended", box=None)
    for run in runs:
        error = f" ({run['error_code']})" if run["error_code"] else ""
        dry = " (dry run)" if run["trigger"] == DRY_RUN else ""
        table.add_row(
            str(run["id"]), run["job"], _when(run["started_at"]), f"{run['status']}{error}{dry}"
        )
    return table


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
