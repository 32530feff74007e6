"""The gate: a challenger becomes champion only if its test accuracy is better.

'Better' is strictly more correct predictions than the champion on the same holdout rows, both scored now.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.metrics import Scores, majority_correct, scores


class Decision(StrEnum):
    """The verdict's word in the ledger."""

    PROMOTED = "promoted"
    NOT_BETTER = "not_better"
    BLOCKED = "blocked"
    """It would have been judged, but a rule forbids it whatever its score; the reason code says which."""


class Reason(StrEnum):
    """Why, as a code that scripts can rely on."""

    MORE_CORRECT = "more_correct"
    NOT_MORE_CORRECT = "not_more_correct"
    FIRST_CHAMPION = "first_champion"
    CHAMPION_UNLOADABLE = "champion_unloadable"
    NOT_ABOVE_MAJORITY = "not_above_majority"
    NOT_FINITE = "not_finite"
    PARITY_FAILED = "parity_failed"
    PINNED = "pinned"
    ROLLED_BACK_BEFORE = "rolled_back_before"


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything the rule looks at; rows are the holdout, in one order for all arrays."""

    outcomes: Int8Array
    """(n,), both classes present (a guard sees to it before any fit)."""
    challenger: Float64Array
    """(n,) probabilities of the challenger, from its stored, compiled bytes."""
    challenger_threshold: float
    champion: Float64Array | None
    """(n,) probabilities of the champion now; None where there is none or its bytes can't be loaded."""
    champion_threshold: float
    champion_unloadable: bool
    """There is a champion, but its bytes are not what was stored."""
    parity_passed: bool
    """The compiled form agrees with Keras."""
    pinned: bool
    """A person holds the champion where it is."""
    rolled_back_before: bool
    """A person took back what these very data and settings gave."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided and why."""

    decision: Decision
    reason: Reason
    sentence: str
    """The reason for people, with the figures in it."""
    challenger: Scores | None
    """None where its outputs are not even numbers."""
    champion: Scores | None
    majority_correct: int


def decide(contest: Contest) -> Verdict:
    """Judge one contest. Ties keep the champion; a first champion must beat always guessing the majority class."""
    majority = majority_correct(contest.outcomes)
    if not np.isfinite(contest.challenger).all():
        sentence = "blocked: the challenger gave outputs that are not finite numbers"
        return Verdict(Decision.BLOCKED, Reason.NOT_FINITE, sentence, None, None, majority)
    challenger = scores(contest.challenger, contest.outcomes, contest.challenger_threshold)
    champion = None
    if contest.champion is not None:
        champion = scores(contest.champion, contest.outcomes, contest.champion_threshold)
    decision, reason = _rule(contest, challenger, champion, majority)
    sentence = _sentence(decision, reason, challenger, champion, majority)
    return Verdict(decision, reason, sentence, challenger, champion, majority)


def _rule(contest: Contest, challenger: Scores, champion: Scores | None, majority: int) -> tuple[Decision, Reason]:
    if not contest.parity_passed:
        return Decision.BLOCKED, Reason.PARITY_FAILED
    must_beat_majority = champion is None
    if challenger.correct < majority or (must_beat_majority and challenger.correct == majority):
        return Decision.NOT_BETTER, Reason.NOT_ABOVE_MAJORITY
    if champion is not None and challenger.correct <= champion.correct:
        return Decision.NOT_BETTER, Reason.NOT_MORE_CORRECT
    if contest.rolled_back_before:
        return Decision.BLOCKED, Reason.ROLLED_BACK_BEFORE
    if contest.pinned:
        return Decision.BLOCKED, Reason.PINNED
    if champion is not None:
        return Decision.PROMOTED, Reason.MORE_CORRECT
    if contest.champion_unloadable:
        return Decision.PROMOTED, Reason.CHAMPION_UNLOADABLE
    return Decision.PROMOTED, Reason.FIRST_CHAMPION


_WHY = {
    Reason.MORE_CORRECT: "it is right more often than the champion",
    Reason.NOT_MORE_CORRECT: "it is not right more often than the champion",
    Reason.FIRST_CHAMPION: "it is the first champion and beats the majority class",
    Reason.CHAMPION_UNLOADABLE: "the champion's stored bytes can't be loaded, and it beats the majority class",
    Reason.NOT_ABOVE_MAJORITY: "it does not beat always guessing the majority class",
    Reason.PARITY_FAILED: "its compiled form disagrees with Keras",
    Reason.PINNED: "it won, but the champion is pinned (models unpin)",
    Reason.ROLLED_BACK_BEFORE: "it won, but a person rolled back what these data and settings gave",
}


def _sentence(decision: Decision, reason: Reason, challenger: Scores, champion: Scores | None, majority: int) -> str:
    against = f"champion {champion.correct}, " if champion else ""
    return (
        f"{decision}: {_WHY[reason]} (correct of {challenger.rows} holdout rows: "
        f"challenger {challenger.correct}, {against}majority class {majority})"
    )
