"""What new rules change for the existing rows, which are read in parts."""

import numpy as np

from pima.core.declared.features import Feature
from pima.core.rows.redeclared import Effects, Rules, add_effects
from pima.core.rows.validation import Measurements

WIDE = (Feature("age", low=0, high=100),)
NARROW = (Feature("age", low=18, high=100),)


def test_the_effects_on_all_parts_are_added() -> None:
    rules = Rules(("age",), WIDE, NARROW, NARROW, rejected=[])
    effects = Effects()
    for first, unlabelled in enumerate(([True, False, True], [True, False, False])):
        values = np.array([[10.0], [11.0], [30.0]])
        ids = np.arange(3) + 3 * first
        rows = Measurements(values, np.zeros_like(values, dtype=bool))
        add_effects(effects, ids, np.array(unlabelled), rows, rules)
    assert effects.rejected_from_now == {"out_of_range age": 2}
    assert effects.left_out_of_training == {"out_of_range age": 2}
    assert effects.sound_from_now == []


def test_a_row_that_some_champion_rejected_and_the_new_rules_accept_is_sound_from_now_on() -> None:
    rules = Rules(("age",), NARROW, WIDE, WIDE, rejected=[1, 2, 5])
    effects = Effects()
    for ids in ([1, 2, 3], [4, 5, 6]):
        values = np.array([[10.0], [-1.0], [30.0]])
        rows = Measurements(values, np.zeros_like(values, dtype=bool))
        add_effects(effects, np.array(ids), np.array([True] * 3), rows, rules)
    assert effects.sound_from_now == [1]
    assert effects.rejected_from_now == {}
