"""The section of docs/measured/gate.md on the measures; no figure in it is typed by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benches.gate.page import filled, table
from benches.gate.population import Clinic
from benches.gate.prevalences import CLINIC, FRESH_ROWS, PREVALENCES, PrevalenceRun
from benches.gate.summary import standard_error
from pima.core.arrays import Float64Array
from pima.core.verdicts.verdict import Measure

Found = dict[float, Sequence[PrevalenceRun]]
"""by the outcome's share"""

_DRIFT = Clinic().drift_week


@dataclass(frozen=True, slots=True)
class MeasureSummary:
    """One measure at one prevalence; arrays are (runs,), means over the weeks where not said
    otherwise."""

    has_first: Float64Array
    """whether week 0's challenger became champion"""
    promotions: Float64Array
    harmful: Float64Array
    log_loss: Float64Array
    net_benefit: Float64Array
    accuracy: Float64Array
    recovered: Float64Array
    """whether it did"""
    median_weeks: float
    """of the runs that recover; NaN where none does"""


ByMeasure = dict[Measure, MeasureSummary]


def summary_of(measure: Measure, runs: Sequence[PrevalenceRun]) -> MeasureSummary:
    """Recovered in the first week from the drift on in which a champion's true log loss is nearer
    to a fit on the rows since the drift than to the last fit from before it."""
    courses = [run.courses[measure] for run in runs]
    log_loss, net_benefit, accuracy = (
        np.array([[getattr(worth, figure) for worth in course.worths] for course in courses])
        for figure in ("log_loss", "net_benefit", "accuracy")
    )
    has_champion = np.array([course.had_champion for course in courses])
    old, fresh = (
        np.array([getattr(run, fit) for run in runs]) for fit in ("of_old_fit", "of_fresh_fit")
    )
    nearer = has_champion[:, _DRIFT:] & (log_loss[:, _DRIFT:] <= (old + fresh)[:, None] / 2)
    recovered = nearer.any(axis=1)
    weeks = nearer.argmax(axis=1)[recovered]
    return MeasureSummary(
        has_first=has_champion[:, 0].astype(float),
        promotions=np.array([len(course.harm) for course in courses], dtype=float),
        harmful=np.array([sum(course.harm) for course in courses], dtype=float),
        log_loss=log_loss.mean(axis=1),
        net_benefit=net_benefit.mean(axis=1),
        accuracy=100 * accuracy.mean(axis=1),
        recovered=recovered.astype(float),
        median_weeks=float(np.median(weeks)) if len(weeks) else np.nan,
    )


def measures_section(found: Found) -> str:
    runs = len(next(iter(found.values())))
    every = [
        {measure: summary_of(measure, found[each.share]) for measure in Measure}
        for each in PREVALENCES
    ]
    rows = [
        (f"{100 * prevalence.share:.0f} %", *_row(measure, each))
        for prevalence, summaries in zip(PREVALENCES, every, strict=True)
        for measure, each in summaries.items()
    ]
    parts = [
        filled(_HEAD.format(runs=runs)),
        table(_COLUMNS, rows),
        filled(f"{_errors(every)} {' '.join(_reading(every[0], every[-1]))}"),
    ]
    return "\n\n".join(parts) + "\n"


_COLUMNS = (
    *("outcome 1", "`gate.measure`", "first at once, %", "promoted (harmful)", "log loss"),
    *("net benefit", "recovered, % (weeks)"),
)


def _errors(found: Sequence[ByMeasure]) -> str:
    largest = [
        max(standard_error(getattr(one, figure)) for each in found for one in each.values())
        for figure in ("promotions", "harmful", "log_loss", "net_benefit")
    ]
    return (
        "Standard errors, at most: promoted {:.1f}, harmful {:.1f}, log loss {:.4f}, net benefit "
        "{:.2f}.".format(*largest)
    )


def _row(measure: Measure, found: MeasureSummary) -> tuple[str, ...]:
    return (
        f"`{measure}`",
        f"{100 * found.has_first.mean():.0f}",
        f"{found.promotions.mean():.1f} ({found.harmful.mean():.1f})",
        f"{found.log_loss.mean():.4f}",
        f"{found.net_benefit.mean():.2f}",
        f"{100 * found.recovered.mean():.0f} ({found.median_weeks:.0f})",
    )


def _reading(rare: ByMeasure, frequent: ByMeasure) -> list[str]:
    less = _less_accuracy(rare, Measure.LOG_LOSS, "net_benefit", 2)
    return [f"With 5 %, log loss less accuracy is {less} found cases.", _frequent(frequent)]


def _frequent(found: ByMeasure) -> str:
    losses, points = (
        _less_accuracy(found, Measure.LOG_LOSS, figure, digits)
        for figure, digits in (("log_loss", 4), ("accuracy", 2))
    )
    return f"With 35 % it is {losses} in log loss and {points} points of accuracy."


def _less_accuracy(found: ByMeasure, measure: Measure, figure: str, digits: int) -> str:
    """Paired over the runs, with its standard error."""
    values = getattr(found[measure], figure) - getattr(found[Measure.ACCURACY], figure)
    return f"{values.mean():+.{digits}f} ± {standard_error(values):.{digits}f}"


_HEAD = f"""
## The measures and rare outcomes

Policy e: {CLINIC.first_rows:,} labelled rows at first, then {CLINIC.fewest_a_week} to {CLINIC.most_a_week} a week,
{{runs}} clinics a row. In week {CLINIC.drift_week} the shift turns 5 % into 9, 20 into 30, 35 into 48. A first champion must get past
the gate, too. Log loss and net benefit (found cases a hundred patients, at the prevalence before the shift) are true, on
{FRESH_ROWS:,} fresh patients; harmful and recovered go by log loss.
"""
