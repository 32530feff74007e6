"""Drift: how a night's rows are distributed beside the rows that its version learned from.

Rows are counted in bins that the training rows decide. A bin has ten of them at least, and ends halfway between two
values, so that no row's value can be read off. The distances are sizes of an effect, not significances, which any large
night would have. What so few rows show by luck alone is allowed besides: a limit is the larger of the two.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
from msgspec import Struct

from pima.core.arrays import Float32Array, Float64Array
from pima.core.features import Features
from pima.core.figures import Figure
from pima.core.metrics import Z_95_PERCENT
from pima.core.validation import Validated, counted_reasons
from pima.core.watched import State, Watched, alerts

MOST_BINS = 10
"""Deciles, as the population stability index is used since the 1990s."""
FEWEST_ROWS = 10


class Bins(Struct, frozen=True):
    """The training rows of one feature, or their probabilities."""

    counts: tuple[int, ...]
    """Rows in each bin; those without the feature are in none."""
    edges: tuple[float, ...] = ()
    """Of a number: a bin holds its lower edge and what is below the upper one; the outer bins are open."""
    codes: tuple[int, ...] = ()
    """Of a category: each has a bin of its own, and all others share the last one."""
    steps: tuple[float, ...] = ()
    """Of a number: from each bin's mean to the next one's, in standard deviations; empty where all rows are alike."""

    @property
    def known(self) -> int:
        """Rows that have the feature."""
        return sum(self.counts)


def number_bins(column: Float32Array | Float64Array) -> Bins:
    """Divide numbers (n,), NaN where missing: `MOST_BINS` of equal size where the values allow it, else fewer."""
    ordered = np.sort(column.astype(np.float64)[~np.isnan(column)])
    edges = _edges(ordered)
    counts = counts_in(Bins((), edges), column)
    return Bins(counts, edges, steps=_steps(ordered, counts))


def category_bins(column: Float32Array, codes: tuple[int, ...]) -> Bins:
    """Divide codes (n,), NaN where missing: the rare ones share a bin with what no row has."""
    rows = {code: int(np.count_nonzero(column == code)) for code in sorted(codes)}
    kept = [code for code in rows if rows[code] >= FEWEST_ROWS]
    others = int(np.count_nonzero(~np.isnan(column))) - sum(rows[code] for code in kept)
    if kept and 0 < others < FEWEST_ROWS:
        kept.remove(min(kept, key=rows.__getitem__))
    return Bins(counts_in(Bins((), codes=tuple(kept)), column), codes=tuple(kept))


def counts_in(bins: Bins, column: Float32Array | Float64Array) -> tuple[int, ...]:
    """Count the values (n,), NaN where missing, in each bin."""
    known = len(column) - int(np.count_nonzero(np.isnan(column)))
    if bins.codes:
        each = [int(np.count_nonzero(column == code)) for code in bins.codes]
        return (*each, known - sum(each))
    exact = column.astype(np.float64)
    # A comparison a bin is ten times as fast as a search for each value.
    from_edge_on = [known, *(int(np.count_nonzero(exact >= edge)) for edge in bins.edges), 0]
    return tuple(one - next_one for one, next_one in pairwise(from_edge_on))


def _edges(ordered: Float64Array) -> tuple[float, ...]:
    """Edges near the quantiles of sorted values (n,), where values differ and leave each bin rows enough."""
    rows, bins = len(ordered), min(MOST_BINS, len(ordered) // FEWEST_ROWS)
    cuts = [0]
    for wanted in (n * rows // bins for n in range(1, bins)):
        first, behind = (int(np.searchsorted(ordered, ordered[wanted], side)) for side in ("left", "right"))
        cut = first if wanted - first <= behind - wanted else behind
        if cut - cuts[-1] >= FEWEST_ROWS and rows - cut >= FEWEST_ROWS:
            cuts.append(cut)
    pairs = [(float(ordered[cut - 1]), float(ordered[cut])) for cut in cuts[1:]]
    # Halfway; between neighbours of float32, which features are, nothing lies.
    return tuple(middle if low < (middle := low / 2 + high / 2) <= high else high for low, high in pairs)


def _steps(ordered: Float64Array, counts: tuple[int, ...]) -> tuple[float, ...]:
    deviation = float(ordered.std()) if len(ordered) else 0.0
    if len(counts) < 2 or not deviation > 0:
        return ()
    starts = np.cumsum((0, *counts[:-1]))
    means = np.add.reduceat(ordered, starts) / np.array(counts)
    return tuple((np.diff(means) / deviation).tolist())


Rejected = dict[str, int]
"""Rows by what was wrong with them: the reason's code, a space, the column."""


class Reference(Struct, frozen=True):
    """The distribution of the rows that a version learned from; no row's value stands in it."""

    rows: int
    positive: int
    features: tuple[Bins, ...]
    probability: Bins
    labelled: int
    """All rows with an outcome, those that could not be used included."""
    rejected: Rejected


