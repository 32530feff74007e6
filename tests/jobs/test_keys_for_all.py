"""Keys that come for a whole table: a new generation of the holdout, whose verdicts rest on nobody whom the champion
learned from."""

from pathlib import Path

import pytest

from pima.store.schema import migrate
from tests.conftest import SALT, Copied, Database, call
from tests.jobs.clinic import Clinic
from tests.jobs.learned import ARTICLE, FIVE_SEEDS, LINES, is_held, judged_on, learned_from, load, retrain
from tests.jobs.patient_files import HEADER
from tests.jobs.pulls import counts

pytestmark = [pytest.mark.xdist_group("keras"), pytest.mark.usefixtures("equal_fits_once")]
VISITS = len(LINES)
OF_PERSON = {n: f"p{n % 384}" for n in range(1, VISITS + 1)}
HELD = {n for n in OF_PERSON if is_held(f"person {OF_PERSON[n]}")}


def _generations(database: Database) -> list[int]:
    return [number for (number,) in database.execute("SELECT number FROM holdout_generations ORDER BY number")]


def _fit(database: Database, folder: Path) -> None:
    migrate(database.engine, SALT)
    load(database, folder, HEADER, iter(LINES))
    assert retrain(database, **ARTICLE)["verdict"] == "promoted"


@pytest.mark.parametrize("known", ["by snapshot", "by ids", "not at all"])
def test_persons_who_come_for_all_rows_lose_none_and_judge_no_champion_that_learned_from_them(
    copied: Copied, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, known: str
) -> None:
    database = copied(_fit, tmp_path_factory.getbasetemp())
    if known != "by snapshot":
        database.execute("DELETE FROM training_snapshots")
    if known == "not at all":  # as of a version that an earlier release made
        database.execute("UPDATE model_versions SET training_ids = NULL")
    load(database, tmp_path, "id,person_key", (f"{n},{person}" for n, person in OF_PERSON.items()))
    few = {"PIMA_RETRAIN__MINIMUM_OF_EACH_CLASS": "3"}
    tried = retrain(database, "--dry-run", **FIVE_SEEDS, **few)
    assert _generations(database) == [1]
    result = retrain(database, **FIVE_SEEDS, **few) if known == "by snapshot" else tried
    if known == "by snapshot":
        assert _generations(database) == [1, 2]
        assert database.value("SELECT holdout_generation FROM model_versions WHERE number = 2") == 2
        for name in ("holdout_rows", "training_rows", "left_out", "seen_rows", "verdict"):
            assert result[name] == tried[name]
    assert (result["holdout_rows"], result["left_out"].get("side_undecided")) == (len(HELD), None)
    told = f"keys came for {VISITS} of {VISITS} labelled rows, which go by them from now on"
    assert tried["new_generation"] == result["new_generation"] == {"number": 2, "because": told}
    if known == "not at all":
        assert result["reason"] == "too_few_unseen"
        assert "before rows got the keys that they go by now" in result["explanation"]
        dry = " ".join(call(database, "retrain", "--dry-run", **FIVE_SEEDS, **few).stdout.split())
        assert f"generation 2 of the holdout begins: {told}" in dry
        return
    # Persons of whom neither visit was learned from: by id a visit was held out, and so were twins.
    expected = {n for n in HELD if all(is_held(str(m)) for m in OF_PERSON if OF_PERSON[m] == OF_PERSON[n])}
    assert result["seen_rows"] == len(HELD) - len(expected)
    if known == "by snapshot":
        assert judged_on(database) == expected
        assert not learned_from(database, 2) & HELD


def test_rows_that_were_there_are_known_to_the_pull_that_follows(
    database: Database, clinic: Clinic, tmp_path: Path
) -> None:
    """Their keys come by an UPDATE, and nothing is doubled."""
    del clinic.settings["person"], clinic.settings["person_type"]
    clinic.settings |= {"key": "patient_no", "key_type": "integer"}
    clinic.insert(60, diabetic="no", insulin=None)
    clinic.execute("UPDATE visits SET patient_no = (SELECT count(*) FROM visits v WHERE v.visit_id <= visits.visit_id)")
    columns = "patient_no, pregnancies, glucose_mmol * 18.016, diastolic, skin, 0, bmi, pedigree, age, 0"
    rows = clinic.execute(f"SELECT {columns} FROM visits ORDER BY patient_no")
    load(database, tmp_path, f"id,{HEADER}", (",".join(map(str, row)) for row in rows))
    database.execute("UPDATE patients SET source = 'clinic', source_key = CAST(id AS TEXT)")
    found = clinic.pulled(database)
    assert (found["inserted"], found["rows"], found["rejected"]) == (0, 60, 0)
    assert call(database, "retrain", "--config", clinic.config).exit_code == 3  # too few labels
    assert _generations(database) == [1, 2]
    assert database.value("SELECT count(*) FROM row_keys WHERE side_key = 'source clinic ' || patient_id") == 60
    assert counts(clinic.pulled(database)) == {"unchanged": 60}
