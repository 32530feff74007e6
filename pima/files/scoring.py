"""Files to files: every row of CSV and Parquet files is scored; with a model file this needs no
database.

The output of a file has each of its rows and appears once it is whole. So the next run completes
one that was stopped or killed: it passes over files whose output is there.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pima.core.declared.columns import of_kind
from pima.core.declared.features import Declaration, canonical_name, is_number
from pima.core.declared.source import MappedColumn
from pima.core.rows.cells import measured
from pima.core.rows.validation import validate
from pima.errors import FileNotWritten, OtherOutputThere, WrongUsage
from pima.files.model_file import ScoringModel
from pima.intake.files.csv_file import first_line, open_csv
from pima.intake.files.opened_file import is_parquet, plain_file, refused
from pima.intake.files.parquet_file import open_parquet, parquet_schema
from pima.intake.raw_rows import RawBlock
from pima.logs import get_logger
from pima.runs.stop_request import StopRequest
from pima.runs.whole_file import remove_halves, written_aside

_EXPECTED = "a header, and rows of patients"
_KEYS = ("id", *of_kind("key"))
_ADDED = {
    "probability": pa.float64(),
    "predicted_class": pa.int8(),
    "model_version": pa.int32(),
    "reason": pa.string(),
    "field": pa.string(),
}
"""The columns of an output behind the row's number and its keys."""


@dataclass(frozen=True, slots=True)
class FileToScore:
    """A file of rows, and the file for what comes of them."""

    rows: Path
    output: Path


@dataclass(frozen=True, slots=True)
class Scored:
    """The counts of scored rows."""

    rows: int
    rejected_by_reason: Counter[str]
    unknown_taken: int
    """Unrecognised values that were read as the feature's `unknown` says."""


def files_to_score(rows: Path, folder: Path) -> list[FileToScore]:
    """List a file, or all files of a folder whose names begin with neither a dot nor an underscore.
    Raises WrongUsage, or OtherOutputThere if a file was changed after it was scored."""
    paths = [rows]
    try:
        if rows.is_dir():
            paths = sorted(path for path in rows.iterdir() if not path.name.startswith((".", "_")))
        within = folder.resolve().is_relative_to(rows.resolve())
        if within or folder.resolve() == rows.resolve().parent:
            what = "--output is where --input lies, so that files would be mixed; name another"
            raise WrongUsage(what=f"{what} folder")
        files = [FileToScore(path, folder / path.name) for path in paths]
        for file in files:
            if file.output.exists() and _changed_at(file.rows) > _changed_at(file.output):
                what = f"{file.output.name} is older than the file that it was made of"
                raise OtherOutputThere(folder=folder, what=what)
    except OSError as error:
        raise WrongUsage(what=f"{error.filename}: it can't be read ({error.strerror})") from None
    if not files:
        raise WrongUsage(what=f"--input {rows}: there is no file in this folder")
    return files


def _changed_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def score_files(
    files: Sequence[FileToScore], model: ScoringModel, stop: StopRequest
) -> Iterator[Scored]:
    """Score the files one after the other in this process, after a look at the columns of all.
    Raises what `score_file` raises."""
    for file in files:
        _Table(file.rows, model.declared)
    for file in files:
        yield score_file(file, model, stop)


def score_file(file: FileToScore, model: ScoringModel, stop: StopRequest) -> Scored:
    """Read a file in blocks, score them and write them. Raises FileRefused or FileNotWritten;
    Interrupted between two blocks. Then nothing is left."""
    table = _Table(file.rows, model.declared)
    changed_at = _changed_at(file.rows)
    rows = unknown = 0
    by_reason = Counter[str]()
    with _written(file.output) as output, table.writer(output) as write:
        for block in table.blocks():
            stop.check()
            scored, unknown_here = _scored(block, table, model)
            write(scored)
            rows += len(scored)
            unknown += unknown_here
            by_reason.update(scored["reason"].dropna())
        if _changed_at(file.rows) != changed_at:
            raise refused(str(file.rows), "It was changed while it was scored. Run this again.")
    get_logger().info("file scored", file=file.rows.name, rows=rows, rejected=by_reason.total())
    return Scored(rows, by_reason, unknown)


