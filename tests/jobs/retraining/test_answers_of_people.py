"""What people answer on a model card, in the file beside the settings."""

from pathlib import Path
from typing import Any

import pytest

from pima.settings.reading import SHIPPED_FILE
from tests.support.databases import Database, call, the_json
from tests.support.declared import configuration

CARD = """
["hti_1.2(i)"]
answer = "To call patients back, *not* to send them away."
by = "Dr. A. Ahmed"
on = 2026-11-30
for_version = 1

["tripod_ai.17"]
answer = "Approved by the clinic's board."
by = "the board"
on = 2026-11-29
for_version = 2
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    return configuration(tmp_path, SHIPPED_FILE.read_text())


def opened(database: Database, config: str, *version: str) -> list[dict[str, Any]]:
    found = the_json(
        call(database, "models", "card", *version, "--open", "--config", config, "--json")
    )
    questions: list[dict[str, Any]] = found["open"]
    return questions


def test_an_answer_stands_under_its_item_and_what_is_left_is_listed(
    scored_database: Database, config: str, tmp_path: Path
) -> None:
    before = opened(scored_database, config)
    assert {"item": "hti_1.2(i)", "asks": "Intended use", "answer": ""} in before
    (tmp_path / "card.toml").write_text(CARD)
    # The champion is version 1, and version 2 has the same features, threshold and horizon.
    told = call(scored_database, "models", "card", "--config", config).stdout
    assert told.startswith("# Model card: version 1\n")
    answer = "To call patients back, \\*not\\* to send them away. (Dr. A. Ahmed, 2026-11-30)"
    assert f"| 2(i) | Intended use | {answer} |" in told
    assert "Approved by the clinic's board. (the board, 2026-11-29) |" in told
    assert "- HTI-1 2(i): Intended use" not in told
    left = opened(scored_database, config)
    assert len(left) == len(before) - 2
    listed = call(scored_database, "models", "card", "--open", "--config", config).stdout
    assert "\nhti_1.2(ii): Intended patient populations\n" in listed
    assert listed.endswith(f"\n{len(left)} questions open; answers stand in card.toml\n")


def test_an_answer_for_a_version_of_another_threshold_says_so_and_is_open_again(
    scored_database: Database, config: str, tmp_path: Path
) -> None:
    (tmp_path / "card.toml").write_text(CARD)
    scored_database.execute("UPDATE model_versions SET threshold = 0.25 WHERE number = 2")
    told = call(scored_database, "models", "card", "2", "--config", config).stdout
    assert "(Dr. A. Ahmed, 2026-11-30; answered for version 1, now 2) |" in told
    assert "(the board, 2026-11-29) |" in told
    items = [each["item"] for each in opened(scored_database, config, "2")]
    assert "hti_1.2(i)" in items
    assert "tripod_ai.17" not in items


@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        (CARD.replace("2(i)", "2(x)"), '["hti_1.2(x)"] is no item of a card'),
        ("[tripod_ai.17]\nanswer = 'yes'", '["tripod_ai"] is no item of a card'),
        ("'tripod_ai.17' = 'yes'", '["tripod_ai.17"] is no item of a card'),
        (CARD.replace("on = 2026-11-30", ""), '["hti_1.2(i)"]: the file lacks on'),
        (CARD.replace("2026-11-30", "'today'"), "on has a wrong value. Expected: a day without"),
        (CARD.replace("for_version = 1", "for_version = 9"), "There is no model version 9."),
    ],
)
def test_a_faulty_answer_is_refused_by_name(
    scored_database: Database, config: str, tmp_path: Path, faulty: str, told: str
) -> None:
    (tmp_path / "card.toml").write_text(faulty)
    ended = call(scored_database, "models", "card", "--config", config)
    assert ended.exit_code == 2
    assert told in ended.stderr


def test_without_a_champion_a_version_must_be_named(scored_database: Database, config: str) -> None:
    scored_database.execute("UPDATE champion SET model_version = NULL")
    ended = call(scored_database, "models", "card", "--config", config)
    assert ended.exit_code == 3
    assert "name the version" in ended.stderr
