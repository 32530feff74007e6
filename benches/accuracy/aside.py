"""The article's split and the learning curve, measured on the other core while the folds are.

Run as a process of its own, `python -m benches.accuracy.aside SHUFFLES`; prints one JSON
object.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from benches.accuracy.candidates import AS_WRITTEN, Candidate, article, ours
from benches.accuracy.folds import crossvalidate, on_the_articles_split, warm_up
from benches.accuracy.judgement import Figures, judge
from benches.accuracy.peers import GAUSSIAN_PROCESS, LOGISTIC_REGRESSION, RANDOM_FOREST, peers
from benches.accuracy.results import Row, row_of
from benches.accuracy.shipped import ARTICLE_TRAINING_ROWS, ROOT, Rows, shipped_rows
from benches.endings import child_of, end_in_order, end_with_parent
from pima.logs import quiet_native_code

CURVE_SIZES = (50, 100, 200, 400)
CURVE_SHUFFLES = 2

Curve = dict[str, dict[int, Figures]]
"""By candidate and number of training rows."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What the process measures."""

    split: list[Row]
    curve: Curve


def main(shuffles: int) -> None:
    """Measure both and print them."""
    end_in_order()
    end_with_parent()
    rows, candidates = shipped_rows(), [ours(), article(), *peers()]
    with quiet_native_code():
        warm_up(candidates, rows)
        found = Aside(
            _on_the_split(rows, candidates, shuffles), _learning_curve(rows, candidates, shuffles)
        )
    print(json.dumps(asdict(found)))


@contextmanager
def measured_aside(shuffles: int) -> Iterator[Callable[[], Aside]]:
    """The process, at work as long as the block lasts; what is yielded waits for what it found."""
    command = [sys.executable, "-m", "benches.accuracy.aside", str(shuffles)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with child_of(command, cwd=ROOT, start_new_session=True, **pipes) as child:
        yield lambda: _told_by(child)


def curve_shuffles(shuffles: int) -> int:
    """On how many of the shuffles the curve is measured."""
    return min(CURVE_SHUFFLES, shuffles)


def _told_by(child: subprocess.Popen[str]) -> Aside:
    assert child.stdout is not None
    said = child.stdout.read()
    if child.wait():
        raise SystemExit(child.returncode)
    return as_aside(json.loads(said))


def as_aside(said: dict[str, Any]) -> Aside:
    """From JSON, whose keys are texts."""
    split = [Row(**{**row, "figures": Figures(**row["figures"])}) for row in said["split"]]
    curve = {
        name: {int(size): Figures(**figures) for size, figures in by_size.items()}
        for name, by_size in said["curve"].items()
    }
    return Aside(split, curve)


def _on_the_split(rows: Rows, candidates: list[Candidate], seeds: int) -> list[Row]:
    test = rows.take(slice(ARTICLE_TRAINING_ROWS, None))
    outcomes = [(c.name, on_the_articles_split(c, rows, seeds, _progress)) for c in candidates]
    as_written = on_the_articles_split(candidates[1], rows, seeds, _progress, with_test_rows=True)
    outcomes.insert(2, (AS_WRITTEN, as_written))
    return [row_of(name, outcome, test.outcomes) for name, outcome in outcomes]


def _learning_curve(rows: Rows, candidates: list[Candidate], shuffles: int) -> Curve:
    names = (candidates[0].name, LOGISTIC_REGRESSION, RANDOM_FOREST, GAUSSIAN_PROCESS)
    chosen = [candidate for candidate in candidates if candidate.name in names]
    curve: Curve = {name: {} for name in names}
    for size in CURVE_SIZES:
        for name, outcome in crossvalidate(
            chosen, rows, curve_shuffles(shuffles), _progress, size
        ).items():
            curve[name][size] = judge(outcome.probabilities, rows.outcomes)
    return curve


def _progress(what: str) -> None:
    print(f"    aside: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
