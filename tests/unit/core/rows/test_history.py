"""The history's sides: who may judge a model, twins of holdout rows, and the rows as an older
version takes them."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from benches.accuracy.shipped import shipped_rows
from pima.core.declared.features import Declaration, Feature, Features, Outcome
from pima.core.rows.history import (
    MOST_TWINS,
    Split,
    as_taken,
    equal_rows,
    features_of,
    shortage,
    split,
    unseen_by,
)
from pima.model.recipes import fit_fingerprint, recipe_for
from pima.settings.reading import read_settings
from pima.train.fit import seed_of
from pima.train.gate import gate_fingerprint
from tests.support.labelled import as_learned, labelled, side_of
from tests.support.shipped import FEATURE_NAMES, FEATURES, ROOT, SALT, SHIPPED

SOUND = (6, 148, 72, 35, 0, 33.6, 0.627, 50)


def _history(glucose: dict[int, int], salt: str, share: float) -> pd.DataFrame:
    """Labelled rows by id, which differ in one measurement; those with the same one are twins."""
    ids = sorted(glucose)
    values = np.tile(np.array(SOUND, dtype=np.float64), (len(ids), 1))
    values[:, 1] = [glucose[patient_id] for patient_id in ids]
    return labelled(values, np.array(ids, dtype=np.int64) % 2, salt, share, ids)


rows = st.dictionaries(st.integers(1, 60), st.integers(50, 60), max_size=20)


@settings(max_examples=60)
@given(then=rows, now=rows, share=st.floats(0.05, 0.95), salt=st.text(max_size=8))
def test_no_row_that_a_model_learned_from_judges_it(
    then: dict[int, int], now: dict[int, int], share: float, salt: str
) -> None:
    """Between the two, rows came, went, were corrected, and came again under the same or another
    id."""
    learned_from = split(_history(then, salt, share), FEATURES).training
    holdout = split(_history(now, salt, share), FEATURES).holdout
    unseen = unseen_by(as_learned(learned_from), holdout)
    assert not holdout.index.isin(learned_from.index).any()
    known = {row.tobytes() for row in features_of(learned_from)}
    # Neither one too many nor one too few.
    assert unseen.tolist() == [row.tobytes() not in known for row in features_of(holdout)]


def test_the_shipped_settings_keep_their_fingerprints_and_seeds() -> None:
    # Written down once: other ones would judge old data anew and fit other models.
    shipped = read_settings(Path(ROOT / "config" / "pima.toml"), {})
    recipe = recipe_for(shipped.retrain.network, FEATURES)
    assert (
        fit_fingerprint(shipped, recipe, FEATURES)
        == "5b16b9fd918dd7492eedcf478e25279370fbbf3baa56b6edcb5127d3f369159e"
    )
    assert (
        gate_fingerprint(shipped, recipe, FEATURES)
        == "61940c7bfef104bf83a6d8b23361f591fceb09af6ac64bc2983a54a9b64383f2"
    )
    rows = shipped_rows()
    parted = split(labelled(rows.raw, rows.outcomes, SALT, shipped.holdout.share), FEATURES)
    assert parted.fingerprint == "7ae6386fb47f885ec81916f2ceb7ea9dd46d82bfb631b5e9579b529b284486ea"
    assert seed_of(parted, shipped.retrain) == 788546455


COARSE = (
    Feature("age", low=0, high=120),
    Feature("sex", kind="category", codes={0: "male", 1: "female"}),
    *(Feature(f"code{n}", kind="category", codes={0: "a", 1: "b", 2: "c"}) for n in range(5)),
)


def _coarse(rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(rows)
    codes = draw.choice(3, (5, rows), p=(0.9, 0.08, 0.02))  # as most codes are: one is common
    columns = [draw.integers(40, 90, rows), draw.integers(0, 2, rows), *codes]
    values, names = (
        np.stack(columns, axis=1).astype(np.float64),
        [feature.name for feature in COARSE],
    )
    return labelled(values, draw.integers(0, 2, rows), "salt", 0.30, names=names)


def _twins(side: pd.DataFrame, holdout: pd.DataFrame) -> int:
    return int(equal_rows(side, holdout, [feature.name for feature in COARSE]).sum())


def test_where_most_rows_are_twins_they_stay_and_are_counted() -> None:
    found = split(_coarse(5_000), COARSE, MOST_TWINS)
    assert found.left_out == {}
    assert found.twins_kept == _twins(found.training, found.holdout) > 0.5 * len(found.training)
    # Nor do they keep a row from judging then.
    assert unseen_by(as_learned(found.training), found.holdout, by_features=False).all()
    assert not unseen_by(as_learned(found.training), found.holdout).all()


@pytest.mark.parametrize(("share", "left_out"), [(0.04, True), (0.06, False)])
def test_the_limit_is_a_twentieth_of_the_training_rows(share: float, left_out: bool) -> None:
    history = _coarse(2_000)
    history["age"] = np.linspace(18, 90, 2_000)  # no two rows are alike
    apart = split(history, COARSE, MOST_TWINS)
    assert (apart.left_out, apart.twins_kept) == ({}, 0)
    wanted = math.ceil(share * len(apart.training))
    names = [feature.name for feature in COARSE]
    twins, held = apart.training.index[:wanted], apart.holdout.index[:wanted]
    history.loc[twins, names] = history.loc[held, names].to_numpy()
    found = split(history, COARSE, MOST_TWINS)
    assert found.left_out == ({"twin_of_holdout": wanted} if left_out else {})
    assert found.twins_kept == (0 if left_out else wanted)
    assert len(found.training) == len(apart.training) - (wanted if left_out else 0)


def test_without_a_limit_no_twin_is_ever_trained_on() -> None:
    found = split(_coarse(5_000), COARSE)
    assert found.twins_kept == _twins(found.training, found.holdout) == 0
    assert found.left_out["twin_of_holdout"] > 2_000


A, B = Feature("a", low=0, high=10), Feature("b", low=0, high=10, may_be_missing=True)
OLD = Feature("old", low=0, high=10)
CODED = Feature("coded", kind="category", codes={0: "no", 1: "yes"}, may_be_missing=True)
DECLARED = Declaration(Outcome("ill"), (A, B), (OLD, CODED))


def _side() -> pd.DataFrame:
    rows = side_of(np.array([[1, 2], [3, np.nan], [5, 6], [7, 8]]), np.zeros(4), names=["a", "b"])
    return rows.assign(old=[4.0, 11.0, 5.0, np.nan], coded=[1.0, 0.0, 2.0, np.nan])


def test_a_version_of_todays_features_takes_the_rows_as_they_are() -> None:
    taken, scorable = as_taken(_side(), DECLARED, (A, B))
    pd.testing.assert_frame_equal(taken, _side().drop(columns=["old", "coded"]))
    assert scorable.all()


LOWER = Declaration(Outcome("ill"), (replace(A, low=-5), B))
ODD_CODES = replace(
    CODED, name="a", codes={1: "one", 3: "three", 5: "five", 7: "seven"}, may_be_missing=False
)


@pytest.mark.parametrize(
    ("declared", "fitted", "scorable", "taken"),
    [
        (DECLARED, (B,), [True] * 4, [[2], [np.nan], [6], [8]]),
        (
            DECLARED,
            (OLD, A),
            [True, False, True, False],
            [[4, 1], [5, 5]],
        ),  # out of range, and missing
        (DECLARED, (CODED, B), [True, True, False, True], [[1, 2], [0, np.nan], [np.nan, 8]]),
        (LOWER, (replace(A, low=3), B), [False, True, True, True], [[3, np.nan], [5, 6], [7, 8]]),
        (
            Declaration(Outcome("ill"), (ODD_CODES, B)),
            (replace(ODD_CODES, codes={1: "one", 7: "seven"}), B),
            [True, False, False, True],  # a code that the fit never saw
            [[1, 2], [7, 8]],
        ),
    ],
)
def test_rows_are_judged_and_taken_by_the_rules_of_the_features_that_a_version_has(
    declared: Declaration, fitted: Features, scorable: list[bool], taken: list[list[float]]
) -> None:
    found, are_scorable = as_taken(_side(), declared, fitted)
    assert are_scorable.tolist() == scorable
    np.testing.assert_array_equal(
        features_of(found)[are_scorable], np.array(taken, dtype=np.float32)
    )


def test_a_value_that_stands_at_the_end_of_the_range_is_in_it_however_it_was_rounded() -> None:
    side = _side().assign(
        a=np.array([0.7, 0.6, -1, 7], dtype=np.float32)
    )  # 0.7 as float32 is below 0.7
    assert as_taken(side, LOWER, (replace(A, low=0.7), B))[1].tolist() == [True, False, False, True]


def test_features_may_be_called_as_the_history_calls_its_own_columns_in_lower_case() -> None:
    declared = tuple(Feature(name, low=0, high=100) for name in ("person", "side", "keyed", "rank"))
    values = np.random.default_rng(5).random((100, 4))
    history = labelled(
        values, np.arange(100) % 2, SALT, 0.30, names=[feature.name for feature in declared]
    )
    found = split(history, declared)
    both = pd.concat([found.training, found.holdout]).sort_index()
    assert features_of(both).tolist() == values.astype(np.float32).tolist()
    assert set(found.holdout["Side"]) == {"holdout"}


def test_the_network_gets_its_rows_in_c_order_whatever_was_picked_of_them() -> None:
    found = _shipped_split()
    for rows in (
        found.training,
        found.holdout,
        found.training[::2],
        found.training[list(FEATURE_NAMES[::-1])],
    ):
        assert features_of(rows).flags.c_contiguous
        assert features_of(rows).dtype == np.float32


def test_twins_are_found_whatever_is_missing() -> None:
    held = np.array([[1, 2, np.nan, 4, 5, 6, 7, 8], [0.0, 1, 1, 1, 1, 1, 1, 1]], dtype=np.float32)
    rows = np.array(
        [held[0], held[0] + 1, held[1] * np.float32(-1) * np.float32(-1), held[1]], dtype=np.float32
    )
    rows[2, 0] = -0.0
    rows[0, 2] = np.copysign(np.float32(np.nan), -1)
    twins = equal_rows(
        *(pd.DataFrame(each, columns=FEATURE_NAMES) for each in (rows, held)), list(FEATURE_NAMES)
    )
    assert twins.tolist() == [True, False, True, True]


def _shipped_split(salt: str = "salt") -> Split:
    return _split_of(np.loadtxt(SHIPPED, delimiter=","), salt)


def _split_of(rows: np.ndarray, salt: str) -> Split:
    return split(labelled(rows[:, :8], rows[:, 8], salt, 0.30), FEATURES)


def test_the_history_is_split_without_anybody_on_both_sides() -> None:
    divided = _shipped_split()
    assert len(divided.training) + len(divided.holdout) == 768
    assert not set(divided.training.index) & set(divided.holdout.index)
    assert divided.left_out == {}
    assert (
        divided.fingerprint == _shipped_split().fingerprint != _shipped_split("another").fingerprint
    )


def test_a_changed_value_or_outcome_changes_the_fingerprint() -> None:
    rows = np.loadtxt(SHIPPED, delimiter=",")
    fingerprints = {_shipped_split().fingerprint}
    for column in (1, 8):
        changed = rows.copy()
        changed[5, column] = 1 - changed[5, column] if column == 8 else changed[5, column] + 1
        fingerprints.add(_split_of(changed, "salt").fingerprint)
    assert len(fingerprints) == 3


@pytest.mark.parametrize(
    ("labels", "of_each", "expected"),
    [
        (100, 10, None),
        (769, 10, "768 usable labelled rows, 769 needed"),
        (100, 10_000, "training rows with outcome 0"),
    ],
)
def test_a_shortage_is_named(labels: int, of_each: int, expected: str | None) -> None:
    found = shortage(_shipped_split(), labels, of_each)
    assert found == expected if expected is None else expected in (found or "")
