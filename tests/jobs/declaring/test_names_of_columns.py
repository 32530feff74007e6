"""Features, groups and scores may be called as columns of pima's own tables and results, as long as
`patients` has no such column, or as a word of SQL."""

import random
import re
from pathlib import Path

import pytest

from pima.core.declared.columns import KINDS
from tests.support.databases import Copied, Database, call
from tests.support.declared import configuration

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")

TABLES = Path(__file__).parents[3] / "pima/store/schema.sql"
WORKING = "corrected days duration over_at replaced role said side week"
"""Of rows as they are read."""
BOUNDS = "low = 0\nhigh = 1\n"


def _names() -> list[str]:
    columns = re.findall(r"^    ([a-z_]+) +[A-Z]", TABLES.read_text(), re.MULTILINE)
    return sorted({*columns, *WORKING.split()} - KINDS.keys())


def _configuration(folder: Path, names: list[str]) -> str:
    tables = ['[outcome]\nname = "ill"\nhorizon = "1 day"\n']
    tables += [f'[[feature]]\nname = "{name}"\n{BOUNDS}' for name in names]
    tables.append('[[group]]\nname = "order"\nbands = [0.5]\n')
    # PostgreSQL reads it as the name of a role, if it is not quoted.
    tables.append('[[present_score]]\nname = "user"\nkind = "probability"\n')
    return configuration(folder, "\n".join(tables))


def _migrated(database: Database, folder: Path) -> None:
    config = _configuration(folder, _names())
    assert call(database, "migrate", "--config", config).exit_code == 0


def _write(path: Path, names: list[str], rows: int, labelled: bool) -> None:
    draw = random.Random(rows)  # noqa: S311
    lines = [",".join([*names, "order", "user", "index_at"] + ["ill"] * labelled)]
    for n in range(rows):
        cells = [f"{draw.random():.2f}" for _ in [*names, "order", "user"]]
        is_ill = str(int(float(cells[0]) > 0.6))
        lines.append(",".join([*cells, f"2025-01-{1 + n % 28:02}"] + [is_ill] * labelled))
    path.write_text("\n".join(lines) + "\n")


def test_what_is_declared_may_be_called_as_a_column_of_another_table(
    copied: Copied, tmp_path: Path
) -> None:
    names = _names()
    assert {"over_at", "probability", "side_key"} <= set(names)
    database = copied(_migrated, tmp_path)
    known, new = tmp_path / "known.csv", tmp_path / "new.csv"
    _write(known, names, 300, labelled=True)
    _write(new, names, 20, labelled=False)
    night = [("load", str(known)), ("retrain",), ("load", str(new)), ("score",), ("status",)]
    night += [("models", "card", "1"), ("export", "predictions", "--values"), ("explain", "301")]
    for job, *arguments in night:
        ended = call(database, job, "--config", str(tmp_path / "pima.toml"), *arguments)
        assert ended.exit_code == 0, ended.stderr
    assert database.value("SELECT count(*) FROM predictions") == 20
