"""Rows of tables as files, from the tables a block at a time: CSV, Parquet or, of predictions, FHIR."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Literal

from sqlalchemy import ColumnElement, Engine

from pima.runs.recorded_run import StopRequest
from pima.store.engine import reading, without_time_limit
from pima.store.exported import EXPORTS, exported_rows
from pima.store.registry import newest_declaration

Format = Literal["csv", "parquet", "fhir"]

PERSON = "urn:pima:person"
"""The system of person keys, which all sources share."""
ROW = "urn:pima:row"
"""The system of the ids in `patients`; of a row with a source it is that source's: `urn:pima:source:NAME`."""

_RUN = "=+\\-@＝＋－＠"
"""What a cell begins with that is taken for a formula; in full width, too. As a regular expression has it."""
# Where a comma is the decimal sign, semicolons divide cells, and a quote that begins no cell holds nothing together.
_BEGINNINGS = re.compile(rf"""\A(?=[{_RUN}'\t\r\n])|(?<=[;\t\r\n])(?="*[{_RUN}]|')""")
_WITHIN_A_DOCUMENT = re.compile(rf"(?<=;)[{_RUN}]")


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that was made."""

    exported: str
    """Its name in `EXPORTS`."""
    format: Format
    since: str | None
    """As ISO 8601, in UTC; None for all."""
    rows: int


def export(
    engine: Engine, what: str, form: Format, since: datetime | None, file: BinaryIO, stop: StopRequest
) -> Exported:
    """Write the rows of a moment and later, all of one state of the database. Raises Interrupted."""
    rows, columns = 0, EXPORTS[what].columns

    def counted(blocks: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        nonlocal rows
        for block in blocks:
            stop.check()
            rows += len(block)
            yield block

    with reading(engine) as connection:
        without_time_limit(connection)
        blocks = counted(exported_rows(connection, EXPORTS[what], since))
        match form:
            case "csv":
                write_csv(file, columns, blocks)
            case "parquet":
                from pima.store.parquet_rows import write_parquet  # pyarrow, which the others do without

                write_parquet(file, columns, blocks)
            case "fhir":
                outcome = newest_declaration(connection).outcome
                write_fhir(file, columns, blocks, outcome.meaning or outcome.name)
    return Exported(what, form, None if since is None else since.isoformat(), rows)


def write_csv(file: BinaryIO, columns: Sequence[ColumnElement[Any]], blocks: Iterable[Sequence[Any]]) -> None:
    """Write a header and a line for each row, in UTF-8; a spreadsheet that opens them runs no cell."""
    lines = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(column.key for column in columns)
    for block in blocks:
        writer.writerows([_cell(value) for value in row] for row in block)
    lines.detach()


def write_fhir(
    file: BinaryIO, columns: Sequence[ColumnElement[Any]], blocks: Iterable[Sequence[Any]], outcome: str
) -> None:
    """Write a RiskAssessment a line (NDJSON); `outcome` says in words what is predicted."""
    names = [str(column.key) for column in columns]
    for block in blocks:
        for row in block:
            resource = risk_assessment(dict(zip(names, row, strict=True)), outcome)
            file.write(json.dumps(resource, ensure_ascii=False).encode() + b"\n")


def _cell(value: Any) -> Any:
    """Write numbers as they are, nothing as nothing, texts so that they stay texts."""
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, bool):
        return json.dumps(value)
    return document_cell(value) if isinstance(value, (dict, list)) else value


def text_cell(text: str) -> str:
    """Put an apostrophe wherever a spreadsheet could take what follows for the beginning of a cell and run it; and
    where one stands there already, so that whoever takes one away from each such place has all texts as they were."""
    return _BEGINNINGS.sub("'", text)


def document_cell(document: dict[str, Any] | list[Any]) -> str:
    """Write a document as JSON, in which such a character is written as its number."""
    written = json.dumps(document, sort_keys=True)
    return _WITHIN_A_DOCUMENT.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _in_utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def risk_assessment(prediction: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    """Make a prediction's RiskAssessment of FHIR R4, which R4B has unchanged; probabilities are in percent there.

    `outcome` says in words what is predicted.
    """
    version, predicted, threshold = (prediction[name] for name in ("model_version", "predicted_class", "threshold"))
    # By the value set observation-status. What was predicted from measurements that have been corrected since, or from
    # a row that was deleted, is withdrawn: `entered-in-error`. `amended` and `corrected` would say that this assessment
    # is itself the mended one, and receivers go by those as by a final one; `cancelled` is for what was never
    # completed, `unknown` for who does not know.
    is_withdrawn = prediction["superseded"] or prediction["deleted"]
    return {
        "resourceType": "RiskAssessment",
        "id": "-".join(str(prediction[name]) for name in ("patient_id", "patient_version", "model_version")),
        "status": "entered-in-error" if is_withdrawn else "final",
        "method": {"text": f"pima, model version {version}; class 1 from a probability of {100 * threshold:g} % on"},
        **_subject(prediction),
        "occurrenceDateTime": _in_utc(prediction["scored_at"]),
        "prediction": [
            {
                "outcome": {"text": outcome},
                # To a digit that no arithmetic of ours reaches; in percent a float would show more.
                "probabilityDecimal": round(100 * prediction["probability"], 10),
                "qualitativeRisk": {"text": f"predicted class {predicted}"},
            }
        ],
    }


def _subject(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The person is the subject, and what their row is called in its source the visit. A row of which no person is
    known has to stand for one, since a subject is required, and says so."""
    key, person = prediction["source_key"], prediction["person_key"]
    # Named by its source, where it has one: an id of ours says nothing elsewhere.
    row = {"system": ROW, "value": str(prediction["patient_id"])}
    if key is not None:
        row = {"system": f"urn:pima:source:{prediction['source']}", "value": key}
    if person is None:
        no_person = {"type": {"text": "row, of which no person is known"}}
        return {"subject": {"type": "Patient", "identifier": no_person | row}}
    subject = {"subject": {"type": "Patient", "identifier": {"system": PERSON, "value": person}}}
    return subject if key is None else subject | {"encounter": {"type": "Encounter", "identifier": row}}
