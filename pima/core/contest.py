"""What a verdict is given on: the holdout's rows with both models' probabilities, and which of them count."""

from dataclasses import dataclass, replace

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array
from pima.core.evidence.bands import Grouping


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything the rule looks at; the rows are the whole holdout, in one order for all arrays."""

    outcomes: Int8Array
    """(n,)"""
    in_window: BoolArray
    """(n,), which of them are the test set: on these the verdict is given."""
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
    consultations: int = 1
    """How often the holdout has been asked for a verdict, this time included: each look spends some of its worth."""
    unseen: BoolArray | None = None
    """(n,), which of them the champion can't have learned from: somebody may have come in again since, under another
    id; None: any of them."""
    scorable: BoolArray | None = None
    """(n,), which of them the champion can score by the rules for it, where features or their ranges have changed
    since; None: all of them."""
    too_few_unseen: bool = False
    """Those that are both are too few to compare the two on."""
    holdout_share: float = 0.30
    """Of the labelled rows, how many are held out."""
    groupings: tuple[Grouping, ...] = ()
    """How each feature divides the rows into subgroups."""


def left_out(usable: BoolArray | None) -> int:
    """How many rows a mask (n,) leaves out."""
    return 0 if usable is None else int((~usable).sum())


def without_broken_champion(contest: Contest) -> Contest:
    """A champion that answers with NaN for a row that it can score is as good as one that can't be loaded."""
    if contest.champion is None:
        return contest
    answers = contest.champion if contest.scorable is None else contest.champion[contest.scorable]
    if np.isfinite(answers).all():
        return contest
    return replace(contest, champion=None, champion_unloadable=True, unseen=None, scorable=None, too_few_unseen=False)


def on_the_same_rows(contest: Contest) -> Contest:
    """Both on the very same rows; where too few are left for that, the challenger alone, on all of them."""
    if contest.too_few_unseen:
        return replace(contest, champion=None)
    usable = in_all(contest.unseen, contest.scorable)
    return contest if usable is None else only(contest, usable)


def judged_rows(contest: Contest) -> Contest:
    """The rows that a verdict is given on, with the models that are compared on them."""
    same = on_the_same_rows(without_broken_champion(contest))
    return only(same, same.in_window)


def in_all(*masks: BoolArray | None) -> BoolArray | None:
    """Which rows are in every mask that is given, (n,); None where none is."""
    given = [mask for mask in masks if mask is not None]
    return np.logical_and.reduce(given) if given else None


def only(contest: Contest, rows: BoolArray) -> Contest:
    """Some of the rows; `rows` is (n,)."""
    return replace(
        contest,
        outcomes=contest.outcomes[rows],
        in_window=contest.in_window[rows],
        challenger=contest.challenger[rows],
        champion=None if contest.champion is None else contest.champion[rows],
        unseen=None,
        scorable=None,
        groupings=tuple(each.rows(rows) for each in contest.groupings),
    )
