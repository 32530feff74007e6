"""Model versions that were really trained, once for all worker processes of a test run."""

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasteners
import pytest
from sqlalchemy import text

from pima.core.declared.features import Declaration
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.databases import Database, call
from tests.support.declared import configuration, csv_file, declaration
from tests.support.shipped import HOLDOUT, SHIPPED

MADE_ONCE = "PIMA_TEST_MADE_ONCE"
"""The variable that names a folder for what is made once, where several test runs are to have
it."""


def share_fits(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, own_repeated: bool
) -> None:
    from pima.report import pictures
    from pima.train import retraining
    from tests.support.equal_results import drawn_once, made_once

    folder = _shared(tmp_path_factory) / "fits"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(
        retraining, "fit_challenger", made_once(retraining.fit_challenger, folder, own_repeated)
    )
    for name in ("roc", "calibration", "decision", "distribution", "subgroup", "leaning"):
        draw = f"{name}_picture"
        monkeypatch.setattr(pictures, draw, drawn_once(getattr(pictures, draw), folder))


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all worker processes of a test run have, or all runs that are told the same
    one."""
    if named := os.environ.get(MADE_ONCE):
        return Path(named)
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder


def trained_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """The file that `make` fills, made once for all worker processes of a test run."""
    shared = _shared(tmp_path_factory)
    path, being_made = shared / name / "trained.db", shared / name / "being-made.db"
    with fasteners.InterProcessLock(shared / f"{name}.lock"):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            make(being_made)
            being_made.rename(path)
    return path


def train_shipped(path: Path) -> None:
    lines = SHIPPED.read_text().splitlines(keepends=True)
    files = []
    for first, last in ((0, 300), (300, 450), (450, 568)):
        files.append(path.with_name(f"part-{first}.csv"))
        files[-1].write_text("".join(lines[first:last]))
    _train(path, [str(file) for file in files], "article", SHIPPED_DECLARATION)


def train_declared(path: Path) -> None:

    config = configuration(path.parent)
    files = [csv_file(path.parent, rows, labelled=True, seed=rows) for rows in (300, 150, 120)]
    _train(path, files, "five_seeds", declaration(path.parent), "--config", config)


def _train(
    path: Path, files: list[str], first: str, declared: Declaration, *configured: str
) -> None:
    engine = make_engine(f"sqlite:///{path}", DatabaseSettings())
    migrate(engine, HOLDOUT, declared=declared)
    database = Database("sqlite", f"sqlite:///{path}", engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pima.report.page", None)  # nobody looks at their reports
        for file, network in zip(files, (first, "five_seeds", "five_seeds"), strict=True):
            assert call(database, "load", *configured, file).exit_code == 0
            ended = call(database, "retrain", *configured, PIMA_RETRAIN__NETWORK=network)
            assert ended.exit_code == 0, ended.stderr
    engine.dispose()


def make_schema(database: Database) -> None:
    """Bring an empty database to the schema's head."""
    migrate(database.engine, HOLDOUT)


def load_shipped(database: Database) -> None:
    """Make the schema and load the 768 shipped rows, all labelled."""
    migrate(database.engine, HOLDOUT)
    assert call(database, "load", str(SHIPPED)).exit_code == 0


_COPIED = ("model_versions", "promotions")


def install_models(database: Database, trained: Path, champion: int | None = 1) -> None:
    """Copy the trained versions with their ledger into a database and make one of them champion."""
    source = sqlite3.connect(trained)
    source.row_factory = sqlite3.Row
    with writing(database.engine) as connection:
        from pima.store.tables import metadata

        for name in _COPIED:
            table = metadata.tables[name]
            rows = [dict(row) for row in source.execute(f"SELECT * FROM {name}")]
            for row in rows:
                converted = {
                    column.name: _from_sqlite(column.type, row[column.name])
                    for column in table.columns
                }
                connection.execute(table.insert().values(**converted))
        connection.execute(
            text("UPDATE champion SET model_version = :n, sequence = sequence + 1"), {"n": champion}
        )
        if database.kind == "postgresql":
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence('promotions', 'id'), 100)")
            )
    source.close()


def _from_sqlite(column_type: Any, value: Any) -> Any:
    from sqlalchemy.dialects import sqlite as dialect

    processor = getattr(column_type, "process_result_value", None)
    return processor(value, dialect.dialect()) if processor else value


def install_declared(database: Database, trained: Path) -> None:

    migrate(database.engine, HOLDOUT, declared=declaration(trained.parent))
    install_models(database, trained)


def install_shipped(database: Database, trained: Path) -> None:
    migrate(database.engine, HOLDOUT)
    install_models(database, trained)
