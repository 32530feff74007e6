"""Who the people are that a version learned from, was judged on, and predicts now."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from pima.core.declared.features import Features
from pima.core.nights.drift import Reference, Tally, added, counted_for
from pima.core.nights.people import described
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.store.models import registry
from pima.store.service.tallies import tallies_since

LATELY = timedelta(weeks=4)
HEADS = ("", "training rows", "test set", "predictions of the last four weeks")
HOW = (
    "Of a number the median, with the quartiles in brackets; of codes their shares. All are read "
    "from counts in bins, so they are near, and give nobody away."
)
_NOT_COUNTED = "not counted"


@dataclass(frozen=True, slots=True)
class People:
    """Some people, in words that give nobody away."""

    rows: int
    cases: int | None
    """Those with outcome 1; None if it is not known."""
    inputs: Mapping[str, str]
    """What is told of each input."""
    acted_upon: int = 0
    """Rows beside these that the inputs count, too."""


def learned_from(features: Features, reference: Reference | None) -> People | None:
    """The rows that a version learned from; None if that was not counted, or they are few."""
    if reference is None:
        return None
    counts = tuple(each.counts for each in reference.features)
    every = reference.probability.known
    found = _told(features, reference, counts, every, reference.cases)
    return found and replace(found, rows=reference.rows, acted_upon=every - reference.rows)


def predicted_lately(
    connection: Connection, features: Features, reference: Reference | None, now: datetime
) -> People | None:
    """Those that were predicted lately, by this version or others of the same inputs; None if they
    were not counted, or are few."""
    if reference is None:
        return None
    by_version: dict[int, list[Tally]] = defaultdict(list)
    for version, _, tally in tallies_since(connection, now - LATELY):
        if tally.features:
            by_version[version].append(tally)
    inputs = [(each.name, each.kind) for each in features]
    counted = []
    for version, tallies in by_version.items():
        theirs = [(each.name, each.kind) for each in registry.features_of(connection, version)]
        counted_by = reference_of(connection, version)
        if counted_by is not None and inputs == theirs:
            counted.append(counted_for(added(tallies), counted_by, reference))
    found = added(counted)
    return _told(features, reference, found.features, found.accepted)


def reference_of(connection: Connection, number: int) -> Reference | None:
    """The rows that a version learned from, counted in bins; None if that can't be read."""
    try:
        return msgspec.convert(registry.reference_of(connection, number), Reference)
    except msgspec.ValidationError:
        return None


def _told(
    features: Features,
    reference: Reference,
    counts: tuple[tuple[int, ...], ...],
    rows: int,
    cases: int | None = None,
) -> People | None:
    if rows < FEWEST_ROWS:
        return None
    of_each = zip(features, reference.features, counts, strict=True)
    return People(
        rows,
        cases,
        {each.name: described(each, bins, found, rows) for each, bins, found in of_each},
    )


def table(names: tuple[str, ...], parts: tuple[People | None, ...]) -> Iterator[tuple[str, ...]]:
    """The rows of the table of `HEADS`: how many they are, how many have outcome 1, and each
    input."""
    columns = (_column(names, each) for each in parts)
    return zip(("rows", "outcome 1", *names), *columns, strict=True)


def _column(names: tuple[str, ...], found: People | None) -> list[str]:
    if found is None:
        return [_NOT_COUNTED, "not known", *[_NOT_COUNTED] * len(names)]
    inputs = (found.inputs.get(name, _NOT_COUNTED) for name in names)
    rows = f"{found.rows:,}"
    if found.acted_upon:
        rows += f"; inputs with {found.acted_upon:,} acted upon"
    return [rows, _cases(found.rows, found.cases), *inputs]


def _cases(rows: int, cases: int | None) -> str:
    if cases is None:
        return "not known"
    if min(cases, rows - cases) < FEWEST_ROWS:
        return f"fewer than {FEWEST_ROWS} of one outcome"
    return f"{100 * cases / rows:.0f} %"
