"""The same cells are taken alike, row by row, whether `load` reads them from CSV or Parquet or
files are scored."""

import csv
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.databases import Copied, Database, call, the_json
from tests.support.declared import DECLARED, configuration
from tests.support.parquet_rows import scored_files
from tests.support.shipped import SOUND
from tests.support.trained import install_declared, install_shipped

DECLARED_SOUND = {"order": 3.0, "creatinine": 1.0, "temperature": 37.0, "smoking": "never"}
OTHER_RULES = DECLARED.replace(
    '2 = "current" }\nmay_be_missing = true', '2 = "current", 3 = "pipe" }\nunknown = 1'
)
"""With a code that no version was fitted on, and a code for what is unknown or missing."""
NUMBERS = [0.0, 1.0, 37.5, 1e9, -1.0, math.nan, math.inf, None]
WORDS = [
    "never",
    "Former",
    " CURRENT ",
    "1",
    "1.0",
    " 2e0",
    "3",
    "pipe",
    "-1",
    "0.5",
    "1_0",
    "nan",
    "true",
    "FALSE",
]
WORDS += ["unknown", "", " ", "N\u00e9ver", "x\0", "x" * 1_001, None]


def _odd_rows(sound: dict[str, Any], odd: dict[str, list[Any]]) -> pa.Table:
    """Rows that differ from the sound one in one cell each."""
    rows = [sound | {name: cell} for name, cells in odd.items() for cell in cells]
    return pa.table({name: [row[name] for row in rows] for name in sound})


def _smoking(kind: pa.DataType, cells: list[Any]) -> pa.Table:
    """Rows that differ in this column, of this type."""
    table = _odd_rows(DECLARED_SOUND, {"smoking": cells})
    return table.set_column(table.column_names.index("smoking"), "smoking", pa.array(cells, kind))


Found = tuple[dict[int, tuple[Any, ...]], int]
"""What becomes of each row, by id, and how many cells were taken for unknown."""


def _by_load(database: Database, config: list[str], path: Path) -> Found:
    loaded = the_json(call(database, "load", *config, "--partial", "--json", str(path)))
    scored = call(database, "score", *config)
    assert scored.exit_code == 0, scored.stderr
    found = {line["line"]: (line["reason"], line["field"]) for line in loaded["bad_lines"]}
    if path.suffix == ".csv":
        found = {line - 1: told for line, told in found.items()}
    found |= {
        row[0]: row[1:]
        for row in database.execute("SELECT patient_id, reason, field FROM rejections")
    }
    found |= {
        row[0]: row[1:]
        for row in database.execute("SELECT patient_id, probability FROM predictions")
    }
    database.execute("DELETE FROM patients")
    for table in ("predictions", "rejections"):
        database.execute(f"DELETE FROM {table}")
    return found, sum(loaded["unknown_taken"].values())


def _by_files(database: Database, config: list[str], path: Path, into: Path) -> Found:
    told = scored_files(database, path, into, *config)
    written = into / path.name
    if path.suffix == ".csv":
        rows = csv.DictReader(written.read_text().splitlines())
        found = {
            int(row["row"]) - 1: (row["reason"], row["field"] or None)
            if row["reason"]
            else (float(row["probability"]),)
            for row in rows
        }
        return found, told["unknown_taken"]
    rows = pq.read_table(written).to_pylist()
    found = {
        row["id"]: (row["reason"], row["field"]) if row["reason"] else (row["probability"],)
        for row in rows
    }
    return found, told["unknown_taken"]


def _csv(path: Path, table: pa.Table) -> Path:
    lines = [
        ",".join("" if cell is None else str(cell) for cell in row.values())
        for row in table.to_pylist()
    ]
    path.write_text("\n".join([",".join(table.column_names), *lines]) + "\n")
    return path


def _all_alike(database: Database, config: list[str], table: pa.Table, folder: Path) -> set[str]:
    """Compare, and give the reasons for which rows were rejected."""
    table = table.append_column("id", pa.array(range(1, len(table) + 1)))
    folder.mkdir()
    pq.write_table(table, folder / "rows.parquet")
    found = _by_files(database, config, folder / "rows.parquet", folder / "out")
    assert found[0].keys() == {*range(1, len(table) + 1)}
    assert _by_load(database, config, folder / "rows.parquet") == found
    lines = _csv(folder / "rows.csv", table)
    assert _by_load(database, config, lines) == found
    assert _by_files(database, config, lines, folder / "out") == found
    return {told[0] for told in found[0].values() if len(told) == 2}


@pytest.fixture(autouse=True)
def all_bad_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pima.intake.files.loading.LINES_REPORTED", 1_000)


@pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
@pytest.mark.parametrize("declared", [DECLARED, OTHER_RULES])
def test_cells_of_declared_features(
    copied: Copied, trained_on_declared: Path, tmp_path: Path, declared: str
) -> None:
    database = copied(install_declared, trained_on_declared)
    config = ["--config", configuration(tmp_path, declared)]
    assert call(database, "migrate", *config, "--features", "--reason", "a test").exit_code == 0
    odd = _odd_rows(
        DECLARED_SOUND,
        {"order": NUMBERS, "creatinine": NUMBERS, "temperature": NUMBERS, "smoking": WORDS},
    )
    reasons = _all_alike(database, config, odd, tmp_path / "words")
    assert reasons >= {"missing", "not_finite", "out_of_range", "unknown_code", "nul_byte"}
    codes = [0, 1, 3, 7, None]
    kinds = {
        pa.int32(): codes,
        pa.float32(): [*codes, 0.5, math.nan],
        pa.decimal128(9, 1): [Decimal(1), Decimal("0.5"), None],
        pa.dictionary(pa.int8(), pa.string()): WORDS[:8],
        pa.null(): [None],
    }
    for n, (kind, cells) in enumerate(kinds.items()):
        _all_alike(database, config, _smoking(kind, cells), tmp_path / str(n))
    truth = tmp_path / "truth.parquet"
    pq.write_table(_smoking(pa.bool_(), [True, False]).append_column("id", pa.array([1, 2])), truth)
    refused = scored_files(database, truth, tmp_path / "out", *config, exit_code=2)
    assert "smoking holds bool" in str(refused["message"])
    assert "smoking holds bool" in call(database, "load", *config, str(truth)).stderr


@pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
def test_cells_of_the_shipped_features(copied: Copied, trained: Path, tmp_path: Path) -> None:
    database = copied(install_shipped, trained)
    sound = {name: float(value) for name, value in SOUND.items()}
    reasons = _all_alike(
        database, [], _odd_rows(sound, dict.fromkeys(sound, NUMBERS)), tmp_path / "numbers"
    )
    assert reasons == {"missing", "not_finite", "out_of_range"}
