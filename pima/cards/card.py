"""A model card from what was read: everything but the reading."""

from typing import Any

from pima.cards.answers import limits
from pima.cards.hti_1 import hti_1
from pima.cards.records import Benefit, Card, Evidence, Facts, Input, Measured, Subgroup
from pima.cards.tripod_ai import tripod_ai
from pima.core.evidence import may_be_told, told_thresholds
from pima.core.features import Feature
from pima.core.figures import Figure
from pima.core.wording import FIGURES, TABLED_THRESHOLDS


def card(facts: Facts) -> Card:
    """With what follows from the facts."""
    return Card(facts, limits(facts), hti_1(facts), tripod_ai(facts))


def input_of(feature: Feature) -> Input:
    """A declared feature in words."""
    if feature.kind == "number":
        unit = "" if feature.unit == "count" else feature.unit
        values = f"{feature.low:g} to {feature.high:g} {unit}".rstrip()
    else:
        values = ", ".join(f"{code} {label}" for code, label in feature.codes.items())
    zero = "; 0 means missing" if feature.zero_is_missing else ""
    missing = "may be missing" if feature.may_be_missing else "must be there"
    return Input(feature.name, values, missing + zero, feature.rationale)


def evidence_of(document: dict[str, Any] | None, role: str) -> Evidence | None:
    """Of a verdict's document what it says of one model; None where it says nothing of it, or may not be told."""
    if document is None or document[role] is None or not may_be_told(document):
        return None
    other = "champion" if role == "challenger" else "challenger"
    curve, everybody = document[role]["net_benefit"]["net_benefit"], document["treat_all"]["net_benefit"]
    told = told_thresholds(document, role)
    points = zip(document["thresholds"], curve, everybody, strict=True)
    return Evidence(
        rows=document["rows"],
        positive=document["positive"],
        figures=_measured(document[role], document[other]),
        net_benefit=tuple(Benefit(*point) for point in points if point[0] in TABLED_THRESHOLDS and point[0] in told),
        subgroups=tuple(_subgroup(each, role, other) for each in document["subgroups"]),
    )


def _subgroup(found: dict[str, Any], role: str, other: str) -> Subgroup:
    figures = () if found[role] is None else _measured(found[role], found[other])
    return Subgroup(found["feature"], found["group"], found["rows"], found["positive"], found["few"], figures)


def _measured(model: dict[str, Any], before: dict[str, Any] | None) -> tuple[Measured, ...]:
    return tuple(
        Measured(label, Figure(**model[name]), None if before is None else Figure(**before[name]))
        for name, label in FIGURES.items()
    )
