"""Trials of the gate against a known truth, each over a population, a salt and seeds of its own.

The tests run a few hundred of each, `make bench-gate` thousands. All of it goes through the real
rules: validation, split by hash, twins, window and verdict.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benches.gate.fast_learner import TUTORIAL_LUCK, fit_ensemble, fit_nearest_neighbour
from benches.gate.population import Clinic, Model, Stream, fresh_patients
from pima.core.rows.history import Split, features_of, split
from pima.core.verdicts.contest import Contest
from pima.core.verdicts.gate import GateOptions, Window, decide, in_window
from pima.core.verdicts.reasons import Decision
from pima.settings.reading import SHIPPED
from tests.support import contests
from tests.support.labelled import in_holdout

HOLDOUT_SHARE = 0.30


def contest(
    holdout: pd.DataFrame,
    challenger: Model,
    champion: Model | None,
    window: Window | None,
    now: pd.Timestamp,
) -> Contest:
    """Both models on the same rows, as a retraining puts them before the gate."""
    features = features_of(holdout)
    answers = None
    if champion is not None:
        answers = champion.probabilities(features)
    return contests.contest(
        holdout["outcome"].to_numpy(),
        challenger.probabilities(features),
        answers,
        in_window=in_window(holdout["labelled_at"], window, now),
    )


@dataclass(frozen=True, slots=True)
class RandomPairs:
    """What became of challengers that answer at random, as their champions do."""

    promoted: int
    promoted_without_more_correct: int


def random_pairs(trial: int, pairs: int) -> RandomPairs:
    """Small test sets, so that ties are frequent; counted here, apart from the gate's own
    counting."""
    draw = np.random.default_rng([trial, 0])
    promoted = wrongly = 0
    for _ in range(pairs):
        rows = int(draw.integers(2, 60))
        outcomes = draw.integers(0, 2, rows).astype(np.int8)
        challenger, champion = draw.random(rows), draw.random(rows)
        verdict = decide(contests.contest(outcomes, challenger, champion), GateOptions())
        if verdict.decision is Decision.PROMOTED:
            promoted += 1
            wrongly += int(((challenger >= 0.5) == outcomes).sum()) <= int(
                ((champion >= 0.5) == outcomes).sum()
            )
    return RandomPairs(promoted, wrongly)


@dataclass(frozen=True, slots=True)
class Membership:
    """The holdout of a clinic, before and after rows were added around it."""

    sigmas_off: float
    """the holdout's size against its share, in standard deviations of a fair draw"""
    moved: int
    """patients that changed sides"""


def membership(trial: int, rows: int = 4_000) -> Membership:
    """Ids that are there, then among older and newer ones in another order."""
    salt = f"salt {trial}"
    ids = np.arange(rows, 2 * rows)
    member = in_holdout(ids, salt, HOLDOUT_SHARE)
    grown = np.random.default_rng([trial, 0]).permutation(np.arange(1, 3 * rows))
    among_others = dict(
        zip(grown.tolist(), in_holdout(grown, salt, HOLDOUT_SHARE).tolist(), strict=True)
    )
    moved = sum(
        among_others[patient] != there
        for patient, there in zip(ids.tolist(), member.tolist(), strict=True)
    )
    deviation = (HOLDOUT_SHARE * (1 - HOLDOUT_SHARE) * rows) ** 0.5
    return Membership((int(member.sum()) - HOLDOUT_SHARE * rows) / deviation, moved)


def _history(trial: int, clinic: Clinic, weeks: int = 0) -> tuple[Split, Stream]:
    stream = Stream(clinic, trial)
    for _ in range(weeks):
        stream.advance()
    return split(stream.history(f"salt {trial}", HOLDOUT_SHARE), SHIPPED.features), stream


@dataclass(frozen=True, slots=True)
class Reported:
    """What a model that memorises is said to get, and what it gets."""

    by_the_gate: float
    on_training_rows: float
    on_fresh_rows: float


