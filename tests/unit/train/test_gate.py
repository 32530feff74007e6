"""When a challenger must have a clearly lower log loss besides, by the settings."""

from typing import Literal

import msgspec
import numpy as np
import pytest

from pima.core.gate import Contest, Decision, decide
from pima.core.metrics import Measure
from pima.core.reasons import Reason
from pima.settings.reading import SHIPPED
from pima.settings.sections import GateSettings, Settings
from pima.train.gate import gate_fingerprint, gate_options
from tests.support.contests import contest

OUTCOMES = np.tile(np.array([1, 0], dtype=np.int8), 50)


def _less_sure() -> Contest:
    """A challenger that is right on every row, but hardly sure, against a champion that is wrong on one."""
    champion = np.where(OUTCOMES == 1, 0.9, 0.1)
    champion[0] = 0.1
    return contest(OUTCOMES, np.where(OUTCOMES == 1, 0.51, 0.49), champion)


@pytest.mark.parametrize("measure", [Measure.ACCURACY, Measure.NET_BENEFIT])
def test_by_default_who_is_right_more_often_but_less_sure_is_kept_out(measure: Literal["accuracy"]) -> None:
    verdict = decide(_less_sure(), gate_options(GateSettings(measure=measure)))
    assert (verdict.decision, verdict.reason) == (Decision.BLOCKED, Reason.LOG_LOSS_VETO)
    without = decide(_less_sure(), gate_options(GateSettings(measure=measure, log_loss_veto=False)))
    assert without.decision is Decision.PROMOTED


@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize(("asked", "others", "of_log_loss"), [("auto", True, False), (True, True, True), (False,) * 3])
def test_log_loss_is_asked_for_beside_itself_only_where_the_setting_says_so(
    measure: Measure, asked: Literal["auto"] | bool, others: bool, of_log_loss: bool
) -> None:
    expected = of_log_loss if measure is Measure.LOG_LOSS else others
    assert gate_options(GateSettings(measure=measure.value, log_loss_veto=asked)).log_loss_veto is expected


def test_a_gate_has_the_fingerprint_of_what_it_asks_not_of_how_that_is_written() -> None:
    def fingerprint(measure: str, veto: object) -> str:
        gate = GateSettings(measure=measure, log_loss_veto=veto)
        return gate_fingerprint(msgspec.structs.replace(Settings(), gate=gate), SHIPPED.features)

    for measure, same, other in (("accuracy", True, False), ("net_benefit", True, False), ("log_loss", False, True)):
        assert fingerprint(measure, "auto") == fingerprint(measure, same) != fingerprint(measure, other)
