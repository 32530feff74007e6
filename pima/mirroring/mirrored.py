"""What of a model version is mirrored: parameters, figures, labels and its card. No patient's value, and no model."""

import json
from dataclasses import dataclass
from datetime import datetime

from pima.core.evidence.wording import FIGURES
from pima.process.results import as_json
from pima.report.card import Card, as_markdown
from pima.report.version_facts import VersionEvidence
from pima.store.registry import VersionSummary

_LONGEST = 5_000
"""Of a text that is no card: what MLflow takes."""
_NAMES = {label: name for name, label in FIGURES.items()}


@dataclass(frozen=True, slots=True)
class MirroredVersion:
    """One version, in MLflow's terms."""

    number: int
    trained_at: datetime
    parameters: dict[str, str]
    figures: dict[str, float]
    labels: dict[str, str]
    card: str
    """Markdown."""
    card_document: str
    """JSON."""


def mirrored(version: VersionSummary, card: Card) -> MirroredVersion:
    """What is written once of a version."""
    return MirroredVersion(
        number=version.number,
        trained_at=version.created_at,
        parameters=_parameters(version, card),
        figures=_figures(version, card.facts.evidence),
        labels=_labels(version, card),
        card=as_markdown(card),
        card_document=json.dumps(as_json(card), default=str, indent=1),
    )


def _parameters(version: VersionSummary, card: Card) -> dict[str, str]:
    found = {"threshold": version.threshold, "seed": version.seed, "outcome": card.facts.outcome}
    found |= {"training_rows": version.training_rows, "holdout_rows": version.holdout_rows}
    found |= {"features": ", ".join(each.name for each in card.facts.inputs)}
    found |= {f"settings/{name}": value for name, value in version.settings.items()}
    found |= {f"libraries/{name}": value for name, value in version.libraries.items()}
    return {name: str(value)[:_LONGEST] for name, value in found.items()}


def _figures(version: VersionSummary, evidence: VersionEvidence | None) -> dict[str, float]:
    """Those on the verdict's rows, with the ends of their intervals; what could not be computed is left out."""
    holdout = version.metrics["holdout"] or {}
    found: dict[str, float | None] = {f"test/{name}": value for name, value in holdout.items()}
    for measured in () if evidence is None else evidence.figures:
        figure, name = measured.figure, f"evidence/{_NAMES[measured.name]}"
        found |= {name: figure.value, f"{name}/low": figure.low, f"{name}/high": figure.high}
    return {name: float(value) for name, value in found.items() if value is not None}


def _labels(version: VersionSummary, card: Card) -> dict[str, str]:
    judged = card.facts.judged
    found = {"compiled_sha256": version.compiled_sha256, "data_fingerprint": version.data_fingerprint}
    if judged is not None:
        found |= {"verdict": judged.verdict, "reason": judged.reason, "explanation": judged.explanation}
        found |= {"against": str(judged.against or "none")}
    return {name: value[:_LONGEST] for name, value in found.items()}