def reference_of(
    features: Features,
    rows: Float32Array,
    probabilities: Float64Array,
    threshold: float,
    labelled: int,
    rejected: Mapping[str, int],
) -> Reference:
    """Describe training rows (n, features), NaN where missing, n >= 1, and their probabilities (n,)."""
    columns = np.ascontiguousarray(rows.T)
    return Reference(
        rows=len(rows),
        positive=int(np.count_nonzero(probabilities >= threshold)),
        features=tuple(
            category_bins(column, tuple(feature.codes)) if feature.kind == "category" else number_bins(column)
            for feature, column in zip(features, columns, strict=True)
        ),
        probability=number_bins(probabilities),
        labelled=labelled,
        rejected=dict(rejected),
    )


class Tally(Struct, frozen=True):
    """Counts of rows that one version scored or rejected: enough for every figure of a night."""

    rows: int = 0
    accepted: int = 0
    positive: int = 0
    expected: float = 0.0
    """How many predictions come true if the probabilities hold."""
    features: tuple[tuple[int, ...], ...] = ()
    """Of each feature the accepted rows by the reference's bins; empty without a reference."""
    probability: tuple[int, ...] = ()
    """The accepted rows by the reference's bins of the probability."""
    rejected: Rejected = {}


def tally_of(validated: Validated, probabilities: Float64Array, threshold: float, reference: Reference | None) -> Tally:
    """Count one batch, with the probabilities (accepted,)."""
    is_positive = probabilities >= threshold
    columns = np.ascontiguousarray(validated.features.T)
    return Tally(
        rows=len(validated.accepted) + len(validated.rejected),
        accepted=len(validated.accepted),
        positive=int(np.count_nonzero(is_positive)),
        expected=float(np.where(is_positive, probabilities, 1 - probabilities).sum()),
        features=()
        if reference is None
        else tuple(counts_in(bins, column) for bins, column in zip(reference.features, columns, strict=True)),
        probability=() if reference is None else counts_in(reference.probability, probabilities),
        rejected=counted_reasons(validated),
    )


def added(tallies: Iterable[Tally]) -> Tally:
    """Add several parts up, all counted by the same reference."""
    found = tuple(tallies)
    return Tally(
        rows=sum(each.rows for each in found),
        accepted=sum(each.accepted for each in found),
        positive=sum(each.positive for each in found),
        expected=sum((each.expected for each in found), 0.0),
        features=tuple(_summed(column) for column in zip(*(each.features for each in found), strict=True)),
        probability=_summed([each.probability for each in found]),
        rejected=dict(sum((Counter(each.rejected) for each in found), Counter())),
    )


