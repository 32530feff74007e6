"""How long one fit of the article's 568 rows takes, ours against the article's, in turns."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median

from benches.accuracy.candidates import Candidate, article, ours
from benches.accuracy.shipped import ARTICLE_TRAINING_ROWS, shipped_rows

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class FitSpeed:
    """Medians over the rounds."""

    ours_seconds: float
    article_seconds: float

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.article_seconds / self.ours_seconds


def compare_fits(progress: Callable[[str], None]) -> FitSpeed:
    """Each in a process of its own, imported and warmed up: our fit switches TensorFlow's
    determinism on for good, and the article's must not pay for that.
    """
    spawn = multiprocessing.get_context("spawn")
    seconds: dict[str, list[float]] = {"ours": [], "article": []}
    with (
        ProcessPoolExecutor(1, spawn) as our_process,
        ProcessPoolExecutor(1, spawn) as article_process,
    ):
        our_process.submit(timed_fit, "ours", 0).result()
        article_process.submit(timed_fit, "article", 0).result()
        for n in range(1, ROUNDS + 1):
            seconds["ours"].append(our_process.submit(timed_fit, "ours", n).result())
            seconds["article"].append(article_process.submit(timed_fit, "article", n).result())
    progress(f"fits of {ARTICLE_TRAINING_ROWS} rows: {ROUNDS} rounds")
    return FitSpeed(median(seconds["ours"]), median(seconds["article"]))


def timed_fit(which: str, seed: int) -> float:
    """Seconds of one fit, in a child process."""
    candidate: Candidate = ours() if which == "ours" else article()
    rows = shipped_rows().take(slice(ARTICLE_TRAINING_ROWS))
    start = time.perf_counter()
    candidate.fit(rows, 1000 * seed)
    return time.perf_counter() - start
