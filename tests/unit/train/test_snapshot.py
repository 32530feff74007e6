"""Training snapshots: exactly the rows of a fit, and back."""

import io

import numpy as np
import pyarrow.parquet as pq

from pima.core.history import Side
from pima.train.snapshot import from_parquet, ids_from_parquet, ids_to_parquet, to_parquet
from tests.conftest import FEATURE_NAMES


def _side() -> Side:
    features = np.random.default_rng(2).normal(size=(50, 8)).astype(np.float32)
    features[::7, 4] = np.nan
    features[3] = np.nan
    outcomes = (np.arange(50) % 2).astype(np.int8)
    return Side(np.arange(50) * 2**40 + 1, features, outcomes, np.arange(50) * 1_000 + 1_700_000_000_000)


def test_what_comes_back_is_what_went_in_to_the_bit() -> None:
    side = _side()
    back = from_parquet(to_parquet(side, FEATURE_NAMES), FEATURE_NAMES)
    assert back.fingerprint == side.fingerprint
    assert back.features.tobytes() == np.where(np.isnan(side.features), np.float32(np.nan), side.features).tobytes()
    assert (back.labelled_at_ms == side.labelled_at_ms).all()
    assert (back.patient_ids.dtype, back.outcomes.dtype) == (np.int64, np.int8)


def test_any_tool_can_read_it() -> None:
    table = pq.read_table(io.BytesIO(to_parquet(_side(), FEATURE_NAMES)))
    assert table.column_names[:2] == ["patient_id", "pregnancies"]
    assert table["insulin"].null_count == 9
    metadata = pq.ParquetFile(io.BytesIO(to_parquet(_side(), FEATURE_NAMES))).metadata
    assert metadata.row_group(0).column(3).compression == "ZSTD"


def test_the_same_rows_give_the_same_bytes() -> None:
    assert to_parquet(_side(), FEATURE_NAMES) == to_parquet(_side(), FEATURE_NAMES)


def test_ids_alone_come_back_and_are_small() -> None:
    drawn = np.flatnonzero(np.random.default_rng(3).random(1_000_000) < 0.7) + 1
    content = ids_to_parquet(drawn)
    assert (ids_from_parquet(content) == drawn).all()
    assert len(content) < 200_000
    given = np.array([1, 2**40, 2**62], dtype=np.int64)
    assert ids_from_parquet(ids_to_parquet(given)).tolist() == given.tolist()
    assert ids_from_parquet(ids_to_parquet(given[:0])).tolist() == []
