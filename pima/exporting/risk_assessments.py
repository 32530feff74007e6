"""Predictions as FHIR: a RiskAssessment of R4 a line (NDJSON), as R4B has it unchanged."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from pima.exporting.csv_lines import in_utc
from pima.store.exported import Column

PERSON = "urn:pima:person"
"""The system of person keys, which all sources share."""
ROW = "urn:pima:row"
"""The system of the ids in `patients`; of a row with a source it is that source's: `urn:pima:source:NAME`."""


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
        "status": _status(prediction),
        "method": {"text": f"pima, model version {version}; class 1 from a probability of {100 * threshold:g} % on"},
        **_whose(prediction),
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


def _status(prediction: Mapping[str, Any]) -> str:
    """By the value set observation-status. What was predicted from measurements that have been corrected since, or from
    a row that was deleted, is withdrawn: `entered-in-error`. `amended` and `corrected` would say that this assessment
    is itself the mended one, and receivers go by those as by a final one; `cancelled` is for what was never completed,
    `unknown` for who does not know."""
    is_withdrawn = prediction["superseded"] or prediction["deleted"]
    return "entered-in-error" if is_withdrawn else "final"


def _whose(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The person is the subject, and what their row is called in its source the visit. A row of which no person is
    known has to stand for one, since a subject is required, and says so."""
    row = _row(prediction)
    if prediction["person_key"] is None:
        no_person = {"type": {"text": "row, of which no person is known"}}
        return {"subject": {"type": "Patient", "identifier": no_person | row}}
    person = {"system": PERSON, "value": prediction["person_key"]}
    subject = {"subject": {"type": "Patient", "identifier": person}}
    if prediction["source_key"] is None:
        return subject
    return subject | {"encounter": {"type": "Encounter", "identifier": row}}


def _row(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """By what its source calls it, where it has one: an id of ours says nothing elsewhere."""
    if prediction["source_key"] is None:
        return {"system": ROW, "value": str(prediction["patient_id"])}
    return {"system": f"urn:pima:source:{prediction['source']}", "value": prediction["source_key"]}
