"""What a declaration must keep to, so that every part of the service can rely on it."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from pima.core.features import KEYS, Declaration, Feature, Outcome, folded_name, is_number

MOST_FEATURES = 200
MOST_INPUTS = 512
LARGEST_CODE = 2**24
"""Codes are below it: the model's numbers are float32, which has every whole number up to there."""
MOST_BANDS = 20
POWERS = (1.0, 0.5, -1.0)
SMALLEST, LARGEST = 1e-30, 1e30
"""Of a bound other than 0: float32 ends at 1e-38 and 3e38, and a fit takes reciprocals, distances and their shares."""
SMALLEST_SCALE, LARGEST_SCALE = 1e-6, 100.0
"""Of the powers of numbers within those bounds: float32 carries each such input, none of them as 0 or infinite."""
LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts longer names off."""

# The tables' own columns, those of a source, and what the databases call their rows' hidden columns.
RESERVED = {
    folded_name(name): name
    for name in (
        *KEYS,
        "id",
        "outcome",
        "labelled_at",
        "version",
        "recorded_at",
        "updated_at",
        "patient_id",
        "patient_version",
        "enqueued_at",
        "line",
        "oid",
        "rowid",
        "ctid",
        "tableoid",
        "xmin",
        "xmax",
        "cmin",
        "cmax",
    )
}
"""By what a file's header makes of them: a column there must not mean one of these and a feature."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong with a declaration."""

    key: str
    """Which feature and which of its keys."""
    what: str
    """Reads on from the key."""
    expected: str


def first_fault(declaration: Declaration) -> Fault | None:
    """What must be changed before it can be used; None where nothing must."""
    return next(_faults(declaration), None)


def inputs(feature: Feature) -> int:
    """Columns of the model's first layer: one for a number, one for each code of a category."""
    return len(feature.codes) if feature.kind == "category" else 1


def _faults(declaration: Declaration) -> Iterator[Fault]:
    features = declaration.features
    if not 1 <= len(features) <= MOST_FEATURES:
        yield Fault("feature", f"stands there {len(features)} times", f"1 to {MOST_FEATURES} features")
    yield from _faults_of_names(declaration)
    for position, feature in enumerate(features, start=1):
        yield from _faults_of_kind(f"feature {position} ({feature.name})", feature)
        yield from _faults_of_words(f"feature {position} ({feature.name})", feature)
    yield from _faults_of_words("outcome", declaration.outcome)
    total = sum(map(inputs, features))
    if total > MOST_INPUTS:
        yield Fault("feature", f"gives {total} inputs, a category one for each code", f"at most {MOST_INPUTS}")


def _faults_of_names(declaration: Declaration) -> Iterator[Fault]:
    """Of the outcome and the features alike: each of their names may stand in the header of a file."""
    outcome, owners = declaration.outcome, {"id": "the patient's id", "outcome": "the outcome"}
    owners |= {folded_name(key): f"the service's own column {key}" for key in KEYS}
    yield from _faults_of_texts("outcome", outcome)
    # What the shipped one is called is its column, which is the service's own.
    yield from _faults_of_name("outcome", outcome.name) if outcome.name != "outcome" else ()
    yield from _faults_of_owners("outcome", "the outcome", outcome, owners)
    for position, feature in enumerate(declaration.features, start=1):
        place = f"feature {position}"
        yield from _faults_of_texts(place, feature)
        yield from _faults_of_name(place, feature.name)
        yield from _faults_of_owners(place, place, feature, owners)


def _faults_of_texts(place: str, declared: Feature | Outcome) -> Iterator[Fault]:
    for key in declared.__struct_fields__:
        if any(re.search("[\0\ud800-\udfff]", text) for text in _texts(getattr(declared, key))):
            what = "may not hold a NUL character or half of a pair of surrogates"
            yield Fault(f"{place}: {key}", what, "text that every database keeps")
    for key in ("also_called", "perhaps_called"):
        if not all(folded_name(name) and name.isprintable() for name in getattr(declared, key)):
            what = "may not hold a name that no column can have"
            yield Fault(f"{place}: {key}", what, "names of printable characters, none of them blank")


def _faults_of_words(place: str, declared: Feature | Outcome) -> Iterator[Fault]:
    """Terminals, tables and pages show them as they are: nothing may move, hide or turn round what stands beside it."""
    for key in declared.__struct_fields__:
        for text in _texts(getattr(declared, key)) if key not in ("also_called", "perhaps_called") else ():
            hidden = next((each for each in text if not each.isprintable()), None)
            expected = "printable characters on one line, with plain spaces between words and none around them"
            if hidden is not None:
                yield Fault(f"{place}: {key}", f"may not hold U+{ord(hidden):04X}, which nobody sees", expected)
            elif text != text.strip():
                yield Fault(f"{place}: {key}", "may not begin or end with a space", expected)


