"""python -m benches.scale.copying FROM TO: what pyarrow alone takes to read the columns that
scoring reads and to write as many and as wide as it writes, with pyarrow's zstd. No rules, no
model, no renaming, nothing counted."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benches.speed.peak import peak_mb
from pima.settings.reading import SHIPPED

ROWS = 100_000
"""Of a batch, as scoring has."""
# As varied as what a model says of random rows.
_CLASSES = pa.py_buffer(np.random.default_rng(1).integers(0, 2, ROWS, dtype=np.int8))
_VERSIONS = pa.py_buffer(np.ones(ROWS, dtype=np.int32))


def copy(source: Path, into: Path) -> None:
    """Every file."""
    into.mkdir()
    for path in sorted(source.glob("*.parquet")):
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            _copy(file, into / path.name)


def _copy(file: pq.ParquetFile, path: Path) -> None:
    writer = None
    for batch in file.iter_batches(ROWS, columns=["id", *SHIPPED.names]):
        rows = batch.num_rows
        written = pa.RecordBatch.from_arrays(
            [
                batch.column("id"),
                batch.column("diabetes_pedigree"),
                pa.Array.from_buffers(pa.int8(), rows, [None, _CLASSES]),
                pa.Array.from_buffers(pa.int32(), rows, [None, _VERSIONS]),
            ],
            names=["id", "probability", "predicted_class", "model_version"],
        )
        writer = writer or pq.ParquetWriter(
            path, written.schema, compression="zstd", use_dictionary=False
        )
        writer.write_batch(written)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    copy(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f'{{"seconds": 0.0, "peak_mb": {peak_mb()}}}')
