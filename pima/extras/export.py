"""Table rows as files, read block by block: CSV, Parquet or, for predictions, FHIR."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Literal

from sqlalchemy import ColumnElement, Engine

from pima.runs.stop_request import StopRequest
from pima.store.engine import reading, without_time_limit
from pima.store.models.registry import newest_declaration
from pima.store.rows.exported import EXPORTS, exported_rows, with_values

Format = Literal["csv", "parquet", "fhir"]

PERSON_SYSTEM = "urn:pima:person"
"""FHIR's identifier system of person keys, which all sources share."""
ROW_SYSTEM = "urn:pima:row"
"""The identifier system of ids in `patients`; a row with a source has that of its source:
`urn:pima:source:NAME`."""

_RUN = "=+\\-@＝＋－＠"
"""Characters, also full-width ones, that make a spreadsheet read a cell as a formula; for a regular
expression."""
# In locales with a decimal comma, semicolons separate cells, and a quote inside a cell groups
# nothing.
_BEGINNINGS = re.compile(rf"""\A(?=[{_RUN}'\t\r\n])|(?<=[;\t\r\n])(?="*[{_RUN}]|')""")
_WITHIN_A_DOCUMENT = re.compile(rf"(?<=;)[{_RUN}]")


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export."""

    exported: str
    """The name in `EXPORTS`."""
    format: Format
    since: str | None
    """The earliest moment in ISO 8601, UTC; None for all rows."""
    rows: int


def export(
    engine: Engine,
    what: str,
    form: Format,
    since: datetime | None,
    file: BinaryIO,
    stop: StopRequest,
    values: bool = False,
) -> Exported:
    """Write the rows since a moment, all from one state of the database; with `values` those that
    predictions were made from. Raises Interrupted."""
    rows = 0
    asked = EXPORTS[what]

    def counted(blocks: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        nonlocal rows
        for block in blocks:
            stop.check()
            rows += len(block)
            yield block

    with reading(engine) as connection:
        without_time_limit(connection)
        if values:
            asked = with_values(asked, newest_declaration(connection))
        blocks = counted(exported_rows(connection, asked, since))
        match form:
            case "csv":
                write_csv(file, asked.columns, blocks)
            case "parquet":
                from pima.store.rows.parquet_rows import (
                    write_parquet,  # imports pyarrow, which other formats do not need
                )

                write_parquet(file, asked.columns, blocks)
            case "fhir":
                outcome = newest_declaration(connection).outcome
                write_fhir(file, asked.columns, blocks, outcome.meaning or outcome.name)
    return Exported(what, form, None if since is None else since.isoformat(), rows)


def write_csv(
    file: BinaryIO, columns: Sequence[ColumnElement[Any]], blocks: Iterable[Sequence[Any]]
) -> None:
    """Write a header and a line for each row, in UTF-8; no cell is a formula to a spreadsheet."""
    lines = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(column.key for column in columns)
    for block in blocks:
        writer.writerows([_cell(value) for value in row] for row in block)
    lines.detach()


def write_fhir(
    file: BinaryIO,
    columns: Sequence[ColumnElement[Any]],
    blocks: Iterable[Sequence[Any]],
    outcome: str,
) -> None:
    """Write a RiskAssessment for each row as a line (NDJSON); `outcome` says in words what is
    predicted."""
    names = [str(column.key) for column in columns]
    for block in blocks:
        for row in block:
            resource = risk_assessment(dict(zip(names, row, strict=True)), outcome)
            file.write(json.dumps(resource, ensure_ascii=False).encode() + b"\n")


def _cell(value: Any) -> Any:
    """Write numbers unchanged, None as nothing, and texts so that they stay texts."""
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (dict, list)):
        return document_cell(value)
    return value


def text_cell(text: str) -> str:
    """Put an apostrophe wherever a spreadsheet could read the rest as a cell and run it. An
    apostrophe at such a place is doubled, so removing one from each place restores the original
    text."""
    return _BEGINNINGS.sub("'", text)


def document_cell(document: dict[str, Any] | list[Any]) -> str:
    """Write a document as JSON, with characters that could begin a formula escaped."""
    written = json.dumps(document, sort_keys=True)
    return _WITHIN_A_DOCUMENT.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _in_utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def risk_assessment(prediction: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    """Make a prediction's RiskAssessment in FHIR R4, unchanged in R4B, with the probability in
    percent.

    `outcome` says in words what is predicted.
    """
    # Value set observation-status. A prediction from measurements that were corrected since, or
    # from a deleted row, is withdrawn: `entered-in-error`. `amended` and `corrected` would mean
    # that this assessment is the corrected one, and receivers treat those as final; `cancelled`
    # means that it was never completed. `unknown` says that one of these applies, and nobody knows
    # yet which: so it is while a person has stopped the champion.
    status = "unknown" if prediction["suspended"] else "final"
    if prediction["superseded"] or prediction["deleted"]:
        status = "entered-in-error"
    return {
        "resourceType": "RiskAssessment",
        "id": "-".join(
            str(prediction[name]) for name in ("patient_id", "patient_version", "model_version")
        ),
        "status": status,
        "method": {
            "text": (
                f"pima, model version {prediction['model_version']}; class 1 from a probability of "
                f"{100 * prediction['threshold']:g} % on"
            )
        },
        **_subject(prediction),
        "occurrenceDateTime": _in_utc(prediction["scored_at"]),
        "prediction": [
            {
                "outcome": {"text": outcome},
                # Rounded beyond the precision of the arithmetic, since a float in percent would
                # show more digits.
                "probabilityDecimal": round(100 * prediction["probability"], 10),
                "qualitativeRisk": {"text": f"predicted class {prediction['predicted_class']}"},
            }
        ],
    }


def _subject(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The subject is the person, and the row's key in its source is the visit. A subject is
    required, so a row without a known person is the subject itself, and says so."""
    key = prediction["source_key"]
    person = prediction["person_key"]
    # Named by its source if it has one, since pima's ids mean nothing elsewhere.
    row = {"system": ROW_SYSTEM, "value": str(prediction["patient_id"])}
    if key is not None:
        row = {"system": f"urn:pima:source:{prediction['source']}", "value": key}
    identifier: dict[str, Any] = {"type": {"text": "row, of which no person is known"}, **row}
    encounter = {}
    if person is not None:
        identifier = {"system": PERSON_SYSTEM, "value": person}
        if key is not None:
            encounter = {"encounter": {"type": "Encounter", "identifier": row}}
    return {"subject": {"type": "Patient", "identifier": identifier}, **encounter}