def _texts(value: object) -> Iterable[str]:
    """The texts of a key: itself, a list's, or the labels of codes."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        return value.values()
    return [each for each in value if isinstance(each, str)] if isinstance(value, tuple) else ()


def _faults_of_name(place: str, name: str) -> Iterator[Fault]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > LONGEST_NAME:
        expected = f"a lower-case letter, then lower-case letters, digits and underscores, {LONGEST_NAME} in all"
        yield Fault(f"{place}: name", "is no plain name", expected)
    if reserved := RESERVED.get(folded_name(name)):
        read_as = name if name == reserved else f"{name}, in a header the same as {reserved}"
        yield Fault(f"{place}: name", f"is {read_as}, which is a column of the service's own", "another name")


def _faults_of_owners(place: str, owner: str, declared: Feature | Outcome, owners: dict[str, str]) -> Iterator[Fault]:
    """Where another has a name already; `owners` is by folded name, and takes those of this one in."""
    for key, names in (("name", (declared.name,)), ("also_called", declared.also_called)):
        for name in names:
            other = owners.setdefault(folded_name(name), owner)
            if other != owner:
                yield Fault(f"{place}: {key}", f"is that of {other} as well", "a name for each")


def _faults_of_kind(place: str, feature: Feature) -> Iterator[Fault]:
    if feature.kind == "category":
        yield from _faults_of_category(place, feature)
    else:
        yield from _faults_of_number(place, feature)


def _faults_of_number(place: str, feature: Feature) -> Iterator[Fault]:
    if feature.codes:
        yield Fault(f"{place}: codes", "belong to a category", 'kind = "category", or no codes')
    if feature.low is None or feature.high is None:
        yield Fault(f"{place}: {'low' if feature.low is None else 'high'}", "is missing", "low and high of each number")
        return
    yield from _faults_of_range(place, feature.low, feature.high)
    if feature.power is not None and feature.power not in POWERS:
        yield Fault(f"{place}: power", "is none that the model has", "1, 0.5 or -1, or none, to leave it to the fit")
    if feature.power == 0.5 and feature.low < 0:
        yield Fault(f"{place}: power", "is 0.5, but there are values below 0", "low of 0 or above, or another power")
    if feature.power == -1 and feature.low <= 0:
        yield Fault(f"{place}: power", "is -1, but there may be values of 0", "low above 0, or another power")
    if feature.scale is not None and not SMALLEST_SCALE <= feature.scale <= LARGEST_SCALE:
        expected = (
            f"a number from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}; what the model is not to lean on is left out"
        )
        yield Fault(f"{place}: scale", "is no scale", expected)
    ascending = all(one < other for one, other in pairwise((feature.low, *feature.bands)))
    if feature.bands and not (ascending and feature.bands[-1] <= feature.high):
        yield Fault(f"{place}: bands", "are no ends of bands", "ascending numbers, above low and at most high")
    if len(feature.bands) > MOST_BANDS:
        yield Fault(f"{place}: bands", f"are {len(feature.bands)}", f"at most {MOST_BANDS}")


def _faults_of_range(place: str, low: float, high: float) -> Iterator[Fault]:
    if not (-math.inf < low <= high < math.inf):
        yield Fault(f"{place}: low", "and high are no range", "finite numbers, low at most high")
    for key, bound in (("low", low), ("high", high)):
        if bound and not SMALLEST <= abs(bound) <= LARGEST:
            expected = f"0, or from {SMALLEST:g} to {LARGEST:g}, of either sign; another unit helps"
            yield Fault(f"{place}: {key}", "is beyond what the model's numbers carry", expected)


def _faults_of_category(place: str, feature: Feature) -> Iterator[Fault]:
    if len(feature.codes) < 2:
        yield Fault(f"{place}: codes", f"are {len(feature.codes)}", "two or more, each with a label")
    if any(not 0 <= code < LARGEST_CODE for code in feature.codes):
        yield Fault(f"{place}: codes", "are out of range", f"whole numbers from 0 to {LARGEST_CODE - 1}")
    labels = [label.strip().casefold() for label in feature.codes.values()]
    if len(set(labels)) < len(labels) or "" in labels:
        yield Fault(f"{place}: codes", "have a label twice or an empty one", "a label of its own for each code")
    if any(is_number(label) and label != str(code) for code, label in feature.codes.items()):
        yield Fault(f"{place}: codes", "have a label that reads as another number", "labels in words")
    if feature.zero_is_missing and 0 in feature.codes:
        yield Fault(f"{place}: zero_is_missing", "stands beside a code 0", "one of the two")
    given = [key for key in ("low", "high", "power", "scale", "bands") if getattr(feature, key) not in (None, ())]
    if given:
        yield Fault(f"{place}: {given[0]}", "belongs to a number", 'kind = "number", or codes alone')
