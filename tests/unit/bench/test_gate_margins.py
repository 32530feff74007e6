"""What docs/gate.md says of `subgroup_margin`, on one clinic; `make bench-gate` is the long form."""

from tests.bench.gate.margins import MARGINS, SETTINGS, simulate_margins
from tests.bench.gate.policies import WEEKS


def test_the_smaller_the_margin_the_more_winners_are_kept_out_sound_ones_among_them() -> None:
    setting = next(each for each in SETTINGS if each.name.startswith("Small, shift"))
    found = simulate_margins(setting, seed=0)
    assert list(found) == list(MARGINS)
    kept_out = [course.rejected for course in found.values()]
    assert kept_out == sorted(kept_out)
    assert kept_out[0] == 0
    assert found[0.0].rejected > found[0.0].promotions
    for course in found.values():
        assert len(course.true_accuracies) == WEEKS
        assert course.falsely <= course.rejected
        assert course.spoiled_promotions <= course.spoiled_winners
        assert course.harmed <= course.promotions
    assert found[0.02].falsely > 0
    # What it is for: fewer of those get through that did not learn of a subgroup.
    assert found[0.02].spoiled_promotions < found[None].spoiled_promotions
