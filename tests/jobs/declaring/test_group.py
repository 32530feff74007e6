"""Groups that no model sees: how they are declared, added on a live database, and filled."""

import csv
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from sqlalchemy import inspect

from pima.core.declared.features import first_difference
from pima.core.rows.redeclared import changes, of_another_kind
from pima.errors import WrongConfiguration
from pima.settings.reading import SHIPPED, SHIPPED_FILE, read_declaration
from pima.store.models.registry import as_declaration, as_stored
from pima.store.schema import migrate, require_schema
from tests.support.clinic import Clinic
from tests.support.databases import (
    Copied,
    Database,
    call,
    insert_patients,
    let_the_clock_move,
    the_json,
    under_role,
)
from tests.support.declared import configuration
from tests.support.groups import (
    LANGUAGE,
    WITH_GROUPS,
    YEARS,
    group_configuration,
    install_groups,
)
from tests.support.pulls import counts
from tests.support.shipped import FEATURE_NAMES, HOLDOUT
from tests.support.trained import install_shipped

REDECLARE = ("migrate", "--features", "--reason", "is it fair?", "--json", "--config")


@pytest.fixture
def grouped(copied: Copied, trained: Path) -> Database:
    """A database of either kind with a champion, and the groups declared."""
    return copied(install_groups, trained)


def groups_of(database: Database) -> list[tuple[Any, ...]]:
    """What each row is, by id."""
    return database.execute("SELECT language, years FROM patients ORDER BY id")


def versions_and_queue(database: Database) -> tuple[Any, Any]:
    """Each row's version, and those that wait."""
    waits = "SELECT * FROM scoring_queue ORDER BY patient_id"
    return database.execute("SELECT id, version FROM patients ORDER BY id"), database.execute(waits)


def tables_with(database: Database, name: str) -> list[str]:
    """The tables that have a column of this name."""
    catalogue = inspect(database.engine)
    return [
        table
        for table in catalogue.get_table_names()
        if name in {column["name"] for column in catalogue.get_columns(table)}
    ]


def test_groups_are_added_on_a_live_database_and_change_nothing_of_its_rows(
    copied: Copied, trained: Path, tmp_path: Path
) -> None:
    database = copied(install_shipped, trained)
    first, _ = insert_patients(database, 2)
    before = versions_and_queue(database)
    config = group_configuration(tmp_path)
    assert call(database, "score", "--config", config).exit_code == 2
    assert the_json(call(database, *REDECLARE, config))["added"] == ["language", "years"]
    assert versions_and_queue(database) == before
    assert tables_with(database, "language") == ["patients"]
    assert groups_of(database) == [(None, None), (None, None)]
    changed_at = "SELECT updated_at FROM patients ORDER BY id"
    inserted = database.execute(changed_at)
    let_the_clock_move()
    database.execute(f"UPDATE patients SET language = 1, years = 2.5 WHERE id = {first}")
    assert versions_and_queue(database) == before
    corrected = database.execute(changed_at)
    assert corrected[0] > inserted[0]
    assert corrected[1] == inserted[1]
    assert the_json(call(database, "score", "--config", config, "--json"))["predicted"] == 2
    database.execute("UPDATE patients SET language = 2")
    assert versions_and_queue(database) == (before[0], [])
    assert database.value("SELECT count(*) FROM row_history") == 0
    configuration(tmp_path, SHIPPED_FILE.read_text())
    assert the_json(call(database, *REDECLARE, config))["retired"] == ["language", "years"]
    assert call(database, "score", "--config", config).exit_code == 0
    group_configuration(tmp_path)
    assert the_json(call(database, *REDECLARE, config))["revived"] == ["language", "years"]
    assert groups_of(database) == [(2, 2.5), (2, None)]
    # A column holds one kind of values.
    text = SHIPPED_FILE.read_text().replace('name = "glucose"', 'name = "language"')
    configuration(tmp_path, text)
    ended = call(database, *REDECLARE, config)
    assert (ended.exit_code, "language can't become a number" in ended.stderr) == (2, True)


