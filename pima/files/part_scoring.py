"""One part: its rows read in batches, judged, scored, and written as one file of predictions and one of rejections."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pima.core.validation import Validated, validate_columns
from pima.errors import DatasetRefused
from pima.files.columns import array_of, keys_of, measurements_of
from pima.files.inputs import require_unchanged
from pima.files.outputs import require_none_of_others
from pima.files.parts import PREDICTIONS, REJECTIONS, Facts, Part, as_metadata
from pima.files.places import Place, whole
from pima.files.scoring_model import ScoringModel
from pima.process.stopping import StopRequest

_Item = TypeVar("_Item")
_CELLS, _MOST_ROWS = 1_000_000, 100_000
"""Of a batch."""
_FEW_VALUES = ("predicted_class", "model_version", "reason", "field")
"""Columns of which a dictionary is short."""
_READ_BYTES = 1 << 20
"""At once, of each column; without a limit the whole column of a row group is read into memory."""


@dataclass(slots=True)
class _Output:
    """A Parquet file that is begun with its first rows, and is in its place once `until` is closed."""

    place: Place
    path: str
    until: ExitStack
    writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self.writer is None:
            file = self.until.enter_context(whole(self.place, self.path))
            writer = pq.ParquetWriter(file, batch.schema, compression="zstd", **_encodings(batch.schema))
            self.writer = self.until.enter_context(writer)
        self.writer.write_batch(batch)

    def finish(self, metadata: Mapping[bytes, bytes]) -> None:
        if self.writer is not None:
            self.writer.add_key_value_metadata(metadata)
            self.until.close()


@dataclass(frozen=True, slots=True)
class PartScoring:
    """Scores parts of a dataset, one after the other."""

    source: Place
    target: Place
    folder: str
    """In the target."""
    model: ScoringModel
    stop: StopRequest

    def score(self, part: Part) -> Facts:
        """Write the part, its predictions last: they are the sign that it is finished.

        Raises OtherOutputThere, DatasetRefused, PartNotWritten; Interrupted between two batches, nothing of the part
        being left.
        """
        require_unchanged(self.source, part.input)
        require_none_of_others(self.target, self.folder, part, self.model)
        with ExitStack() as rejecting, ExitStack() as predicting:
            predictions = _Output(self.target, f"{self.folder}/{PREDICTIONS}/{part.name}", predicting)
            rejections = _Output(self.target, f"{self.folder}/{REJECTIONS}/{part.name}", rejecting)
            facts = self._facts(part, self._write(part, predictions, rejections))
            require_unchanged(self.source, part.input)
            rejections.finish(as_metadata(facts))
            predictions.finish(as_metadata(facts))
        return facts

    def _write(self, part: Part, predictions: "_Output", rejections: "_Output") -> Counter[str]:
        """All batches; how many rows were rejected, by reason. One is read and one written while another is scored."""
        by_reason = Counter[str]()
        with ThreadPoolExecutor(1, "reading") as reading, ThreadPoolExecutor(1, "writing") as writing:
            written = writing.submit(_nothing)
            for batch, first_row in _ahead(self._batches(part), reading):
                self.stop.check()
                found = self._validated(batch, part)
                keys = keys_of(batch, part.input.columns.keys)
                made = self._predictions(keys, found)
                written.result()
                written = writing.submit(predictions.write, made)
                if found.reasons:
                    rejections.write(_rejections(keys, found, first_row))
                by_reason.update(found.reasons)
            written.result()
        return by_reason

    def _batches(self, part: Part) -> Iterator[tuple[pa.RecordBatch, int]]:
        """At least one, so that a part without rows has its columns all the same; with each its first row's number."""
        columns = part.input.columns
        names = list(dict.fromkeys((*columns.features, *columns.keys)))
        rows = max(1, min(_MOST_ROWS, _CELLS // len(columns.features)))
        first = part.first_row
        try:
            with self.source.open(part.input.path) as file:
                opened = pq.ParquetFile(file, buffer_size=_READ_BYTES)
                for batch in opened.iter_batches(rows, row_groups=list(part.groups), columns=names):
                    yield batch, first
                    first += batch.num_rows
                if first == part.first_row:
                    yield _without_rows(opened.schema_arrow, names), first
        except (pa.ArrowException, OSError, ValueError):
            raise DatasetRefused(dataset=part.input.name, what=f"it can't be read beyond row {first}") from None

    def _validated(self, batch: pa.RecordBatch, part: Part) -> Validated:
        rules = self.model.rules
        return validate_columns(measurements_of(batch, part.input.columns.features, rules), rules)

    def _predictions(self, keys: pa.RecordBatch, found: Validated) -> pa.RecordBatch:
        kept = keys.take(array_of(found.accepted)) if found.reasons else keys
        scorer = self.model.scorer
        probabilities = scorer.model.probabilities(found.features)
        added = {
            "probability": array_of(probabilities),
            "predicted_class": array_of((probabilities >= scorer.threshold).astype(np.int8)),
            "model_version": array_of(np.full(len(probabilities), self.model.version, dtype=np.int32)),
        }
        return _beside(kept, added)

    def _facts(self, part: Part, by_reason: Counter[str]) -> Facts:
        return Facts(
            scored_by=self.model.sha256,
            footer_sha256=part.input.footer_sha256,
            input_version=part.input.version,
            keys=part.input.columns.keys,
            rows=part.rows,
            predicted=part.rows - by_reason.total(),
            rejected_by_reason=dict(sorted(by_reason.items())),
        )


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    """What takes the least time to compress; floats as they are, since Spark can't read BYTE_STREAM_SPLIT."""
    whole = [field.name for field in schema if pa.types.is_integer(field.type) and field.name not in _FEW_VALUES]
    return {"use_dictionary": list(_FEW_VALUES), "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED")}


def _nothing() -> None:
    """Written before the first batch."""


def _ahead(items: Iterator[_Item], thread: Executor) -> Iterator[_Item]:
    """The next one is made in the thread while one is used."""
    following = thread.submit(next, items, None)
    while (item := following.result()) is not None:
        following = thread.submit(next, items, None)
        yield item


def _rejections(keys: pa.RecordBatch, found: Validated, first_row: int) -> pa.RecordBatch:
    added = {
        "row_number": array_of(found.rejected + first_row),
        "reason": pa.array(found.reasons, pa.string()),
        "field": pa.array(found.fields, pa.string()),
    }
    return _beside(keys.take(array_of(found.rejected)), added)


def _beside(keys: pa.RecordBatch, added: Mapping[str, pa.Array]) -> pa.RecordBatch:
    schema = [*keys.schema, *(pa.field(name, array.type, nullable=False) for name, array in added.items())]
    return pa.RecordBatch.from_arrays([*keys.columns, *added.values()], schema=pa.schema(schema))


def _without_rows(schema: pa.Schema, names: list[str]) -> pa.RecordBatch:
    fields = [schema.field(name) for name in names]
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in fields], schema=pa.schema(fields))
