"""The service beside a score in use, week by week: is the sentence right by its sign, where a
champion lasts two weeks? The gain and its interval are the real ones (`pima.core.verdicts.pairs`)."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from benches.gate.looks import ALIKE, AUROC_OF_SCORE
from benches.gate.settled import DAYS_OF_A_VERSION, INTERCEPT_DEVIATION, SLOPE_DEVIATION
from pima.core.arrays import Float64Array, Int8Array
from pima.core.statistics.discrimination import auroc_gain
from pima.core.statistics.estimates import Estimate
from pima.core.statistics.samples import sample_of
from pima.store.rows.settled import NEWEST_OUTCOMES

WEEKS, FIRST_LOOK = 52, 8
WINDOW = 26
"""Weeks that count at a look."""
OF_A_VERSION = DAYS_OF_A_VERSION // 7
CLINICS_AT_ONCE = 10
_STANDARD = NormalDist()


@dataclass(frozen=True, slots=True)
class ServedBeside:
    """A clinic whose retrainings give models of one kind, each wrong in its own way."""

    prevalence: float
    a_day: int
    better: float
    """How much larger their true AUROC is than the score's, but for what their errors cost."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is said at one look, beside the truth."""

    outcomes: int
    true: float
    gain: Estimate
    of_champion: Estimate
    """Over the outcomes of the newest version alone."""


def looks_at(what: ServedBeside, seed: int) -> list[list[Look]]:
    """Each of some clinics, looked at each week of a year from week FIRST_LOOK on."""
    draw = np.random.default_rng([seed, 5])
    return [_year(what, draw) for _ in range(CLINICS_AT_ONCE)]


def _year(what: ServedBeside, draw: np.random.Generator) -> list[Look]:
    versions = WEEKS // OF_A_VERSION
    intercepts = draw.normal(0, INTERCEPT_DEVIATION, versions)
    slopes = np.clip(draw.normal(1, SLOPE_DEVIATION, versions), 0.4, None)
    version = np.repeat(np.arange(versions), OF_A_VERSION * 7 * what.a_day)
    rows = _answers(what, intercepts[version], slopes[version], draw)
    looks = []
    for week in range(FIRST_LOOK, WEEKS + 1):
        end = week * 7 * what.a_day
        first = max(end - WINDOW * 7 * what.a_day, end - NEWEST_OUTCOMES, 0)
        of_champion = int(np.searchsorted(version, version[end - 1]))
        often = np.bincount(version[first:end], minlength=versions)
        looks.append(
            Look(
                outcomes=end - first,
                true=_true_area(what, intercepts, slopes, often) - AUROC_OF_SCORE,
                gain=_gain(rows, slice(first, end)),
                of_champion=_gain(rows, slice(of_champion, end)),
            )
        )
    return looks


def _true_area(
    what: ServedBeside, intercepts: Float64Array, slopes: Float64Array, often: np.ndarray
) -> float:
    """The share of pairs in the right order, of all pairs of versions as often as these predict:
    what each says of an outcome is normal."""
    there = np.flatnonzero(often)
    weights = often[there] / often.sum()
    apart = _apart(AUROC_OF_SCORE + what.better)
    middles = -intercepts[there]
    half = apart**2 / 2 / slopes[there]
    deviations = apart / slopes[there]
    gaps = (middles + half)[:, None] - (middles - half)[None, :]
    scaled = gaps / np.hypot(deviations[:, None], deviations[None, :])
    return float(weights @ np.vectorize(_STANDARD.cdf)(scaled) @ weights)


def _gain(rows: tuple[Int8Array, Float64Array, Float64Array], these: slice) -> Estimate:
    outcomes, ours, theirs = (each[these] for each in rows)
    return auroc_gain(sample_of(ours, outcomes), sample_of(theirs, outcomes))


def _answers(
    what: ServedBeside, intercepts: Float64Array, slopes: Float64Array, draw: np.random.Generator
) -> tuple[Int8Array, Float64Array, Float64Array]:
    """Outcomes, what the versions say of them, and what the score says, all (n,), as log odds that
    are 0 for a usual row."""
    rows = len(slopes)
    outcomes = (draw.random(rows) < what.prevalence).astype(np.int8)
    shared = draw.normal(size=rows)
    ours, theirs = (
        _log_odds(auroc, outcomes, shared, draw)
        for auroc in (AUROC_OF_SCORE + what.better, AUROC_OF_SCORE)
    )
    return outcomes, ours / slopes - intercepts, theirs


def _log_odds(
    auroc: float, outcomes: Int8Array, shared: Float64Array, draw: np.random.Generator
) -> Float64Array:
    apart = _apart(auroc)
    own = draw.normal(size=len(outcomes))
    says = apart * outcomes + ALIKE**0.5 * shared + (1 - ALIKE) ** 0.5 * own
    return apart * says - apart**2 / 2


def _apart(auroc: float) -> float:
    return float(2**0.5 * _STANDARD.inv_cdf(auroc))