def test_a_new_database_has_its_groups_from_the_beginning(empty_database: Database) -> None:
    migrate(empty_database.engine, HOLDOUT, WITH_GROUPS)
    assert require_schema(empty_database.engine) == WITH_GROUPS
    insert_patients(empty_database, 1, language=2, years=9)
    assert groups_of(empty_database) == [(2, 9)]
    assert tables_with(empty_database, "years") == ["patients"]


def test_a_column_of_the_clinic_s_own_is_not_taken_for_a_group(
    copied: Copied, trained: Path, tmp_path: Path
) -> None:
    database = copied(install_shipped, trained)
    database.execute("ALTER TABLE patients ADD COLUMN language INTEGER")
    ended = call(database, *REDECLARE, group_configuration(tmp_path))
    assert (ended.exit_code, "language can't be added" in ended.stderr) == (2, True)


def test_a_group_comes_by_files(grouped: Database, tmp_path: Path) -> None:
    config = group_configuration(tmp_path)
    row = "1,148,72,35,0,33.6,0.6,50"
    file = tmp_path / "rows.csv"
    head = f"id,{','.join(FEATURE_NAMES)},Language,Years\n"
    file.write_text(f"{head}7,{row},turkish,3\n8,{row},0,\n9,{row},Klingon,many\n10,{row},,5\n")
    ended = call(grouped, "load", "--config", config, str(file), "--json")
    assert the_json(ended)["unknown_taken"] == {"language": 1, "years": 1}
    assert groups_of(grouped) == [(1, 3), (0, None), (None, None), (None, 5)]
    before = versions_and_queue(grouped)
    assert len(before[1]) == 4
    table = pa.table({"id": [7, 9], "language": ["another", "German"], "years": [None, 0.5]})
    pq.write_table(table, tmp_path / "groups.parquet")
    parquet = str(tmp_path / "groups.parquet")
    assert call(grouped, "load", "--config", config, parquet).exit_code == 0
    assert groups_of(grouped) == [(2, None), (0, None), (0, 0.5), (None, 5)]
    assert versions_and_queue(grouped) == before
    # A file of rows that are not there yet may lack it, and one without a header has none.
    file.write_text(f"{row},\n" * 2)
    assert call(grouped, "load", "--config", config, str(file)).exit_code == 0


def test_a_group_comes_from_a_source_with_its_words(
    grouped: Database, clinic: Clinic, tmp_path: Path
) -> None:
    group_configuration(tmp_path)
    clinic.extra = f'[declaration]\nfile = "{tmp_path / "features.toml"}"\n'
    clinic.execute("ALTER TABLE visits ADD COLUMN spoken TEXT")
    words = {"de": 0, "tr": 1, "ku": 2}
    clinic.columns["language"] = {"column": "spoken", "words": words}
    first, second = clinic.insert(2, spoken="TR")
    assert counts(clinic.pulled(grouped)) == {"inserted": 2}
    assert groups_of(grouped) == [(1, None), (1, None)]
    before = versions_and_queue(grouped)
    change = "UPDATE visits SET spoken = :spoken WHERE visit_id = :key"
    clinic.execute(change, {"spoken": "ku", "key": first})
    clinic.execute(change, {"spoken": "?", "key": second})
    assert counts(clinic.pulled(grouped)) == {"updated": 2}
    assert sorted(groups_of(grouped), key=str) == [(2, None), (None, None)]
    assert versions_and_queue(grouped) == before
    assert counts(clinic.pulled(grouped)) == {"unchanged": 2}


def test_who_fills_a_group_and_who_reads_it(
    postgresql: Database, trained: Path, tmp_path: Path
) -> None:
    config = group_configuration(tmp_path)
    install_groups(postgresql, trained)
    assert call(postgresql, "migrate", "--config", config, "--roles").exit_code == 0

    def may(right: str) -> list[str]:
        roles = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'pima~_%' ESCAPE '~'"
        held = f"has_column_privilege(rolname, 'patients', 'language', '{right}')"
        return [row[0] for row in postgresql.execute(f"{roles} AND {held} ORDER BY 1")]

    assert may("INSERT") == may("UPDATE") == ["pima_loader", "pima_writer"]
    assert may("SELECT") == [
        "pima_eraser",
        "pima_loader",
        "pima_operator",
        "pima_trainer",
        "pima_writer",
    ]
    insert_patients(postgresql, 1, language=2)
    scorer = under_role(postgresql, "pima_scorer")
    scored = the_json(call(scorer, "score", "--config", config, "--json"))
    assert scored["predicted"] == 1
    operator = under_role(postgresql, "pima_operator")
    assert "## Groups" in call(operator, "models", "card", "1", "--config", config).stdout
    for role in ("pima_operator", "pima_trainer"):
        out = tmp_path / f"{role}.html"
        asked = ("report", "--config", config, "--out", str(out))
        assert call(under_role(postgresql, role), *asked).exit_code == 0
        assert "In groups that no model sees" in out.read_text()


