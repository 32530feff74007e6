"""The parts of an output: which there are to be, by the input's row groups, and what a finished one says of itself."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import ValidationError, convert

from pima.files.inputs import InputFile
from pima.files.places import Place

PREDICTIONS, REJECTIONS = "predictions", "rejections"
LARGEST_PART = 1_000_000
"""Rows, unless a row group alone has more."""
_FACTS = b"pima"


@dataclass(frozen=True, slots=True)
class Part:
    """Whole row groups of one file, whose predictions become one file."""

    name: str
    """Below `predictions`, and below `rejections` where it has some."""
    input: InputFile
    groups: tuple[int, ...]
    first_row: int
    """In its file, counted from 0."""

    @property
    def rows(self) -> int:
        return sum(self.input.groups[group] for group in self.groups)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the metadata of a finished part say: what it was made of, and what became of the rows."""

    scored_by: str
    """`ScoringModel.sha256`."""
    footer_sha256: str
    """Of the input."""
    input_version: str
    """`Place.version` of the input."""
    keys: tuple[str, ...]
    rows: int
    predicted: int
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)


def parts_of(files: Iterable[InputFile]) -> Iterator[Part]:
    """All parts, the same for the same files: each of as many row groups as stay within `LARGEST_PART` rows."""
    for file in files:
        stem = file.name.removesuffix(".parquet")
        for number, (groups, first_row) in enumerate(_together(file.groups)):
            yield Part(f"{stem}-{number:05}.parquet", file, groups, first_row)


def _together(rows: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Row groups, and the first one's first row; of a file without any, none."""
    groups: list[int] = []
    first = held = 0
    for group, count in enumerate(rows):
        if groups and held + count > LARGEST_PART:
            yield tuple(groups), first
            groups, first, held = [], first + held, 0
        groups.append(group)
        held += count
    yield tuple(groups), first


def as_metadata(facts: Facts) -> dict[bytes, bytes]:
    """For the part's footer."""
    document = {name: getattr(facts, name) for name in Facts.__slots__}
    return {_FACTS: json.dumps(document, sort_keys=True).encode()}


def read_facts(place: Place, path: str) -> Facts | None:
    """Those of a file that is there; None where it is none of ours."""
    try:
        with place.open(path) as file:
            found = pq.read_metadata(file).metadata or {}
        return convert(json.loads(found.get(_FACTS, b"null")), Facts)
    except (pa.ArrowException, OSError, ValueError, ValidationError):
        return None


def summed(facts: Iterable[Facts]) -> dict[str, Any]:
    """The counts of all parts."""
    rows = predicted = 0
    by_reason: Counter[str] = Counter()
    for each in facts:
        rows, predicted = rows + each.rows, predicted + each.predicted
        by_reason.update(each.rejected_by_reason)
    return {
        "rows": rows,
        "predicted": predicted,
        "rejected": rows - predicted,
        "rejected_by_reason": dict(sorted(by_reason.items())),
    }
