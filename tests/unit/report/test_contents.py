"""Curves from the evidence that the ledger keeps, against what they are drawn from."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from sklearn.metrics import roc_curve

from pima.core.arrays import Float64Array, Int8Array
from pima.core.verdicts.contest import Contest
from pima.core.verdicts.evidence import (
    Evidence,
    ModelEvidence,
    blocks,
    counts_above,
    document,
    evidence,
    read_evidence,
    shown_bounds,
)
from pima.report.contents import calibration, distribution, exhibit, roc
from pima.report.pictures import has_areas
from pima.report.version_facts import version_evidence
from tests.support.contests import contest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DRAW = np.random.default_rng(5)
PROBABILITIES = DRAW.beta(1, 2, 400).round(3)
OUTCOMES = (DRAW.random(400) < PROBABILITIES).astype(np.int8)


def _kept(asked: Contest) -> tuple[Evidence, ModelEvidence]:
    """As the ledger keeps it, and the challenger's."""
    kept = read_evidence(document(evidence(asked)))
    return kept, kept.contestants[0]


def _evidence(
    probabilities: Float64Array = PROBABILITIES, outcomes: Int8Array = OUTCOMES
) -> tuple[Evidence, ModelEvidence]:
    return _kept(contest(outcomes, probabilities))


def test_blocks_hold_each_row_once() -> None:
    made = _evidence()
    found = list(blocks(*made, list(counts_above(*made))))
    assert len(found) == 100
    assert sum(cell.cases for cell in found) == OUTCOMES.sum()
    assert sum(cell.rows for cell in found) == 400
    for cell in found:
        within = (cell.low <= PROBABILITIES) & (cell.high > PROBABILITIES)
        assert (cell.cases, cell.others) == (OUTCOMES[within].sum(), (1 - OUTCOMES[within]).sum())


def test_the_roc_curve_is_that_of_scikit_learn() -> None:
    false_alarms, found, thresholds = roc_curve(OUTCOMES, PROBABILITIES, drop_intermediate=False)
    at = {
        round(float(each), 3): (x, y)
        for each, x, y in zip(thresholds, false_alarms, found, strict=True)
    }
    points = roc(*_evidence())
    assert points[0] == (1, 0, 0)
    assert points[-1] == (0, 1, 1)
    compared = [(point[1:], at[point[0]]) for point in points[1:-1] if point[0] in at]
    assert len(compared) > 10
    for ours, theirs in compared:
        assert ours == pytest.approx(theirs)


def test_calibration_groups_hold_about_as_many_rows_and_add_up() -> None:
    found = calibration(*_evidence())
    assert 5 <= len(found) <= 10
    assert sum(group.rows for group in found) == 400
    assert min(group.rows for group in found) >= 40
    mean = sum(group.rows * group.predicted for group in found) / 400
    assert mean == pytest.approx(PROBABILITIES.mean(), abs=0.005)
    assert sum(group.rows * (group.observed.value or 0) for group in found) == pytest.approx(
        OUTCOMES.sum()
    )


def test_a_distribution_has_tenths_and_those_of_few_rows_together() -> None:
    found = distribution(*_evidence())
    tenths = [(n / 10, (n + 1) / 10) for n in range(7)]
    assert [(cell.low, cell.high) for cell in found] == [*tenths, (0.7, 1.0)]
    assert sum(cell.rows for cell in found) == 400
    assert 0 < (PROBABILITIES >= 0.8).sum() < 10


@pytest.mark.parametrize("rows", [1, 9, 10, 25, 150, 400])
@pytest.mark.parametrize("own", [0.31, 0.3145])
def test_no_two_figures_differ_by_a_step_of_few_rows(rows: int, own: float) -> None:
    probabilities = PROBABILITIES[:rows]
    made = _kept(contest(OUTCOMES[:rows], probabilities, None, own))
    groups, bars = calibration(*made), distribution(*made)
    told = {0.0, *shown_bounds(*made)[:-1], *(cell.low for cell in bars)}
    told |= {threshold for threshold, *_ in roc(*made)[1:]}
    steps = np.histogram(probabilities, [*sorted(told), 1.0])[0]
    assert steps.sum() == rows
    assert len(steps) == 1 or steps.min() >= 10
    assert sum(group.rows for group in groups) == rows
    # A group of like probability is made of whole steps.
    assert set(np.cumsum([group.rows for group in groups])) <= set(np.cumsum(steps))
    assert [block.rows for block in blocks(*made, shown_bounds(*made))] == steps.tolist()
    assert (own in told) is (rows >= 150)


@pytest.mark.parametrize("own", [0.004, 0.855, 0.8999, 0.9955])
def test_no_step_from_what_the_classes_tell_is_of_few_rows(own: float) -> None:
    made = _kept(contest(OUTCOMES, PROBABILITIES, None, own))
    told = np.array(shown_bounds(*made)[:-1])
    beside = np.abs((told[:, None] <= PROBABILITIES).sum(axis=1) - (own <= PROBABILITIES).sum())
    assert beside.min() == 0 or beside[1:].min() >= 10


def test_one_class_has_no_roc_curve_and_no_picture_of_subgroups() -> None:
    halves = pd.DataFrame({"side": ["left", "right"] * 200}, dtype="category")
    for outcomes, is_drawn in ((OUTCOMES, True), (np.zeros(400, np.int8), False)):
        made = _kept(contest(outcomes, PROBABILITIES, groups=halves))
        found = exhibit(made[0], NOW, {}, None)
        assert (found is not None and has_areas(found), bool(roc(*made))) == (
            is_drawn,
            is_drawn,
        )


def test_an_exhibit_has_the_models_that_there_is_evidence_of() -> None:
    versions = {"challenger": 2, "champion": 1}
    made, _ = _evidence()
    found = exhibit(made, NOW, versions, first=1)
    assert found is not None
    assert [(each.role, each.name) for each in found.models] == [("challenger", "version 2")]
    assert exhibit(replace(made, contestants=()), NOW, versions, first=1) is None
    answers = contest(OUTCOMES, PROBABILITIES, PROBABILITIES / 2)
    both = _kept(answers)[0]
    for first, names in ((1, ["version 1", "version 2"]), (2, ["version 2", "version 1"])):
        found = exhibit(both, NOW, versions, first)
        assert found is not None
        assert [each.name for each in found.models] == names


def test_one_without_a_version_keeps_its_name_and_its_place() -> None:
    both, _ = _kept(contest(OUTCOMES, PROBABILITIES, PROBABILITIES / 2))
    found = exhibit(both, NOW, {"challenger": 2}, first=None)
    assert found is not None
    assert [each.name for each in found.models] == ["version 2", "the champion"]


@pytest.mark.parametrize("rows", [1, 9, 10])
def test_of_fewer_than_ten_rows_neither_report_nor_card_has_a_figure(rows: int) -> None:
    made, _ = _evidence(PROBABILITIES[:rows], OUTCOMES[:rows])
    in_report = exhibit(made, NOW, {}, None)
    assert (in_report is None, version_evidence(made) is None) == (rows < 10, rows < 10)