def test_a_group_is_exported_beside_predictions_and_erased_with_its_row(
    grouped: Database, tmp_path: Path
) -> None:
    config = group_configuration(tmp_path)
    corrected, erased = insert_patients(grouped, 2, language=1, years=3)
    assert call(grouped, "score", "--config", config).exit_code == 0
    grouped.execute(f"UPDATE patients SET age = age + 1, language = 2 WHERE id = {corrected}")
    asked = ("export", "predictions", "--all", "--values", "--config", config)
    found = list(csv.DictReader(call(grouped, *asked).stdout.splitlines()))
    told = [(each["value_of_age"], each["group_language"], each["group_years"]) for each in found]
    # It tells who somebody is, whatever the prediction was made from.
    assert told == [("50.0", "2.0", "3.0"), ("50.0", "1.0", "3.0")]
    forget = ("forget", str(erased), "--reason", "a test", "--config", config)
    assert call(grouped, *forget).exit_code == 0
    assert groups_of(grouped) == [(2, 3)]
    long_ago = ("retain", "--older-than", "365", "--values", "--config", config)
    assert call(grouped, *long_ago).exit_code == 0
    assert groups_of(grouped) == [(2, 3)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('name = "age"\nbands = [1]', "name is that of feature 8"),
        ('name = "Site"\nbands = [1]', "name is no plain name"),
        ('name = "outcome"\nbands = [1]', "a column of the service's own"),
        ('name = "a"', "codes and bands are missing"),
        ('name = "a"\nbands = [1]\ncodes = { 0 = "b", 1 = "c" }', "codes stand beside bands"),
        ('name = "a"\ncodes = { 0 = "b" }', "codes are 1"),
        ('name = "a"\ncodes = { 0 = "b", 1 = "B" }', "codes have a label twice"),
        ('name = "a"\ncodes = { 0 = "b", 1 = "7" }', "a label that reads as another number"),
        ('name = "a"\nbands = [2, 1]', "bands are no ends of bands"),
        ('name = "a"\nbands = [inf]', "bands are no ends of bands"),
        ('name = "a"\nbands = [1]\nlabel = "a\\u0007"', "label holds invisible characters"),
        ('name = "a"\nbands = [1]\nmay_be_missing = true', "takes no key may_be_missing"),
    ],
)
def test_a_group_that_can_t_be_used_is_told(tmp_path: Path, said: str, told: str) -> None:
    path = tmp_path / "features.toml"
    path.write_text(f"{SHIPPED_FILE.read_text()}\n[[group]]\n{said}\n")
    with pytest.raises(WrongConfiguration, match=re.escape(told)):
        read_declaration(path)


def test_a_group_is_read_stored_and_compared(tmp_path: Path) -> None:
    group_configuration(tmp_path)
    found = read_declaration(tmp_path / "features.toml")
    assert found == WITH_GROUPS
    assert as_declaration(as_stored(found)) == found
    # Earlier releases read what declares none.
    assert {"group", "retired_groups"}.isdisjoint(as_stored(SHIPPED))
    assert first_difference(SHIPPED, found) == (
        "nothing stands in the settings where this database has the group language"
    )
    after, told = changes(found, SHIPPED)
    assert (after.retired_groups, told.retired) == ((LANGUAGE, YEARS), ("language", "years"))
    again, told = changes(after, found)
    assert (again, told.revived, told.added) == (found, ("language", "years"), ())
    other = replace(found, groups=(replace(LANGUAGE, label="mother tongue"), YEARS))
    assert changes(found, other)[1].changed == {"language": ("label",)}
    assert of_another_kind(after, found) is None
