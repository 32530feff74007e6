"""A fit and its answers: one candidate, one fold, one size of a table."""

import time
from dataclasses import dataclass

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold, train_test_split
from threadpoolctl import threadpool_limits

from benches.look.rule import (
    FOLDS,
    LEAST_FOLDS,
    NOISE_RIVAL,
    OTHERS,
    OTHERS_SIZE,
    REALMLP,
    RULED,
    sizes,
)
from benches.tables.candidates import OURS, answers
from benches.tables.data_sets import DataSet, one_hot
from pima.core.arrays import Float64Array


@dataclass(frozen=True, slots=True, order=True)
class Trial:
    """What is asked."""

    data: str
    size: int
    candidate: str
    fold: int


def trials(sets: list[DataSet], noisy: list[DataSet]) -> list[Trial]:
    """All of them, fold by fold: the first folds of what the rule is about, the other rivals, and
    then the last folds."""
    ruled = [
        Trial(data.name, size, candidate, fold)
        for fold in range(FOLDS)
        for data in sets
        for size in sizes(len(data.rows))
        for candidate in (OURS, *RULED)
    ]
    ruled += [
        Trial(data.name, sizes(len(data.rows))[-1], candidate, fold)
        for fold in range(FOLDS)
        for data in noisy
        for candidate in (OURS, NOISE_RIVAL)
    ]
    others = [
        Trial(data.name, min(OTHERS_SIZE, sizes(len(data.rows))[-1]), candidate, fold)
        for candidate, folds in OTHERS.items()
        for data in sets
        for fold in range(folds)
    ]
    first = [trial for trial in ruled if trial.fold < LEAST_FOLDS]
    last = sorted(set(ruled) - set(first), key=lambda trial: (trial.fold, ruled.index(trial)))
    return first + others + last


def attempt(trial: Trial, data: DataSet) -> tuple[Float64Array, float]:
    """Probabilities of the fold's rows, and the seconds of the processor. All candidates learn
    from the same rows."""
    training, test = parted(data, trial.fold, trial.size)
    start = time.process_time()
    seed = 1000 * trial.fold
    if trial.candidate == REALMLP:
        found = _real_mlp(data, training, test, seed)
    else:
        found = answers(trial.candidate, data, training, test, seed)
    return found, time.process_time() - start


def parted(data: DataSet, fold: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The fold's training rows, drawn by outcome from all others, and its test rows."""
    outcomes = data.rows.outcomes
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    rest, test = list(folds.split(outcomes, outcomes))[fold]
    if size == len(rest):
        return rest, test
    training, _ = train_test_split(
        rest, train_size=size, stratify=outcomes[rest], random_state=fold
    )
    return training, test


def _real_mlp(data: DataSet, training: np.ndarray, test: np.ndarray, seed: int) -> Float64Array:
    from pytabkit import RealMLP_TD_Classifier

    inputs = SimpleImputer(strategy="median").fit(one_hot(data)[training])
    taken = inputs.transform(one_hot(data)).astype(np.float32)
    with threadpool_limits(1):
        # What its authors recommend where probabilities are judged.
        model = RealMLP_TD_Classifier(
            device="cpu",
            random_state=seed,
            n_threads=1,
            val_metric_name="cross_entropy",
            use_ls=False,
        )
        model.fit(taken[training], data.rows.outcomes[training])
        return model.predict_proba(taken[test])[:, 1]
