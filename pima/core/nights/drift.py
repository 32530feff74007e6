"""Drift: how the distribution of a night's rows differs from that of the rows that its version
learned from.

Rows are counted in bins that follow from the training rows. The distances measure the size of an
effect, not its significance, which any large night would have. A limit is the larger of a fixed
size and of what luck alone does to so few rows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate
from operator import add

import numpy as np
from msgspec import Struct, field

from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.core.declared.features import Feature, Features
from pima.core.nights.bins import Bins, category_bins, counts_in, number_bins, recounted
from pima.core.nights.kinds import State, Watched
from pima.core.nights.watched import ALERTING_NIGHTS, ALERTING_POOLS, alerts
from pima.core.rows.validation import Validated, counted_reasons
from pima.core.statistics.estimates import Estimate, around

RejectedCounts = dict[str, int]
"""Counts of rows by their fault: the reason's code, a space, the column."""


class Reference(Struct, frozen=True):
    """The distribution of the rows that a version learned from, and of those beside them on which
    somebody acted, since a night has such rows, too; it holds no row's value."""

    rows: int
    """Those learned from alone; `probability` counts all."""
    predicted_positive: int = field(name="positive")
    features: tuple[Bins, ...]
    probability: Bins
    labelled: int
    """All rows with an outcome, including those that could not be used."""
    rejected: RejectedCounts
    cases: int | None = None
    """How many of the rows learned from have outcome 1; None in versions of release 0.1.0."""


def reference_of(
    features: Features,
    rows: Float32Array,
    probabilities: Float64Array,
    threshold: float,
    labelled: int,
    rejected: Mapping[str, int],
    outcomes: Int8Array,
) -> Reference:
    """Describe rows (n, features), NaN where missing, n >= 1, their probabilities (n,), and the
    outcomes of those learned from."""
    columns = np.ascontiguousarray(rows.T)
    return Reference(
        rows=len(outcomes),
        predicted_positive=int(np.count_nonzero(probabilities >= threshold)),
        features=tuple(
            _bins_of(feature, column) for feature, column in zip(features, columns, strict=True)
        ),
        probability=number_bins(probabilities),
        labelled=labelled,
        rejected=dict(rejected),
        cases=int(outcomes.sum()),
    )


def _bins_of(feature: Feature, column: Float32Array) -> Bins:
    if feature.kind == "category":
        return category_bins(column, tuple(feature.codes))
    return number_bins(column)


class Tally(Struct, frozen=True):
    """Counts of rows that one version scored or rejected: enough for every figure of a night."""

    rows: int = 0
    accepted: int = 0
    predicted_positive: int = field(default=0, name="positive")
    expected: float = 0.0
    """How many predictions come true if the probabilities hold."""
    features: tuple[tuple[int, ...], ...] = ()
    """The accepted rows in each of the reference's bins, for each feature; empty without a
    reference."""
    probability: tuple[int, ...] = ()
    """The accepted rows in each of the reference's bins of the probability; without a reference in
    one."""
    rejected: RejectedCounts = {}

    @property
    def predicted(self) -> int:
        """The rows with a probability by the version in whose bins they are counted."""
        return sum(self.probability)


def tally_of(
    validated: Validated, probabilities: Float64Array, threshold: float, reference: Reference | None
) -> Tally:
    """Count one batch, with the probabilities (accepted,)."""
    is_positive = probabilities >= threshold
    columns = np.ascontiguousarray(validated.features.T)
    learned = reference or _NO_REFERENCE
    return Tally(
        rows=len(validated.accepted) + len(validated.rejected),
        accepted=len(validated.accepted),
        predicted_positive=int(np.count_nonzero(is_positive)),
        expected=float(np.where(is_positive, probabilities, 1 - probabilities).sum()),
        # Without a reference there are no bins.
        features=tuple(
            counts_in(bins, column) for bins, column in zip(learned.features, columns, strict=False)
        ),
        probability=counts_in(learned.probability, probabilities),
        rejected=counted_reasons(validated),
    )


def added(tallies: Iterable[Tally]) -> Tally:
    """Add up several tallies that were counted by the same reference."""
    found = tuple(tallies)
    return Tally(
        rows=sum(each.rows for each in found),
        accepted=sum(each.accepted for each in found),
        predicted_positive=sum(each.predicted_positive for each in found),
        # One by one: from Python 3.12 on `sum` compensates, and batches don't add up to the night.
        expected=reduce(add, (each.expected for each in found), 0.0),
        features=tuple(
            _summed(column) for column in zip(*(each.features for each in found), strict=True)
        ),
        probability=_summed([each.probability for each in found]),
        rejected=dict(sum((Counter(each.rejected) for each in found), Counter())),
    )


