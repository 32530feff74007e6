"""Training snapshots: exactly the rows of a fit, and back."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from pima.core.rows.history import equal_rows, features_of, fingerprint_of
from pima.store.models.lineage import from_parquet, ids_from_parquet, ids_to_parquet, to_parquet
from tests.support.labelled import side_of
from tests.support.shipped import FEATURE_NAMES


def _side() -> pd.DataFrame:
    features = np.random.default_rng(2).normal(size=(50, 8)).astype(np.float32)
    features[::7, 4] = np.nan
    features[3] = np.nan
    return side_of(features, np.arange(50) % 2, np.arange(50) * 2**40 + 1)


def test_what_comes_back_is_what_went_in_to_the_bit() -> None:
    side = _side()
    back = from_parquet(to_parquet(side), FEATURE_NAMES)
    assert fingerprint_of(back) == fingerprint_of(side)
    known = np.where(np.isnan(features_of(side)), np.float32(np.nan), features_of(side))
    assert features_of(back).tobytes() == known.tobytes()
    pd.testing.assert_frame_equal(back, side[list(back.columns)])
    # What is missing is so by the same bits, by which equal rows are found.
    assert equal_rows(back, side, list(FEATURE_NAMES)).all()


def test_any_tool_can_read_it() -> None:
    table = pq.read_table(io.BytesIO(to_parquet(_side())))
    assert table.column_names[:2] == ["patient_id", "pregnancies"]
    assert table["insulin"].null_count == 9
    metadata = pq.ParquetFile(io.BytesIO(to_parquet(_side()))).metadata
    assert metadata.row_group(0).column(3).compression == "ZSTD"


def test_the_same_rows_give_the_same_bytes() -> None:
    assert to_parquet(_side()) == to_parquet(_side())


def test_ids_alone_come_back_and_are_small() -> None:
    drawn = np.flatnonzero(np.random.default_rng(3).random(1_000_000) < 0.7) + 1
    content = ids_to_parquet(drawn)
    assert (ids_from_parquet(content) == drawn).all()
    assert len(content) < 200_000
    given = np.array([1, 2**40, 2**62], dtype=np.int64)
    assert ids_from_parquet(ids_to_parquet(given)).tolist() == given.tolist()
    assert ids_from_parquet(ids_to_parquet(given[:0])).tolist() == []
