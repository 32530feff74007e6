"""Cross-validation of one candidate on one shuffle of one data set, in whatever process it is
asked."""

import time
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedKFold

from benches.accuracy.peers import EXPLAINABLE
from benches.tables.candidates import CANDIDATES, SHUFFLES, answers
from benches.tables.data_sets import data_sets
from pima.core.arrays import Float64Array

FOLDS = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """What is asked."""

    data: str
    candidate: str
    shuffle: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it."""

    trial: Trial
    probabilities: Float64Array
    """(n,), of every row by the fit that had not seen it."""
    seconds: float
    """A fit and its answers, on average."""


def trials(names: list[str], shuffles: int) -> list[Trial]:
    """All of them, the slowest first, so that no process waits long for the last."""
    asked = [
        Trial(data, candidate, shuffle)
        for data in names
        for candidate in CANDIDATES
        for shuffle in range(min(shuffles, SHUFFLES.get(candidate, shuffles)))
    ]
    widest_first = {data.name: -len(data.declared) for data in data_sets()}
    return sorted(
        asked, key=lambda trial: (trial.candidate != EXPLAINABLE, widest_first[trial.data])
    )


def attempt(trial: Trial) -> Answer:
    """The same folds for all; a seed a fold."""
    data = next(each for each in data_sets() if each.name == trial.data)
    probabilities = np.empty(len(data.rows))
    start = time.perf_counter()
    parted = StratifiedKFold(FOLDS, shuffle=True, random_state=trial.shuffle)
    for fold, (training, test) in enumerate(parted.split(data.rows.features, data.rows.outcomes)):
        seed = 1000 * (FOLDS * trial.shuffle + fold)
        probabilities[test] = answers(trial.candidate, data, training, test, seed)
    return Answer(trial, probabilities, (time.perf_counter() - start) / FOLDS)
