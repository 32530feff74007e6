"""Nights of a made-up clinic, through the rules that real nights go through, without a database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from pima.core.declared.features import Feature, names_of
from pima.core.nights.drift import Reference, Tally, reference_of, tally_of
from pima.core.nights.kinds import Watched
from pima.core.rows.validation import Validated
from pima.store.service.tallies import KeptTally
from pima.watch.night import figures_of, last_nights

FEATURES = (
    *(Feature(name, low=-99, high=99) for name in ("glucose", "bmi", "age")),
    Feature("visits", low=0, high=99),
    Feature("pedigree", low=0, high=99),
    Feature("insulin", low=0, high=999, may_be_missing=True),
    Feature("ward", kind="category", codes={1: "a", 2: "b", 3: "c", 4: "d"}),
    Feature("smoker", kind="category", codes={0: "no", 1: "yes"}, may_be_missing=True),
)
THRESHOLD = 0.5
FIRST_NIGHT = datetime(2026, 1, 5, 2, 15, tzinfo=UTC)


def rows_of(random: np.random.Generator, rows: int, **shifted: float) -> np.ndarray:
    """(rows, features) float32; of those that are named the values are moved by so much."""
    health = random.normal(size=rows)
    columns = {
        "glucose": health + random.normal(size=rows),
        "bmi": 0.5 * health + random.normal(size=rows),
        "age": random.normal(size=rows),
        "visits": random.poisson(1.2, rows),
        "pedigree": random.lognormal(0, 0.8, rows),
        "insulin": np.where(random.random(rows) < 0.45, np.nan, random.gamma(2, 50, rows)),
        "ward": random.choice([1, 2, 3, 4], rows, p=[0.6, 0.3, 0.08, 0.02]),
        "smoker": np.where(random.random(rows) < 0.1, np.nan, random.random(rows) < 0.2),
    }
    values = [columns[name] + shifted.get(name, 0.0) for name in names_of(FEATURES)]
    return np.stack(values, axis=1).astype(np.float32)


def probabilities_of(rows: np.ndarray) -> np.ndarray:
    """Calibrated, since outcomes are drawn by them."""
    return 1 / (1 + np.exp(-(0.9 * rows[:, 0] + 0.4 * rows[:, 1] - 0.8).astype(np.float64)))


def reference(random: np.random.Generator, rows: int) -> Reference:
    """Of so many training rows."""
    learned = rows_of(random, rows)
    rejected = {"missing glucose": rows // 50}
    return reference_of(
        FEATURES,
        learned,
        probabilities_of(learned),
        THRESHOLD,
        rows + rows // 50,
        rejected,
        np.arange(rows) % 3 == 0,
    )


def night_tally(random: np.random.Generator, kept: Reference, rows: int, **shifted: float) -> Tally:
    """What a night of so many accepted rows counts, and of the rejected ones that come with
    them."""
    features = rows_of(random, rows, **shifted)
    bad = int(random.binomial(rows, 0.02))
    every = np.arange(rows + bad)
    found = Validated(features, every[:rows], every[rows:], ("missing",) * bad, ("glucose",) * bad)
    return tally_of(found, probabilities_of(features), THRESHOLD, kept)


def champions(
    random: np.random.Generator, shifts: Sequence[float], rows: int, days: int
) -> tuple[dict[int, Reference], list[tuple[int, Tally]]]:
    """Nights of so many rows, their age shifted, and a new champion after so many days, which has
    learned from more rows. The champions' references, and each night's champion with its tally."""
    references: dict[int, Reference] = {}
    tallies = []
    for night, shift in enumerate(shifts):
        version = night // days
        if version not in references:
            references[version] = reference(random, 378 + night * rows)
        tallies.append((version, night_tally(random, references[version], rows, age=shift)))
    return references, tallies


def nights(kept: Reference, tallies: Iterable[Tally]) -> Iterator[tuple[Watched, ...]]:
    """The figures of one night after the other."""
    return nights_of_versions({1: kept}, ((1, tally) for tally in tallies))


def nights_of_versions(
    references: Mapping[int, Reference], tallies: Iterable[tuple[int, Tally]]
) -> Iterator[tuple[Watched, ...]]:
    """The figures of one night after the other, each scored by a version."""
    before: list[KeptTally] = []
    for number, (version, tally) in enumerate(tallies):
        tonight = KeptTally(version, tally, FIRST_NIGHT + timedelta(days=number))
        yield tuple(figures_of(names_of(FEATURES), last_nights(tonight, before[::-1]), references))
        before = [*before[-60:], tonight]
