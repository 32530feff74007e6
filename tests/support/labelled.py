"""Labelled rows as a retraining has them: read, and one side of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray, Int64Array
from pima.core.declared.features import names_of
from pima.core.rows.history import below, ranked, ranks, with_sides
from pima.settings.reading import SHIPPED


def labelled(
    values: np.ndarray,
    outcomes: np.ndarray,
    salt: str,
    share: float,
    ids: Sequence[int] | None = None,
    names: Sequence[str] = names_of(SHIPPED.features),
    labelled_at_ms: np.ndarray | None = None,
    keys: tuple[Sequence[str], Sequence[str | None]] | None = None,
    renamed: Sequence[tuple[str, str]] = (),
) -> pd.DataFrame:
    """A history with measurements (n, features), NaN for NULL. `keys` are first names and persons
    of the rows, and `renamed` those of rows that were first called otherwise."""
    index = pd.Index(range(1, len(values) + 1) if ids is None else ids, dtype="int64", name="id")
    first, persons = keys or (list(map(str, index)), [None] * len(index))
    times = index.to_numpy() * 1000 if labelled_at_ms is None else labelled_at_ms
    known = pd.DatetimeIndex(times.astype("M8[ms]"), tz="UTC")
    rows = pd.DataFrame(values, index, names).assign(
        outcome=outcomes.astype(np.int8), labelled_at=known, Over=known
    )
    rows = pd.concat([rows, ranked(first, persons, salt).set_index(index)], axis=1)
    return with_sides(
        rows, ranked([one for one, _ in renamed], [person for _, person in renamed], salt), share
    )


def side_of(
    features: np.ndarray,
    outcomes: np.ndarray,
    ids: Sequence[int] | None = None,
    names: Sequence[str] = names_of(SHIPPED.features),
) -> pd.DataFrame:
    """Rows that nobody's person is known of, with features (n, features) as the model takes
    them."""
    return labelled(features, outcomes, "salt", 0.0, ids, names).astype(
        dict.fromkeys(names, "float32")
    )


def as_learned(rows: pd.DataFrame) -> pd.DataFrame:
    """A version whose rows are kept, and that nobody called otherwise than by their persons
    since."""
    return rows.assign(Rank=rows["Person"])


def in_holdout(patient_ids: Int64Array, salt: str, share: float) -> BoolArray:
    """Membership of rows of their own, (n,), each called by its id."""
    return below(ranks((b"%d" % patient_id for patient_id in patient_ids.tolist()), salt), share)