class _Table:
    """A file of rows, its columns found."""

    def __init__(self, path: Path, declared: Declaration) -> None:
        """Raises FileRefused."""
        file = plain_file(path)
        self._is_parquet = is_parquet(file, _EXPECTED)
        names = parquet_schema(file).names if self._is_parquet else first_line(file, _EXPECTED)
        meant = [canonical_name(name, declared) for name in names]
        needed = (*declared.names, *_KEYS)
        # A first line of numbers is no header.
        needless = [
            name
            for name, column in zip(names, meant, strict=True)
            if column not in needed and not is_number(name)
        ]
        open_kind = open_parquet if self._is_parquet else open_csv
        header, self.blocks = open_kind(file, declared, needless)
        self.columns = header.columns
        if lacking := [name for name in declared.names if name not in self.columns]:
            raise refused(file.name, f"It lacks {', '.join(lacking)}. Expected {_EXPECTED}.")
        self.keys = [name for name in self.columns if name in _KEYS]
        types = dict.fromkeys(self.keys, pa.string())
        if self._is_parquet and "id" in types:
            types["id"] = parquet_schema(file).types[meant.index("id")]
        self._schema = pa.schema({"row": pa.int64()} | types | _ADDED)

    @contextmanager
    def writer(self, output: BinaryIO) -> Iterator[Callable[[pd.DataFrame], object]]:
        """Write rows in the format of the file that they were read from."""
        if self._is_parquet:
            with pq.ParquetWriter(output, self._schema, compression="zstd") as writer:
                yield lambda rows: writer.write_table(
                    pa.Table.from_pandas(rows, self._schema, preserve_index=False)
                )
            return
        # A key that is not UTF-8 stays as it is.
        text = io.TextIOWrapper(output, "utf-8", "surrogateescape", newline="", write_through=True)
        text.write(",".join(self._schema.names) + "\n")
        yield lambda rows: rows.to_csv(text, header=False, index=False)
        text.detach()


def _scored(block: RawBlock, table: _Table, model: ScoringModel) -> tuple[pd.DataFrame, int]:
    """Score the rows of a block, in the file's order, with its lines that are no rows; also count
    the unrecognised values that were taken."""
    cells = {name: block.rows[n] for n, name in enumerate(table.columns)}
    read = [
        measured(feature, MappedColumn(feature.name), cells[feature.name])
        for feature in model.declared.features
    ]
    judged = validate([column.to_judge for column in read], model.rules)
    rows = pd.DataFrame({name: cells[name] for name in table.keys}, index=block.rows.index)
    rows.insert(0, "row", block.rows.index)
    accepted = rows.index[judged.accepted]
    probabilities = model.scorer.model.probabilities(judged.features)
    rows["probability"] = pd.Series(probabilities, accepted)
    is_above = probabilities >= model.scorer.threshold
    rows["predicted_class"] = pd.Series(is_above, accepted).astype("Int8")
    rows["model_version"] = model.version
    rejected = rows.index[judged.rejected]
    rows["reason"] = pd.Series(judged.reasons, rejected, dtype=object)
    rows["field"] = pd.Series(judged.fields, rejected, dtype=object)
    if block.bad:
        bad = pd.DataFrame({"row": [line.line for line in block.bad]})
        bad["model_version"] = model.version
        bad["reason"] = [line.reason for line in block.bad]
        rows = pd.concat([rows, bad]).sort_values("row")
    return rows, sum(column.unknown for column in read)


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_halves(path)
        with written_aside(path) as file:
            yield file
    except OSError as error:
        raise FileNotWritten(path=path, why=error.strerror) from None
