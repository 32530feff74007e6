"""Which rows may judge a model that was fitted under another share of the holdout; what one share keeps for ever."""

from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pima.core.history import History, Split, split
from pima.core.holdout import in_holdout
from pima.core.learned import unseen_by
from pima.core.validation import Measurements
from pima.reading_settings import read_settings
from pima.training.retraining import fit_fingerprint, gate_fingerprint, seed_of
from tests.conftest import FEATURES, ROOT, SALT, SHIPPED
from tests.unit.as_learned import as_learned

SOUND = (6, 148, 72, 35, 0, 33.6, 0.627, 50)


def _history(glucose: dict[int, int]) -> History:
    """Labelled rows by id, which differ in one measurement; those with the same one are twins."""
    ids = np.array(sorted(glucose), dtype=np.int64)
    values = np.tile(np.array(SOUND, dtype=np.float64), (len(ids), 1))
    values[:, 1] = [glucose[patient_id] for patient_id in ids.tolist()]
    outcomes = (ids % 2).astype(np.int8)
    return History(ids, Measurements(values, np.zeros(values.shape, dtype=bool)), outcomes, ids * 1000)


def _contents(features: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in features}


rows = st.dictionaries(st.integers(1, 60), st.integers(50, 120), max_size=40)
shares = st.floats(0.05, 0.95)


@settings(max_examples=300)
@given(then=rows, now=rows, share_then=shares, share_now=shares, salt=st.text(max_size=8))
def test_no_row_that_a_model_learned_from_judges_it_under_another_share(
    then: dict[int, int], now: dict[int, int], share_then: float, share_now: float, salt: str
) -> None:
    """Between the two, rows came, went, were corrected, and came again under the same or another id."""
    learned_from = split(_history(then), FEATURES, salt, share_then).training
    holdout = split(_history(now), FEATURES, salt, share_now).holdout
    exact = unseen_by(as_learned(share_then, learned_from), holdout, holdout.features, salt)
    among_them = np.isin(holdout.patient_ids, learned_from.patient_ids)
    as_one_of_them = [row in _contents(learned_from.features) for row in _contents_in_order(holdout.features)]
    # Neither one too many nor one too few.
    assert exact.tolist() == [not (by_id or twin) for by_id, twin in zip(among_them, as_one_of_them, strict=True)]
    by_hash = unseen_by(as_learned(share_then, None), holdout, holdout.features, salt)
    assert not (by_hash & among_them).any()
    assert by_hash.tolist() == in_holdout(holdout.patient_ids, salt, min(share_then, share_now)).tolist()


def _contents_in_order(features: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in features]


def test_a_share_that_was_doubled_puts_training_rows_into_the_test_set_and_they_are_told() -> None:
    before, after = _shipped(0.30), _shipped(0.60)
    learned = np.isin(after.holdout.patient_ids, before.training.patient_ids)
    assert (len(after.holdout), int(learned.sum())) == (479, 239)
    for known in (before.training, None):
        unseen = unseen_by(as_learned(0.30, known), after.holdout, after.holdout.features, SALT)
        assert (unseen == ~learned).all()
    # The other way round nobody in the smaller holdout was ever learned from.
    assert unseen_by(as_learned(0.60, after.training), before.holdout, before.holdout.features, SALT).all()
    assert unseen_by(as_learned(0.60, None), before.holdout, before.holdout.features, SALT).all()


def _shipped(share: float) -> Split:
    table = np.loadtxt(SHIPPED, delimiter=",")
    ids = np.arange(1, len(table) + 1)
    measurements = Measurements(table[:, :8], np.zeros((len(table), 8), dtype=bool))
    return split(History(ids, measurements, table[:, 8].astype(np.int8), ids * 1000), FEATURES, SALT, share)


def test_an_installation_that_never_changed_its_share_keeps_its_fingerprints_and_seeds() -> None:
    # Written down before shares had generations: other ones would judge old data anew and fit other models.
    shipped = read_settings(Path(ROOT / "config" / "pima.toml"), {})
    assert fit_fingerprint(shipped, FEATURES) == "12b45a1438844d408531a2e30c81c530d9ea8943ac21868b847ddef02cdd48ff"
    # The gate of then asked for no log loss.
    without = msgspec.structs.replace(shipped, gate=msgspec.structs.replace(shipped.gate, log_loss_veto=False))
    assert gate_fingerprint(without, FEATURES) == "9e3ceadd995a9789dfbed2d2cf8f3f22268f6c10796140255bca56377267e1fc"
    parted = _shipped(shipped.holdout.share)
    assert parted.fingerprint == "7ae6386fb47f885ec81916f2ceb7ea9dd46d82bfb631b5e9579b529b284486ea"
    assert seed_of(parted, shipped.retrain) == 788546455
