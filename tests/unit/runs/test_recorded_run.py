"""A workflow's result as JSON has the keys that SQL reads."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from msgspec import structs

from pima.core.rows.hindsight import Corrections
from pima.core.rows.mapping import SourceTally
from pima.core.statistics.estimates import Estimate
from pima.core.verdicts.evidence import evidence
from pima.core.verdicts.gate import Verdict
from pima.core.verdicts.reasons import Decision, Reason
from pima.core.verdicts.verdict import (
    Measure,
    Measured,
    PairedComparison,
    Performance,
    VerdictFigures,
    WorstSubgroup,
)
from pima.intake.files.header import Header
from pima.intake.files.loading import LoadResult
from pima.intake.files.patient_file import ALL_TEXT, PatientFile
from pima.intake.raw_rows import BadLine
from pima.runs.recorded_run import as_json
from pima.scoring import ScoreResult
from pima.settings.reading import SHIPPED
from pima.store.models.registry import Champion
from pima.store.rows.arrivals import Taken
from pima.store.service.runs import JUDGED_BEFORE, ROW_RESULTS
from pima.train.gate import EarlierVerdict, Judgement
from pima.train.ledger import announce
from pima.train.retraining import HistoryRows, RetrainResult
from tests.support.contests import contest

ROWS = HistoryRows(
    training_rows=500, holdout_rows=200, left_out={"missing": 3}, corrected=Corrections(ones=2)
)
SCORES = Performance(
    rows=200,
    correct=160,
    accuracy=0.8,
    log_loss=0.45,
    brier=0.15,
    auc=0.85,
    sensitivity=0.6,
    specificity=0.9,
)
COMPARISON = PairedComparison(7, 4, 0.015, -0.02, 0.05, 0.55, 0.04, -0.01, 0.2)
MEASURED = Measured(
    measure=Measure.ACCURACY,
    challenger=0.8,
    champion=0.785,
    constant=0.65,
    gain_on_constant=0.15,
    gain=0.015,
    interval_low=-0.02,
    interval_high=0.05,
    p=0.55,
    whole_gain=0.01,
)
VERDICT = Verdict(
    decision=Decision.PROMOTED,
    reason=Reason.MORE_CORRECT,
    sentence="promoted: it is right more often",
    figures=VerdictFigures(
        challenger_scores=SCORES,
        champion_scores=None,
        comparison=COMPARISON,
        majority_correct=130,
        measured=MEASURED,
        whole_rows=210,
        whole_accuracy_difference=0.01,
        consultations=3,
        seen_rows=0,
        unscorable_rows=0,
        worst_subgroup=WorstSubgroup("age", "40 and over", 62, -0.065),
    ),
)
EVIDENCE = evidence(contest(np.array([0, 1], dtype=np.int8), np.array([0.4, 0.6])))
OF_CHALLENGER = structs.replace(
    EVIDENCE.contestants[0], auroc=Estimate(0.85004), calibration_slope=Estimate(1.06951)
)
JUDGEMENT = Judgement(
    Champion(1, 1, False),
    VERDICT,
    pd.DataFrame(),
    structs.replace(EVIDENCE, contestants=(OF_CHALLENGER,)),
)
JUDGED = RetrainResult(ROWS, announce(JUDGEMENT, 2))
JUDGED_EARLIER = RetrainResult(
    ROWS, EarlierVerdict("not_better", "not_more_correct", "not better", 2)
)


def test_what_scoring_did_as_json() -> None:
    done = ScoreResult(5, 3, 1, 1, {"missing": 1}, 2, 7, new_predicted=4, new_ids=2)
    assert list(as_json(done).items()) == [
        ("claimed", 5),
        ("predicted", 3),
        ("already_scored", 1),
        ("rejected", 1),
        ("rejected_by_reason", {"missing": 1}),
        ("batches", 2),
        ("model_version", 7),
        ("new_predicted", 4),
        ("new_ids", 2),
    ]


def _file(name: str, *columns: str) -> PatientFile:
    return PatientFile(
        name,
        "of the text",
        SHIPPED,
        Header(columns, (), 0),
        lambda: iter(()),
        ALL_TEXT,
        SourceTally(),
    )


def test_what_loading_did_as_json() -> None:
    bad = [
        BadLine(9, "not_a_number", "age"),
        BadLine(4, "bad_id", "id"),
        BadLine(5, "bad_id", "id"),
    ]
    done = (
        LoadResult()
        .with_file(_file("a.csv", "id", "age"), Taken(1, 2, 3), [])
        .with_file(_file("b.csv", "age"), Taken(1, 0, 0), bad)
    )
    found = as_json(done)
    rules = found.pop("broken_rules")
    assert found == {
        "files": 2,
        "inserted": 2,
        "updated": 2,
        "unchanged": 3,
        "refused": 3,
        "refused_by_reason": {"bad_id": 2, "not_a_number": 1},
        "bad_lines": [
            {"file": "b.csv", "line": 4, "reason": "bad_id", "field": "id"},
            {"file": "b.csv", "line": 5, "reason": "bad_id", "field": "id"},
            {"file": "b.csv", "line": 9, "reason": "not_a_number", "field": "age"},
        ],
        "partly_loaded": ["b.csv"],
        "unknown_taken": {},
    }
    assert [list(rule) for rule in rules] == [
        ["file", "reason", "field", "expected", "lines", "first_lines", "text"]
    ] * 2
    assert (rules[0]["reason"], rules[0]["first_lines"], rules[0]["text"][:7]) == (
        "bad_id",
        [4, 5],
        "2 lines",
    )


def test_what_retraining_decided_as_json() -> None:
    found = as_json(JUDGED)
    assert list(found) == [
        *(
            "training_rows",
            "holdout_rows",
            "left_out",
            "corrected",
            "twins_kept",
            "followed_up",
            "newest_weeks",
            "verdict",
            "reason",
            "explanation",
            "champion_before",
        ),
        *(
            "challenger",
            "judged_before",
            "challenger_scores",
            "champion_scores",
            "comparison",
            "majority_correct",
        ),
        *(
            "measured",
            "whole_rows",
            "whole_accuracy_difference",
            "consultations",
            "seen_rows",
            "unscorable_rows",
        ),
        *("worst_subgroup", "window", "test_set_rows", "holdout_order", "against_score"),
        *("auroc", "calibration_slope"),
    ]
    assert (found["verdict"], found["judged_before"], found["champion_scores"]) == (
        "promoted",
        False,
        None,
    )
    assert (found["challenger_scores"], found["comparison"]) == (asdict(SCORES), asdict(COMPARISON))
    assert found["measured"] == asdict(MEASURED)
    assert found["worst_subgroup"] == {
        "feature": "age",
        "group": "40 and over",
        "rows": 62,
        "gain": -0.065,
    }
    assert (found["auroc"], found["calibration_slope"]) == (0.85, 1.07)
    nothing = as_json(
        announce(replace(JUDGEMENT, evidence=structs.replace(EVIDENCE, contestants=())), None)
    )
    assert (nothing["auroc"], nothing["calibration_slope"]) == (None, None)
    assert json.loads(json.dumps(found)) == found


def test_a_verdict_of_an_earlier_run_as_json() -> None:
    assert as_json(JUDGED_EARLIER) == {
        "training_rows": 500,
        "holdout_rows": 200,
        "left_out": {"missing": 3},
        "corrected": {
            "zeros": 0,
            "of_zeros": 0,
            "ones": 2,
            "of_ones": 0,
            "not_kept": 0,
            "expected": 0.0,
            "variance": 0.0,
        },
        "twins_kept": 0,
        "followed_up": None,
        "newest_weeks": None,
        "verdict": "not_better",
        "reason": "not_more_correct",
        "explanation": "not better",
        "challenger": 2,
        "judged_before": True,
    }


@pytest.mark.parametrize("result", [JUDGED, JUDGED_EARLIER], ids=["now", "earlier"])
def test_the_key_by_which_sql_counts_verdicts_is_in_every_verdict(result: RetrainResult) -> None:
    assert isinstance(as_json(result)[JUDGED_BEFORE], bool)


def test_the_keys_that_sql_sums_are_numbers_of_rows() -> None:
    found = as_json(ScoreResult())
    assert [found[name] for name in ROW_RESULTS] == [0, 0, 0]
