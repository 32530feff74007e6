"""Rows of the table that can't be scored or learned from: left out by themselves, counted, and
never in the way."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from pima.settings.reading import SHIPPED
from pima.settings.sections import Settings
from pima.store.engine import writing
from pima.store.models.registry import StoredArtifact, compiled_artifact
from pima.store.tables import model_versions
from pima.train.retraining import read_history
from tests.support.databases import Database, call, insert_many, insert_patients, the_json
from tests.support.ledger import document
from tests.support.shipped import FEATURE_NAMES

# What is asked of the database, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
Bad = tuple[dict[str, Any], str, str]

ON_BOTH: list[Bad] = [
    ({"age": None}, "missing", "age"),
    ({"pregnancies": None}, "missing", "pregnancies"),
    ({"diabetes_pedigree": None}, "missing", "diabetes_pedigree"),
    ({"glucose": 601}, "out_of_range", "glucose"),
    ({"glucose": -1}, "out_of_range", "glucose"),
    ({"bmi": 1e300}, "out_of_range", "bmi"),
    ({"age": 0}, "out_of_range", "age"),
    ({"insulin": float("inf")}, "not_finite", "insulin"),
    ({"insulin": float("-inf")}, "not_finite", "insulin"),
    (
        {"age": float("inf"), "glucose": 700},
        "out_of_range",
        "glucose",
    ),  # the first field in column order counts
]
ON_POSTGRESQL: list[Bad] = [
    ({"bmi": float("nan")}, "not_finite", "bmi"),
    ({"glucose": float("nan")}, "not_finite", "glucose"),
    ({"age": float("nan")}, "not_finite", "age"),
]
MISSING_BUT_FINE: list[dict[str, Any]] = [
    {name: value} for name in FEATURE_NAMES[1:6] for value in (None, 0)
] + [dict.fromkeys(FEATURE_NAMES[1:6], None)]


def _bad(database: Database) -> list[Bad]:
    return ON_BOTH + (ON_POSTGRESQL if database.kind == "postgresql" else [])


def _by_reason(bad: list[Bad]) -> dict[str, int]:
    reasons = [reason for _, reason, _ in bad]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def test_bad_rows_are_rejected_with_reason_and_field_and_the_others_are_predicted(
    scored_database: Database,
) -> None:
    bad = _bad(scored_database)
    sound, expected = insert_patients(scored_database, 2), {}
    for values, reason, field in bad:
        expected[insert_patients(scored_database, 1, **values)[0]] = (reason, field)
        sound += insert_patients(scored_database, 1)
    ended = call(scored_database, "score", "--json", "--batch-size", "4")
    assert ended.exit_code == 0, ended.stderr
    rejections = scored_database.execute("SELECT patient_id, reason, field FROM rejections")
    assert {row[0]: row[1:] for row in rejections} == expected
    assert scored_database.execute("SELECT patient_id FROM predictions ORDER BY patient_id") == [
        (i,) for i in sound
    ]
    assert scored_database.value("SELECT count(*) FROM scoring_queue") == 0
    result = the_json(ended)
    assert (result["claimed"], result["predicted"], result["rejected"]) == (
        len(sound) + len(bad),
        len(sound),
        len(bad),
    )
    assert result["rejected_by_reason"] == _by_reason(bad)
    ((status, run_id),) = scored_database.execute("SELECT status, id FROM runs")
    assert status == "succeeded"
    assert document(scored_database, "SELECT counts FROM runs")["rejected_by_reason"] == _by_reason(
        bad
    )
    assert scored_database.execute("SELECT DISTINCT run_id FROM rejections") == [(run_id,)]
    versions = (
        "SELECT count(*) FROM rejections r JOIN patients p ON p.id = r.patient_id AND p.version = "
        "r.patient_version"
    )
    assert scored_database.value(versions) == len(bad)


def test_missing_values_that_a_model_can_do_without_are_no_reason_to_reject(
    scored_database: Database,
) -> None:
    for values in MISSING_BUT_FINE:
        insert_patients(scored_database, 1, **values)
    result = the_json(call(scored_database, "score", "--json"))
    assert (result["predicted"], result["rejected"]) == (len(MISSING_BUT_FINE), 0)
    # A zero and a NULL mean the same where a zero means missing.
    pairs = scored_database.execute("SELECT probability FROM predictions ORDER BY patient_id")
    for n in range(0, len(MISSING_BUT_FINE) - 1, 2):
        assert pairs[n] == pairs[n + 1]


# ---- the history


def test_retraining_leaves_bad_rows_out_and_counts_them_by_reason(database: Database) -> None:
    bad = _bad(database)
    glucose_of, spoilt = {}, []
    for n in range(40):  # bad rows among the sound ones, the first row being one
        if n < len(bad):
            spoilt += insert_patients(database, 1, outcome=1, **bad[n][0])
        glucose_of[insert_patients(database, 1, glucose=100 + n, outcome=n % 2)[0]] = 100 + n
    divided, *_ = read_history(database.engine, Settings(), SHIPPED)
    assert divided.left_out == _by_reason(bad)
    used: dict[int, float] = {}
    for side in (divided.training, divided.holdout):
        used |= side["glucose"].to_dict()
        assert side["outcome"].tolist() == [int(value) % 2 for value in side["glucose"]]
    assert used == glucose_of
    assert not used.keys() & set(spoilt)


def _refused_retraining(database: Database, because: str) -> dict[str, Any]:
    """Retrain what must be refused: 3, the champion untouched, the reason in the ledger."""
    before = database.execute("SELECT model_version, sequence, pinned FROM champion")
    versions, moves = (
        database.value(f"SELECT count(*) FROM {name}") for name in ("model_versions", "promotions")
    )
    ended = call(database, "retrain", "--json")
    assert ended.exit_code == 3, ended.stderr
    result = the_json(ended)
    assert result["error"] == "too_few_labels"
    assert because in result["message"]
    assert database.execute("SELECT model_version, sequence, pinned FROM champion") == before
    assert database.value("SELECT count(*) FROM model_versions") == versions
    assert database.value("SELECT count(*) FROM promotions") == moves
    assert database.execute("SELECT job, status, error_code FROM runs") == [
        ("retrain", "refused", "too_few_labels")
    ]
    # The lease is free again: a second try is refused for the same reason, not with 75.
    assert call(database, "retrain").exit_code == 3
    counts: dict[str, Any] = document(database, "SELECT counts FROM runs ORDER BY id LIMIT 1")
    return counts


def _insert_history(database: Database, rows: int, outcome: str) -> None:
    """Labelled rows that differ in glucose."""
    insert_many(database, rows, glucose="50 + n * 0.5")
    database.execute(f"UPDATE patients SET outcome = {outcome}")


@pytest.mark.parametrize(
    ("rows", "outcome", "because"),
    [
        (1, "NULL", "0 usable labelled rows, 100 needed"),
        (99, "id % 2", "99 usable labelled rows, 100 needed"),
        (300, "0", "0 training rows with outcome 1, 10 needed"),
        (300, "CASE WHEN id < 10 THEN 1 ELSE 0 END", "training rows with outcome 1, 10 needed"),
    ],
)
@on_sqlite
def test_retraining_on_a_history_that_is_small_or_of_one_class_is_refused(
    scored_database: Database, rows: int, outcome: str, because: str
) -> None:
    _insert_history(scored_database, rows, outcome)
    counts = _refused_retraining(scored_database, because)
    assert counts["training_rows"] + counts["holdout_rows"] == (0 if outcome == "NULL" else rows)


@on_sqlite
def test_bad_rows_do_not_count_as_history(scored_database: Database) -> None:
    _insert_history(scored_database, 150, "id % 2")
    scored_database.execute("UPDATE patients SET age = 7 WHERE id > 60")
    told = "60 usable labelled rows, 100 needed; left out: 90 labelled rows (out_of_range)."
    counts = _refused_retraining(scored_database, told)
    assert counts["left_out"] == {"out_of_range": 90}


# ---- no champion, and doing only some of the work


def test_without_a_champion_an_empty_queue_is_fine_and_a_full_one_stays(database: Database) -> None:
    ended = call(database, "score", "--json")
    assert (ended.exit_code, the_json(ended)["claimed"]) == (0, 0)
    insert_patients(database, 3)
    insert_patients(database, 1, age=None)
    ended = call(database, "score", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (3, "no_champion")
    assert "4 rows on the queue" in the_json(ended)["message"]
    assert "python -m jobs.retrain" in ended.stderr
    assert database.value("SELECT count(*) FROM scoring_queue") == 4
    assert database.value("SELECT count(*) FROM rejections") == 0
    assert database.execute("SELECT status, error_code FROM runs ORDER BY id") == [
        ("succeeded", None),
        ("refused", "no_champion"),
    ]


def test_a_dry_run_counts_everything_and_writes_nothing_but_its_run(
    scored_database: Database,
) -> None:
    insert_patients(scored_database, 5)
    insert_patients(scored_database, 2, age=None)
    queue = scored_database.execute("SELECT * FROM scoring_queue ORDER BY patient_id")
    ended = call(scored_database, "score", "--dry-run", "--batch-size", "2", "--json")
    assert ended.exit_code == 0, ended.stderr
    result = the_json(ended)
    assert (result["claimed"], result["predicted"], result["rejected"], result["dry_run"]) == (
        7,
        5,
        2,
        True,
    )
    assert scored_database.execute("SELECT * FROM scoring_queue ORDER BY patient_id") == queue
    assert scored_database.value("SELECT count(*) FROM predictions") == 0
    assert scored_database.value("SELECT count(*) FROM rejections") == 0
    assert scored_database.execute("SELECT status FROM runs") == [("succeeded",)]
    assert document(scored_database, "SELECT counts FROM runs")["predicted"] == 5


@pytest.mark.parametrize(
    ("limit", "batch_size", "batches"), [("3", "2", 2), ("4", "4", 1), ("99", "3", 2)]
)
def test_a_limit_is_kept_whatever_the_batch_size(
    scored_database: Database, limit: str, batch_size: str, batches: int
) -> None:
    ids = insert_patients(scored_database, 5)
    done = min(int(limit), 5)
    result = the_json(
        call(scored_database, "score", "--limit", limit, "--batch-size", batch_size, "--json")
    )
    assert (result["claimed"], result["predicted"], result["batches"]) == (done, done, batches)
    assert scored_database.execute("SELECT patient_id FROM scoring_queue ORDER BY 1") == [
        (i,) for i in ids[done:]
    ]


# ---- a champion whose bytes are damaged


PROMOTE, ROLLBACK = ("promote", "1"), ("rollback",)


def _corrupt(database: Database, damage: str, number: int) -> None:
    content = bytes(
        database.value(f"SELECT compiled_artifact FROM model_versions WHERE number = {number}")
    )
    other = bytes(
        database.value(
            f"SELECT compiled_artifact FROM model_versions WHERE number <> {number} LIMIT 1"
        )
    )
    assert other != content
    middle = len(content) // 2
    damaged = {
        "truncated": content[:-1],
        "a bit flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "swapped with another version's": other,
        "gone": None,
    }[damage]
    change = f"UPDATE model_versions SET compiled_artifact = :content WHERE number = {number}"
    database.execute(change, {"content": damaged})


@pytest.mark.judge
@pytest.mark.parametrize(
    ("damage", "mend"),
    [
        pytest.param("truncated", PROMOTE, id="truncated"),
        pytest.param("a bit flipped", ROLLBACK, id="a bit flipped"),
        pytest.param(
            "swapped with another version's", ROLLBACK, id="swapped with another version's"
        ),
        pytest.param("gone", PROMOTE, id="gone"),
    ],
)
def test_a_damaged_champion_touches_no_row_until_a_person_mends_it(
    scored_database: Database, monkeypatch: pytest.MonkeyPatch, damage: str, mend: tuple[str, ...]
) -> None:
    assert (
        call(scored_database, "models", "promote", "2", "--reason", "for this test").exit_code == 0
    )
    insert_patients(scored_database, 3)
    insert_patients(scored_database, 1, age=None)
    _corrupt(scored_database, damage, 2)
    with monkeypatch.context() as patched:
        # Were the bytes parsed before their hash is checked, this would be another error.
        patched.setattr("pima.model.compiled.Interpreter", None)
        ended = call(scored_database, "score", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "artifact_damaged")
    assert "models rollback" in ended.stderr
    assert scored_database.value("SELECT count(*) FROM scoring_queue") == 4
    assert scored_database.value("SELECT count(*) FROM rejections") == 0
    assert scored_database.execute("SELECT status, error_code FROM runs") == [
        ("failed", "artifact_damaged")
    ]
    assert (
        call(scored_database, "models", *mend, "--reason", "its bytes are damaged").exit_code == 0
    )
    ended = call(scored_database, "score", "--json")
    assert ended.exit_code == 0, ended.stderr
    assert (
        the_json(ended)["predicted"],
        the_json(ended)["rejected"],
        the_json(ended)["model_version"],
    ) == (3, 1, 1)


@on_sqlite
def test_a_damaged_version_can_not_be_made_champion(scored_database: Database) -> None:
    assert (
        call(scored_database, "models", "promote", "2", "--reason", "for this test").exit_code == 0
    )
    before = scored_database.execute("SELECT model_version, sequence FROM champion")
    for number, move in ((3, ("promote", "3")), (1, ROLLBACK)):
        _corrupt(scored_database, "truncated", number)
        ended = call(scored_database, "models", *move, "--reason", "a try", "--json")
        assert (ended.exit_code, the_json(ended)["error"]) == (1, "artifact_damaged")
    assert scored_database.execute("SELECT model_version, sequence FROM champion") == before


def test_a_damaged_champion_matters_only_where_rows_wait(scored_database: Database) -> None:
    _corrupt(scored_database, "gone", 1)
    assert call(scored_database, "score").exit_code == 0


def _damages(stored: StoredArtifact) -> dict[str, dict[str, Any]]:
    """What a flipped bit or a person may make of the other columns that decide a version's
    predictions."""
    bits = struct.unpack(">q", struct.pack(">d", stored.threshold))[0] ^ 1
    reference = json.dumps(stored.reference)
    last = max(at for at, character in enumerate(reference) if character.isdigit())
    flipped = reference[:last] + chr(ord(reference[last]) ^ 1) + reference[last + 1 :]
    return {
        "a bit of the threshold": {"threshold": struct.unpack(">d", struct.pack(">q", bits))[0]},
        "a bit of the reference": {"reference": json.loads(flipped)},
        "the order of the features": {"features": stored.features[::-1]},
        "the name of a feature": {
            "features": [stored.features[0] | {"name": "Pregnancies"}, *stored.features[1:]]
        },
    }


@pytest.mark.parametrize(
    "damage",
    [
        "a bit of the threshold",
        "a bit of the reference",
        "the order of the features",
        "the name of a feature",
    ],
)
def test_a_champion_is_damaged_if_anything_is_that_decides_its_predictions(
    scored_database: Database, tmp_path: Path, damage: str
) -> None:
    assert (
        call(scored_database, "models", "promote", "2", "--reason", "for this test").exit_code == 0
    )
    insert_patients(scored_database, 3)
    with writing(scored_database.engine) as connection:
        stored = compiled_artifact(connection, 2)
        assert stored is not None
        connection.execute(
            update(model_versions)
            .where(model_versions.c.number == 2)
            .values(**_damages(stored)[damage])
        )
    for command in (("score",), ("models", "export", "2", "--out", str(tmp_path / "model"))):
        ended = call(scored_database, *command, "--json")
        assert (ended.exit_code, the_json(ended)["error"]) == (1, "artifact_damaged"), command
        assert "model version 2 " in ended.stderr
    assert scored_database.value("SELECT count(*) FROM scoring_queue") == 3
    assert call(scored_database, "models", *ROLLBACK, "--reason", "it is damaged").exit_code == 0
    again = call(scored_database, "models", "promote", "2", "--reason", "a try", "--json")
    assert (again.exit_code, the_json(again)["error"]) == (1, "artifact_damaged")
    scored = the_json(call(scored_database, "score", "--json"))
    assert (scored["predicted"], scored["model_version"]) == (3, 1)


@on_sqlite
@pytest.mark.parametrize(
    ("features", "error"),
    [("substr(features, 2)", "artifact_damaged"), ("CAST(x'5bff5d' AS TEXT)", "database_failed")],
)
def test_nor_does_one_whose_features_can_not_be_read_keep_from_going_back(
    scored_database: Database, features: str, error: str
) -> None:
    """SQLite stores what is no JSON, or no text."""
    assert (
        call(scored_database, "models", "promote", "2", "--reason", "for this test").exit_code == 0
    )
    insert_patients(scored_database, 3)
    scored_database.execute(f"UPDATE model_versions SET features = {features} WHERE number = 2")
    ended = call(scored_database, "score", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (1, error)
    assert call(scored_database, "models", *ROLLBACK, "--reason", "it is damaged").exit_code == 0
    assert the_json(call(scored_database, "score", "--json"))["predicted"] == 3
