"""Files to files: every row of a dataset is scored; with a model file this needs no database.

A part is complete or absent, and its footer says what it was made of, so the next run completes one
that was stopped or killed. This process and workers score a part in the same way. Workers read and
write in the same places as the job, and need no database; credentials for an object store come from
their own environment.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pima.core.declared.features import Features
from pima.core.declared.source import MappedColumn
from pima.core.rows.cells import Cells, measured
from pima.core.rows.validation import validate
from pima.dask.workers import Workers
from pima.errors import DatasetRefused, FileNotWritten, PimaError, WrongUsage
from pima.files.model_file import ScoringModel, read_model
from pima.files.parts import (
    FACTS,
    MANIFEST,
    MARK,
    PREDICTIONS,
    REJECTIONS,
    Facts,
    InputFile,
    Output,
    Part,
    input_file,
    input_files,
    key_columns,
    parts_of,
    require_unchanged,
    summed,
)
from pima.files.places import Place, lies_within, on_disks, place_of, remove, whole
from pima.intake.files.parquet_file import as_column
from pima.logs import get_logger
from pima.runs.stop_request import StopRequest
from pima.runs.whole_file import name_aside

_Batch = tuple[pa.RecordBatch, list[Cells], int]
"""Rows of a file, the cells of each feature, and the number of the first row."""
_CELLS = 1_000_000
_MOST_ROWS = 80_000
"""The limits of a batch."""
_FEW_VALUES = ("predicted_class", "model_version", "reason", "field")
"""Columns with few distinct values, which are stored with a dictionary."""
_READ_BYTES = 1 << 20
"""The bytes of a column to read at once; without a limit the column's whole row group would be read
into memory."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset to score, examined and found sound."""

    source: Place
    output: Output
    files: Sequence[InputFile]
    parts: Sequence[Part]
    finished: Mapping[str, Facts]
    """The parts that exist already, by name."""

    @property
    def missing(self) -> list[Part]:
        """The parts to write."""
        return [part for part in self.parts if part.name not in self.finished]


def open_dataset(dataset: str, into: str, model: ScoringModel, keys: Sequence[str]) -> Dataset:
    """Examine a dataset, reading only footers. Raises DatasetRefused, OtherOutputThere,
    WrongUsage."""
    dataset = on_disks(dataset)
    into = on_disks(into)
    output = Output(*place_of(into.rstrip("/")), model)
    if lies_within(into, dataset):
        raise WrongUsage(
            what="--to lies within --from, whose files it would add to; name a folder elsewhere"
        )
    source, files = input_files(dataset, model.declared, keys)
    parts = list(parts_of(files))
    if len({part.name for part in parts}) < len(parts):
        raise WrongUsage(
            what="--from names files whose parts would have the same name; rename one of them"
        )
    return Dataset(source, output, files, parts, output.finished(parts))


def score_files(found: Dataset, scored: Iterable[tuple[Part, Facts]]) -> dict[str, object]:
    """Write the missing parts and the manifest, and return the counts, which are the command's
    JSON.

    `scored` yields each missing part with its facts after it was written, in any order. Raises
    DatasetRefused if a file was changed, OtherOutputThere if another process wrote some of the
    parts, FileNotWritten if one is gone, and what `scored` raises.
    """
    output = found.output
    if found.missing:
        # The output is incomplete until all parts are written.
        remove(output.place, f"{output.folder}/{MANIFEST}")
    for part, facts in scored:
        get_logger().info(
            "part done", part=part.name, rows=part.rows, rejected=part.rows - facts.predicted
        )
    for file in found.files:
        require_unchanged(found.source, file)
    finished = output.finished(found.parts)
    if lacking := [part for part in found.parts if part.name not in finished]:
        raise FileNotWritten(
            path=output.path(PREDICTIONS, lacking[0]), why="it or its rejections were removed"
        )
    output.write_manifest(found.files, finished)
    return summed(finished.values()) | {
        "files": len(found.files),
        "parts": len(found.parts),
        "parts_before": len(found.finished),
        "model_version": output.model.version,
        "compiled_sha256": output.model.compiled_sha256,
        "scored_by": output.model.sha256,
    }


