"""`make bench-accuracy`: our network beside its peers, in one run, into docs/measured/.

python -m benches.accuracy [--shuffles N] [--large-rows N] [--into FOLDER]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from benches.accuracy import pictures, report
from benches.accuracy.aside import curve_shuffles, measured_aside
from benches.accuracy.candidates import AS_WRITTEN, HONEST, Candidate, article, ours
from benches.accuracy.fit_speed import compare_fits
from benches.accuracy.folds import (
    FOLDS,
    crossvalidate,
    on_training_rows,
    shuffles_of,
    warm_up,
)
from benches.accuracy.judgement import judge
from benches.accuracy.peers import LOGISTIC_REGRESSION, RANDOM_FOREST, peers
from benches.accuracy.provenance import Clock
from benches.accuracy.results import Large, Results, as_large, row_of, targets
from benches.accuracy.shipped import ROOT, Rows, shipped_rows
from benches.endings import child_of, end_in_order
from pima.logs import quiet_native_code

_STARTED = time.monotonic()


def main(arguments: list[str]) -> None:
    """Measure everything, write docs/measured/accuracy.md and the pictures, print the targets."""
    parser = argparse.ArgumentParser(prog="python -m benches.accuracy", allow_abbrev=False)
    parser.add_argument(
        "--shuffles", type=int, default=10, help="of the 12 folds, and seeds on the article's split"
    )
    parser.add_argument("--large-rows", type=int, default=1_000_000, help="in the large database")
    into = ROOT / "docs" / "measured"
    parser.add_argument(
        "--into", type=Path, default=into, help="where the page and the pictures go"
    )
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
    """On both databases, by a process that stays small, and that ends when this one does, after it
    has cleared up.

    In a session of its own, so that Ctrl-C reaches it through this process alone.
    """
    command = [sys.executable, "-m", "benches.accuracy.million", str(rows)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with child_of(command, cwd=ROOT, start_new_session=True, **pipes) as child:
        said = child.stdout.read()
        child.wait()
    if child.returncode:
        raise SystemExit(child.returncode)
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return [as_large(names[kind], children) for kind, children in json.loads(said).items()]


def measure(
    rows: Rows, candidates: list[Candidate], shuffles: int, large_rows: int, large: list[Large]
) -> Results:
    """All but the large database."""
    speed = compare_fits(progress)
    with measured_aside(shuffles) as aside:
        warm_up(candidates, rows)
        pooled = crossvalidate(candidates, rows, shuffles, progress)
        crossvalidated = list(pooled.items())
        fits = shuffles_of(candidates[1], shuffles)
        crossvalidated.insert(
            2, (AS_WRITTEN, on_training_rows(candidates[1], rows, fits, progress))
        )
        found = aside()
    whole = len(rows) * (FOLDS - 1) // FOLDS
    return Results(
        shuffles=shuffles,
        curve_shuffles=curve_shuffles(shuffles),
        crossvalidated=[row_of(name, outcome, rows.outcomes) for name, outcome in crossvalidated],
        split=found.split,
        speed=speed,
        large_rows=large_rows,
        large=large,
        # The curve's last point is the table's.
        curve={
            name: {whole: judge(pooled[name].probabilities, rows.outcomes), **by_size}
            for name, by_size in found.curve.items()
        },
        pooled=pooled,
    )


def progress(what: str) -> None:
    """One line on stdout."""
    print(f"{time.monotonic() - _STARTED:6.0f} s  {what}", flush=True)


def _show(results: Results, folder: Path) -> None:
    print(report.figures_table(results.crossvalidated))
    print()
    for target in targets(results):
        print(
            f"{'met   ' if target.is_met else 'MISSED'}  {target.what}: {target.found} (wanted "
            f"{target.wanted})"
        )
    print(f"\nwritten: {folder / 'accuracy.md'}, calibration.svg and learning-curve.svg beside it")


if __name__ == "__main__":
    main(sys.argv[1:])
