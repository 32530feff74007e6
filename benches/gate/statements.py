"""What is claimed of the gate, each claim with the figure that many trials give."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from benches.gate import trials
from benches.gate.fast_learner import SERVICE_LUCK, TUTORIAL_LUCK
from pima.core.verdicts.gate import GateOptions

Result = TypeVar("Result")
PAIRS_A_TRIAL = 100
_HISTORIES = (800, 1_600)
"""Rows."""


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
            _other_seeds(
                name, [each(partial(trials.other_seeds, members=n, luck=luck)) for n in (1, 5)]
            )
            for name, luck in (("lucky", TUTORIAL_LUCK), ("steady", SERVICE_LUCK))
        ),
        _permuted([each(partial(trials.permuted_labels, rows=rows)) for rows in _HISTORIES]),
    ]


def _random_pairs(found: Sequence[trials.RandomPairs]) -> Statement:
    wrongly = sum(each.promoted_without_more_correct for each in found)
    return Statement(
        "Answers at random: none promoted without strictly more correct",
        f"{PAIRS_A_TRIAL * len(found):,} pairs",
        f"{sum(each.promoted for each in found):,} promoted, {wrongly} without",
    )


def _membership(found: Sequence[trials.Membership]) -> Statement:
    sigmas = np.array([each.sigmas_off for each in found])
    return Statement(
        "The holdout has its 30 %, and new rows move nobody",
        f"{len(found):,} salts, 4,000 patients each",
        f"{100 * (np.abs(sigmas) < 3).mean():.1f} % within 3 sigma (fair draws: 99.7), "
        f"{sum(each.moved for each in found)} moved",
    )


def _sides(found: Sequence[trials.Sides]) -> Statement:
    both = sum(len(each.ever_trained & each.ever_tested) for each in found)
    return Statement(
        "Nobody is ever trained on and tested on",
        f"{len(found):,} years of 52 weeks",
        f"{both} patients on both sides, {sum(each.twins_across for each in found)} twins across, "
        f"{sum(each.corrected for each in found):,} corrections",
    )


def _memorising(found: Sequence[trials.Reported]) -> Statement:
    gaps = 100 * np.array([each.by_the_gate - each.on_fresh_rows for each in found])
    of_training = 100 * np.mean([each.on_training_rows - each.on_fresh_rows for each in found])
    return Statement(
        "A model that memorises: accuracy by the gate less on fresh patients",
        f"{len(found):,} champions",
        f"{gaps.mean():+.2f} ± {_error(gaps):.2f} points (on training rows {of_training:+.1f})",
    )


def _other_seeds(learner: str, found: Sequence[Sequence[trials.Contest]]) -> Statement:
    without, veto = (
        " / ".join(
            f"{100 * trials.promotions(each, GateOptions(log_loss_veto=asked)) / len(each):.1f}"
            for each in found
        )
        for asked in (False, True)
    )
    return Statement(
        f"Other seeds alone, {learner} learner: one seed / five",
        f"{len(found[0]):,} challengers each",
        f"{without} % promoted, with `log_loss_veto` {veto}",
    )


def _permuted(found: Sequence[Sequence[trials.Contest]]) -> Statement:
    rows = " / ".join(f"{each:,}" for each in _HISTORIES)
    promoted = " / ".join(f"{trials.promotions(each, GateOptions())}" for each in found)
    return Statement(
        f"Shuffled labels against true ones: {rows} rows",
        f"{len(found[0]):,} challengers each",
        f"{promoted} promoted",
    )


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)
