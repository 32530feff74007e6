"""First champions beside a score in use, looked at each week for a year: how often a model that is
no better gets past it, and how long one waits that is. The rule is the real one
(`pima.core.verdicts.gate`)."""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from pima.core.arrays import Float64Array, Int8Array
from pima.core.declared.present_score import PresentScore
from pima.core.statistics.logistic_regression import logistic
from pima.core.verdicts.contest import Contest, Role
from pima.core.verdicts.gate import GateOptions, Window, decide
from pima.core.verdicts.reasons import Decision
from pima.core.verdicts.verdict import Measure
from tests.support.contests import changed, contest, contestant

LOOKS = 53
"""The first one, and one each week of a year."""
AUROC_OF_SCORE = 0.76
ALIKE = 0.5
"""The correlation of model and score among patients with the same outcome."""
CLINICS_AT_ONCE = 25
_SCORE = PresentScore("score")
_WINDOW = Window()


@dataclass(frozen=True, slots=True)
class Beside:
    """A model, which stays the same, beside a score: what both say is normal within each outcome,
    and both are well calibrated."""

    prevalence: float
    held_out_a_week: int
    better: float
    """How much larger the model's true AUROC is."""
    measure: Measure = Measure.LOG_LOSS
    threshold: float = 0.5

    @property
    def test_set(self) -> int:
        """The rows of each verdict, if so many have come each week for long."""
        recent = self.held_out_a_week * _WINDOW.weeks
        return min(max(recent, _WINDOW.minimum_rows), _WINDOW.maximum_rows)


def first_looks(what: Beside, seed: int) -> Float64Array:
    """At which look, from 1 on, the model becomes first champion in some clinics, infinite if it
    does not in a year: by the rule, and if each look were the first, (clinics, 2)."""
    draw = np.random.default_rng([seed, 4])
    return np.array([_first_looks(what, draw) for _ in range(CLINICS_AT_ONCE)])


def _first_looks(what: Beside, draw: np.random.Generator) -> tuple[float, float]:
    rows = what.test_set + (LOOKS - 1) * what.held_out_a_week
    outcomes = (draw.random(rows) < what.prevalence).astype(np.int8)
    shared = draw.normal(size=rows)
    model = _probabilities(what, AUROC_OF_SCORE + what.better, outcomes, shared, draw)
    score = _probabilities(what, AUROC_OF_SCORE, outcomes, shared, draw)
    by_rule = as_first = np.inf
    for look in range(1, LOOKS + 1):
        begin = (look - 1) * what.held_out_a_week
        these = slice(begin, begin + what.test_set)
        asked = _contest(what, outcomes[these], model[these], score[these])
        # What does not get past at a first look gets past at none.
        if _gets_past(what, asked):
            as_first = min(as_first, look)
            if _gets_past(what, changed(asked, consultations=look)):
                by_rule = look
                break
    return by_rule, as_first


def _probabilities(
    what: Beside, auroc: float, outcomes: Int8Array, shared: Float64Array, draw: np.random.Generator
) -> Float64Array:
    """Those of somebody with this AUROC, calibrated; what it has in common is `shared`, (n,)."""
    apart = 2**0.5 * NormalDist().inv_cdf(auroc)
    own = draw.normal(size=len(outcomes))
    says = apart * outcomes + ALIKE**0.5 * shared + (1 - ALIKE) ** 0.5 * own
    usual = np.log(what.prevalence / (1 - what.prevalence))
    return logistic(usual + apart * says - apart**2 / 2)


def _contest(
    what: Beside, outcomes: Int8Array, model: Float64Array, score: Float64Array
) -> Contest:
    alone = contest(outcomes, model, threshold=what.threshold)
    beside = contestant(Role.PRESENT_SCORE, score, what.threshold)
    beside = replace(beside, declared=_SCORE.name, decides=False)
    return replace(alone, contestants=(*alone.contestants, beside))


def _gets_past(what: Beside, asked: Contest) -> bool:
    options = GateOptions(
        measure=what.measure,
        log_loss_veto=what.measure is not Measure.LOG_LOSS,
        first_must_beat=_SCORE,
    )
    return decide(asked, options).decision is Decision.PROMOTED
