"""What came out, as a section of docs/measured/tables.md."""

import numpy as np

from benches.accuracy.report import table
from benches.look.cells import Answered, Cell, cell_of, promises
from benches.look.drafted import Drafted
from benches.look.rule import FOLDS, NOISE_RIVAL, OTHERS, OTHERS_SIZE, RULED, sizes
from benches.look.trials import Trial, parted, trials
from benches.tables.candidates import OURS
from benches.tables.data_sets import DataSet
from pima.core.arrays import Float64Array
from pima.core.statistics.samples import log_losses

Answers = dict[Trial, tuple[Float64Array, float]]


def section(tables: list[Drafted], noise: list[DataSet], answers: Answers) -> str:
    """The tables, the rule's sentences, the cells and the other rivals."""
    sets = [each.data for each in tables]
    complete = _complete_folds(sets, noise, answers)
    cells = _known(
        _cell(data, size, rival, complete, answers)
        for data in sets
        for size in sizes(len(data.rows))
        for rival in RULED
    )
    noisy = _known(
        _cell(data, sizes(len(data.rows))[-1], NOISE_RIVAL, complete, answers) for data in noise
    )
    others = _known(
        _cell(data, _size_of_others(data), rival, min(folds, complete), answers)
        for data in sets
        for rival, folds in OTHERS.items()
    )
    seconds = sum(seconds for _, seconds in answers.values())
    return "\n\n".join(
        (
            _tables(tables),
            f"The look took {seconds / 60:.0f} minutes of one core. {complete} folds are complete.",
            _promises(cells, noisy),
            _cells(cells, complete, answers, sets),
            _of_others(others),
            _of_noise(noisy),
        )
    )


def _complete_folds(sets: list[DataSet], noise: list[DataSet], answers: Answers) -> int:
    """How many folds have all that the rule is about."""
    with_noise = {data.name for data in noise}
    missing = (
        trial.fold
        for trial in trials(sets, noise)
        if trial not in answers and (trial.candidate not in OTHERS or trial.data in with_noise)
    )
    return min(missing, default=FOLDS)


def _known(cells: object) -> list[Cell]:
    return [cell for cell in cells if cell is not None]  # type: ignore[attr-defined]


def _size_of_others(data: DataSet) -> int:
    return min(OTHERS_SIZE, sizes(len(data.rows))[-1])


def _cell(data: DataSet, size: int, rival: str, folds: int, answers: Answers) -> Cell | None:
    """None where an answer is missing, or no fold is complete."""
    pairs: Answered = []
    for fold in range(folds):
        ours = answers.get(Trial(data.name, size, OURS, fold))
        theirs = answers.get(Trial(data.name, size, rival, fold))
        if ours is None or theirs is None:
            return None
        _, test = parted(data, fold, size)
        pairs.append((ours[0], theirs[0], data.rows.outcomes[test]))
    return cell_of(data.name, size, rival, pairs) if pairs else None


def _tables(tables: list[Drafted]) -> str:
    header = ("", "rows", "censored", "rejected", "taken", "outcome 1", "features", "missing")
    rows = []
    for each in tables:
        taken = each.data.rows
        counts = (each.all_rows, each.censored, each.rejected, len(taken), taken.outcomes.sum())
        missing = f"{np.isnan(taken.features).mean():.0%}"
        rows.append((each.data.name, *map(str, counts), str(len(each.data.declared)), missing))
    return table(header, rows)


def _promises(cells: list[Cell], noisy: list[Cell]) -> str:
    rows = [
        (each.wanted, each.found, "kept" if each.is_kept else "missed")
        for each in promises(cells, noisy)
    ]
    return table(("", "found", ""), rows)


def told(cell: Cell | None) -> str:
    return "" if cell is None else f"{1000 * cell.behind:+.1f}±{1000 * cell.error:.1f}"


def _cells(cells: list[Cell], folds: int, answers: Answers, sets: list[DataSet]) -> str:
    """A row for each size of each table."""
    by_place = {(cell.data, cell.size, cell.rival): cell for cell in cells}
    rows = []
    for data in sets:
        for size in sizes(len(data.rows)):
            beside = (told(by_place.get((data.name, size, rival))) for rival in RULED)
            rows.append((data.name, f"{size:,}", _loss(data, size, folds, answers), *beside))
    return table(("", "training rows", OURS, *RULED), rows)


def _loss(data: DataSet, size: int, folds: int, answers: Answers) -> str:
    losses = [
        log_losses(answers[asked][0], data.rows.outcomes[parted(data, fold, size)[1]]).mean()
        for fold in range(folds)
        if (asked := Trial(data.name, size, OURS, fold)) in answers
    ]
    return f"{np.mean(losses):.4f}" if losses else ""


def _of_others(cells: list[Cell]) -> str:
    by_place = {(cell.data, cell.rival): cell for cell in cells}
    asked = [rival for rival in OTHERS if any(cell.rival == rival for cell in cells)]
    rows = [
        (name, *(told(by_place.get((name, rival))) for rival in asked))
        for name in dict.fromkeys(cell.data for cell in cells)
    ]
    return table(("", *asked), rows)


def _of_noise(cells: list[Cell]) -> str:
    rows = [(cell.data, f"{cell.size:,}", told(cell)) for cell in cells]
    return table(("", "training rows", NOISE_RIVAL), rows)
