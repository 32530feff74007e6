"""What a verdict says in one word, and the words that people read for it."""

from enum import StrEnum

from pima.core.measures import Measure


class Decision(StrEnum):
    """The verdict's word in the ledger."""

    PROMOTED = "promoted"
    NOT_BETTER = "not_better"
    BLOCKED = "blocked"
    """A rule forbids it whatever its score, or leaves it to a person; the reason code says which."""


class Reason(StrEnum):
    """Why, as a code that scripts can rely on; the rules are tried in this order, the promotions last."""

    NOT_FINITE = "not_finite"
    PARITY_FAILED = "parity_failed"
    TOO_FEW_UNSEEN = "too_few_unseen"
    SINGLE_CLASS = "single_class"
    NOT_ABOVE_MAJORITY = "not_above_majority"
    NOT_ABOVE_CONSTANT = "not_above_constant"
    """By log loss or net benefit, what `not_above_majority` is by accuracy."""
    NOT_MORE_CORRECT = "not_more_correct"
    NOT_LOWER_LOG_LOSS = "not_lower_log_loss"
    NOT_MORE_NET_BENEFIT = "not_more_net_benefit"
    BELOW_MINIMUM_GAIN = "below_minimum_gain"
    LOG_LOSS_VETO = "log_loss_veto"
    SUBGROUP_WORSE = "subgroup_worse"
    ROLLED_BACK_BEFORE = "rolled_back_before"
    PINNED = "pinned"
    AWAITS_APPROVAL = "awaits_approval"
    MORE_CORRECT = "more_correct"
    LOWER_LOG_LOSS = "lower_log_loss"
    MORE_NET_BENEFIT = "more_net_benefit"
    FIRST_CHAMPION = "first_champion"
    CHAMPION_UNLOADABLE = "champion_unloadable"


# By measure, the codes of the three rules that ask it.
NOT_ABOVE = {
    Measure.ACCURACY: Reason.NOT_ABOVE_MAJORITY,
    Measure.LOG_LOSS: Reason.NOT_ABOVE_CONSTANT,
    Measure.NET_BENEFIT: Reason.NOT_ABOVE_CONSTANT,
}
NOT_BETTER = {
    Measure.ACCURACY: Reason.NOT_MORE_CORRECT,
    Measure.LOG_LOSS: Reason.NOT_LOWER_LOG_LOSS,
    Measure.NET_BENEFIT: Reason.NOT_MORE_NET_BENEFIT,
}
BETTER = {
    Measure.ACCURACY: Reason.MORE_CORRECT,
    Measure.LOG_LOSS: Reason.LOWER_LOG_LOSS,
    Measure.NET_BENEFIT: Reason.MORE_NET_BENEFIT,
}


def why(reason: Reason, measure: Measure) -> str:
    """The reason for people, as it is under this measure."""
    return _WHY_BY_MEASURE[measure].get(reason) or _WHY[reason]


_WHY = {
    Reason.NOT_FINITE: "the challenger gave outputs that are not finite numbers",
    Reason.PARITY_FAILED: "its compiled form disagrees with Keras",
    Reason.TOO_FEW_UNSEEN: "too few holdout rows are left that the champion, fitted under another holdout.share, before"
    " rows got the keys that they go by now, or on features retired since, can't have learned from and can score, so a"
    " person decides (models promote)",
    Reason.SINGLE_CLASS: "the test set holds one class only, on which nothing can be judged",
    Reason.SUBGROUP_WORSE: "it won, but in a subgroup it is worse than the champion by more than gate.subgroup_margin",
    Reason.ROLLED_BACK_BEFORE: "it won, but a person rolled back what these data and settings gave",
    Reason.PINNED: "it won, but the champion is pinned (models unpin)",
    Reason.AWAITS_APPROVAL: "it won and waits for a person's approval (models promote)",
}
_WHY_BY_MEASURE = {
    Measure.ACCURACY: {
        Reason.NOT_ABOVE_MAJORITY: "it does not beat always guessing the majority class",
        Reason.NOT_MORE_CORRECT: "it is not right more often than the champion",
        Reason.BELOW_MINIMUM_GAIN: "it is right more often than the champion, but by less than gate.minimum_gain",
        Reason.LOG_LOSS_VETO: "it is right more often than the champion, but its log loss is not as clearly"
        " lower as gate.log_loss_veto asks",
        Reason.MORE_CORRECT: "it is right more often than the champion",
        Reason.FIRST_CHAMPION: "it is the first champion and beats the majority class",
        Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and it beats the majority class",
    },
    Measure.LOG_LOSS: {
        Reason.NOT_ABOVE_CONSTANT: "its log loss is not lower than that of the test set's prevalence for everybody",
        Reason.NOT_LOWER_LOG_LOSS: "its log loss is not lower than the champion's",
        Reason.BELOW_MINIMUM_GAIN: "its log loss is lower than the champion's, but by less than gate.minimum_gain",
        Reason.LOG_LOSS_VETO: "its log loss is lower than the champion's, but not as clearly as gate.log_loss_veto"
        " asks",
        Reason.LOWER_LOG_LOSS: "its log loss is lower than the champion's",
        Reason.FIRST_CHAMPION: "it is the first champion, and its log loss is lower than that of the test set's"
        " prevalence for everybody",
        Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and the challenger's log loss is"
        " lower than that of the test set's prevalence for everybody",
    },
    Measure.NET_BENEFIT: {
        Reason.NOT_ABOVE_CONSTANT: "its net benefit is not above treating all and treating none",
        Reason.NOT_MORE_NET_BENEFIT: "its net benefit is not above the champion's",
        Reason.BELOW_MINIMUM_GAIN: "its net benefit is above the champion's, but by less than gate.minimum_gain",
        Reason.LOG_LOSS_VETO: "its net benefit is above the champion's, but its log loss is not as clearly lower"
        " as gate.log_loss_veto asks",
        Reason.MORE_NET_BENEFIT: "its net benefit is above the champion's",
        Reason.FIRST_CHAMPION: "it is the first champion, and its net benefit is above treating all and treating none",
        Reason.CHAMPION_UNLOADABLE: "the champion can't be loaded or gives no numbers, and the challenger's net benefit"
        " is above treating all and treating none",
    },
}
