"""A dataset's files, the parts made of them, and the parts that an output has already.

A part is made of whole row groups of one file. Its footer says what it was made of, so nothing is
stored anywhere else.
"""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pima.core.declared.columns import of_kind
from pima.core.declared.features import Declaration, canonical_name
from pima.errors import DatasetRefused, OtherOutputThere, WrongUsage
from pima.files.model_file import ScoringModel
from pima.files.places import Place, place_of, remove, whole, words_of
from pima.intake.files.parquet_file import can_hold
from pima.runs.whole_file import name_meant

OURS = ("probability", "predicted_class", "model_version", "row_number", "reason", "field")
"""The columns that scoring adds, to predictions or to rejections."""
_DAMAGED = "it is no readable Parquet file"
_KNOWN_KEYS = ("id", *of_kind("key"))
_END = 8
"""The number of bytes at a file's end: the footer's length, and PAR1."""
PREDICTIONS = "predictions"
REJECTIONS = "rejections"
LARGEST_PART = 1_000_000
"""The most rows of a part, unless a single row group has more."""
MANIFEST = "manifest.json"
FORMAT = "pima scored files 1"
MARK = "cluster"
"""The name of a file by which a cluster's workers recognise the folder; it exists only under a
temporary name."""
FACTS = b"pima"
"""The key of the facts in the metadata of a part's file."""
_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
"""Types whose rows pyarrow can't pick, and the types used instead."""


# ---- input files


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the dataset."""

    name: str
    """The name within the dataset, with slashes."""
    path: str
    version: str
    """`Place.version` before the file was examined."""
    bytes: int
    footer_sha256: str
    """The footer has the places, counts and ranges of the columns' values, but not the values."""
    groups: tuple[int, ...]
    """The number of rows of each row group."""
    features: tuple[str, ...]
    """The columns that hold the features, in the model's order."""
    keys: tuple[str, ...]
    """The columns to keep with each prediction."""


def input_files(
    dataset: str, declared: Declaration, keys: Sequence[str]
) -> tuple[Place, list[InputFile]]:
    """Find the storage and all files, by name. Raises DatasetRefused, or WrongUsage if a named key
    can't be kept."""
    place, path = place_of(dataset)
    try:
        found = place.found(path)
    except OSError as error:
        raise DatasetRefused(dataset=error.filename or dataset, what=_unreadable(error)) from None
    if not found:
        raise DatasetRefused(dataset=dataset, what="there is no Parquet file")
    files = [input_file(place, name, found[name], declared, keys) for name in sorted(found)]
    if other := next((file for file in files if file.keys != files[0].keys), None):
        what = f"it has other keys than {files[0].name}; --key says which columns to keep"
        raise DatasetRefused(dataset=other.name, what=what)
    return place, files