def memorising_champion(trial: int) -> Reported:
    """A nearest neighbour as champion, in a clinic where every fifth new row is a patient entered
    before, as another.

    No slips: a wrong outcome on the holdout would cost the champion what it does not cost on fresh
    patients.
    """
    history, stream = _history(trial, Clinic(twin_share=0.2, slip_share=0), weeks=40)
    train = history.training
    champion = fit_nearest_neighbour(features_of(train), train["outcome"].to_numpy())
    challenger = fit_ensemble(
        features_of(train), train["outcome"].to_numpy(), trial, 1, TUTORIAL_LUCK
    )
    verdict = decide(
        contest(history.holdout, challenger, champion, Window(), stream.now), GateOptions()
    )
    right = (champion.probabilities(features_of(train)) >= 0.5) == (
        train["outcome"].to_numpy() == 1
    )
    fresh = fresh_patients(np.random.default_rng([trial, 1]), 2_000)
    return Reported(
        verdict.figures.champion_scores.accuracy, float(right.mean()), fresh.true_accuracy(champion)
    )


def other_seeds(trial: int, members: int, luck: float) -> Contest:
    """Champion and challenger by the same recipe on the same rows; only their seeds differ."""
    history, stream = _history(trial, Clinic(first_rows=800))
    rows = features_of(history.training), history.training["outcome"].to_numpy()
    champion, challenger = (
        fit_ensemble(*rows, seed, members, luck) for seed in (2 * trial, 2 * trial + 1)
    )
    return contest(history.holdout, challenger, champion, Window(), stream.now)


def permuted_labels(trial: int, rows: int) -> Contest:
    """The challenger learned from training rows whose labels were shuffled, the champion from the
    true ones."""
    history, stream = _history(trial, Clinic(first_rows=rows))
    train = history.training
    shuffled = np.random.default_rng([trial, 2]).permutation(train["outcome"].to_numpy())
    champion = fit_ensemble(
        features_of(train), train["outcome"].to_numpy(), 2 * trial, 5, TUTORIAL_LUCK
    )
    challenger = fit_ensemble(features_of(train), shuffled, 2 * trial + 1, 5, TUTORIAL_LUCK)
    return contest(history.holdout, challenger, champion, Window(), stream.now)


def promotions(asked: list[Contest], options: GateOptions) -> int:
    """How many of the challengers become champion."""
    return sum(decide(each, options).decision is Decision.PROMOTED for each in asked)


@dataclass(frozen=True, slots=True)
class Sides:
    """Who stood on which side in a simulated year."""

    ever_trained: set[int]
    ever_tested: set[int]
    twins_across: int
    """Training rows with exactly the features of a test row of the same week, all weeks
    together."""
    twins_left_out: int
    """Rows that were kept from training for that, all weeks together."""
    corrected: int
    """Corrections of usable rows, from one week to the next."""


def a_year_of_sides(trial: int, weeks: int = 52) -> Sides:
    """Part a growing, corrected history week after week, as the weekly retrainings do."""
    stream = Stream(Clinic(slip_share=0.2, twin_share=0.1), trial)
    sides = Sides(set(), set(), 0, 0, 0)
    before: dict[int, bytes] = {}
    for _ in range(weeks):
        stream.advance()
        divided = split(stream.history(f"salt {trial}", HOLDOUT_SHARE), SHIPPED.features)
        train, test = _contents(divided.training), _contents(divided.holdout)
        features_of_test = {row[:-1] for row in test.values()}
        sides = Sides(
            sides.ever_trained | train.keys(),
            sides.ever_tested | test.keys(),
            sides.twins_across + sum(row[:-1] in features_of_test for row in train.values()),
            sides.twins_left_out + divided.left_out.get("twin_of_holdout", 0),
            sides.corrected
            + sum(before.get(patient, row) != row for patient, row in (train | test).items()),
        )
        before = train | test
    return sides


def _contents(side: pd.DataFrame) -> dict[int, bytes]:
    """Each patient's features and, in the last byte, outcome."""
    rows = zip(side.index, features_of(side), side["outcome"], strict=True)
    return {patient: features.tobytes() + bytes([outcome]) for patient, features, outcome in rows}