def score_missing(found: Dataset, stop: StopRequest) -> Iterator[tuple[Part, Facts]]:
    """Score the missing parts one after the other in this process. Raises what `score_part`
    raises."""
    for part in found.missing:
        stop.check()
        yield part, score_part(found.source, found.output, part, stop)


# ---- one part


def score_part(source: Place, output: Output, part: Part, stop: StopRequest) -> Facts:
    """Read a part in batches, score it and write it. Its predictions come last and show that it is
    finished.

    Raises OtherOutputThere, DatasetRefused or FileNotWritten; Interrupted between two batches, and
    then nothing of the part is left.
    """
    require_unchanged(source, part.input)
    with ExitStack() as rejecting, ExitStack() as predicting:
        rejections = _PartFile(output.place, output.path(REJECTIONS, part), rejecting)
        predictions = _PartFile(output.place, output.path(PREDICTIONS, part), predicting)
        by_reason = Counter[str]()
        unknown = 0
        # One batch is read and one written while another is scored.
        with (
            ThreadPoolExecutor(1, "reading") as reading,
            ThreadPoolExecutor(1, "writing") as writing,
        ):
            written: Future[None] = Future()
            written.set_result(None)
            for batch in _ahead(_batches(source, part, output.model.declared.features), reading):
                stop.check()
                predicted, rejected, reasons = _scored(batch, part, output.model)
                written.result()
                written = writing.submit(predictions.write, predicted)
                if rejected is not None:
                    rejections.write(rejected)
                by_reason.update(reasons)
                unknown += sum(cells.unknown for cells in batch[1])
            written.result()
        facts = Facts(
            scored_by=output.model.sha256,
            footer_sha256=part.input.footer_sha256,
            input_version=part.input.version,
            keys=part.input.keys,
            rows=part.rows,
            predicted=part.rows - by_reason.total(),
            rejected_by_reason=dict(sorted(by_reason.items())),
            unknown_taken=unknown,
        )
        require_unchanged(source, part.input)
        rejections.finish(facts)
        predictions.finish(facts)
    return facts


@dataclass(slots=True)
class _PartFile:
    """A Parquet file that is begun with its first rows, and appears once `until` is closed."""

    place: Place
    path: str
    until: ExitStack
    writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self.writer is None:
            file = self.until.enter_context(whole(self.place, self.path))
            # The fastest to compress. Floats stay plain, since Spark can't read BYTE_STREAM_SPLIT.
            encoding = {
                column.name: "DELTA_BINARY_PACKED"
                for column in batch.schema
                if pa.types.is_integer(column.type) and column.name not in _FEW_VALUES
            }
            writer = pq.ParquetWriter(
                file,
                batch.schema,
                compression="zstd",
                use_dictionary=list(_FEW_VALUES),
                column_encoding=encoding,
            )
            self.writer = self.until.enter_context(writer)
        self.writer.write_batch(batch)

    def finish(self, facts: Facts) -> None:
        if self.writer is not None:
            self.writer.add_key_value_metadata({FACTS: msgspec.json.encode(facts)})
            self.until.close()


def _ahead(batches: Iterator[_Batch], thread: Executor) -> Iterator[_Batch]:
    """Read the next batch in the thread while one is used."""
    following = thread.submit(next, batches, None)
    while (batch := following.result()) is not None:
        following = thread.submit(next, batches, None)
        yield batch


