"""Features of a clinic's own, from a CSV file to a promoted champion and its predictions, on both
databases."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pima.model.recipes import RECIPES, FiveSeeds
from tests.support.databases import Copied, Database, call, the_json
from tests.support.declared import ADDED, DECLARED, configuration, csv_file
from tests.support.ledger import document

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")
# How a column is made and its rows are written, the tests without it show on both.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


@pytest.fixture
def clinic(copied: Copied, tmp_path: Path) -> tuple[Database, str]:
    """A database that was made for the declared features, and the settings that declare them."""
    return copied(_migrate), configuration(tmp_path)


@pytest.fixture
def fitted(copied: Copied, tmp_path: Path) -> tuple[Database, str]:
    """The same with a champion."""
    return copied(_fit), configuration(tmp_path)


def _migrate(database: Database) -> None:
    with TemporaryDirectory() as folder:
        assert call(database, "migrate", "--config", configuration(Path(folder))).exit_code == 0


def _fit(database: Database) -> None:
    _migrate(database)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for job, *files in (("load", csv_file(folder, 400, labelled=True)), ("retrain",)):
            ended = call(database, job, "--config", configuration(folder), *files)
            assert ended.exit_code == 0, ended.stderr


@on_sqlite
def test_from_a_csv_file_to_a_champion_and_predictions(
    clinic: tuple[Database, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, config = clinic
    monkeypatch.setenv("COLUMNS", "200")
    assert (
        call(database, "load", "--config", config, csv_file(tmp_path, 500, labelled=True)).exit_code
        == 0
    )
    retrained = call(database, "retrain", "--config", config, "--json")
    assert retrained.exit_code == 0, retrained.stderr
    assert the_json(retrained)["verdict"] == "promoted"
    assert (
        call(
            database, "load", "--config", config, csv_file(tmp_path, 100, labelled=False, seed=1)
        ).exit_code
        == 0
    )
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (100, 0)
    assert database.value("SELECT count(DISTINCT probability) FROM predictions") > 50
    shown = call(database, "models", "show", "1", "--config", config).stdout
    assert all(name in shown for name in ("order", "temperature", "smoking"))
    card = call(database, "models", "card", "1", "--config", config).stdout
    assert "temperature" in card
    assert "30 to 45" in card
    assert call(database, "status", "--config", config).exit_code == 0
    assert call(database, "requeue", "--config", config).stdout.startswith("0 row versions")


@on_sqlite
def test_a_file_without_a_header_has_codes_and_no_labels(
    clinic: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = clinic
    file = tmp_path / "rows.csv"
    file.write_text("1,1,37,2,0\n2,1,37,never,1\n")
    assert call(database, "load", "--config", config, str(file)).exit_code == 0
    assert database.execute("SELECT smoking, outcome FROM patients ORDER BY id") == [(2, 0), (0, 1)]
    file.write_text("1,1,37,CANARY,0\n2,1,37,2,1\n")
    refused = call(database, "load", "--config", config, str(file))
    assert (refused.exit_code, "Line 1 is no header of known columns" in refused.stderr) == (
        2,
        True,
    )
    assert "CANARY" not in refused.stderr


@on_sqlite
def test_a_parquet_file_may_have_labels(clinic: tuple[Database, str], tmp_path: Path) -> None:
    database, config = clinic
    columns = {
        "order": [1, 2, 3],
        "creatinine": [1.0, 1.0, None],
        "temperature": [37.0, 37.0, 37.0],
    }
    file = tmp_path / "rows.parquet"
    labels = pa.array(["never", "Current", None])
    for smoking in (labels, labels.dictionary_encode()):
        pq.write_table(pa.table(columns | {"smoking": smoking}), file)
        assert call(database, "load", "--config", config, "--again", str(file)).exit_code == 0
    assert database.execute("SELECT smoking FROM patients ORDER BY id") == [(0,), (2,), (None,)] * 2
    pq.write_table(pa.table(columns | {"smoking": ["never", "CANARY", "1"]}), file)
    refused = call(database, "load", "--config", config, str(file))
    assert (refused.exit_code, "line 2: unknown_code (smoking)" in refused.stderr) == (2, True), (
        refused.stderr
    )
    assert "CANARY" not in refused.stderr


def test_two_hundred_features_and_five_hundred_inputs(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "five_seeds", FiveSeeds(steps=50))
    sqlite.remove_schema()
    draw = random.Random(1)  # noqa: S311
    codes = ", ".join(f'{code} = "label {code}"' for code in range(39))
    numbers = [
        f'[[feature]]\nname = "x{n}"\nlow = 0\nhigh = 9\nmay_be_missing = true\n'
        for n in range(192)
    ]
    coded = [
        f'[[feature]]\nname = "c{n}"\nkind = "category"\ncodes = {{ {codes} }}\n' for n in range(8)
    ]
    config = configuration(tmp_path, '[outcome]\nname = "ill"\n' + "".join(numbers + coded))
    file = tmp_path / "wide.csv"

    def write(rows: int, labelled: bool) -> None:
        lines = []
        for _ in range(rows):
            cells = [draw.randrange(10) for _ in range(192)] + [
                draw.randrange(39) for _ in range(8)
            ]
            lines.append(",".join([*map(str, cells), str(int(cells[0] > 4)) if labelled else ""]))
        file.write_text("\n".join(lines) + "\n")

    assert call(sqlite, "migrate", "--config", config).exit_code == 0
    write(300, labelled=True)
    assert call(sqlite, "load", "--config", config, str(file)).exit_code == 0
    retrained = call(sqlite, "retrain", "--config", config, "--json")
    assert (retrained.exit_code, the_json(retrained)["verdict"]) == (0, "promoted"), retrained
    write(50, labelled=False)
    assert call(sqlite, "load", "--config", config, str(file)).exit_code == 0
    sqlite.execute("UPDATE patients SET x191 = 99 WHERE outcome IS NULL AND id % 10 = 0")
    scored = the_json(call(sqlite, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected_by_reason"]) == (45, {"out_of_range": 5})


@on_sqlite
def test_another_declaration_than_the_databases_is_refused_with_the_first_difference(
    clinic: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = clinic
    for job in ("score", "retrain", "status", "migrate"):
        refused = call(database, job)
        assert refused.exit_code == 2
        assert "outcome stands in the settings where this database has readmitted" in refused.stderr
        assert "python -m jobs.migrate --features" in refused.stderr
    configuration(tmp_path, DECLARED.replace("high = 20", "high = 30"))
    refused = call(database, "score", "--config", config)
    assert "high of creatinine is 30.0 in the settings and 20.0 in this database" in refused.stderr


RETIRED = ADDED.replace(
    ADDED[
        ADDED.index('[[feature]]\nname = "creatinine"') : ADDED.index('[[feature]]\nname = "temp')
    ],
    "",
)
WITH_CODE = RETIRED.replace('2 = "current"', '2 = "current", 3 = "unknown"')


@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_a_feature_added_one_retired_and_a_code_added_between_two_retrainings(
    fitted: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = fitted
    assert (
        call(
            database, "load", "--config", config, csv_file(tmp_path, 50, labelled=False, seed=1)
        ).exit_code
        == 0
    )
    assert the_json(call(database, "score", "--config", config, "--json"))["predicted"] == 50
    before = database.execute(
        "SELECT patient_id, patient_version, probability FROM predictions ORDER BY 1"
    )

    for text, what in (
        (ADDED, "added: glucose"),
        (RETIRED, "retired: creatinine"),
        (WITH_CODE, "changed: smoking (codes)"),
    ):
        configuration(tmp_path, text)
        dry = call(database, "migrate", "--config", config, "--features", "--dry-run")
        assert (dry.exit_code, what in dry.stdout) == (0, True), dry.stdout + dry.stderr
        assert call(database, "score", "--config", config).exit_code == 2
        done = call(
            database, "migrate", "--config", config, "--features", "--reason", "a new laboratory"
        )
        assert (done.exit_code, what in done.stdout) == (0, True), done.stdout + done.stderr
        assert call(database, "score", "--config", config).exit_code == 0
    assert (
        database.execute(
            "SELECT patient_id, patient_version, probability FROM predictions ORDER BY 1"
        )
        == before
    )
    reasons = database.execute("SELECT number, reason FROM declarations ORDER BY number")
    assert [reason for _, reason in reasons[1:]] == ["a new laboratory"] * 3

    # The champion still takes creatinine, whose column stands; a code that it never saw counts as
    # missing.
    database.execute(
        'INSERT INTO patients ("order", creatinine, smoking) VALUES (3, 1.0, 3), (3, 99, 1), (3, '
        "NULL, NULL)"
    )
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected_by_reason"]) == (2, {"out_of_range": 1})
    assert database.value("SELECT field FROM rejections") == "creatinine"

    file = tmp_path / "again.csv"
    lines = Path(csv_file(tmp_path, 400, labelled=True, seed=2)).read_text().splitlines()
    file.write_text(
        "\n".join(
            [lines[0] + ",glucose", *(f"{line},{90 + n % 60}" for n, line in enumerate(lines[1:]))]
        )
    )
    assert (
        call(database, "load", "--config", config, "--ignore", "creatinine", str(file)).exit_code
        == 0
    )
    second = call(database, "retrain", "--config", config, "--json")
    assert second.exit_code == 0, second.stderr
    features = document(database, "SELECT features FROM model_versions WHERE number = 2")
    assert [each["name"] for each in features] == ["order", "temperature", "glucose", "smoking"]
    assert the_json(second)["unscorable_rows"] == 0  # creatinine may be missing
    call(database, "models", "promote", "2", "--reason", "the new features", "--config", config)
    assert call(database, "requeue", "--stale", "--config", config).exit_code == 0
    rescored = the_json(call(database, "score", "--config", config, "--json"))
    # Those of the first model that are unlabelled, and the row that only creatinine kept out.
    assert (rescored["model_version"], rescored["predicted"]) == (2, 53)


def test_a_wider_range_scores_again_what_it_lets_in_and_a_narrower_one_says_what_it_keeps_out(
    fitted: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = fitted
    database.execute(
        'INSERT INTO patients ("order", creatinine) VALUES (3, 25), (3, 50), (3, 1), (39, 1)'
    )
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (2, 2)
    configuration(
        tmp_path,
        DECLARED.replace("high = 20\n", "high = 30\n").replace("high = 40\n", "high = 20\n"),
    )
    told = call(database, "migrate", "--config", config, "--features", "--dry-run").stdout
    assert "unlabelled rows rejected from now on: 1 (out_of_range order)" in told
    assert "rows that were rejected before and are to be scored now: 1" in told
    assert database.value("SELECT count(*) FROM scoring_queue") == 0
    done = the_json(
        call(
            database,
            "migrate",
            "--config",
            config,
            "--features",
            "--reason",
            "other units",
            "--json",
        )
    )
    assert (done["scored_again"], done["rejected_from_now"]) == (1, {"out_of_range order": 1})
    scored = the_json(call(database, "score", "--config", config, "--json"))
    assert (scored["predicted"], scored["rejected"]) == (1, 0)
    assert database.value("SELECT count(*) FROM predictions") == 3
    assert database.value("SELECT count(*) FROM rejections") == 1


@on_sqlite
def test_what_stands_in_another_order_hides_no_change_of_a_feature_of_that_name(
    clinic: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = clinic
    start, end = (
        DECLARED.index('[[feature]]\nname = "order"'),
        DECLARED.index('[[feature]]\nname = "creatinine"'),
    )
    order = DECLARED[start:end].replace("high = 40", "high = 50")
    configuration(tmp_path, DECLARED[:start] + DECLARED[end:] + "\n" + order)
    done = call(database, "migrate", "--config", config, "--features", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "changed: order (high)\n" in done.stdout
    assert "the features are in another order\n" in done.stdout
    done = call(
        database,
        "migrate",
        "--config",
        config,
        "--features",
        "--reason",
        "as on the form",
        "--json",
    )
    told = the_json(done)
    assert (told["changed"], told["reordered"]) == ({"order": ["high"]}, True)
    assert call(database, "status", "--config", config).exit_code == 0


def test_roles_are_mentioned_where_the_loader_s_columns_have_changed_and_there_are_roles(
    clinic: tuple[Database, str], tmp_path: Path
) -> None:
    database, config = clinic

    def carried_over(text: str) -> str:
        configuration(tmp_path, text)
        done = call(database, "migrate", "--config", config, "--features", "--reason", "x")
        assert done.exit_code == 0, done.stderr
        return done.stdout

    mended = "run python -m jobs.migrate --roles"
    assert (mended in carried_over(ADDED)) == (database.kind == "postgresql")
    # A retired column stays the loader's, and a range or a label has nothing to do with columns.
    for text in (RETIRED, WITH_CODE, WITH_CODE.replace("high = 600", "high = 700"), ADDED):
        assert mended not in carried_over(text)


@on_sqlite
def test_a_number_never_becomes_a_category(clinic: tuple[Database, str], tmp_path: Path) -> None:
    database, config = clinic
    other = (
        '[[feature]]\nname = "creatinine"\nkind = "category"\ncodes = { 0 = "low", 1 = "high" }\n\n'
    )
    start, end = (
        DECLARED.index('[[feature]]\nname = "creatinine"'),
        DECLARED.index('[[feature]]\nname = "temp'),
    )
    configuration(tmp_path, DECLARED[:start] + other + DECLARED[end:])
    refused = call(database, "migrate", "--config", config, "--features", "--reason", "x")
    assert refused.exit_code == 2
    assert "creatinine can't become a category" in refused.stderr


@on_sqlite
def test_rows_that_only_the_challenger_can_score_judge_neither_and_are_counted(
    fitted: tuple[Database, str], tmp_path: Path
) -> None:
    """The champion needs a feature that was retired since: new rows have no value there."""
    database, config = fitted
    start, end = (
        DECLARED.index('[[feature]]\nname = "order"'),
        DECLARED.index('[[feature]]\nname = "creatinine"'),
    )
    configuration(tmp_path, DECLARED[:start] + DECLARED[end:])
    assert (
        call(
            database, "migrate", "--config", config, "--features", "--reason", "not asked any more"
        ).exit_code
        == 0
    )
    new = csv_file(tmp_path, 200, labelled=True, seed=3)
    assert call(database, "load", "--config", config, "--ignore", "order", new).exit_code == 0
    told = the_json(call(database, "retrain", "--config", config, "--json"))
    in_holdout = told["holdout_rows"] - told["champion_scores"]["rows"]
    assert told["unscorable_rows"] == in_holdout > 30
    assert f"left out {in_holdout} that the champion can't score" in told["explanation"]
    assert told["challenger_scores"]["rows"] == told["champion_scores"]["rows"] > 80
    # What the champion can't score is rejected by it, and scored by a version that does not ask for
    # it.
    database.execute("INSERT INTO patients (creatinine, smoking) VALUES (1.0, 1)")
    scored = the_json(call(database, "score", "--config", config, "--json"))
    by_champion = {"rejected": 1} if told["verdict"] != "promoted" else {"predicted": 1}
    assert scored | by_champion == scored
