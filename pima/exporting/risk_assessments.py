"""Predictions as FHIR: a RiskAssessment of R4 a line (NDJSON), as R4B has it unchanged."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from pima.exporting.csv_lines import in_utc
from pima.store.exported import Column

PATIENTS = "urn:pima:patients"
"""The system of a patient's id; of a row with a source it is that source's: `urn:pima:source:NAME`."""


def write_risk_assessments(
    file: BinaryIO, columns: Sequence[Column], blocks: Iterable[Sequence[Any]], outcome: str
) -> None:
    """One resource a line; `outcome` says in words what is predicted."""
    names = [column.name for column in columns]
    for block in blocks:
        for row in block:
            resource = risk_assessment(dict(zip(names, row, strict=True)), outcome)
            file.write(json.dumps(resource, ensure_ascii=False).encode() + b"\n")


def risk_assessment(prediction: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    """The resource of one prediction. FHIR has probabilities in percent."""
    version, predicted, threshold = (prediction[name] for name in ("model_version", "predicted_class", "threshold"))
    return {
        "resourceType": "RiskAssessment",
        "id": "-".join(str(prediction[name]) for name in ("patient_id", "patient_version", "model_version")),
        "status": "final",
        "method": {"text": f"pima, model version {version}; class 1 from a probability of {100 * threshold:g} % on"},
        "subject": {"type": "Patient", "identifier": _identifier(prediction)},
        "occurrenceDateTime": in_utc(prediction["scored_at"]),
        "prediction": [
            {
                "outcome": {"text": outcome},
                # To a digit that no arithmetic of ours reaches; in percent a float would show more.
                "probabilityDecimal": round(100 * prediction["probability"], 10),
                "qualitativeRisk": {"text": f"predicted class {predicted}"},
            }
        ],
    }


def _identifier(prediction: Mapping[str, Any]) -> dict[str, str]:
    """By what its source calls it, where it has one: an id of ours says nothing elsewhere."""
    if prediction["source_key"] is None:
        return {"system": PATIENTS, "value": str(prediction["patient_id"])}
    return {"system": f"urn:pima:source:{prediction['source']}", "value": prediction["source_key"]}