def counted_for(tally: Tally, reference: Reference, other: Reference) -> Tally:
    """Recount a tally, made in the bins of a version's reference, in those of another version's.

    The predictions are left out: one model's can't be compared with what another predicts of its
    training rows.
    """
    return Tally(
        rows=tally.rows,
        accepted=tally.accepted,
        features=tuple(
            recounted(*each)
            for each in zip(tally.features, reference.features, other.features, strict=True)
        ),
        probability=(0,) * len(other.probability.counts),
        rejected=tally.rejected,
    )


def _summed(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


PSI_ALLOWED = 0.25
"""Above it a population counts as shifted, and up to 0.1 as unchanged (Siddiqi, Credit Risk
Scorecards, 2006)."""
WASSERSTEIN_ALLOWED = 0.2
"""Standard deviations: a mean that moves this far is what Cohen (1988) calls a small effect."""
CHANCE = 1e-5
"""The probability that luck alone takes one figure of one night beyond its limit; a year has some
15,000 figures."""
_Z = 4.417173
"""Standard deviations that are exceeded, in either direction, with the probability `CHANCE`."""
_SPREADS = 3.0
"""Spreads of Wasserstein's distance: in simulations, so many are exceeded less often than
`CHANCE`."""


def population_stability_index(counts: Sequence[int], bins: Bins) -> float:
    """The sum of (p - q) ln(p / q) over the bins' shares p and q; `counts` are rows by bin, at
    least one in all.

    Each bin counts half a row more on both sides, so that an empty bin gives a finite value.
    """
    ours = _shares(counts)
    theirs = _shares(bins.counts)
    return sum((p - q) * math.log(p / q) for p, q in zip(ours, theirs, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def psi_allowed(rows: int, bins: Bins) -> float:
    """The largest index allowed for so many rows: one distribution on both sides gives (1/n + 1/m)
    times chi squared (Yurdakul and Naranjo, Journal of Risk Model Validation 2020, 14:3), with n
    and m rows on the two sides."""
    freedom = len(bins.counts) - 1
    if freedom:
        return max(PSI_ALLOWED, (1 / rows + 1 / bins.known) * _chi_squared(freedom))
    return PSI_ALLOWED


def _chi_squared(freedom: int) -> float:
    """The value that is exceeded with the probability `CHANCE`; by Wilson and Hilferty (1931)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + _Z * math.sqrt(part)) ** 3)


def wasserstein(counts: Sequence[int], bins: Bins) -> float:
    """The mean distance that rows would have to move, in the training rows' standard deviations.

    `counts` are rows by bin, at least one in all. Each bin stands at the mean of its training rows.
    Nothing lies beyond the outer bins' means, so a large shift looks smaller than it is.
    """
    ours = _cumulative(counts)
    theirs = _cumulative(bins.counts)
    return sum(step * abs(p - q) for step, p, q in zip(bins.steps, ours, theirs, strict=False))


def _cumulative(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in accumulate(counts)]


def wasserstein_allowed(rows: int, bins: Bins) -> float:
    """The largest distance allowed for so many rows; a cumulative share deviates by sqrt(q (1 - q)
    (1/n + 1/m))."""
    spread = sum(
        step * math.sqrt(q * (1 - q))
        for step, q in zip(bins.steps, _cumulative(bins.counts), strict=False)
    )
    return max(WASSERSTEIN_ALLOWED, _SPREADS * spread * math.sqrt(1 / rows + 1 / bins.known))


def share_allowed(floor: float, counted: int, of: int, reference: int, of_reference: int) -> float:
    """The largest difference allowed between two shares: `floor`, or what luck does to so many rows
    if that is more."""
    pooled = (counted + reference + 1) / (of + of_reference + 2)
    return max(floor, _Z * math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_reference)))


MINIMUM_ROWS = 200
"""Rows that a night needs, rejected ones included; a night with fewer is pooled with the nights
before it."""
MINIMUM_KNOWN = 100
"""Rows among these that a figure must rest on; the limits allow for what chance does to so few."""
MISSING_ALLOWED = 0.05
REJECTED_ALLOWED = 0.05
POSITIVE_ALLOWED = 0.10
"""The smallest limits for the difference of a share; luck may widen them."""


def night_figures(
    names: Sequence[str],
    nights: Sequence[Tally],
    reference: Reference | None,
    needed: int = ALERTING_NIGHTS,
) -> Iterator[Watched]:
    """All figures of the first of these nights, each of which may be several pooled ones. `names`
    are the version's features; an alert needs `needed` nights beyond the limit."""
    tonight, *before = (
        list(_figures_of_enough(names, night, reference or _NO_REFERENCE)) for night in nights
    )
    beyond = [[each.name for each in night if each.is_beyond] for night in before]
    for found in tonight:
        is_usual = found.state == State.USUAL
        # A pool is weeks long: what is as usual in the newest is over.
        is_over = needed == ALERTING_POOLS and not found.is_beyond
        is_alert = is_usual and not is_over and alerts(found.is_beyond, found.name, beyond, needed)
        yield found.alarming_if(is_alert)


_NO_REFERENCE = Reference(
    rows=0, predicted_positive=0, features=(), probability=Bins((0,)), labelled=0, rejected={}
)


def _figures_of_enough(names: Sequence[str], night: Tally, learned: Reference) -> Iterator[Watched]:
    """The figures, without values where they rest on too few rows."""
    for found in _figures(names, night, learned):
        if night.rows < MINIMUM_ROWS or found.rows < MINIMUM_KNOWN:
            yield Watched(
                found.feature, found.figure, None, found.rows, state=State.INSUFFICIENT_DATA
            )
        else:
            yield found


def _figures(names: Sequence[str], night: Tally, learned: Reference) -> Iterator[Watched]:
    accepted = night.accepted
    predicted = night.predicted
    compared = learned.probability.known
    yield _share(
        "",
        "predicted_positive",
        night.predicted_positive,
        predicted,
        learned.predicted_positive,
        compared,
        POSITIVE_ALLOWED,
    )
    estimate = expected_accuracy(night.expected, predicted) if predicted else Estimate(None)
    yield Watched(
        "", "estimated_accuracy", estimate.value, predicted, low=estimate.low, high=estimate.high
    )
    yield from _distances("", "probability_", night.probability, learned.probability)
    for name, counts, bins in zip(names, night.features, learned.features, strict=False):
        yield from _distances(name, "", counts, bins)
        missing = accepted - sum(counts)
        usual = compared - bins.known
        yield _share(name, "missing", missing, accepted, usual, compared, MISSING_ALLOWED)
    for key in sorted(night.rejected.keys() | learned.rejected.keys()):
        reason, _, feature = key.partition(" ")
        rows = night.rejected.get(key, 0)
        usual = learned.rejected.get(key, 0)
        yield _share(
            feature,
            f"rejected_{reason}",
            rows,
            night.rows,
            usual,
            learned.labelled,
            REJECTED_ALLOWED,
        )


def _share(
    feature: str, figure: str, counted: int, of: int, usual: int, of_reference: int, floor: float
) -> Watched:
    value = counted / of if of else None
    if not of_reference:
        return Watched(feature, figure, value, of, state=State.NO_REFERENCE)
    allowed = share_allowed(floor, counted, of, usual, of_reference) if of else None
    return Watched(feature, figure, value, of, usual / of_reference, allowed)


def _distances(feature: str, prefix: str, counts: Sequence[int], bins: Bins) -> Iterator[Watched]:
    """Both distances; no index if all training rows are in one bin, and no Wasserstein distance if
    they are alike."""
    known = sum(counts)
    for figure, distance, allowed, has_it in (
        ("psi", population_stability_index, psi_allowed, len(bins.counts) > 1),
        ("wasserstein", wasserstein, wasserstein_allowed, bool(bins.steps)),
    ):
        if has_it:
            found = Watched(feature, f"{prefix}{figure}", None, known, 0.0)
            if known >= MINIMUM_KNOWN:
                value = distance(counts, bins)
                found = replace(found, value=value, allowed=allowed(known, bins))
            yield found


def expected_accuracy(expected: float, rows: int) -> Estimate:
    """The share of predictions that come true if the probabilities hold, with the interval in which
    `rows`, at least one, will show it. It is an estimate, which drift and bad calibration make
    wrong.

    The variance is that of a share, which is never smaller than the one that follows from each
    row's own.
    """
    value = expected / rows
    return Estimate(*around(value, math.sqrt(max(0.0, value * (1 - value)) / rows), 0, 1))
