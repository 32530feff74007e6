"""Drafts from real files and tables, used as they are: by migrate and load, or by migrate and
pull."""

import random
import re
import shlex
import tomllib
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.clinic import URL, Clinic
from tests.support.databases import Database, call, insert_many, the_json
from tests.support.every_command import wrong
from tests.support.patient_files import HEADER, write
from tests.support.shipped import SHIPPED

Columns = dict[str, list[Any]]
ROWS = 600


def drafted(folder: Path, *arguments: str, **environ: str) -> tuple[str, str]:
    """The draft, and the path of the file that has it."""
    ended = call(None, "suggest", *arguments, **environ)
    assert (ended.exit_code, ended.stderr) == (0, ""), ended.stderr
    path = folder / "draft.toml"
    path.write_text(ended.stdout)
    tomllib.loads(ended.stdout)
    return ended.stdout, str(path)


def loaded(database: Database, draft: str, config: str, file: str) -> int:
    """Load the file by the draft, as its own line says; the patients."""
    assert call(database, "migrate", "--config", config).exit_code == 0
    (line,) = re.findall(r"^#   python -m jobs\.load (.*)$", draft, re.MULTILINE)
    arguments = [
        file if word == "FILE" else config if word == "DRAFT.toml" else word
        for word in shlex.split(line)
    ]
    ended = call(database, "load", "--json", *arguments)
    assert ended.exit_code == 0, ended.stderr
    found: int = the_json(ended)["inserted"]
    return found


