"""The section of docs/measured/gate.md on the measures; no figure in it is typed by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pima.core.arrays import Float64Array
from pima.core.verdicts.verdict import Measure
from tests.bench.gate.page import filled, table
from tests.bench.gate.policies import WEEKS
from tests.bench.gate.population import Clinic
from tests.bench.gate.prevalences import CLINIC, FRESH_ROWS, PREVALENCES, Prevalence, PrevalenceRun
from tests.bench.gate.summary import standard_error

Found = dict[float, Sequence[PrevalenceRun]]
"""by the outcome's share"""

_DRIFT = Clinic().drift_week
_NAMES = {
    Measure.ACCURACY: "`accuracy`: the default",
    Measure.LOG_LOSS: "`log_loss`",
    Measure.NET_BENEFIT: "`net_benefit`",
    None: "every challenger is promoted",
}


@dataclass(frozen=True, slots=True)
class MeasureSummary:
    """One measure at one prevalence; arrays are (runs,), means over the weeks where not said
    otherwise."""

    has_first: Float64Array
    """whether week 0's challenger became champion"""
    without: Float64Array
    """weeks without a champion"""
    promotions: Float64Array
    harmful: Float64Array
    log_loss: Float64Array
    net_benefit: Float64Array
    accuracy: Float64Array
    recovered: Float64Array
    """whether it did"""
    median_weeks: float
    """of the runs that recover; NaN where none does"""
    behind: Float64Array
    """true log loss of the last champion less that of a fit on the rows since the drift"""


ByMeasure = dict[Measure | None, MeasureSummary]


def summary_of(measure: Measure | None, runs: Sequence[PrevalenceRun]) -> MeasureSummary:
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
        without=(~has_champion).sum(axis=1).astype(float),
        promotions=np.array([len(course.harm) for course in courses], dtype=float),
        harmful=np.array([sum(course.harm) for course in courses], dtype=float),
        log_loss=log_loss.mean(axis=1),
        net_benefit=net_benefit.mean(axis=1),
        accuracy=100 * accuracy.mean(axis=1),
        recovered=recovered.astype(float),
        median_weeks=float(np.median(weeks)) if len(weeks) else np.nan,
        behind=log_loss[:, -1] - fresh,
    )


def measures_section(found: Found) -> str:
    runs = len(next(iter(found.values())))
    parts = [filled(_HEAD.format(runs=runs))]
    for prevalence in PREVALENCES:
        summaries = {measure: summary_of(measure, found[prevalence.share]) for measure in _NAMES}
        parts += _prevalence(prevalence, summaries)
    rare = {measure: summary_of(measure, found[PREVALENCES[0].share]) for measure in _NAMES}
    frequent = {measure: summary_of(measure, found[PREVALENCES[-1].share]) for measure in _NAMES}
    parts.append(filled("\n".join(f"- {sentence}" for sentence in _reading(rare, frequent))))
    return "\n\n".join(parts) + "\n"


_COLUMNS = (
    *(
        "`gate.measure`",
        "champion in week 0, %",
        "weeks without",
        "promotions",
        "harmful",
        "log loss",
    ),
    *("net benefit", "accuracy, %", "recovered, %", "weeks to it, median", "behind at the end"),
)


def _prevalence(prevalence: Prevalence, found: ByMeasure) -> list[str]:
    largest = [
        max(standard_error(getattr(each, figure)) for each in found.values())
        for figure in ("promotions", "harmful", "log_loss", "net_benefit", "accuracy", "behind")
    ]
    return [
        f"### {100 * prevalence.share:.0f} % have the outcome",
        table(_COLUMNS, [_row(_NAMES[measure], each) for measure, each in found.items()]),
        filled(
            "Standard errors, at most: promotions {:.1f}, harmful {:.1f}, log loss {:.4f}, net "
            "benefit {:.2f}, accuracy {:.2f}, behind {:.4f}.".format(*largest)
        ),
    ]


def _row(name: str, found: MeasureSummary) -> tuple[str, ...]:
    return (
        name,
        f"{100 * found.has_first.mean():.0f}",
        f"{found.without.mean():.0f}",
        f"{found.promotions.mean():.1f}",
        f"{found.harmful.mean():.1f}",
        f"{found.log_loss.mean():.4f}",
        f"{found.net_benefit.mean():.2f}",
        f"{found.accuracy.mean():.2f}",
        f"{100 * found.recovered.mean():.0f}",
        "-" if np.isnan(found.median_weeks) else f"{found.median_weeks:.0f}",
        f"{found.behind.mean():.4f}",
    )


def _reading(rare: ByMeasure, frequent: ByMeasure) -> list[str]:
    return [
        _rare(rare),
        _frequent(frequent),
        (
            "Log loss sees each probability and not classes alone, so it has fewer ties and more "
            "promotions."
        ),
    ]


def _rare(found: ByMeasure) -> str:
    less = _less_accuracy(found, Measure.LOG_LOSS, "net_benefit", 2)
    return (
        f"With 5 %, log loss less accuracy is {less} found cases a hundred patients in true net "
        "benefit."
    )


def _frequent(found: ByMeasure) -> str:
    return (
        "With 35 %, log loss less accuracy is "
        f"{_less_accuracy(found, Measure.LOG_LOSS, 'log_loss', 4)} in true log loss and "
        f"{_less_accuracy(found, Measure.LOG_LOSS, 'accuracy', 2)} points of true accuracy; net "
        f"benefit less accuracy {_less_accuracy(found, Measure.NET_BENEFIT, 'log_loss', 4)} and "
        f"{_less_accuracy(found, Measure.NET_BENEFIT, 'accuracy', 2)}."
    )


def _less_accuracy(found: ByMeasure, measure: Measure, figure: str, digits: int) -> str:
    """Paired over the runs, with its standard error."""
    values = getattr(found[measure], figure) - getattr(found[Measure.ACCURACY], figure)
    return f"{values.mean():+.{digits}f} ± {standard_error(values):.{digits}f}"


_HEAD = f"""
## The measures and rare outcomes

The same population with the outcome made rarer or more frequent, policy e, the steady learner.
{CLINIC.first_rows:,} labelled rows at first, then {CLINIC.fewest_a_week} to
{CLINIC.most_a_week} a week. In week {CLINIC.drift_week} the shift makes the outcome more frequent (5 to 9 %, 20 to 30
%, 35 to 48 %). {{runs}} clinics a prevalence, the same under all measures, {WEEKS + 1} retrainings. Here the first
champion too must get past the gate.

- True log loss (nats), net benefit (found cases a hundred patients, at the prevalence before the drift as threshold,
  at which `net_benefit` decides) and accuracy (at 0.5) are of the standing champion on {FRESH_ROWS:,} fresh patients,
  the mean over the weeks. While there is none the clinic acts for nobody, and as probability counts the outcome's share
  of its training rows.
- Promotions are those over a champion; harmful those whose true log loss was higher. Recovered and behind as above, in
  true log loss.
"""
