"""What is claimed of the gate, each claim with the figure that many trials give."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from pima.core.verdicts.gate import GateOptions
from tests.bench.gate import trials
from tests.bench.gate.fast_learner import SERVICE_LUCK, TUTORIAL_LUCK

Result = TypeVar("Result")
PAIRS_A_TRIAL = 100


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of the page."""

    claim: str
    trials: str
    found: str


def statements(pool: Executor, times: int) -> list[Statement]:
    """`times` populations, salts and seeds for each claim; years for a twentieth of them."""

    def each(trial: Callable[[int], Result], count: int = times) -> Sequence[Result]:
        return list(pool.map(trial, range(count), chunksize=5))

    return [
        _random_pairs(each(partial(trials.random_pairs, pairs=PAIRS_A_TRIAL))),
        _membership(each(trials.membership)),
        _sides(each(trials.a_year_of_sides, max(1, times // 20))),
        _memorising(each(trials.memorising_champion)),
        *(
            _other_seeds(name, each(partial(trials.other_seeds, members=members, luck=luck)))
            for name, members, luck in (
                ("lucky learner, one seed", 1, TUTORIAL_LUCK),
                ("lucky learner, five seeds", 5, TUTORIAL_LUCK),
                ("steady learner, one seed", 1, SERVICE_LUCK),
                ("steady learner, five seeds", 5, SERVICE_LUCK),
            )
        ),
        *(
            _permuted(rows, each(partial(trials.permuted_labels, rows=rows)))
            for rows in (800, 1_600)
        ),
    ]


def _random_pairs(found: Sequence[trials.RandomPairs]) -> Statement:
    wrongly = sum(each.promoted_without_more_correct for each in found)
    return Statement(
        "Challenger and champion answer at random: no promotion without strictly more correct",
        f"{PAIRS_A_TRIAL * len(found):,} pairs",
        f"{sum(each.promoted for each in found):,} promoted, {wrongly} of them without",
    )


def _membership(found: Sequence[trials.Membership]) -> Statement:
    sigmas = np.array([each.sigmas_off for each in found])
    return Statement(
        "The holdout has its 30 %, and rows that are added move nobody",
        f"{len(found):,} salts, 4,000 patients each",
        f"{100 * (np.abs(sigmas) < 3).mean():.1f} % within 3 sigma (fair draws: 99.7), sd of the "
        f"deviation {sigmas.std():.2f} sigma (1), {sum(each.moved for each in found)} moved",
    )


def _sides(found: Sequence[trials.Sides]) -> Statement:
    both = sum(len(each.ever_trained & each.ever_tested) for each in found)
    return Statement(
        "Nobody is ever trained on and ever tested on, whatever is corrected meanwhile",
        f"{len(found):,} years of 52 weeks",
        f"{both} patients on both sides, {sum(each.twins_across for each in found)} twins across a "
        f"week's sides ({sum(each.corrected for each in found):,} corrections; twins left out "
        f"{sum(each.twins_left_out for each in found):,} times)",
    )


def _memorising(found: Sequence[trials.Reported]) -> Statement:
    gaps = 100 * np.array([each.by_the_gate - each.on_fresh_rows for each in found])
    of_training = 100 * np.mean([each.on_training_rows for each in found])
    of_fresh = 100 * np.mean([each.on_fresh_rows for each in found])
    return Statement(
        "A champion that memorises gets from the gate what it gets on fresh patients",
        f"{len(found):,} champions",
        f"{gaps.mean():+.2f} points, standard error {_error(gaps):.2f} "
        f"(on training rows {of_training:.1f} %, on fresh ones {of_fresh:.1f} %)",
    )


def _other_seeds(learner: str, found: Sequence[trials.Contest]) -> Statement:
    without, veto = (
        100 * trials.promotions(found, GateOptions(log_loss_veto=asked)) / len(found)
        for asked in (False, True)
    )
    return Statement(
        f"Only the seeds differ: {learner}",
        f"{len(found):,} challengers",
        f"promoted {without:.1f} %, with `log_loss_veto` {veto:.1f} %",
    )


def _permuted(rows: int, found: Sequence[trials.Contest]) -> Statement:
    return Statement(
        f"Learned from shuffled labels, against the true ones: {rows:,} rows of history",
        f"{len(found):,} challengers",
        f"{trials.promotions(found, GateOptions())} promoted",
    )


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)
