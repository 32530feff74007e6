"""Faults of a declaration: what must be changed before the rest of the service can rely on it."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from pima.core.declared.columns import KINDS, of_kind
from pima.core.declared.features import (
    Declaration,
    Declared,
    Feature,
    Outcome,
    as_divided,
    folded_name,
    inputs,
    is_number,
)
from pima.core.declared.group import Group

MOST_FEATURES = 200
MOST_INPUTS = 512
LARGEST_CODE = 2**24
"""Codes are below it: the model's numbers are float32, which is exact for whole numbers up to
here."""
MOST_BANDS = 20
SMALLEST = 1e-30
LARGEST = 1e30
"""Limits of a bound other than 0: float32 ends at 1e-38 and 3e38, and a fit takes reciprocals and
distances."""
SMALLEST_SCALE = 1e-6
LARGEST_SCALE = 100.0
"""Limits of a scale: together with those of the bounds they keep every input in float32 from being
0 or infinite."""
LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts longer names off."""

_HIDDEN = "oid rowid ctid tableoid xmin xmax cmin cmax"
"""Columns that the databases have by themselves."""
RESERVED = {folded_name(name): name for name in (*KINDS, *_HIDDEN.split())}
"""Reserved names by their folded form: a column in a file's header must not mean one of these and a
feature, too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a declaration, or of a source's."""

    key: str
    """The key in its place, such as a feature's."""
    what: str
    """A phrase that follows the key."""
    expected: str


def first_fault(declaration: Declaration) -> Fault | None:
    """Find what must be changed before a declaration can be used; None if nothing must."""
    return next(_faults(declaration), None)


def _faults(declaration: Declaration) -> Iterator[Fault]:
    features = declaration.features
    if not 1 <= len(features) <= MOST_FEATURES:
        yield Fault(
            "feature", f"stands there {len(features)} times", f"1 to {MOST_FEATURES} features"
        )
    yield from _faults_of_names(declaration)
    for position, feature in enumerate(features, start=1):
        yield from _in_place(f"feature {position} ({feature.name})", _faults_of_feature(feature))
    for position, score in enumerate(declaration.present_scores, start=1):
        faults = chain((Fault(*each) for each in score.faults()), _faults_of_words(score))
        yield from _in_place(f"present_score {position} ({score.name})", faults)
    for position, group in enumerate(declaration.groups, start=1):
        yield from _in_place(f"group {position} ({group.name})", _faults_of_group(group))
    yield from _in_place("outcome", _faults_of_words(declaration.outcome))
    for key in ("predicted_within", "least_followed_up"):
        if getattr(declaration.outcome, key) and not declaration.outcome.horizon:
            yield Fault(f"outcome: {key}", "stands there without horizon", "horizon, too")
    total = sum(map(inputs, features))
    if total > MOST_INPUTS:
        yield Fault(
            "feature",
            f"gives {total} inputs, a category one for each code",
            f"at most {MOST_INPUTS}",
        )


def _in_place(place: str, faults: Iterable[Fault]) -> Iterator[Fault]:
    for each in faults:
        yield Fault(f"{place}: {each.key}", each.what, each.expected)


def _faults_of_names(declaration: Declaration) -> Iterator[Fault]:
    outcome = declaration.outcome
    owners = {"id": "the patient's id", "outcome": "the outcome"}
    for name in (*of_kind("key"), *of_kind("moment")):
        owners[folded_name(name)] = f"the service's own column {name}"
    # The shipped outcome is named after its column, "outcome", a name that is reserved otherwise.
    if outcome.name != "outcome":
        yield from _in_place("outcome", _faults_of_name(outcome.name))
    yield from _in_place("outcome", _faults_of_other_names("the outcome", outcome, owners))
    listed: list[tuple[str, Sequence[Declared]]] = [
        ("feature", declaration.features),
        ("present_score", declaration.present_scores),
        ("group", declaration.groups),
    ]
    for section, those in listed:
        for position, each in enumerate(those, start=1):
            place = f"{section} {position}"
            yield from _in_place(place, _faults_of_name(each.name))
            yield from _in_place(place, _faults_of_other_names(place, each, owners))


def _faults_of_feature(feature: Feature) -> Iterator[Fault]:
    if feature.kind == "category":
        yield from _faults_of_category(feature)
    else:
        yield from _faults_of_number(feature)
    yield from _faults_of_words(feature)


def _faults_of_group(group: Group) -> Iterator[Fault]:
    for each in group.faults():
        yield Fault(*each)
    yield from _faults_of_feature(as_divided(group))
    yield from _faults_of_words(group)


def _faults_of_words(declared: Declared | Outcome) -> Iterator[Fault]:
    """Check texts that terminals, tables and pages show as they are: none may move, hide or reverse
    other text."""
    for key in declared.__struct_fields__:
        if key in ("also_called", "perhaps_called"):
            continue
        for text in _texts(getattr(declared, key)):
            if not text.isprintable() or text != text.strip():
                expected = (
                    "printable characters on one line, with plain spaces between words and none "
                    "around them"
                )
                yield Fault(key, "holds invisible characters or outer spaces", expected)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, tuple):
        return [each for each in value if isinstance(each, str)]
    return ()


