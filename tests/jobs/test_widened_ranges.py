"""A range that is widened under a champion whose fit raised the feature to a power, on both databases."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.databases import Copied, Database, call, the_json, under_role
from tests.support.declared import configuration

pytestmark = pytest.mark.usefixtures("equal_fits_once")

DECLARED = """
[outcome]
name = "ill"

[[feature]]
name = "a"
low = 0.01
high = 1000

[[feature]]
name = "b"
low = -10
high = 10
"""
WIDER = DECLARED.replace("low = 0.01", "low = -5")


def _file(folder: Path, rows: int, seed: int, below: int = 0) -> str:
    """So skewed an `a` that the fit takes its reciprocal; of `below` rows it is 0 or negative."""
    draw = random.Random(seed)  # noqa: S311
    lines = ["a,b,ill"]
    for row in range(rows):
        reciprocal, b = draw.uniform(0.1, 1), max(-9, min(9, draw.gauss(0, 2)))
        a = -(row % 3) if row < below else reciprocal**-2
        lines.append(f"{a:.4f},{b:.4f},{int(draw.random() < 1 / (1 + 2.718 ** (-b - 4 * reciprocal + 2)))}")
    path = folder / f"rows-{seed}.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def widened(copied: Copied, tmp_path: Path) -> tuple[Database, str]:
    """A champion of the narrow range, under the wider one."""
    return copied(_widen), configuration(tmp_path, WIDER)


def _widen(database: Database) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(folder, DECLARED)
        for job, *arguments in (("migrate",), ("load", _file(folder, 500, seed=1)), ("retrain",)):
            ended = call(database, job, "--config", config, *arguments)
            assert ended.exit_code == 0, ended.stderr
        assert database.value("SELECT model_version FROM champion") == 1
        configuration(folder, WIDER)
        told = call(database, "migrate", "--config", config, "--features", "--reason", "other units", "--json")
        assert told.exit_code == 0, told.stderr


def test_a_version_takes_no_value_below_the_range_of_its_fit(widened: tuple[Database, str], tmp_path: Path) -> None:
    """The reciprocal of 0 is none, and such a row must neither end the job nor be guessed at."""
    database, config = widened
    database.execute("INSERT INTO patients (a, b) VALUES (0, 1), (-3, 1), (0.001, 1), (0.01, 1), (5, 1)")
    scored = call(database, "score", "--config", config, "--json")
    assert scored.exit_code == 0, scored.stderr
    assert the_json(scored)["predicted"] == 2
    assert database.execute("SELECT DISTINCT reason, field FROM rejections") == [("out_of_range", "a")]

    # Nor in the gate, where it would make the champion one that gives no numbers.
    assert call(database, "load", "--config", config, _file(tmp_path, 300, seed=2, below=150)).exit_code == 0
    judged = the_json(call(database, "retrain", "--config", config, "--dry-run", "--json"))
    assert judged["champion_scores"]["rows"] == judged["holdout_rows"] - judged["unscorable_rows"], judged
    assert judged["unscorable_rows"] > 20


def test_a_wider_range_does_not_queue_again_what_the_champion_can_not_take(
    widened: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = widened
    database.execute("INSERT INTO patients (a, b) VALUES (0, 1), (-8, 1), (5000, 1)")
    assert the_json(call(database, "score", "--config", config, "--json"))["rejected"] == 3
    configuration(tmp_path, WIDER.replace("low = -5", "low = -9").replace("1000", "9000"))
    for asked in (("--dry-run",), ("--reason", "other units")):
        told = the_json(call(database, "migrate", "--config", config, "--features", *asked, "--json"))
        assert (told["scored_again"], told["rejected_from_now"]) == (1, {})
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (1, 0)


def test_what_it_could_not_take_is_scored_by_the_version_that_wins(
    widened: tuple[Database, str], tmp_path: Path
) -> None:
    """Under the roles, where there are some."""
    database, config = widened
    database.execute("INSERT INTO patients (a, b) VALUES (0, 1), (-3, 1), (5, 1)")
    assert the_json(call(database, "score", "--config", config, "--json"))["rejected"] == 2
    assert call(database, "load", "--config", config, _file(tmp_path, 300, seed=2, below=150)).exit_code == 0
    # It loses for certain.
    database.execute("UPDATE model_versions SET compiled_artifact = NULL")
    scorer = trainer = database
    if database.kind == "postgresql":
        assert call(database, "migrate", "--roles", "--config", config).exit_code == 0
        scorer, trainer = under_role(database, "pima_scorer"), under_role(database, "pima_trainer")
    judged = the_json(call(trainer, "retrain", "--config", config, "--json"))
    assert (judged["verdict"], judged["reason"]) == ("promoted", "champion_unloadable")
    scored = the_json(call(scorer, "score", "--config", config, "--json"))
    assert (scored["model_version"], scored["predicted"], scored["rejected"]) == (2, 2, 0)