def _batches(source: Place, part: Part, features: Features) -> Iterator[_Batch]:
    """Read a part's batches; at least one, so that a part without rows still has its columns."""
    names = list(dict.fromkeys((*part.input.features, *part.input.keys)))
    rows = max(1, min(_MOST_ROWS, _CELLS // len(part.input.features)))
    first = part.first_row
    try:
        with source.open(part.input.path) as file:
            opened = pq.ParquetFile(file, buffer_size=_READ_BYTES)
            batches = opened.iter_batches(rows, row_groups=list(part.groups), columns=names)
            if not part.rows:
                schema = pa.schema([opened.schema_arrow.field(name) for name in names])
                batches = iter([pa.RecordBatch.from_pylist([], schema=schema)])
            for batch in batches:
                # Read as `load` reads them, and not kept here while the next ones are read.
                yield (
                    batch,
                    [
                        measured(feature, MappedColumn(name), as_column(batch.column(name)))
                        for name, feature in zip(part.input.features, features, strict=True)
                    ],
                    first,
                )
                first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError):
        raise DatasetRefused(
            dataset=part.input.name, what=f"it can't be read beyond row {first}"
        ) from None


def _scored(
    batch: _Batch, part: Part, model: ScoringModel
) -> tuple[pa.RecordBatch, pa.RecordBatch | None, Sequence[str]]:
    """Score a batch: its predictions, its rejections or None, and their reasons."""
    rows, read, first_row = batch
    found = validate([cells.to_judge for cells in read], model.rules)
    keys = key_columns(rows, part.input.keys)
    probabilities = model.scorer.model.probabilities(found.features)
    predicted = {
        "probability": pa.array(probabilities),
        "predicted_class": pa.array((probabilities >= model.scorer.threshold).astype(np.int8)),
        "model_version": pa.array(np.full(len(probabilities), model.version, dtype=np.int32)),
    }
    if not found.reasons:
        return _beside(keys, predicted), None, ()
    rejected = {
        "row_number": pa.array(found.rejected + first_row),
        "reason": pa.array(found.reasons, pa.string()),
        "field": pa.array(found.fields, pa.string()),
    }
    kept = keys.take(pa.array(found.accepted))
    others = keys.take(pa.array(found.rejected))
    return _beside(kept, predicted), _beside(others, rejected), found.reasons


def _beside(keys: pa.RecordBatch, added: Mapping[str, pa.Array]) -> pa.RecordBatch:
    schema = [
        *keys.schema,
        *(pa.field(name, array.type, nullable=False) for name, array in added.items()),
    ]
    return pa.RecordBatch.from_arrays([*keys.columns, *added.values()], schema=pa.schema(schema))


# ---- by workers


@dataclass(frozen=True, slots=True)
class Told:
    """A part, the places to read and write it by names that workers share, and the content of the
    model file."""

    dataset: str
    into: str
    part: Part
    content: bytes


def score_files_on_workers(
    found: Dataset,
    dataset: str,
    into: str,
    content: bytes,
    reached: AbstractContextManager[Workers],
) -> dict[str, object]:
    """Do the work of `score_files` on workers, with the model file's bytes; also raises what
    `Workers` raises."""
    if not (told := [Told(dataset, into, part, content) for part in found.missing]):
        return score_files(found, ())
    with reached as workers:
        # A mark in the folder lets a worker check that it sees the same folder.
        mark = name_aside(MARK)
        output = found.output
        with whole(output.place, f"{output.folder}/{mark}") as file:
            file.write(b"pima\n")
        try:
            workers.fit(lacks, (told[0], mark))
        finally:
            output.place.remove(f"{output.folder}/{mark}")
        return score_files(
            found, ((each.part, facts) for each, facts in workers.results(score_told, told))
        )


# The rest runs on a worker.


def lacks(seen: tuple[Told, str]) -> str:
    """Say whether a worker can't see a part's file or the mark in the folder; empty if it sees
    both."""
    told, mark = seen
    for option, where, name in (
        ("--from", told.dataset, told.part.input.path),
        ("--to", told.into, mark),
    ):
        try:
            place, folder = place_of(where)
            with place.open(name if option == "--from" else f"{folder}/{name}"):
                pass
        except (OSError, PimaError):
            return f"what {option} names is not there, or can't be read"
    return ""


def score_told(told: Told, stop: StopRequest) -> Facts:
    """Read, score and write one part. Raises what `score_part` raises."""
    model = _model(told.content, threading.get_ident())
    source, _ = place_of(told.dataset)
    before = told.part.input
    file = input_file(source, before.name, before.path, model.declared, before.keys)
    if file.footer_sha256 != before.footer_sha256:
        raise DatasetRefused(dataset=before.name, what="it has changed since the job looked at it")
    return score_part(
        source, Output(*place_of(told.into), model), replace(told.part, input=file), stop
    )


@lru_cache(maxsize=16)
def _model(content: bytes, _thread: int) -> ScoringModel:
    """Read the model for a thread: only one thread at a time may call a model, so each has its
    own."""
    return read_model(Path("the job's"), content)