def visits(rows: int = ROWS) -> Columns:
    """As a clinic has them: UUIDs, mmol/L, words, several visits of a person."""
    draw = random.Random(11)  # noqa: S311
    return {
        "visit_id": [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(rows)],
        "patient_no": [draw.randrange(rows // 2) for _ in range(rows)],
        "sex": [draw.choice("MF") for _ in range(rows)],
        "age": [draw.randrange(20, 90) for _ in range(rows)],
        "glucose_mmol": [
            round(draw.gauss(6, 1), 1) if draw.random() < 0.9 else None for _ in range(rows)
        ],
        "smoker": [draw.random() < 0.3 for _ in range(rows)],
        "notes": [f"came by bus on day {draw.random()}" for _ in range(rows)],
        "diabetic": [draw.choices(["yes", "no", None], [1, 5, 4])[0] for _ in range(rows)],
    }


# ---- files


OWN_HEADER = (
    'Times pregnant,"Glucose, mg/dL",BP (diastolic),Skin;mm,Insulin,BMI,Pedigree,Age '
    "[years],Diabetes?"
)
OWN_NAMES = [
    "times_pregnant",
    "glucose_mg_dl",
    "bp_diastolic",
    "skin_mm",
    "insulin",
    "bmi",
    "pedigree",
    "age_years",
]


@pytest.mark.parametrize(
    ("header", "names", "outcome"),
    [
        ([], [f"column_{n}" for n in range(1, 9)], {"name": "outcome", "meaning": ""}),
        (
            [OWN_HEADER],
            OWN_NAMES,
            {"name": "diabetes", "meaning": "", "also_called": ["Diabetes?"]},
        ),
    ],
    ids=["without a header", "a clinic's own"],
)
def test_the_shipped_rows_are_loaded_by_the_draft_of_them(
    empty_database: Database,
    tmp_path: Path,
    header: list[str],
    names: list[str],
    outcome: dict[str, Any],
) -> None:
    file = write(tmp_path, *header, *SHIPPED.read_text().split())
    draft, config = drafted(tmp_path, file)
    assert [feature["name"] for feature in tomllib.loads(draft)["feature"]] == names
    assert tomllib.loads(draft)["outcome"] == outcome
    assert loaded(empty_database, draft, config, file) == 768
    totals = f"SELECT sum(outcome), sum({names[1]}), max({names[4]}) FROM patients"
    assert empty_database.execute(totals) == [(268, 92_847, 846)]


def test_a_csv_file_of_words_and_columns_to_leave_out(
    empty_database: Database, tmp_path: Path
) -> None:
    columns = visits()
    columns["diabetic"] = [{"yes": 1, "no": 0, None: ""}[word] for word in columns["diabetic"]]
    columns["the ward's = name"] = ["A"] * ROWS
    columns["-x"] = ["A"] * ROWS
    lines = [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*columns.values(), strict=True)
    ]
    file = write(tmp_path, ",".join(columns), *lines)
    draft, config = drafted(tmp_path, file)
    assert {feature["name"] for feature in tomllib.loads(draft)["feature"]} == {
        "sex",
        "age",
        "glucose_mmol",
        "smoker",
    }
    assert "to source_key, and add a column source" in draft
    assert loaded(empty_database, draft, config, file) == ROWS
    men = empty_database.value("SELECT count(*) FROM patients WHERE sex = 1")
    assert men == columns["sex"].count("M")


def test_a_parquet_file(empty_database: Database, tmp_path: Path) -> None:
    columns: dict[str, Any] = visits()
    outcomes = [{"yes": True, "no": False, None: None}[word] for word in columns.pop("diabetic")]
    times = pa.array(range(ROWS), pa.timestamp("ns"))
    columns |= {
        "readmitted": outcomes,
        "seen": times,
        "gone": [None] * ROWS,
        "marks": [[1, 2]] * ROWS,
    }
    columns["sex"] = pa.array(columns["sex"]).dictionary_encode()
    file = str(tmp_path / "visits.parquet")
    pq.write_table(pa.table(columns), file, row_group_size=77)
    draft, config = drafted(tmp_path, file)
    assert {feature["name"] for feature in tomllib.loads(draft)["feature"]} == {
        "sex",
        "age",
        "glucose_mmol",
        "smoker",
    }
    assert '# "seen": dates or times' in draft
    assert '# "marks": neither number nor text' in draft
    assert loaded(empty_database, draft, config, file) == ROWS
    assert empty_database.value("SELECT sum(smoker) FROM patients") == sum(columns["smoker"])
    assert empty_database.value("SELECT count(outcome) FROM patients") == ROWS - outcomes.count(
        None
    )


def test_lines_that_are_no_rows_are_said(tmp_path: Path) -> None:
    broken = ["1,2", '"never closed', *["6,7"] * 20]
    file = write(tmp_path, HEADER, *SHIPPED.read_text().split(), *broken)
    draft, _ = drafted(tmp_path, file)
    assert draft.startswith(
        f'# A draft by python -m jobs.suggest, from all 768 rows of "{file}".\n# 22 rows could not'
    )


def test_a_draft_is_written_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    out = tmp_path / "größe.toml"
    ended = call(None, "suggest", str(SHIPPED), "--out", str(out))
    assert (
        ended.exit_code,
        ended.stdout.startswith(f"{out}: a draft of 8 features from 768 rows."),
    ) == (0, True)
    draft = out.read_text(encoding="utf-8")
    assert draft == drafted(tmp_path, str(SHIPPED))[0]
    out.write_text("mine")
    wrong(call(None, "suggest", str(SHIPPED), "--out", str(out)), "it is there already")
    assert out.read_text() == "mine"
    wrong(
        call(None, "suggest", str(SHIPPED), "--out", str(tmp_path / "absent" / "x")),
        "can't be written",
    )
    found = the_json(call(None, "suggest", str(SHIPPED), "--json"))
    assert found == {
        "rows": 768,
        "all_rows": True,
        "features": 8,
        "refused": 0,
        "out": None,
        "draft": draft,
    }


UNSAID: list[tuple[list[str | bytes], str]] = [
    ([], "The file is empty"),
    ([HEADER, "6,148,72,35,0,33.6,0.627,50,1"], "It has 1 row. Expected 100 or more"),
    (
        [HEADER, *["6,148,72,35,0,33.6,0.627,50,1"] * 100],
        "None of its 9 columns can be a feature (1 column: what load takes for the outcome",
    ),
    (["age;sex", *["33;M"] * 50], "(wrong_delimiter)"),
    (["7177,Canary-Hunter2", *["33,M"] * 100], "Column 1 has the name of a value"),
    ([b"\x1f\x8b\x08"], "compressed with gzip and not whole"),
    ([b"PAR1 and no more"], "no readable Parquet file"),
]


def test_a_file_of_which_nothing_can_be_said(tmp_path: Path) -> None:
    for lines, told in UNSAID:
        ended = call(None, "suggest", write(tmp_path, *lines))
        wrong(ended, "patients.csv: nothing can be suggested. ", told)
        assert "7177" not in ended.stderr
    assert the_json(call(None, "suggest", "--json", write(tmp_path)))["error"] == "wrong_usage"
    wrong(call(None, "suggest", str(tmp_path / "absent.csv")), "absent.csv", "No such file")
    wrong(call(None, "suggest", str(tmp_path)), "Is a directory")


# ---- tables


@pytest.fixture
def own_table(clinic: Clinic) -> Clinic:
    """A clinic's database with visits under its own names."""
    kinds = {
        "postgresql": ("uuid", "numeric(5,1)", "boolean"),
        "sqlite": ("TEXT", "REAL", "INTEGER"),
    }
    key, number, truth = kinds[clinic.kind]
    clinic.execute("DROP TABLE visits")
    clinic.execute(f"""CREATE TABLE visits (visit_id {key}, patient_no INTEGER, sex CHAR(1),
        age INTEGER,
        glucose_mmol {number}, smoker {truth}, notes TEXT, diabetic TEXT)""")
    _insert(clinic, "visits", visits())
    return clinic


def _insert(clinic: Clinic, table: str, columns: Columns) -> None:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    clinic.execute(
        f"INSERT INTO {table} VALUES ({', '.join(f':{name}' for name in columns)})", rows
    )


def test_a_table_is_pulled_by_the_draft_of_it(
    empty_database: Database, own_table: Clinic, tmp_path: Path
) -> None:
    draft, config = drafted(
        tmp_path, "--source", "clinic", "--table", "visits", **{URL: own_table.url}
    )
    found = tomllib.loads(draft)
    assert (found["outcome"]["name"], found["source"][0]["key_type"]) == ("diabetic", "uuid")
    assert own_table.url not in draft
    assert call(empty_database, "migrate", "--config", config).exit_code == 0
    ended = call(empty_database, "pull", "--config", config, "--json", **{URL: own_table.url})
    assert ended.exit_code == 0, ended.stderr
    (pulled,) = the_json(ended)["sources"]
    assert (pulled["inserted"], pulled["rejected"]) == (ROWS, 0)
    columns = visits()
    outcomes, persons = columns["diabetic"], set(columns["patient_no"])
    came = (columns["sex"].count("M"), sum(columns["smoker"]), outcomes.count("yes"), len(persons))
    totals = (
        "SELECT sum(sex), sum(smoker), sum(outcome), count(DISTINCT person_key), count(outcome) "
        "FROM patients"
    )
    assert empty_database.execute(totals) == [(*came, ROWS - outcomes.count(None))]


def stays() -> Columns:
    """Stays that are followed up in part, with columns of what came of them."""
    draw = random.Random(5)  # noqa: S311
    readmitted = [draw.choice([1, 0, 0, None]) for _ in range(ROWS)]
    return {
        "fallnr": list(range(70_000, 70_000 + ROWS)),
        "pat_nr": [draw.randrange(ROWS // 2) for _ in range(ROWS)],
        "sodium": [round(draw.gauss(140, 4), 1) for _ in range(ROWS)],
        "ward": [draw.choice(["north", "south", "west"]) for _ in range(ROWS)],
        "days_at_home": [
            None if again is None else 31 - again * draw.randrange(1, 30) for again in readmitted
        ],
        "second_ward": [draw.choice(["north", "south"]) if again else None for again in readmitted],
        "died": [None if again is None else draw.choice([0, 0, 1]) for again in readmitted],
        "readmitted": readmitted,
        "known_on": [
            None if again is None else f"2026-0{draw.randrange(1, 9)}-01" for again in readmitted
        ],
        "changed_at": [f"2026-10-{draw.randrange(10, 29)}" for _ in range(ROWS)],
    }


KNOWN_LATE = [
    '# "days_at_home": empty in just the rows where the outcome is',
    '# "second_ward": empty in nearly all rows with one outcome',
    '# "died": empty in just the rows where the outcome is',
]


def test_what_came_of_the_patients_is_no_feature_of_a_table(
    empty_database: Database, clinic: Clinic, tmp_path: Path
) -> None:
    number, day = {"postgresql": ("numeric(5,1)", "DATE"), "sqlite": ("REAL", "TEXT")}[clinic.kind]
    clinic.execute(f"""CREATE TABLE stays (fallnr INTEGER, pat_nr INTEGER, sodium {number},
        ward TEXT,
        days_at_home INTEGER, second_ward TEXT, died INTEGER, readmitted INTEGER, known_on {day},
            changed_at {day})""")
    _insert(clinic, "stays", stays())
    draft, config = drafted(tmp_path, "--source", "clinic", "--table", "stays", **{URL: clinic.url})
    (source,) = tomllib.loads(draft)["source"]
    assert (source["key"], source["person"], source["outcome"]) == (
        "fallnr",
        "pat_nr",
        "readmitted",
    )
    assert list(source["columns"]) == ["sodium", "ward"]
    assert [line for line in KNOWN_LATE if line not in draft] == []
    taken = re.sub(r"^# (outcome_at|changed_since) ", r"\1 ", draft, flags=re.MULTILINE)
    (source,) = tomllib.loads(taken)["source"]
    assert (source["outcome_at"], source["changed_since"]) == ("known_on", "changed_at")
    Path(config).write_text(taken)
    assert call(empty_database, "migrate", "--config", config).exit_code == 0
    ended = call(empty_database, "pull", "--config", config, "--json", **{URL: clinic.url})
    assert the_json(ended)["sources"][0]["inserted"] == ROWS, ended.stderr
    assert (
        empty_database.value("SELECT count(*) FROM patients WHERE labelled_at < '2026-09-01'")
        > ROWS / 2
    )


def test_a_time_that_is_empty_for_one_of_both_outcomes_is_not_offered(
    sqlite_clinic: Clinic, tmp_path: Path
) -> None:
    columns = stays()
    columns["known_on"] = [
        day if again else ""
        for day, again in zip(columns["known_on"], columns["readmitted"], strict=True)
    ]
    sqlite_clinic.execute(f"CREATE TABLE stays ({', '.join(columns)})")
    _insert(sqlite_clinic, "stays", columns)
    of_table = ("--source", "clinic", "--table", "stays")
    draft, _ = drafted(tmp_path, *of_table, **{URL: sqlite_clinic.url})
    zeros = columns["readmitted"].count(0)
    assert (
        f'# "known_on" is no outcome_at: empty in {zeros} of {zeros} rows with outcome 0' in draft
    )
    assert "outcome_at =" not in draft
    assert '# changed_since = "changed_at"' in draft


def test_what_came_of_the_patients_is_no_feature_of_a_file(tmp_path: Path) -> None:
    columns = stays()
    lines = [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*columns.values(), strict=True)
    ]
    draft, _ = drafted(tmp_path, write(tmp_path, ",".join(columns), *lines))
    assert [feature["name"] for feature in tomllib.loads(draft)["feature"]] == ["sodium", "ward"]
    assert [line for line in KNOWN_LATE if line not in draft] == []


def test_a_table_of_pimas_own_is_no_source(database: Database) -> None:
    insert_many(database, 30)
    ended = call(
        None,
        "suggest",
        "--source",
        "own",
        "--table",
        "patients",
        PIMA_SOURCE__OWN__URL=database.url,
    )
    wrong(ended, "It is pima's own, so its rows need no [[source]]")


def test_a_source_of_the_settings_is_read_as_they_say(
    sqlite_clinic: Clinic, tmp_path: Path
) -> None:
    sqlite_clinic.insert(300)
    sqlite_clinic.settings["query"] = (
        'SELECT visit_id, age, bmi AS "b m i" FROM visits -- all of them\nWHERE age > 0;'
    )
    del sqlite_clinic.settings["table"]
    draft, _ = drafted(
        tmp_path, "--config", sqlite_clinic.config, "--source", "clinic", **{URL: sqlite_clinic.url}
    )
    (source,) = tomllib.loads(draft)["source"]
    assert source["query"] == sqlite_clinic.settings["query"]
    assert source["columns"] == {"age": "age", "b_m_i": "b m i"}
    # A table of the same database instead.
    told = ("--config", sqlite_clinic.config, "--source", "clinic", "--table", "visits")
    draft, _ = drafted(tmp_path, *told, **{URL: sqlite_clinic.url})
    assert tomllib.loads(draft)["source"][0]["table"] == "visits"


def test_a_table_of_which_nothing_can_be_said(clinic: Clinic) -> None:
    for arguments, told in (
        (
            ("--source", "clinic", "--table", "absent"),
            ", while reading absent. Nothing was changed",
        ),
        (("--source", "clinic"), "it takes --table TABLE too"),
        (
            ("--source", "Clinic'; --", "--table", "visits"),
            "--source: expected a lower-case letter",
        ),
        (("--source", "other", "--table", "visits"), "PIMA_SOURCE__OTHER__URL"),
        (("--table", "visits"), "expected a FILE, or --source NAME"),
        (("a.csv", "--source", "clinic", "--table", "visits"), "expected a FILE, or --source NAME"),
        ((), "expected a FILE, or --source NAME"),
        (
            ("--source", "clinic", "--table", "visits"),
            "visits: nothing can be suggested. It has no rows.",
        ),
    ):
        ended = call(None, "suggest", *arguments, **{URL: clinic.url})
        wrong(ended, told)
        assert clinic.url not in ended.stderr


# ---- what is not shown


def test_no_value_of_fewer_than_20_rows_is_shown(sqlite_clinic: Clinic, tmp_path: Path) -> None:
    """19 rows have canaries in each column, within what is usual and far from it."""
    draw = random.Random(7)  # noqa: S311
    columns = visits()
    columns |= {
        "weight": [round(draw.gauss(77, 9), 1) for _ in range(ROWS)],
        "stays": [draw.randrange(1, 6) for _ in range(ROWS)],
        "seen": [f"2024-05-{n % 28 + 1:02}" for n in range(ROWS)],
        "stage": [draw.choice(["early", "late"]) for _ in range(ROWS)],
    }
    wild: dict[str, list[Any]] = {
        "visit_id": [f"Canary-{n}" for n in range(19)],
        "patient_no": [717_171_717 + n for n in range(19)],
        "sex": ["Canary"] * 19,
        "age": [71_717] * 19,
        "glucose_mmol": [-71.7171] * 19,
        "smoker": ["canary yes"] * 19,
        "notes": ["Canary Smith"] * 19,
        "diabetic": ["Canary-maybe"] * 19,
        "weight": [77.7171] * 19,
        "stays": [7171] * 19,
        "seen": ["1971-07-17"] * 19,
        "stage": ["canary stage"] * 19,
    }
    for name, values in wild.items():
        columns[name][100:119] = values
    rows = list(zip(*columns.values(), strict=True))
    file = write(
        tmp_path,
        ",".join(columns),
        *(",".join("" if c is None else str(c) for c in row) for row in rows),
    )
    sqlite_clinic.execute(f"CREATE TABLE own ({', '.join(columns)})")
    _insert(sqlite_clinic, "own", columns)
    pq.write_table(
        pa.table({name: list(map(str, values)) for name, values in columns.items()}),
        tmp_path / "p.parquet",
    )
    of_table = ("--source", "clinic", "--table", "own")
    for arguments in ((file,), (str(tmp_path / "p.parquet"),), of_table):
        ended = call(None, "suggest", *arguments, "--json", **{URL: sqlite_clinic.url})
        assert ended.exit_code == 0, ended.stderr
        shown = (ended.stdout + ended.stderr).casefold()
        assert "weight" in shown
        assert re.findall(r"canary|7171|71\.7|71717|1971", shown) == []
