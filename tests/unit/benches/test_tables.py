"""The pure pieces of the benchmark on other data sets, and the data sets."""

from collections import Counter

import numpy as np
import pytest

from benches.accuracy.peers import EXPLAINABLE
from benches.tables.candidates import CANDIDATES, OURS, SHUFFLES
from benches.tables.data_sets import FOLDER, DataSet, Rows, data_sets, one_hot
from benches.tables.standings import Standings, targets
from benches.tables.trials import Answer, Trial, trials


def test_each_set_is_what_its_provenance_says_and_leaves_all_to_the_fit() -> None:
    provenance = (FOLDER / "PROVENANCE.md").read_text()
    shipped = {path.stem for path in FOLDER.glob("*.csv")}
    for data in data_sets():
        assert {(feature.power, feature.scale) for feature in data.declared} == {(None, None)}
        assert set(np.unique(data.rows.outcomes)) == {0, 1}
        if data.name in shipped:
            assert (
                f"| `{data.name}.csv` | {len(data.rows)} | {data.rows.outcomes.sum()} | "
                in provenance
            )
        else:
            assert f"`{data.name}`" in provenance
    assert shipped <= {data.name for data in data_sets()}


def test_peers_see_a_column_a_code() -> None:
    heart = next(data for data in data_sets() if data.name == "heart")
    seen = one_hot(heart)
    codes = [len(feature.codes) for feature in heart.declared]
    assert seen.shape == (270, sum(max(count, 1) for count in codes))
    assert (seen[:, 1:3].sum(axis=1) == 1).all()  # the two of the second feature


def _answer(data: str, who: str, doubt: float, outcomes: np.ndarray) -> Answer:
    return Answer(Trial(data, who, 0), np.where(outcomes == 1, 1 - doubt, doubt), 1.0)


@pytest.fixture
def standings() -> Standings:
    """Two sets; ours is the best on the first, and second by far on the other."""
    outcomes = np.array([0, 1, 1, 0, 1], dtype=np.int8)
    sets = [
        DataSet(name, (), Rows(np.zeros((5, 0), dtype=np.float32), outcomes))
        for name in ("one", "other")
    ]
    answers = []
    for place, name in enumerate(CANDIDATES):
        answers.append(_answer("one", name, 0.1 + 0.05 * place, outcomes))
        answers.append(
            _answer("other", name, 0.1 + 0.05 * place if name != OURS else 0.16, outcomes)
        )
    return Standings(sets, 1, answers)


def test_ranks_are_means_over_the_sets(standings: Standings) -> None:
    assert standings.mean_rank(OURS, "log_loss") == 1.5
    assert standings.mean_rank(CANDIDATES[1], "log_loss") == 1.5
    assert standings.mean_rank(CANDIDATES[-1], "log_loss") == len(CANDIDATES)
    # All are right on every row.
    assert {standings.mean_rank(name, "error") for name in CANDIDATES} == {1}
    assert standings.mean_rank(CANDIDATES[-1], "auc") == 1


def test_targets_are_missed_where_they_are(standings: Standings) -> None:
    below, firsts, furthest = targets(standings)
    assert (below.found, below.is_met) == ("on 1 of 2", False)
    assert (firsts.found, firsts.is_met) == ("on 1, by 0.005 or more on 1", False)
    assert standings.behind("one") < 0
    assert standings.behind("other") == pytest.approx(np.log(0.85 / 0.84))
    assert (furthest.found, furthest.is_met) == ("0.0118 (other)", False)


def test_a_small_lead_is_counted_and_named_as_none() -> None:
    outcomes = np.array([0, 1, 1, 0, 1], dtype=np.int8)
    sets = [
        DataSet(name, (), Rows(np.zeros((5, 0), dtype=np.float32), outcomes))
        for name in ("far", "near", "behind")
    ]
    doubts = {"far": 0.2, "near": 0.103, "behind": 0.097}
    answers = [
        _answer(name, who, 0.1 if who == OURS else doubt, outcomes)
        for name, doubt in doubts.items()
        for who in CANDIDATES
    ]
    standings = Standings(sets, 1, answers)
    assert targets(standings)[1].found == "on 2, by 0.005 or more on 1"
    assert standings.level() == {
        "near": pytest.approx(np.log(0.897 / 0.9)),
        "behind": pytest.approx(np.log(0.903 / 0.9)),
    }


def test_the_slow_are_asked_first_and_on_fewer_shuffles() -> None:
    asked = trials(["haberman", "breast_cancer"], 5)
    counts = Counter(trial.candidate for trial in asked)
    assert counts == {name: 2 * SHUFFLES.get(name, 5) for name in CANDIDATES}
    first = [(trial.candidate, trial.data) for trial in asked[:2]]
    assert first == [(EXPLAINABLE, "breast_cancer"), (EXPLAINABLE, "haberman")]
