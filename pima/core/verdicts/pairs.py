"""Pairs: one who decides nothing beside one whom a verdict is about, on the rows of the test set
that both can be judged on.

Gains are paired, row by row, and above 0 where the one whom the verdict is about is better.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from msgspec import Struct

from pima.core.arrays import Float64Array, Int8Array
from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.figures import (
    NO_SPREAD,
    Figure,
    around,
    auroc,
    delong_variance,
    in_words,
    mean,
    ranked,
)
from pima.core.verdicts.metrics import log_losses, lower_p, net_benefits, odds, placements
from pima.core.verdicts.persons import Persons

CLEAR_P = 0.00135
"""One-sided p of the paired log loss from which on one is clearly better: three standard errors. By
two, up to 2 of 100 clinics would be told so falsely in a year, beside the other alarms' 2."""
TOO_FEW_OF_A_CLASS = "fewer than two rows of an outcome"


class PairEvidence(Struct, frozen=True, kw_only=True):
    """The figures of a pair."""

    role: Role
    name: str
    beside: Role
    """The one whom the verdict is about."""
    rows: int
    positive: int
    """Rows with outcome 1."""
    auroc: Figure
    """Of the one who decides nothing, on these rows."""
    log_loss: Figure
    """Of the same, in nats."""
    auroc_gain: Figure
    log_loss_gain: Figure
    clearly_better: bool
    """Whether the log loss of the one who decides nothing is lower at a p of `CLEAR_P` or below."""
    net_benefit_gain: Figure | None = None
    """In found cases per row, at the threshold of a score in use that has one."""


def pairs_of(contest: Contest, roles: Collection[Role]) -> Iterator[PairEvidence]:
    """Compare each contestant who decides nothing with those of these roles, if there are rows for
    it, and all its answers are finite."""
    for one in contest.contestants:
        for beside in contest.contestants:
            if one.decides or beside.role not in roles:
                continue
            pair = contest.between([one, beside]).on_the_test_set()
            if len(pair.outcomes) and np.isfinite(pair.contestants[0].probabilities).all():
                yield _pair(pair)


def _pair(pair: Contest) -> PairEvidence:
    one, beside = pair.contestants
    outcomes = pair.outcomes
    persons = pair.persons
    rows = ranked(one.probabilities, outcomes, persons=persons)
    losses = log_losses(one.probabilities, outcomes)
    gains = losses - log_losses(beside.probabilities, outcomes)
    area = auroc(rows)
    gain = area
    if area.value is not None:
        gain = auroc_gain(beside.probabilities, one.probabilities, outcomes, persons)
    net_benefit_gain = None
    if one.role is Role.PRESENT_SCORE and 0 < one.threshold < 1:
        cost = odds(one.threshold)
        ours = net_benefits(beside.probabilities, outcomes, one.threshold, cost)
        theirs = net_benefits(one.probabilities, outcomes, one.threshold, cost)
        net_benefit_gain = mean(ours - theirs, persons)
    return PairEvidence(
        role=one.role,
        name=one.name,
        beside=beside.role,
        rows=len(outcomes),
        positive=rows.positive,
        auroc=area,
        log_loss=mean(losses, persons, 0),
        auroc_gain=gain,
        log_loss_gain=mean(gains, persons),
        clearly_better=lower_p(gains, persons) <= CLEAR_P,
        net_benefit_gain=net_benefit_gain,
    )


def auroc_gain(
    ours: Float64Array, theirs: Float64Array, outcomes: Int8Array, persons: Persons = None
) -> Figure:
    """How much larger the area of our probabilities (n,) is than that of theirs; both outcomes are
    there.

    The interval is DeLong's for correlated areas (Biometrics 1988, 44:837): the variance of the
    paired differences contains the covariance.
    """
    is_case = outcomes == 1
    apart = placements(ours, is_case) - placements(theirs, is_case)
    found = Figure(float(apart[is_case].mean()))
    if min(is_case.sum(), (~is_case).sum()) < 2:
        return replace(found, reason=TOO_FEW_OF_A_CLASS)
    variance = delong_variance(apart, is_case, persons)
    if variance == 0:
        return replace(found, reason=NO_SPREAD)
    return around(found, math.sqrt(variance), -1, 1)


def sentence_of(found: PairEvidence, ours: str, over: str) -> str:
    """Say whether the one whom the verdict is about, called `ours`, is better, by the area under
    the ROC curve; `over` says which rows they are."""
    gain = found.auroc_gain
    if gain.value is None or gain.low is None or gain.high is None:
        compared = f"The AUROC of {ours} can't be compared with that of {found.name}"
        return f"{compared} over {over}: {gain.reason}."
    told = f"neither clearly better nor clearly worse than {found.name}: its gain is "
    told += in_words(gain)
    if gain.low > 0:
        told = f"better than {found.name} by {in_words(gain)}"
    if gain.high < 0:
        lost = Figure(-gain.value, -gain.high, -gain.low)
        told = f"worse than {found.name} by {in_words(lost)}"
    return f"{ours[0].upper()}{ours[1:]} is {told} in AUROC over {over}."
