"""A declaration of the tests' own: three numbers and a category, and rows of it whose outcome
depends on them."""

import random
from pathlib import Path

from msgspec.structs import replace

from pima.core.declared.features import Declaration
from pima.redeclaring import redeclare
from pima.settings.reading import SHIPPED, read_declaration
from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.databases import Database
from tests.support.shipped import SALT

DECLARED = """
[outcome]
name = "readmitted"
meaning = "back in hospital within thirty days"

[[feature]]
name = "order"
unit = "count"
low = 0
high = 40
rationale = "stays before this one; one of SQL's words"

[[feature]]
name = "creatinine"
unit = "mg/dL"
low = 0.1
high = 20
may_be_missing = true

[[feature]]
name = "temperature"
unit = "degrees Celsius"
low = 30
high = 45
zero_is_missing = true
may_be_missing = true

[[feature]]
name = "smoking"
kind = "category"
codes = { 0 = "never", 1 = "former", 2 = "current" }
may_be_missing = true
"""
LABELS = ("never", "Former", "current")

ADDED = DECLARED.replace(
    '[[feature]]\nname = "smoking"',
    '[[feature]]\nname = "glucose"\nlow = 20\nhigh = 600\nmay_be_missing = '
    'true\n\n[[feature]]\nname = "smoking"',
)
"""With a number more."""


def configuration(folder: Path, declared: str = DECLARED) -> str:
    """A settings file that names a declaration; the value of --config."""
    (folder / "features.toml").write_text(declared)
    path = folder / "pima.toml"
    # With a salt of its own each run would split the rows in its own way, and now and then find no
    # champion.
    path.write_text(f'[declaration]\nfile = "features.toml"\n[holdout]\nsalt = "{SALT}"\n')
    return str(path)


def redeclared(database: Database, folder: Path, declared: str) -> Declaration:
    """Carry a declaration over to a database, over sessions of its own."""
    path = folder / "other.toml"
    path.write_text(declared)
    engine, other = make_engine(database.url, DatabaseSettings()), read_declaration(path)
    redeclare(engine, other, "a test", "other rules")
    engine.dispose()
    return other


def declaration(folder: Path) -> Declaration:
    """The same, as the code has it."""
    path = folder / "declared.toml"
    path.write_text(DECLARED)
    return read_declaration(path)


def csv_file(folder: Path, rows: int, labelled: bool, seed: int = 0) -> str:
    """A file with a header in another order, labels for codes, and here and there a value missing;
    its path."""
    draw = random.Random(seed)  # noqa: S311
    lines = ["Smoking,creatinine,ORDER,temperature" + (",readmitted" if labelled else "")]
    for _ in range(rows):
        stays, creatinine, smoking = (
            draw.randrange(12),
            round(draw.lognormvariate(0, 0.5), 2),
            draw.randrange(3),
        )
        temperature = "" if draw.random() < 0.1 else f"{draw.gauss(37, 0.7):.1f}"
        risk = 0.1 + 0.05 * stays + (0.3 if smoking == 2 else 0)
        cells = [
            LABELS[smoking] if draw.random() < 0.5 else str(smoking),
            str(creatinine),
            str(stays),
            temperature,
        ]
        lines.append(",".join(cells + ([str(int(draw.random() < risk))] if labelled else [])))
    path = folder / f"rows-{seed}-{rows}.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def waiting(database: Database, horizon: str = "30 days", within: str | None = None) -> None:
    """Carry a horizon over to a database with the shipped declaration."""
    outcome = replace(SHIPPED.outcome, horizon=horizon, predicted_within=within)
    redeclare(database.engine, replace(SHIPPED, outcome=outcome), "a test", "a horizon")
