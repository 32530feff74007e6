"""A contest: who answers for the holdout's rows, and on which rows they can be compared.

A contestant is data. The gate's rule is about the challenger and the champion; whoever else answers
for the same rows is one more contestant, who decides nothing and takes no row from those two.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.statistics.samples import Sample, sample_of

if TYPE_CHECKING:
    import pandas as pd


class Role(StrEnum):
    """A contestant's part; the values are keys of figures and evidence."""

    CHALLENGER = "challenger"
    CHAMPION = "champion"
    STRAIGHT_LINE = "straight_line"
    PRESENT_SCORE = "present_score"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One who answers for each row of a contest, and the rows that it can be judged on."""

    name: str
    """As it is called in sentences."""
    role: Role
    decides: bool
    """Whether the gate's rule is about it, so that the verdict's rows are such as it can be judged
    on."""
    threshold: float
    """Probabilities from this on predict 1; infinite for one that is used without a threshold."""
    probabilities: Float64Array
    """(n,), its answers."""
    unseen: BoolArray
    """(n,): it can't have learned from the row; a patient may have been entered again under another
    id."""
    scorable: BoolArray
    """(n,): it can answer for the row by today's rules; elsewhere its answer means nothing."""
    declared: str = ""
    """The declared name of a score in use, which tells it from others; empty for everybody else."""


def on_all_rows(name: str, role: Role, threshold: float, probabilities: Float64Array) -> Contestant:
    """A model that decides: it has seen none of the rows, (n,), and can answer for each."""
    everywhere = np.ones(len(probabilities), dtype=bool)
    return Contestant(
        name=name,
        role=role,
        decides=True,
        threshold=threshold,
        probabilities=probabilities,
        unseen=everywhere,
        scorable=everywhere,
    )


def judged_by_all(contestants: Iterable[Contestant]) -> BoolArray:
    """Find the rows, (n,), that all of these contestants, one or more, can be judged on."""
    return np.logical_and.reduce([each.unseen & each.scorable for each in contestants])


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the rule looks at beside the answers."""

    champion_unloadable: bool = False
    """There is a champion, but it can't be loaded, or does not give finite numbers."""
    parity_passed: bool = True
    """The compiled form agrees with Keras."""
    pinned: bool = False
    """A person has pinned the champion."""
    suspended: bool = False
    """A person has suspended the champion."""
    rolled_back_before: bool = False
    """A person has taken back a version that the same data and settings gave."""
    consultations: int = 1
    """How often the holdout has been asked for a verdict, this time included: each look uses up
    some of its value."""
    score_as_loaded: bool = False
    """Of the score that a first champion must beat no value was kept at a prediction, so nobody
    knows whether any was there before the outcome."""
    too_few_unseen: bool = False
    """There are too few rows that the champion has not learned from and can score to compare it
    with the challenger."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything the rule looks at."""

    outcomes: Int8Array
    """(n,), of the whole holdout."""
    groups: "pd.DataFrame"
    """(n,) rows: by feature, the row's subgroup, from `pima.core.verdicts.subgroups.groupings`."""
    in_window: BoolArray
    """(n,): the verdict is given on the row, if those who decide can be judged on it."""
    contestants: tuple[Contestant, ...]
    persons: Int64Array
    """(n,): the number of the row's person; a row of which nobody knows that has one of its own."""
    circumstances: Circumstances = Circumstances()
    declared_groups: tuple[str, ...] = ()
    """The columns of `groups` that no model sees: small groups of these are told together, else a
    few people abroad would hide the second largest group."""

    @property
    def challenger(self) -> Contestant:
        """The challenger, who is always there."""
        return next(each for each in self.contestants if each.role is Role.CHALLENGER)

    @property
    def champion(self) -> Contestant | None:
        """The champion; None if there is none to compare with."""
        return self.of(Role.CHAMPION)

    @property
    def positive(self) -> int:
        """How many rows have outcome 1."""
        return int((self.outcomes == 1).sum())

    def of(self, role: Role, declared: str = "") -> Contestant | None:
        """The contestant of a role, a score in use by its declared name; None if there is none."""
        found = (each for each in self.contestants if each.role is role)
        return next((each for each in found if each.declared == declared), None)

    def sample(self, contestant: Contestant) -> Sample:
        """A contestant's answers beside the outcomes."""
        return sample_of(
            contestant.probabilities, self.outcomes, contestant.threshold, self.persons
        )

    def only(self, which: BoolArray) -> "Contest":
        """Keep the rows `which`, (n,)."""
        contestants = tuple(
            replace(
                each,
                probabilities=each.probabilities[which],
                unseen=each.unseen[which],
                scorable=each.scorable[which],
            )
            for each in self.contestants
        )
        return replace(
            self,
            outcomes=self.outcomes[which],
            groups=self.groups[which],
            in_window=self.in_window[which],
            contestants=contestants,
            persons=self.persons[which],
        )

    def between(self, contestants: Iterable[Contestant]) -> "Contest":
        """The contest of these contestants alone, on the rows that all of them can be judged on."""
        kept = tuple(contestants)
        return replace(self, contestants=kept).only(judged_by_all(kept))

    def of_those_who_decide(self) -> "Contest":
        """The contest of those whom the rule is about. If they can be compared on too few rows, the
        challenger is alone."""
        if self.circumstances.too_few_unseen:
            return self.between([self.challenger])
        return self.between(each for each in self.contestants if each.decides)

    def on_the_test_set(self) -> "Contest":
        """Keep the rows of the window."""
        return self.only(self.in_window)

    def without_broken_champion(self) -> "Contest":
        """Treat a champion that gives no finite number for a row that it can score like one that
        can't be loaded."""
        champion = self.champion
        if champion is None or np.isfinite(champion.probabilities[champion.scorable]).all():
            return self
        others = tuple(each for each in self.contestants if each is not champion)
        circumstances = replace(self.circumstances, champion_unloadable=True, too_few_unseen=False)
        return replace(self, contestants=others, circumstances=circumstances)
