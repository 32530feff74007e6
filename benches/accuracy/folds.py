"""The same rows for all that are asked: cross-validation, whole or with fewer rows, and the
article's split."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from benches.accuracy.candidates import Candidate, forget_models
from benches.accuracy.shipped import ARTICLE_TRAINING_ROWS, Rows
from pima.core.arrays import Float64Array, Int64Array

FOLDS = 12

Progress = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What one candidate said and how long its fits took."""

    probabilities: Float64Array
    """(repetitions, n)"""
    fit_seconds: list[float] = field(default_factory=list)

    @property
    def median_fit_seconds(self) -> float:
        """Of one fit."""
        return median(self.fit_seconds)


def crossvalidate(
    candidates: list[Candidate],
    rows: Rows,
    shuffles: int,
    progress: Progress,
    training_rows: int | None = None,
) -> dict[str, Outcome]:
    """Pooled out-of-fold probabilities of every row, once a shuffle; the candidates take turns fold
    by fold.

    The slow ones are asked on their first few only.
    `training_rows`: fit on only so many of each fold's training rows, a stratified draw.
    """
    found = {
        one.name: Outcome(np.empty((shuffles_of(one, shuffles), len(rows)))) for one in candidates
    }
    for shuffle in range(shuffles):
        asked = [
            candidate for candidate in candidates if shuffle < shuffles_of(candidate, shuffles)
        ]
        for fold, (training, test) in enumerate(folds(rows, shuffle)):
            luck = seed(shuffle, fold)
            fitted_on = rows.take(
                training if training_rows is None else _draw(training, rows, training_rows, luck)
            )
            for candidate in asked:
                outcome = found[candidate.name]
                outcome.probabilities[shuffle, test] = _answer(
                    candidate, fitted_on, rows.take(test), luck, outcome
                )
            forget_models()
        size = "" if training_rows is None else f" with {training_rows} rows"
        progress(f"cross-validation{size}: shuffle {shuffle + 1} of {shuffles}")
    return found


def shuffles_of(candidate: Candidate, shuffles: int) -> int:
    """On how many of the shuffles a candidate is asked."""
    return shuffles if candidate.most_shuffles is None else min(shuffles, candidate.most_shuffles)


def folds(rows: Rows, shuffle: int) -> Iterator[tuple[Int64Array, Int64Array]]:
    """(training, test) row numbers of each fold."""
    yield from StratifiedKFold(FOLDS, shuffle=True, random_state=shuffle).split(
        rows.raw, rows.outcomes
    )


def seed(shuffle: int, fold: int) -> int:
    """Far enough apart that the members of one ensemble share no seed with another's."""
    return 1000 * (FOLDS * shuffle + fold)


def warm_up(candidates: list[Candidate], rows: Rows) -> None:
    """A first fit of each, whose time is not counted."""
    for candidate in candidates:
        candidate.fit(rows.take(slice(100)), 0)(rows)


def _answer(
    candidate: Candidate, training: Rows, test: Rows, luck: int, outcome: Outcome
) -> Float64Array:
    start = time.perf_counter()
    predict = candidate.fit(training, luck)
    outcome.fit_seconds.append(time.perf_counter() - start)
    return predict(test)


def on_training_rows(
    candidate: Candidate, rows: Rows, repetitions: int, progress: Progress
) -> Outcome:
    """Fitted on all rows and asked about the same rows: what the article does, and no test at
    all."""
    outcome = Outcome(np.empty((repetitions, len(rows))))
    for n in range(repetitions):
        outcome.probabilities[n] = _answer(candidate, rows, rows, seed(n, 0), outcome)
        forget_models()
    progress(f"{candidate.name}: fitted on all rows {repetitions} times")
    return outcome


def on_the_articles_split(
    candidate: Candidate,
    rows: Rows,
    seeds: int,
    progress: Progress,
    *,
    with_test_rows: bool = False,
) -> Outcome:
    """Tested on the article's last 200 rows, once a seed; once where the fit has no luck in it, or
    takes too long."""
    training = rows if with_test_rows else rows.take(slice(ARTICLE_TRAINING_ROWS))
    test = rows.take(slice(ARTICLE_TRAINING_ROWS, None))
    several = candidate.is_seeded and candidate.most_shuffles != 1
    outcome = Outcome(np.empty((seeds if several else 1, len(test))))
    for n in range(len(outcome.probabilities)):
        outcome.probabilities[n] = _answer(candidate, training, test, seed(n, 0), outcome)
        forget_models()
    progress(f"{candidate.name}: the article's split")
    return outcome


def _draw(training: Int64Array, rows: Rows, size: int, luck: int) -> Int64Array:
    drawn, _ = train_test_split(
        training, train_size=size, stratify=rows.outcomes[training], random_state=luck
    )
    return np.asarray(drawn)
