"""The ways to decide about promotion that are compared, and the clinics they are tried in."""

from dataclasses import dataclass, field
from enum import StrEnum, auto

from benches.gate.fast_learner import SERVICE_LUCK, TUTORIAL_LUCK
from benches.gate.population import Truth
from pima.core.verdicts.gate import GateOptions, Window

WEEKS = 104


class Split(StrEnum):
    """What a challenger is not trained on."""

    HASH = auto()
    """the service's holdout"""
    FRESH = auto()
    """30 % of the rows, drawn anew each week"""


class Rule(StrEnum):
    """Who becomes champion."""

    STORED = auto()
    """the challenger, if its score is above the one that was stored when the champion was
    promoted"""
    DECIDE = auto()
    """whom `pima.core.verdicts.gate.decide` promotes"""
    ALWAYS = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to decide."""

    letter: str
    description: str
    split: Split = Split.HASH
    members: int = 5
    """seeds in a challenger"""
    rule: Rule = Rule.DECIDE
    window: Window | None = field(default_factory=Window)
    options: GateOptions = field(default_factory=GateOptions)


POLICIES = (
    Policy("a", "the stored score", Split.FRESH, 1, Rule.STORED, None),
    Policy("b", "fresh random splits", Split.FRESH, 1, window=None),
    Policy("c", "all of the hash holdout", members=1, window=None),
    Policy("d", "c, newest 250 rows", members=1),
    Policy("e", "d, five seeds"),
    Policy("e, all", 'e, `window = "all"`', window=None),
    Policy("f", "e, `log_loss_veto`", options=GateOptions(log_loss_veto=True)),
    Policy("g", "e, `minimum_gain = 0.01`", options=GateOptions(minimum_gain=0.01)),
    Policy("h", "every challenger", rule=Rule.ALWAYS),
    Policy("i", "never", rule=Rule.NEVER),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to the clinic, and who learns."""

    name: str
    luck: float | None
    """Of the fast learner; None: a nearest neighbour, which memorises and owes nothing to seeds."""
    after_drift: Truth = Truth.USUAL
    spoiled_share: float = 0.0
    """Of the retrainings after the first: all their challengers learn from shuffled labels"""
    letters: tuple[str, ...] = tuple(policy.letter for policy in POLICIES)

    @property
    def policies(self) -> tuple[Policy, ...]:
        return tuple(policy for policy in POLICIES if policy.letter in self.letters)

    @property
    def drifts(self) -> bool:
        return self.after_drift is not Truth.USUAL


STEADY, LUCKY, MEMORISING = (
    "No drift, steady learner",
    "No drift, lucky learner",
    "No drift, memorising learner",
)
SPOILED = "No drift, steady learner, one challenger in twenty spoiled"
SHIFT, LUCKY_SHIFT, REVERSAL = (
    "Shift, steady learner",
    "Shift, lucky learner",
    "Reversal, steady learner",
)
SCENARIOS = (
    Scenario(STEADY, SERVICE_LUCK),
    Scenario(LUCKY, TUTORIAL_LUCK),
    Scenario(SPOILED, SERVICE_LUCK, spoiled_share=0.05),
    Scenario(MEMORISING, None, letters=("a", "b", "c", "d", "h", "i")),
    Scenario(SHIFT, SERVICE_LUCK, Truth.SHIFTED),
    Scenario(LUCKY_SHIFT, TUTORIAL_LUCK, Truth.SHIFTED),
    Scenario(REVERSAL, SERVICE_LUCK, Truth.REVERSED),
)
