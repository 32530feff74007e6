"""`make bench-accuracy`: our network beside its peers, in one run, into docs/.

python -m tests.bench.accuracy [--shuffles N] [--large-rows N] [--into FOLDER]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from pima.model.quiet import quiet_native_code
from tests.bench.accuracy import pictures, report
from tests.bench.accuracy.candidates import AS_WRITTEN, HONEST, Candidate, article, ours
from tests.bench.accuracy.fit_speed import compare_fits
from tests.bench.accuracy.folds import (
    FOLDS,
    Outcome,
    crossvalidate,
    on_the_articles_split,
    on_training_rows,
    shuffles_of,
    warm_up,
)
from tests.bench.accuracy.judgement import Figures, judge
from tests.bench.accuracy.peers import GAUSSIAN_PROCESS, LOGISTIC_REGRESSION, RANDOM_FOREST, peers
from tests.bench.accuracy.provenance import Clock
from tests.bench.accuracy.results import Large, Results, Row, as_large, targets
from tests.bench.accuracy.shipped import ARTICLE_TRAINING_ROWS, ROOT, Rows, shipped_rows
from tests.bench.endings import child_of, end_in_order

CURVE_SIZES = (50, 100, 200, 400)
CURVE_SHUFFLES = 2

_STARTED = time.monotonic()


def main(arguments: list[str]) -> None:
    """Measure everything, write docs/accuracy.md and the pictures, print the targets."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy", allow_abbrev=False)
    parser.add_argument("--shuffles", type=int, default=10, help="of the 12 folds, and seeds on the article's split")
    parser.add_argument("--large-rows", type=int, default=1_000_000, help="in the large database")
    parser.add_argument("--into", type=Path, default=ROOT / "docs", help="where the page and the pictures go")
    options = parser.parse_args(arguments)
    end_in_order()
    clock = Clock()
    rows, candidates = shipped_rows(), [ours(), article(), *peers()]
    large = measure_large(options.large_rows)
    with quiet_native_code():
        results = measure(rows, candidates, options.shuffles, options.large_rows, large)
    options.into.mkdir(parents=True, exist_ok=True)
    shown = (candidates[0].name, LOGISTIC_REGRESSION, RANDOM_FOREST, HONEST)
    calibration = {name: results.pooled[name] for name in shown}
    pictures.draw_calibration(calibration, rows.outcomes, options.into / "calibration.svg")
    pictures.draw_learning_curve(results.curve, options.into / "learning-curve.svg")
    (options.into / "accuracy.md").write_text(report.page(results, clock.provenance(), candidates))
    _show(results, options.into)


def measure_large(rows: int) -> list[Large]:
    """On both databases, by a process that stays small, and that ends when this one does, after it has cleared up.

    In a session of its own, so that Ctrl-C reaches it through this process alone.
    """
    command = [sys.executable, "-m", "tests.bench.accuracy.million", str(rows)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with child_of(command, cwd=ROOT, start_new_session=True, **pipes) as child:
        said = child.stdout.read()
        child.wait()
    if child.returncode:
        raise SystemExit(child.returncode)
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return [as_large(names[kind], children) for kind, children in json.loads(said).items()]


def measure(rows: Rows, candidates: list[Candidate], shuffles: int, large_rows: int, large: list[Large]) -> Results:
    """All but the large database."""
    speed = compare_fits(progress)
    warm_up(candidates, rows)
    pooled = crossvalidate(candidates, rows, shuffles, progress)
    crossvalidated = list(pooled.items())
    fits = shuffles_of(candidates[1], shuffles)
    crossvalidated.insert(2, (AS_WRITTEN, on_training_rows(candidates[1], rows, fits, progress)))
    curve_shuffles = min(CURVE_SHUFFLES, shuffles)
    return Results(
        shuffles=shuffles,
        curve_shuffles=curve_shuffles,
        crossvalidated=[_row(name, outcome, rows) for name, outcome in crossvalidated],
        split=_on_the_split(rows, candidates, shuffles),
        speed=speed,
        large_rows=large_rows,
        large=large,
        curve=_learning_curve(rows, candidates, pooled, curve_shuffles),
        pooled=pooled,
    )


def _learning_curve(
    rows: Rows, candidates: list[Candidate], pooled: dict[str, Outcome], shuffles: int
) -> dict[str, dict[int, Figures]]:
    names = (candidates[0].name, LOGISTIC_REGRESSION, RANDOM_FOREST, GAUSSIAN_PROCESS)
    chosen = [candidate for candidate in candidates if candidate.name in names]
    whole = len(rows) * (FOLDS - 1) // FOLDS
    curve = {name: {whole: judge(pooled[name].probabilities, rows.outcomes)} for name in names}
    for size in CURVE_SIZES:
        for name, outcome in crossvalidate(chosen, rows, shuffles, progress, size).items():
            curve[name][size] = judge(outcome.probabilities, rows.outcomes)
    return curve


def _on_the_split(rows: Rows, candidates: list[Candidate], seeds: int) -> list[Row]:
    test = rows.take(slice(ARTICLE_TRAINING_ROWS, None))
    outcomes = [(c.name, on_the_articles_split(c, rows, seeds, progress)) for c in candidates]
    as_written = on_the_articles_split(candidates[1], rows, seeds, progress, with_test_rows=True)
    outcomes.insert(2, (AS_WRITTEN, as_written))
    return [_row(name, outcome, test) for name, outcome in outcomes]


def _row(name: str, outcome: Outcome, rows: Rows) -> Row:
    figures = judge(outcome.probabilities, rows.outcomes)
    return Row(name, figures, outcome.median_fit_seconds, len(outcome.probabilities))


def progress(what: str) -> None:
    """One line on stdout."""
    print(f"{time.monotonic() - _STARTED:6.0f} s  {what}", flush=True)


def _show(results: Results, folder: Path) -> None:
    print(report.figures_table(results.crossvalidated))
    print()
    for target in targets(results):
        print(f"{'met   ' if target.is_met else 'MISSED'}  {target.what}: {target.found} (wanted {target.wanted})")
    print(f"\nwritten: {folder / 'accuracy.md'}, calibration.svg and learning-curve.svg beside it")


if __name__ == "__main__":
    main(sys.argv[1:])
