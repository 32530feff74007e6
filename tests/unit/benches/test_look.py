"""The pure pieces of the look at new tables."""

import numpy as np
import pytest

from benches.accuracy.peers import CATBOOST, EXPLAINABLE
from benches.look.cells import Cell, cell_of, promises
from benches.look.drafted import with_noise
from benches.look.frozen import frozen
from benches.look.noise import tables
from benches.look.rule import FOLDS, REALMLP, RULED, sizes
from benches.look.trials import parted, trials
from benches.tables.candidates import OURS
from benches.tables.data_sets import data_sets

SLOW = (CATBOOST, EXPLAINABLE, REALMLP)


def test_sizes_end_at_what_a_fold_has() -> None:
    assert sizes(616) == [100, 300]
    assert sizes(1346) == [100, 300, 1000]
    assert sizes(2838) == [100, 300, 1000, 2000]
    assert sizes(10676) == [100, 300, 1000, 3000]


def test_all_candidates_learn_from_the_same_rows_and_none_that_they_are_asked() -> None:
    heart = next(data for data in data_sets() if data.name == "heart")
    tested = []
    for fold in range(FOLDS):
        training, test = parted(heart, fold, 100)
        again, _ = parted(heart, fold, 100)
        assert (training == again).all()
        assert len(set(training)) == 100
        assert not set(training) & set(test)
        tested += list(test)
    assert sorted(tested) == list(range(270))
    asked = trials([heart], [with_noise(heart)])
    assert len(set(asked)) == len(asked)


def test_noise_stands_beside_a_table_s_own_columns() -> None:
    heart = next(data for data in data_sets() if data.name == "heart")
    noisy = with_noise(heart)
    assert len(noisy.declared) == noisy.rows.features.shape[1] == 13 + 60
    assert np.array_equal(noisy.rows.features[:, :13], heart.rows.features)
    assert np.array_equal(with_noise(heart).rows.features, noisy.rows.features)


def test_the_tables_of_the_look_at_noise_are_those_that_were_named_before() -> None:
    assert [each.name for each in tables()] == frozen()["noise"]["tables"]


def test_the_error_of_a_cell_is_the_larger_one() -> None:
    outcomes = np.array([0, 1, 0, 1], dtype=np.int8)
    ours = np.array([0.3, 0.7, 0.2, 0.8])
    lucky = [(ours, shift + (1 - 2 * shift) * ours, outcomes) for shift in (0.0, 0.2, 0.4)]
    by_folds = cell_of("a", 100, "b", lucky)
    means = [cell_of("a", 100, "b", [each]).behind for each in lucky]
    assert by_folds.behind == pytest.approx(np.mean(means))
    assert by_folds.error == pytest.approx(np.std(means, ddof=1) / np.sqrt(3))
    alike = [(ours, np.full(4, 0.5), outcomes)] * 3
    by_rows = cell_of("a", 100, "b", alike)
    differences = np.log(0.5) - np.log([0.7, 0.7, 0.8, 0.8])
    assert by_rows.behind == pytest.approx(differences.mean())
    assert by_rows.error == pytest.approx(differences.std(ddof=1) / np.sqrt(12))


def _cells(*errors_behind: float) -> list[Cell]:
    return [
        Cell("a", 100, RULED[n % 2], 0.001 * behind, 0.001)
        for n, behind in enumerate(errors_behind)
    ]


@pytest.mark.parametrize(
    ("cells", "noisy", "kept"),
    [
        (_cells(-3, -2.5, 2, 1), _cells(-1, -2), [True, True, True, True]),
        (_cells(2, 2, 2, 2, -9, -9), _cells(-1, -2), [False, True, True, True]),
        (_cells(3, -9, -4, -9), _cells(-1, -2), [True, False, True, True]),
        (_cells(1.5, -9, 1.5, -9), _cells(-1, 0), [True, True, False, False]),
    ],
)
def test_the_rule_is_read_as_it_was_written(
    cells: list[Cell], noisy: list[Cell], kept: list[bool]
) -> None:
    assert [each.is_kept for each in promises(cells, noisy)] == kept


def test_the_first_folds_come_before_the_slow_rivals_and_the_last_after() -> None:
    heart = next(data for data in data_sets() if data.name == "heart")
    asked = trials([heart], [with_noise(heart)])
    others = [n for n, trial in enumerate(asked) if trial.candidate in SLOW]
    ruled = [n for n, trial in enumerate(asked) if trial.candidate == OURS]
    before = [asked[n].fold for n in ruled if n < min(others)]
    after = [asked[n].fold for n in ruled if n > max(others)]
    assert (set(before), set(after)) == ({0, 1, 2}, {3, 4})
    assert len(before) + len(after) == 2 * FOLDS
