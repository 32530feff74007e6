"""Pairs: one who decides nothing beside one whom a verdict is about, on the rows of the test set
that both can be judged on.

Gains are paired, row by row, and above 0 where the one whom the verdict is about is better.
"""

from collections.abc import Collection, Iterator

import numpy as np
from msgspec import Struct

from pima.core.statistics.discrimination import auroc, auroc_gain
from pima.core.statistics.estimates import Estimate, in_words, lower_p, mean
from pima.core.verdicts.contest import Contest, Role

CLEAR_P = 0.00135
"""One-sided p of the paired log loss from which on one is clearly better: three standard errors. By
two, up to 2 of 100 clinics would be told so falsely in a year, beside the other alarms' 2."""


class PairEvidence(Struct, frozen=True, kw_only=True):
    """The figures of a pair."""

    role: Role
    name: str
    beside: Role
    """The one whom the verdict is about."""
    rows: int
    positive: int
    """Rows with outcome 1."""
    auroc: Estimate
    """Of the one who decides nothing, on these rows."""
    log_loss: Estimate
    """Of the same, in nats."""
    auroc_gain: Estimate
    log_loss_gain: Estimate
    clearly_better: bool
    """Whether the log loss of the one who decides nothing is lower at a p of `CLEAR_P` or below."""
    net_benefit_gain: Estimate | None = None
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
    theirs, ours = map(pair.sample, pair.contestants)
    losses = theirs.log_losses
    gains = losses - ours.log_losses
    net_benefit_gain = None
    if one.role is Role.PRESENT_SCORE and 0 < one.threshold < 1:
        benefits = ours.net_benefits(one.threshold) - theirs.net_benefits(one.threshold)
        net_benefit_gain = mean(benefits, pair.persons)
    return PairEvidence(
        role=one.role,
        name=one.name,
        beside=beside.role,
        rows=len(ours),
        positive=ours.positive,
        auroc=auroc(theirs.ranked),
        log_loss=mean(losses, pair.persons, 0),
        auroc_gain=auroc_gain(ours, theirs),
        log_loss_gain=mean(gains, pair.persons),
        clearly_better=lower_p(gains, pair.persons) <= CLEAR_P,
        net_benefit_gain=net_benefit_gain,
    )


def sentence_of(found: PairEvidence, ours: str, over: str) -> str:
    """Say whether the one whom the verdict is about, called `ours`, is better, by the area under
    the ROC curve; `over` says which rows they are."""
    gain = found.auroc_gain
    if gain.value is None or gain.low is None or gain.high is None:
        compared = f"The AUROC of {ours} can't be compared with that of {found.name}"
        return f"{compared} over {over}: {gain.reason}."
    stands = f"neither clearly better nor clearly worse than {found.name}: its gain is"
    if gain.low > 0:
        stands = f"better than {found.name} by"
    if gain.high < 0:
        stands = f"worse than {found.name} by"
        gain = Estimate(-gain.value, -gain.high, -gain.low)
    return f"{ours[0].upper()}{ours[1:]} is {stands} {in_words(gain)} in AUROC over {over}."
