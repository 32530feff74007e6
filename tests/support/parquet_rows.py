"""Patient rows as Parquet, drawn so that some of each kind can't be scored; scoring them, and what
that wrote."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pima.core.declared.features import Feature
from tests.support.databases import Database, call, the_json
from tests.support.shipped import FEATURES


def drawn_rows(rows: int, first_id: int = 1, seed: int = 1) -> pa.Table:
    """With an id; one in fifty measurements is missing, and one in a thousand is out of its
    range."""
    drawn = np.random.default_rng(seed)
    columns = {"id": pa.array(range(first_id, first_id + rows), pa.int64())}
    for feature in FEATURES:
        columns[feature.name] = pa.array(_drawn(feature, drawn, rows).tolist(), pa.float64())
    return pa.table(columns)


def _drawn(
    feature: Feature, drawn: np.random.Generator, rows: int
) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    low, high = feature.low or 0, feature.high or 0
    values = np.round(drawn.uniform(low, high, rows), 3).astype(object)
    if feature.may_be_missing:
        values[drawn.random(rows) < 0.02] = None
    values[drawn.random(rows) < 0.001] = high + 1
    return values


def write_rows(path: Path, table: pa.Table, group_rows: int = 1_000) -> Path:
    """As a file with row groups of so many rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group_rows)
    return path


def read_scored(folder: Path) -> pa.Table:
    """All that was written, file after file by name."""
    return pa.concat_tables(pq.ParquetFile(path).read() for path in sorted(folder.iterdir()))


def predicted(table: pa.Table) -> pa.Table:
    """The rows that have a prediction."""
    return table.filter(table.column("reason").is_null())


def rejected(table: pa.Table) -> pa.Table:
    """The rows that have a reason."""
    return table.filter(table.column("reason").is_valid())


def scored_files(
    database: Database | None, rows: str | Path, into: str | Path, *more: str, exit_code: int = 0
) -> dict[str, object]:
    """What the command counted, or its error."""
    ended = call(database, "score", "--input", str(rows), "--output", str(into), "--json", *more)
    assert ended.exit_code == exit_code, ended.stderr or ended.stdout
    return the_json(ended)


def bytes_below(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