def _summed(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


PSI_ALLOWED = 0.25
"""Above it a population is taken to have shifted (Siddiqi, Credit Risk Scorecards, 2006); to 0.1 it has not."""
WASSERSTEIN_ALLOWED = 0.2
"""Standard deviations: what Cohen (1988) calls a small effect, of a mean that moves."""
CHANCE = 1e-5
"""How often luck alone may take one figure of one night beyond its limit: a year has some 15,000 of them."""
_Z = 4.417173
"""Standard deviations that are exceeded so often, to both sides."""
_SPREADS = 3.0
"""Of Wasserstein's distance: by simulation this many spreads are exceeded less often than `CHANCE`."""


def population_stability_index(counts: Sequence[int], bins: Bins) -> float:
    """The sum of (p - q) ln(p / q) over the bins' shares p and q, of rows by bin, one at least.

    Each bin counts half a row more on both sides, so that an empty one is finite.
    """
    ours, theirs = _shares(counts), _shares(bins.counts)
    return sum((p - q) * math.log(p / q) for p, q in zip(ours, theirs, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def psi_allowed(rows: int, bins: Bins) -> float:
    """The largest index that so many rows may have: the same distribution gives (1/n + 1/m) times chi squared (Yurdakul
    and Naranjo, Journal of Risk Model Validation 2020, 14:3), n and m being the rows of the two sides."""
    freedom = len(bins.counts) - 1
    return max(PSI_ALLOWED, (1 / rows + 1 / bins.known) * _chi_squared(freedom)) if freedom else PSI_ALLOWED


def _chi_squared(freedom: int) -> float:
    """The value that is exceeded with the probability `CHANCE`; by Wilson and Hilferty (1931)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + _Z * math.sqrt(part)) ** 3)


def wasserstein(counts: Sequence[int], bins: Bins) -> float:
    """The mean way that rows by bin, one at least, would have to move, in the training rows' standard deviations.

    Each bin stands where the mean of its training rows is. Nothing lies beyond the outer bins' means, so that a large
    shift looks smaller than it is.
    """
    ours, theirs = _cumulative(counts), _cumulative(bins.counts)
    return sum(step * abs(p - q) for step, p, q in zip(bins.steps, ours, theirs, strict=False))


def _cumulative(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total for count in accumulate(counts)]


def wasserstein_allowed(rows: int, bins: Bins) -> float:
    """The largest distance that so many rows may have; a cumulative share deviates by sqrt(q (1 - q) (1/n + 1/m))."""
    spread = sum(step * math.sqrt(q * (1 - q)) for step, q in zip(bins.steps, _cumulative(bins.counts), strict=False))
    return max(WASSERSTEIN_ALLOWED, _SPREADS * spread * math.sqrt(1 / rows + 1 / bins.known))


def share_allowed(floor: float, counted: int, of: int, reference: int, of_reference: int) -> float:
    """The largest difference that two shares may have: the floor, or what luck does to shares of so many rows."""
    pooled = (counted + reference + 1) / (of + of_reference + 2)
    return max(floor, _Z * math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_reference)))


MINIMUM_ROWS = 200
"""Accepted or rejected, pooled over the last nights where one has fewer: a night of which all are rejected has rows."""
MINIMUM_KNOWN = 100
"""Of these, rows that a figure rests on; what chance does to so few is in the limits."""
MISSING_ALLOWED = 0.05
REJECTED_ALLOWED = 0.05
POSITIVE_ALLOWED = 0.10
"""Of the share; and what luck does besides."""

NightsBefore = Sequence[Collection[str]]
"""Of each night before with rows enough, newest first: the names of the figures that were beyond their limit."""


def night_figures(
    names: Sequence[str], night: Tally, reference: Reference | None, before: NightsBefore
) -> Iterator[Watched]:
    """All figures of a night, pooled with others perhaps; `names` are the version's features."""
    for found in _figures(names, night, reference or _NO_REFERENCE):
        if night.rows < MINIMUM_ROWS or found.rows < MINIMUM_KNOWN:
            yield Watched(found.feature, found.figure, None, found.rows, state=State.INSUFFICIENT_DATA)
        else:
            is_alert = found.state == State.USUAL and alerts(found.is_beyond, found.name, before)
            yield replace(found, state=State.ALERT) if is_alert else found


_NO_REFERENCE = Reference(rows=0, positive=0, features=(), probability=Bins(()), labelled=0, rejected={})


def _figures(names: Sequence[str], night: Tally, learned: Reference) -> Iterator[Watched]:
    accepted = night.accepted
    yield _share("", "predicted_positive", night.positive, accepted, learned.positive, learned.rows, POSITIVE_ALLOWED)
    estimate = expected_accuracy(night.expected, accepted) if accepted else Figure(None)
    yield Watched("", "estimated_accuracy", estimate.value, accepted, low=estimate.low, high=estimate.high)
    yield from _distances("", "probability_", night.probability, learned.probability)
    for name, counts, bins in zip(names, night.features, learned.features, strict=False):
        yield from _distances(name, "", counts, bins)
        missing, usual = accepted - sum(counts), learned.rows - bins.known
        yield _share(name, "missing", missing, accepted, usual, learned.rows, MISSING_ALLOWED)
    for key in sorted(night.rejected.keys() | learned.rejected.keys()):
        reason, _, feature = key.partition(" ")
        rows, usual = night.rejected.get(key, 0), learned.rejected.get(key, 0)
        yield _share(feature, f"rejected_{reason}", rows, night.rows, usual, learned.labelled, REJECTED_ALLOWED)


def _share(feature: str, figure: str, counted: int, of: int, usual: int, of_reference: int, floor: float) -> Watched:
    value = counted / of if of else None
    if not of_reference:
        return Watched(feature, figure, value, of, state=State.NO_REFERENCE)
    allowed = share_allowed(floor, counted, of, usual, of_reference) if of else None
    return Watched(feature, figure, value, of, usual / of_reference, allowed)


def _distances(feature: str, prefix: str, counts: Sequence[int], bins: Bins) -> Iterator[Watched]:
    """Both distances. There is no index where all training rows are in one bin, and no way where they are alike."""
    known = sum(counts)
    for figure, distance, allowed, has_it in (
        ("psi", population_stability_index, psi_allowed, len(bins.counts) > 1),
        ("wasserstein", wasserstein, wasserstein_allowed, bool(bins.steps)),
    ):
        if not has_it:
            continue
        if known < MINIMUM_KNOWN:
            yield Watched(feature, f"{prefix}{figure}", None, known, state=State.INSUFFICIENT_DATA)
        else:
            yield Watched(feature, f"{prefix}{figure}", distance(counts, bins), known, 0.0, allowed(known, bins))


def expected_accuracy(expected: float, rows: int) -> Figure:
    """The share of predictions that come true if the probabilities hold, with the interval of what so many rows, one at
    least, will show: an estimate, which drift and bad calibration make wrong.

    The variance is that of a share, which is never smaller than the sum of the single rows' own.
    """
    value = expected / rows
    margin = Z_95_PERCENT * math.sqrt(max(0.0, value * (1 - value)) / rows)
    return Figure(value, max(0.0, value - margin), min(1.0, value + margin))
