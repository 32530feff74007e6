"""Which rows may judge a model, and what one share of the holdout keeps for ever."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pima.core.history import History, split
from pima.core.history import unseen_by
from pima.core.validation import Measurements
from pima.settings.reading import read_settings
from pima.train.fit import fit_fingerprint, seed_of
from pima.train.gate import gate_fingerprint
from tests.bench.accuracy.shipped import shipped_rows
from tests.conftest import FEATURES, ROOT, SALT
from tests.unit.as_learned import as_learned

SOUND = (6, 148, 72, 35, 0, 33.6, 0.627, 50)


def _history(glucose: dict[int, int]) -> History:
    """Labelled rows by id, which differ in one measurement; those with the same one are twins."""
    ids = np.array(sorted(glucose), dtype=np.int64)
    values = np.tile(np.array(SOUND, dtype=np.float64), (len(ids), 1))
    values[:, 1] = [glucose[patient_id] for patient_id in ids.tolist()]
    outcomes = (ids % 2).astype(np.int8)
    return History(ids, Measurements(values, np.zeros(values.shape, dtype=bool)), outcomes, ids * 1000)


rows = st.dictionaries(st.integers(1, 60), st.integers(50, 120), max_size=40)


@settings(max_examples=300)
@given(then=rows, now=rows, share=st.floats(0.05, 0.95), salt=st.text(max_size=8))
def test_no_row_that_a_model_learned_from_judges_it(
    then: dict[int, int], now: dict[int, int], share: float, salt: str
) -> None:
    """Between the two, rows came, went, were corrected, and came again under the same or another id."""
    learned_from = split(_history(then), FEATURES, salt, share).training
    holdout = split(_history(now), FEATURES, salt, share).holdout
    unseen = unseen_by(as_learned(learned_from), holdout, holdout.features)
    assert not np.isin(holdout.patient_ids, learned_from.patient_ids).any()
    known = {row.tobytes() for row in learned_from.features}
    # Neither one too many nor one too few.
    assert unseen.tolist() == [row.tobytes() not in known for row in holdout.features]


def test_the_shipped_settings_keep_their_fingerprints_and_seeds() -> None:
    # Written down once: other ones would judge old data anew and fit other models.
    shipped = read_settings(Path(ROOT / "config" / "pima.toml"), {})
    assert fit_fingerprint(shipped, FEATURES) == "5b16b9fd918dd7492eedcf478e25279370fbbf3baa56b6edcb5127d3f369159e"
    assert gate_fingerprint(shipped, FEATURES) == "61940c7bfef104bf83a6d8b23361f591fceb09af6ac64bc2983a54a9b64383f2"
    rows, ids = shipped_rows(), np.arange(1, 769)
    measurements = Measurements(rows.raw, np.zeros(rows.raw.shape, dtype=bool))
    parted = split(History(ids, measurements, rows.outcomes, ids * 1000), FEATURES, SALT, shipped.holdout.share)
    assert parted.fingerprint == "7ae6386fb47f885ec81916f2ceb7ea9dd46d82bfb631b5e9579b529b284486ea"
    assert seed_of(parted, shipped.retrain) == 788546455
