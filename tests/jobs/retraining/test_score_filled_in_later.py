"""A score in use that is there only once the outcome is: it is told so, with what to do."""

import re
from html import unescape
from pathlib import Path

import pytest

from pima.core.declared.present_score import FEWEST_LOOKED_AT
from tests.support.databases import Copied, Database, call, insert_many, the_json
from tests.support.ward import install_ward, make_ward, ward_configuration

LATER = "the ward's points: filled in later, so nothing can be compared with it"
WAITS = "the ward's points: compared as soon as 10 predictions with a known score"
pytestmark = pytest.mark.usefixtures("equal_fits_once")


def _predicted_without(database: Database, config: str, rows: int) -> None:
    """Rows are predicted without the points, which come with the outcome."""
    insert_many(database, rows, glucose="80 + n * 2")
    assert call(database, "score", "--config", config).exit_code == 0
    database.execute("UPDATE patients SET ward = id % 4, outcome = id % 2 WHERE outcome IS NULL")


def _told(database: Database, config: str) -> list[str]:
    """What status, its JSON, a card and the report say."""
    asked = ("--config", config)
    status = call(database, "status", *asked, COLUMNS="400").stdout
    (in_json,) = the_json(call(database, "status", *asked, "--json"))["beside_scores"]
    card = call(database, "models", "card", "1", *asked).stdout
    out = Path(config).with_name("report.html")
    assert call(database, "report", *asked, "--out", str(out)).exit_code == 0
    page = unescape(re.sub(r"<[^>]+>", "", out.read_text()))
    return [" ".join(each.split()) for each in (status, in_json, card, page)]


@pytest.fixture
def ward(copied: Copied, trained: Path) -> Database:
    return copied(install_ward, trained)


def test_a_score_that_comes_with_the_outcome_is_told_until_it_comes_before(
    ward: Database, tmp_path: Path
) -> None:
    config = ward_configuration(tmp_path)
    _predicted_without(ward, config, FEWEST_LOOKED_AT - 1)
    assert all(WAITS in each and LATER not in each for each in _told(ward, config))
    _predicted_without(ward, config, 1)
    for told in _told(ward, config):
        assert f"{LATER}: of {FEWEST_LOOKED_AT} rows none had it before its outcome" in told
        assert "written into ward before score predicts the row; until then" in told
        assert WAITS not in told
    insert_many(ward, 1)
    ward.execute("UPDATE patients SET ward = 2 WHERE outcome IS NULL")
    assert all(WAITS in each and LATER not in each for each in _told(ward, config))
    assert call(ward, "score", "--config", config).exit_code == 0
    ward.execute("UPDATE patients SET outcome = 1 WHERE outcome IS NULL")
    assert all(WAITS in each and LATER not in each for each in _told(ward, config))


def test_predictions_before_the_score_was_declared_say_nothing_of_when_it_comes(
    ward: Database, tmp_path: Path
) -> None:
    config = ward_configuration(tmp_path)
    _predicted_without(ward, config, FEWEST_LOOKED_AT)
    with (tmp_path / "features.toml").open("a") as file:
        file.write("high = 20\n")
    again = ("--features", "--reason", "999 is not assessed")
    assert call(ward, "migrate", "--config", config, *again).exit_code == 0
    assert all(WAITS in each and LATER not in each for each in _told(ward, config))


@pytest.mark.parametrize("said", [None, 3])
def test_a_first_champion_that_such_a_score_keeps_out_is_told_why(
    copied: Copied, tmp_path: Path, said: int | None
) -> None:
    database, config = copied(make_ward), ward_configuration(tmp_path)
    insert_many(database, 700, glucose="80 + n % 120")
    # The points are as good as the outcome itself.
    database.execute("""
        UPDATE patients SET outcome = CASE WHEN glucose + id % 7 * 15 > 190 THEN 1 ELSE 0 END,
            ward = CASE WHEN glucose + id % 7 * 15 > 190 THEN 4 ELSE 0 END""")
    insert_many(database, FEWEST_LOOKED_AT)
    database.execute("UPDATE patients SET ward = :said WHERE outcome IS NULL", {"said": said})
    ended = call(
        database, "retrain", "--config", config, "--json", PIMA_GATE__FIRST_MUST_BEAT="ward"
    )
    found = the_json(ended)
    assert (found["verdict"], found["reason"]) == ("blocked", "not_better_than_score")
    assert (LATER in found["explanation"]) is (said is None)