def input_file(
    place: Place, name: str, path: str, declared: Declaration, keys: Sequence[str]
) -> InputFile:
    """Examine one file, by its name within the dataset and its path. Raises what `input_files`
    raises."""
    try:
        version = place.version(path)
        with place.open(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _END))
            (length, _magic) = struct.unpack("<I4s", file.read(_END))
            file.seek(max(0, size - _END - length))
            footer_sha256 = hashlib.sha256(file.read(length)).hexdigest()
            metadata = pq.read_metadata(file)
    except OSError as error:
        # pyarrow also raises OSError for a damaged file, but without the system's words.
        what = _unreadable(error) if error.strerror else _DAMAGED
        raise DatasetRefused(dataset=path, what=what) from None
    except (pa.ArrowException, ValueError, struct.error):
        raise DatasetRefused(dataset=name, what=_DAMAGED) from None
    groups = tuple(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
    features, kept = _columns(name, metadata.schema.to_arrow_schema(), declared, keys)
    return InputFile(name, path, version, size, footer_sha256, groups, features, kept)


def _unreadable(error: OSError) -> str:
    return f"it can't be read ({words_of(error)}). Correct its rights, or the link if it is one"


def require_unchanged(place: Place, input_file: InputFile) -> None:
    """Raises DatasetRefused if a file has changed since it was examined, or is gone."""
    try:
        is_as_it_was = place.version(input_file.path) == input_file.version
    except OSError:
        is_as_it_was = False
    if not is_as_it_was:
        raise DatasetRefused(
            dataset=input_file.name, what="it was changed while the dataset was scored"
        )


def _columns(
    name: str, schema: pa.Schema, declared: Declaration, keys: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the columns of the features, in the model's order, and those to keep as keys."""
    meant = {}
    for column in schema.names:
        known = canonical_name(column, declared)
        if known in meant:
            raise DatasetRefused(dataset=name, what=f"two of its columns mean {known}")
        if known is not None:
            meant[known] = column
    if lacking := [feature for feature in declared.names if feature not in meant]:
        raise DatasetRefused(dataset=name, what=f"it lacks {', '.join(lacking)}")
    for feature in declared.features:
        held = schema.field(meant[feature.name]).type
        if not can_hold(held, feature):
            raise DatasetRefused(
                dataset=name, what=f"its column {feature.name} holds {held}, not numbers"
            )
    kept = tuple(keys) or tuple(meant[known] for known in _KNOWN_KEYS if known in meant)
    _require_keys(name, kept, schema)
    return tuple(meant[feature] for feature in declared.names), kept


def _require_keys(name: str, kept: Sequence[str], there: pa.Schema) -> None:
    if not kept:
        what = (
            f"no column says whose its rows are: none of {', '.join(_KNOWN_KEYS)}. Name one with "
            "--key COLUMN"
        )
        raise DatasetRefused(dataset=name, what=what)
    if lacking := [key for key in kept if key not in there.names]:
        raise DatasetRefused(
            dataset=name, what=f"it has no column {', '.join(lacking)}, which --key names"
        )
    if taken := [key for key in kept if key in OURS]:
        raise WrongUsage(
            what=f"--key {taken[0]}: scoring writes a column of that name itself; rename the key's"
        )


def key_columns(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Select these columns, with types whose rows pyarrow can pick."""
    keys = batch.select(list(names))
    plain = [field.with_type(_PLAIN.get(field.type, field.type)) for field in keys.schema]
    if any(field.type in _PLAIN for field in keys.schema):
        return keys.cast(pa.schema(plain))
    return keys


# ---- parts


@dataclass(frozen=True, slots=True)
class Part:
    """Whole row groups of one file, whose predictions become one file."""

    name: str
    """The file's name below `predictions`, and below `rejections` if the part has any."""
    input: InputFile
    groups: tuple[int, ...]
    first_row: int
    """The number of its first row in its file, from 0."""

    @property
    def rows(self) -> int:
        return sum(self.input.groups[group] for group in self.groups)


def parts_of(files: Iterable[InputFile]) -> Iterator[Part]:
    """All parts, always the same for the same files: each has as many row groups as fit into
    `LARGEST_PART` rows."""
    for file in files:
        stem = file.name.removesuffix(".parquet")
        for number, (groups, first_row) in enumerate(_together(file.groups)):
            yield Part(f"{stem}-{number:05}.parquet", file, groups, first_row)


def _together(rows: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Row groups of each part, with the number of its first row; a file without row groups gives
    one empty part."""
    groups: list[int] = []
    first = held = 0
    for group, count in enumerate(rows):
        if groups and held + count > LARGEST_PART:
            yield tuple(groups), first
            groups = []
            first += held
            held = 0
        groups.append(group)
        held += count
    yield tuple(groups), first


# ---- outputs


@dataclass(frozen=True, slots=True)
class Facts:
    """The metadata of a finished part: what it was made of, and the results of its rows."""

    scored_by: str
    """`ScoringModel.sha256`."""
    footer_sha256: str
    """`InputFile.footer_sha256` of the input."""
    input_version: str
    """`Place.version` of the input."""
    keys: tuple[str, ...]
    rows: int
    predicted: int
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    unknown_taken: int = 0
    """Unrecognised values that were read as the feature's `unknown` says."""


def facts_of_file(place: Place, path: str) -> Facts | None:
    """Read the facts of an existing file; None if pima did not write it."""
    try:
        with place.open(path) as file:
            found = pq.read_metadata(file).metadata or {}
        return msgspec.json.decode(found.get(FACTS, b"null"), type=Facts)
    except (pa.ArrowException, OSError, ValueError, msgspec.DecodeError):
        return None


def summed(facts: Iterable[Facts]) -> dict[str, object]:
    """Sum the counts of all parts."""
    listed = list(facts)
    rows = sum(each.rows for each in listed)
    predicted = sum(each.predicted for each in listed)
    by_reason = sum((Counter(each.rejected_by_reason) for each in listed), Counter[str]())
    return {
        "rows": rows,
        "predicted": predicted,
        "rejected": rows - predicted,
        "rejected_by_reason": dict(sorted(by_reason.items())),
        "unknown_taken": sum(each.unknown_taken for each in listed),
    }


@dataclass(frozen=True, slots=True)
class Output:
    """A folder to write parts to, and the model that scores them."""

    place: Place
    folder: str
    model: ScoringModel

    def path(self, kind: str, part: Part) -> str:
        """The path of a part's predictions, or of its rejections."""
        return f"{self.folder}/{kind}/{part.name}"

    def finished(self, parts: Sequence[Part]) -> dict[str, Facts]:
        """Find the finished parts, by name.

        Raises OtherOutputThere if the folder has files of another model, another input or another
        program, WrongUsage if it can't be listed.
        """
        planned = {
            f"{kind}/{part.name}": part for part in parts for kind in (PREDICTIONS, REJECTIONS)
        }
        half_written = {MANIFEST, MARK, *planned}
        found = {}
        for name in sorted(self._names()):
            if name == MANIFEST:
                self._require_our_manifest()
            elif name in planned:
                found[name] = self._require_ours(
                    name, planned[name], facts_of_file(self.place, f"{self.folder}/{name}")
                )
            elif _meant(name) not in half_written:
                raise OtherOutputThere(
                    folder=self.folder, what=f"{name} is no part of this dataset"
                )
        return {
            part.name: found[f"{PREDICTIONS}/{part.name}"]
            for part in parts
            if _is_finished(part, found)
        }

    def write_manifest(self, files: Iterable[InputFile], finished: Mapping[str, Facts]) -> None:
        """Remove half-written files, then write the manifest, which is the same for the same files
        and model."""
        manifest = {
            "format": FORMAT,
            "model_version": self.model.version,
            "compiled_sha256": self.model.compiled_sha256,
            "threshold": self.model.scorer.threshold,
            "scored_by": self.model.sha256,
            "inputs": [
                {
                    "name": file.name,
                    "bytes": file.bytes,
                    "footer_sha256": file.footer_sha256,
                    "rows": sum(file.groups),
                    "keys": file.keys,
                }
                for file in files
            ],
            "parts": [
                {"name": name, **summed([facts])} for name, facts in sorted(finished.items())
            ],
            **summed(finished.values()),
        }
        for name in self._names():
            if _meant(name) is not None:
                remove(self.place, f"{self.folder}/{name}")
        with whole(self.place, f"{self.folder}/{MANIFEST}") as file:
            file.write(json.dumps(manifest, indent=1).encode() + b"\n")

    def _names(self) -> set[str]:
        try:
            return self.place.files_below(self.folder)
        except OSError as error:
            path = error.filename or self.folder
            why = words_of(error)
            what = f"--to {path}: it can't be listed ({why}). Correct that, or name another folder"
            raise WrongUsage(what=what) from None

    def _require_our_manifest(self) -> None:
        try:
            with self.place.open(f"{self.folder}/{MANIFEST}") as file:
                found = json.load(file)
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            what = f"{MANIFEST} was not written by this release, or is damaged"
            raise OtherOutputThere(folder=self.folder, what=what)

    def _require_ours(self, name: str, part: Part, facts: Facts | None) -> Facts:
        # pandas and DuckDB can rewrite a value without changing size or footer, so the file's time
        # is compared as well.
        if facts is None:
            what = "was not written by this release of pima, or is damaged"
        elif facts.scored_by != self.model.sha256:
            what = "was scored by another model, or by other rules"
        elif (facts.footer_sha256, facts.input_version) != (
            part.input.footer_sha256,
            part.input.version,
        ):
            what = f"was made of {part.input.name} as it was before"
        elif facts.keys != part.input.keys or facts.rows != part.rows:
            what = "was written with other keys"
        else:
            return facts
        raise OtherOutputThere(folder=self.folder, what=f"{name} {what}")


def _is_finished(part: Part, found: Mapping[str, Facts]) -> bool:
    """Whether all files of a part are there. Its predictions alone do not say so: somebody may
    have removed its rejections."""
    facts = found.get(f"{PREDICTIONS}/{part.name}")
    return facts is not None and (
        not facts.rejected_by_reason or found.get(f"{REJECTIONS}/{part.name}") == facts
    )


def _meant(name: str) -> str | None:
    """The final name of a half-written file; None for any other file."""
    above, slash, last = name.rpartition("/")
    meant = name_meant(last)
    return meant and f"{above}{slash}{meant}"
