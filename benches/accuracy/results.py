"""Everything that one run of the benchmark measured, and the targets it is held against."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from benches.accuracy.fit_speed import FitSpeed
from benches.accuracy.folds import Outcome
from benches.accuracy.judgement import Figures, judge
from pima.core.arrays import Int8Array


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate's figures."""

    name: str
    figures: Figures
    fit_seconds: float
    """Median of its fits."""
    repetitions: int


def row_of(name: str, outcome: Outcome, outcomes: Int8Array) -> Row:
    """What came of one candidate's repetitions on rows with these outcomes."""
    figures = judge(outcome.probabilities, outcomes)
    return Row(name, figures, outcome.median_fit_seconds, len(outcome.probabilities))


@dataclass(frozen=True, slots=True)
class Large:
    """What the runs on one large database took: medians over the rounds."""

    database: str
    rounds: int
    training_rows: int
    children: dict[str, dict[str, float]]
    """By what ran: seconds, processor_seconds, peak_megabytes, and read, import and fit seconds
    where it tells them."""

    def of(self, what: str, figure: str) -> float:
        """One median."""
        return self.children[what][figure]

    @property
    def boosting_seconds(self) -> float:
        """The whole process, with its default threads or one, whichever was faster."""
        return min(self.of(what, "seconds") for what in BOOSTING)

    @property
    def boosting_fit_seconds(self) -> float:
        """Only the fit, likewise."""
        return min(self.of(what, "fit_seconds") for what in BOOSTING)


BOOSTING = ("boosting", "boosting, one thread")
_NUMBERS = ("seconds", "processor_seconds", "peak_megabytes")


def as_large(database: str, children: list[dict[str, Any]]) -> Large:
    """From what `benches.accuracy.million` prints. Raises ValueError where the children saw
    different rows."""
    seen = {child["said"]["training_rows"] for child in children}
    if len(seen) != 1:
        raise ValueError(
            f"the fits on {database} saw different numbers of training rows: {sorted(seen)}"
        )
    by_name: dict[str, list[dict[str, float]]] = {}
    for child in children:
        told = {name: value for name, value in child["said"].items() if name.endswith("_seconds")}
        by_name.setdefault(child["what"], []).append(
            {name: child[name] for name in _NUMBERS} | told
        )
    medians = {
        what: {name: median(one[name] for one in several) for name in several[0]}
        for what, several in by_name.items()
    }
    return Large(database, len(by_name["retrain"]), seen.pop(), medians)


@dataclass(frozen=True, slots=True)
class Results:
    """Of one run."""

    shuffles: int
    curve_shuffles: int
    crossvalidated: list[Row]
    split: list[Row]
    speed: FitSpeed
    large_rows: int
    large: list[Large]
    curve: dict[str, dict[int, Figures]]
    """By candidate and number of training rows."""
    pooled: dict[str, Outcome]
    """The cross-validation's probabilities, for the pictures."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was wanted, and what came of it."""

    what: str
    wanted: str
    found: str
    is_met: bool


def targets(results: Results) -> list[Target]:
    """Each target, met or missed."""
    ours, split = results.crossvalidated[0].figures, results.split[0].figures
    large = results.large[0]
    whole = large.of("retrain", "seconds")
    peak = max(one.of("retrain", "peak_megabytes") for one in results.large)
    return [
        _at_most("mean error, pooled folds", ours.error, 0.227),
        _at_most("error of the worst shuffle", ours.worst_error, 0.238),
        _at_least("AUC", ours.auc, 0.843),
        _at_most("log loss", ours.log_loss, 0.463),
        _at_most("Brier score", ours.brier, 0.153),
        _at_least("mean accuracy on the article's split", 1 - split.error, 0.780),
        _at_least("worst accuracy on the article's split", 1 - split.worst_error, 0.770),
        Target(
            "beyond: error and log loss together",
            "< 0.2246 and < 0.4555",
            f"{ours.error:.4f} and {ours.log_loss:.4f}",
            ours.error < 0.2246 and ours.log_loss < 0.4555,
        ),
        _at_least(
            "times as fast as the article's fit of 568 rows", results.speed.ratio, 3, digits=1
        ),
        _at_most("peak memory of `retrain` on a million rows, MB", peak, 3000, digits=0),
        _at_most(
            "time of boosting, fit against fit, a million rows",
            large.of("our fit", "fit_seconds") / large.boosting_fit_seconds,
            2,
            digits=2,
        ),
        _at_most(
            "time of boosting, process against process", whole / large.boosting_seconds, 2, digits=2
        ),
        _at_most(
            "time of boosting, all of `retrain` against its bare fit",
            whole / large.boosting_fit_seconds,
            2,
            digits=2,
        ),
    ]


def _at_most(what: str, found: float, limit: float, digits: int = 4) -> Target:
    return Target(what, f"<= {limit:g}", f"{found:.{digits}f}", found <= limit)


def _at_least(what: str, found: float, limit: float, digits: int = 4) -> Target:
    return Target(what, f">= {limit:g}", f"{found:.{digits}f}", found >= limit)
