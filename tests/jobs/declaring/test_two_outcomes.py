"""docs/do/two-outcomes.md, told on a real server: two schemas over one table of a clinic."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.clinic import Clinic
from tests.support.databases import Database, call, under_role
from tests.support.owners import owners_database
from tests.support.pages import PAGES, blocks
from tests.support.trained import install_models

OUTCOMES = {"diabetes": "diabetic", "readmission": "readmitted"}
_SCHEMAS, _VIEW = (
    block.text
    for block in blocks(PAGES["docs/do/two-outcomes.md"].read_text())
    if block.info == "sql"
)


@pytest.fixture
def both(server: str) -> Iterator[dict[str, Database]]:
    """The owner's database, as each outcome sees it."""
    with owners_database(server) as database:
        _run(database, _SCHEMAS)
        found = {}
        for name in OUTCOMES:
            path = {"options": f"-csearch_path={name}"}
            url = make_url(database.url).update_query_dict(path).render_as_string(False)
            found[name] = Database("postgresql", url, make_engine(url, DatabaseSettings()))
        yield found
        for each in found.values():
            each.engine.dispose()


def _run(database: Database, script: str) -> None:
    for statement in re.findall(r"[^;]+;", script):
        database.execute(statement)


def test_both_hold_out_the_same_people_are_read_by_one_view_and_forget_each(
    both: dict[str, Database], postgresql_clinic: Clinic, trained: Path, tmp_path: Path
) -> None:
    clinic = postgresql_clinic
    clinic.execute("ALTER TABLE visits ADD COLUMN readmitted TEXT")
    clinic.insert(30)
    clinic.insert(1, seed=2, patient_no=77, readmitted="yes")
    for name, database in both.items():
        clinic.folder = tmp_path / name
        clinic.folder.mkdir()
        clinic.settings["outcome"] = OUTCOMES[name]
        ended = call(database, "migrate", "--roles", "--config", clinic.config)
        assert ended.exit_code == 0, ended.stderr
        install_models(database, trained)
        assert clinic.pulled(under_role(database, "pima_loader"))["inserted"] == 31
        scored = call(under_role(database, "pima_scorer"), "score", "--config", clinic.config)
        assert scored.exit_code == 0, scored.stderr

    sides = "SELECT holdout_salt, source_key, side_key FROM installation, row_keys ORDER BY 2"
    assert both["diabetes"].execute(sides) == both["readmission"].execute(sides)

    _run(both["diabetes"], _VIEW)
    reader = under_role(both["diabetes"], "pima_reader")
    engine = make_engine(reader.url, DatabaseSettings())
    read = Database("postgresql", reader.url, engine)
    counts = "SELECT count(*), count(diabetes), count(readmission) FROM public.both_outcomes"
    assert read.execute(counts) == [(31, 31, 30)]  # of one the second outcome is known
    for left in 1, 0:
        name = list(both)[1 - left]
        config = str(tmp_path / name / "clinic.toml")
        asked = ("forget", "--person", "77", "--reason", "asked", "--config", config)
        assert call(under_role(both[name], "pima_eraser"), *asked).exit_code == 0
        rows = [each.value("SELECT count(*) FROM patients") for each in both.values()]
        assert sum(rows) == 60 + left
    assert read.execute(counts) == [(30, 30, 30)]
    engine.dispose()