def _faults_of_name(name: str) -> Iterator[Fault]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > LONGEST_NAME:
        expected = (
            "a lower-case letter, then lower-case letters, digits and underscores, "
            f"{LONGEST_NAME} in all"
        )
        yield Fault("name", "is no plain name", expected)
    if reserved := RESERVED.get(folded_name(name)):
        read_as = name if name == reserved else f"{name}, in a header the same as {reserved}"
        yield Fault(
            "name",
            f"is {read_as}, which is a column of the service's own",
            "another name",
        )


def _faults_of_other_names(
    owner: str, declared: Declared | Outcome, owners: dict[str, str]
) -> Iterator[Fault]:
    """Check that no one else owns a name; `owners`, by folded name, receives the names of this
    one."""
    for key in ("also_called", "perhaps_called"):
        if not all(folded_name(name) and name.isprintable() for name in getattr(declared, key)):
            what = "may not hold a name that no column can have"
            yield Fault(key, what, "names of printable characters, none of them blank")
    for key, names in (("name", (declared.name,)), ("also_called", declared.also_called)):
        for name in names:
            other = owners.setdefault(folded_name(name), owner)
            if other != owner:
                yield Fault(key, f"is that of {other} as well", "a name for each")


def _faults_of_number(feature: Feature) -> Iterator[Fault]:
    if feature.codes:
        yield Fault("codes", "belong to a category", 'kind = "category", or no codes')
    if isinstance(feature.unknown, int):
        yield Fault("unknown", "is a code, but a number has none", '"missing", or a category')
    if feature.low is None or feature.high is None:
        key = "low" if feature.low is None else "high"
        yield Fault(key, "is missing", "low and high of each number")
        return
    if not (-math.inf < feature.low <= feature.high < math.inf):
        yield Fault("low", "and high are no range", "finite numbers, low at most high")
    for key, bound in (("low", feature.low), ("high", feature.high)):
        if bound and not SMALLEST <= abs(bound) <= LARGEST:
            expected = f"0, or from {SMALLEST:g} to {LARGEST:g}, of either sign; another unit helps"
            yield Fault(key, "is beyond what the model's numbers carry", expected)
    yield from _faults_of_power_and_bands(feature, feature.low, feature.high)


def _faults_of_power_and_bands(feature: Feature, low: float, high: float) -> Iterator[Fault]:
    if feature.power is not None and feature.power not in (1, 0.5, -1):
        yield Fault(
            "power",
            "is not one that the model has",
            "1, 0.5 or -1, or none, to leave it to the fit",
        )
    if feature.power == 0.5 and low < 0:
        yield Fault(
            "power",
            "is 0.5, but there are values below 0",
            "low of 0 or above, or another power",
        )
    if feature.power == -1 and low <= 0:
        yield Fault(
            "power",
            "is -1, but there may be values of 0",
            "low above 0, or another power",
        )
    if feature.scale is not None and not SMALLEST_SCALE <= feature.scale <= LARGEST_SCALE:
        expected = f"a number from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}"
        yield Fault(
            "scale",
            "is no scale",
            f"{expected}; leave the feature out if it must not count",
        )
    ascending = all(one < other for one, other in pairwise((low, *feature.bands)))
    if feature.bands and not (ascending and feature.bands[-1] <= high):
        yield Fault(
            "bands",
            "are no ends of bands",
            "ascending numbers, above low and at most high",
        )
    if len(feature.bands) > MOST_BANDS:
        yield Fault("bands", f"are {len(feature.bands)}", f"at most {MOST_BANDS}")


def _faults_of_category(feature: Feature) -> Iterator[Fault]:
    if len(feature.codes) < 2:
        yield Fault("codes", f"are {len(feature.codes)}", "two or more, each with a label")
    if any(not 0 <= code < LARGEST_CODE for code in feature.codes):
        yield Fault("codes", "are out of range", f"whole numbers from 0 to {LARGEST_CODE - 1}")
    labels = [label.strip().casefold() for label in feature.codes.values()]
    if len(set(labels)) < len(labels) or "" in labels:
        yield Fault(
            "codes",
            "have a label twice or an empty one",
            "a label of its own for each code",
        )
    if any(is_number(label) and label != str(code) for code, label in feature.codes.items()):
        yield Fault("codes", "have a label that reads as another number", "labels in words")
    if isinstance(feature.unknown, int) and feature.unknown not in feature.codes:
        yield Fault("unknown", "is none of the codes", 'one of them, or "missing"')
    if feature.zero_is_missing and 0 in feature.codes:
        yield Fault("zero_is_missing", "stands beside a code 0", "one of the two")
    given = [
        key
        for key in ("low", "high", "power", "scale", "bands")
        if getattr(feature, key) not in (None, ())
    ]
    if given:
        yield Fault(given[0], "belongs to a number", 'kind = "number", or codes alone')
