"""A first retraining on few labels may give no champion, by luck: what everybody is told then."""

import re
from pathlib import Path

import pytest

from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.shipped import SHIPPED

pytestmark = pytest.mark.usefixtures("equal_fits_once")

# 200 labels hold out about 60 rows; of these outcomes a third is 1, whatever was measured, so
# nothing can be learned.
NOTHING_TO_LEARN = "UPDATE patients SET outcome = CASE WHEN id % 3 = 0 THEN 1 ELSE 0 END"
TOLD = "it does not beat always guessing the majority class"


@pytest.fixture
def few(sqlite: Database, tmp_path: Path, without_reports: None) -> Database:
    """200 labelled rows, and a retraining that gave no champion."""
    return _without_champion(sqlite, tmp_path)


def _without_champion(sqlite: Database, tmp_path: Path) -> Database:
    part = tmp_path / "part.csv"
    part.write_text("".join(SHIPPED.read_text().splitlines(keepends=True)[:200]))
    assert call(sqlite, "load", str(part)).exit_code == 0
    sqlite.execute(NOTHING_TO_LEARN)
    retrained = call(sqlite, "retrain")
    assert retrained.exit_code == 0, retrained.stderr
    assert TOLD in " ".join(retrained.stdout.split())
    assert TOLD in retrained.stderr
    return sqlite


def test_it_is_told_where_it_happens_and_by_health_and_status_until_there_is_a_champion(
    few: Database, tmp_path: Path
) -> None:
    insert_patients(few, 1)
    assert call(few, "score").exit_code == 3
    again = the_json(call(few, "retrain", "--json"))
    assert (again["judged_before"], again["reason"]) == (True, "not_above_majority")
    assert TOLD in again["explanation"]
    ill = call(few, "health")
    assert ill.exit_code == 1
    assert re.search("no_champion: there is none yet, .*" + TOLD, ill.stderr.replace("\n", " "))
    assert re.search(r"none\s+yet;", call(few, "status").stdout)
    assert TOLD in the_json(call(few, "status", "--json"))["champion"]["last_verdict"]
    more = tmp_path / "more.csv"
    more.write_text("".join(SHIPPED.read_text().splitlines(keepends=True)[200:]))
    assert call(few, "load", str(more)).exit_code == 0
    assert the_json(call(few, "retrain", "--json"))["reason"] == "first_champion"
    assert call(few, "score").exit_code == 0
    assert "no_champion" not in call(few, "health").stderr


def test_the_report_that_it_leaves_says_so(sqlite: Database, tmp_path: Path) -> None:
    html = _without_champion(sqlite, tmp_path).value("SELECT html FROM reports")
    assert re.search(f"There is no champion yet. The last retraining said: [^<]*{TOLD}", html)
