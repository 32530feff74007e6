"""What is said of a version beside a score in use, whichever of both is better."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import evidence
from pima.core.verdicts.figures import Figure
from pima.core.verdicts.pairs import TOO_FEW_OF_A_CLASS
from pima.watch.beside_scores import BesideScore
from tests.support.contests import contest, contestant
from tests.support.ward import WARD


@pytest.mark.parametrize(
    ("gain", "rows", "told"),
    [
        (
            Figure(0.041, 0.012, 0.07),
            180,
            (
                "Version 3 is better than the ward's points by 0.041 (0.012 to 0.070) in AUROC over "
                "180 of 200 settled outcomes (of 20 the score was not known then)."
            ),
        ),
        (
            Figure(-0.041, -0.07, -0.012),
            200,
            (
                "Version 3 is worse than the ward's points by 0.041 (0.012 to 0.070) in AUROC over "
                "200 settled outcomes."
            ),
        ),
        (
            Figure(-0.01, -0.04, 0.02),
            190,
            (
                "Version 3 is neither clearly better nor clearly worse than the ward's points: its "
                "gain is -0.010 (-0.040 to 0.020) in AUROC over 190 of 200 settled outcomes (of at "
                "most 10 the score was not known then)."
            ),
        ),
        (
            Figure(0.2, reason=TOO_FEW_OF_A_CLASS),
            19,
            (
                "The AUROC of version 3 can't be compared with that of the ward's points over 19 of "
                "200 settled outcomes (of 181 the score was not known then): fewer than two rows of "
                "an outcome."
            ),
        ),
    ],
)
def test_who_is_better_is_said_with_the_outcomes_that_it_rests_on(
    gain: Figure, rows: int, told: str
) -> None:
    said = np.linspace(0.1, 0.9, 20)
    score = replace(contestant(Role.PRESENT_SCORE, said), name=WARD.called, decides=False)
    both = contest(np.arange(20) % 2, said)
    both = replace(both, contestants=(*both.contestants, score))
    pair = structs.replace(evidence(both).pairs[0], auroc_gain=gain, rows=rows)
    assert str(BesideScore(WARD, 3, 200, pair, both)) == told
