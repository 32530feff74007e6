"""No model is judged on whom it learned from, whatever keys come, and whatever became of the rows
meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pima.core.rows.history import below, ranks
from pima.store.models.lineage import from_parquet
from tests.support.databases import Database, call, the_json
from tests.support.ledger import document
from tests.support.patient_files import HEADER, write
from tests.support.shipped import FEATURE_NAMES, SALT, SHIPPED

pytestmark = [
    pytest.mark.usefixtures("each_fit_once", "without_reports"),
    pytest.mark.parametrize(
        "database", ["sqlite"], indirect=True
    ),  # how keys are kept, tests/store shows on both
]
LINES = SHIPPED.read_text().split()


def load(database: Database, folder: Path, header: str, lines: Iterator[str]) -> None:
    """Of a file of these."""
    ended = call(database, "load", write(folder, header, *lines))
    assert ended.exit_code == 0, ended.stderr


def retrain(database: Database, *arguments: str, **environ: str) -> dict[str, Any]:
    """With everything in the holdout for a test set."""
    ended = call(database, "retrain", "--json", *arguments, **environ, PIMA_GATE__WINDOW="all")
    assert ended.exit_code == 0, ended.stderr
    return the_json(ended)


def judged_on(database: Database) -> set[int]:
    """The test set of the last verdict."""
    last = """
        SELECT t.patient_ids FROM promotions p JOIN test_sets t
            ON t.fingerprint = p.test_set_fingerprint
        ORDER BY p.id DESC LIMIT 1"""
    return set(document(database, last))


def is_held(name: str, share: float = 0.30) -> bool:
    """Whether who is called so is held out."""
    return bool(below(ranks([name.encode()], SALT), share)[0])


def learned_from(database: Database, number: int) -> set[int]:
    """The rows of a version's snapshot."""
    content = database.value(
        f"SELECT content FROM training_snapshots WHERE model_version = {number}"
    )
    return set(from_parquet(bytes(content), FEATURE_NAMES).index)


def measured(database: Database, ids: set[int]) -> set[tuple[Any, ...]]:
    """What was measured of them."""
    return {
        row[1:]
        for row in database.execute(f"SELECT id, {', '.join(FEATURE_NAMES)} FROM patients")
        if row[0] in ids
    }


WITHOUT_SNAPSHOTS = {"PIMA_LINEAGE__SNAPSHOTS": "off"}


def test_a_person_whose_visit_was_learned_from_before_it_was_known_whose_it_is(
    database: Database, tmp_path: Path
) -> None:
    load(
        database,
        tmp_path,
        f"source,source_key,{HEADER}",
        (f"clinic,v{n},{LINES[n]}" for n in range(384)),
    )
    assert retrain(database, **WITHOUT_SNAPSHOTS)["verdict"] == "promoted"
    load(
        database,
        tmp_path,
        "source,source_key,person_key",
        (f"clinic,v{n},p{n}" for n in range(384)),
    )
    others = (f"clinic,w{n},p{n},{LINES[384 + n]}" for n in range(384))
    load(database, tmp_path, f"source,source_key,person_key,{HEADER}", others)
    database.execute("DELETE FROM patients WHERE source_key LIKE 'v%'")
    result = retrain(database, **WITHOUT_SNAPSHOTS)
    moved = {n for n in range(384) if is_held(f"source clinic v{n}") != is_held(f"person p{n}")}
    # Both rows of such a person, where both have an outcome.
    assert result["left_out"]["side_undecided"] == len(moved) > 100
    told = call(database, "retrain", **WITHOUT_SNAPSHOTS, PIMA_GATE__WINDOW="all").stdout
    assert (
        f"\n{len(moved)} labelled rows are used for neither side of the holdout (side_undecided)."
        in told
    )
    assert "begin a new database" in told
    judged = database.execute("SELECT id, person_key FROM patients WHERE source_key LIKE 'w%'")
    persons = {int(row[1][1:]) for row in judged if row[0] in judged_on(database)}
    assert persons == {n for n in range(384) if is_held(f"person p{n}")} - moved
    assert not any(not is_held(f"source clinic v{n}") for n in persons)


def test_patients_who_came_from_a_file_and_come_again_by_key(
    database: Database, tmp_path: Path
) -> None:
    load(database, tmp_path, HEADER, iter(LINES[:568]))
    assert retrain(database)["verdict"] == "promoted"
    again = (f"clinic,v{n},p{n},{LINES[n]}" for n in range(568))
    load(database, tmp_path, f"source,source_key,person_key,{HEADER}", again)
    result = retrain(database)
    # Each is twice, of whom some are twice on the same side.
    apart = sum(is_held(str(n + 1)) != is_held(f"person p{n}") for n in range(568))
    assert result["left_out"]["twin_of_holdout"] >= apart > 200
    judged = measured(database, judged_on(database))
    assert len(judged) > 80
    for number in (1, 2):
        assert not judged & measured(database, learned_from(database, number))


def test_rows_that_are_deleted_and_come_again_under_their_ids_with_keys(
    database: Database, tmp_path: Path
) -> None:
    load(database, tmp_path, HEADER, iter(LINES))
    assert retrain(database, **WITHOUT_SNAPSHOTS)["verdict"] == "promoted"
    columns = ", ".join((*FEATURE_NAMES, "outcome"))
    database.execute("CREATE TABLE before AS SELECT * FROM patients")
    database.execute("DELETE FROM patients")
    keyed = (
        f"INSERT INTO patients (id, {columns}, source, source_key) SELECT id, {columns}, "
        "'clinic', 'v' || id"
    )
    database.execute(f"{keyed} FROM before")
    result = retrain(database, **WITHOUT_SNAPSHOTS)
    held = {n for n in range(1, len(LINES) + 1) if is_held(f"source clinic v{n}")}
    assert (result["holdout_rows"], result["training_rows"] > 400) == (len(held), True)
    assert judged_on(database) == {n for n in held if is_held(str(n))}
    assert result["seen_rows"] == len(held) - len(judged_on(database)) > 100
