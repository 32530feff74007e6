"""A clinic's MariaDB as a source: its rows, whatever their collation, names and rights."""

import pytest
from sqlalchemy.engine import make_url

from pima.intake import pulling, source_reading
from tests.sources.visits import change, key_is, keys_of
from tests.support.clinic import COLUMNS, MMOL, URL, Clinic
from tests.support.databases import Database
from tests.support.pulls import ODD, counts, no_value, refused


@pytest.fixture(params=[2, 10_000], ids=["small blocks", "one block"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "BLOCK_KEYS", request.param)
    monkeypatch.setattr(source_reading, "BLOCK_ROWS", request.param)


@pytest.mark.parametrize("driver", ["mysql+pymysql", "mariadb+pymysql"])
def test_visits_come_change_vanish_and_come_back(database: Database, clinic: Clinic, blocks: None, driver: str) -> None:
    clinic.url = clinic.url.replace("mysql+pymysql", driver)
    keys = sorted(clinic.insert(20))
    assert counts(clinic.pulled(database)) == {"inserted": 20}
    assert keys_of(database) == keys
    assert counts(clinic.pulled(database)) == {"unchanged": 20}
    glucose = dict(clinic.execute("SELECT visit_id, glucose_mmol FROM visits"))
    ours = database.execute("SELECT source_key, glucose FROM patients")
    assert dict(ours) == {key: value * MMOL for key, value in glucose.items()}
    ids = dict(database.execute("SELECT source_key, id FROM patients"))
    change(clinic, keys[0], bmi=31.5)
    change(clinic, keys[1], diabetic="yes")
    [gone] = clinic.execute("SELECT * FROM visits WHERE visit_id = :key", {"key": keys[2]})
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": keys[2]})
    clinic.settings["vanished"] = "delete"
    expected = {"updated": 2, "unchanged": 17, "vanished": 1, "deleted": 1, "outcomes_arrived": 1}
    assert counts(clinic.pulled(database)) == expected
    marks = ", ".join(f":c{n}" for n in range(len(gone)))
    clinic.execute(f"INSERT INTO visits VALUES ({marks})", {f"c{n}": value for n, value in enumerate(gone)})
    clinic.settings["most_cleared"] = 1
    change(clinic, keys[1], diabetic=None)
    assert counts(clinic.pulled(database)) == {
        "inserted": 1,
        "updated": 1,
        "unchanged": 18,
        "outcomes_cleared": 1,
    }
    assert dict(database.execute("SELECT source_key, id FROM patients")) == ids


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "latin1_swedish_ci"])
def test_keys_are_in_order_by_their_bytes_whatever_the_collation(
    database: Database, clinic: Clinic, blocks: None, collation: str
) -> None:
    charset = collation.partition("_")[0]
    key_is(clinic, f"varchar(40) CHARACTER SET {charset} COLLATE {collation}")
    keys = ["b", "A", "Z", "a!", "10", "9", "_x", "Ö", "zz", "o\u00eb", "y z", "-"]
    for n, key in enumerate(keys):
        clinic.insert(1, seed=n, visit_id=key)
    assert counts(clinic.pulled(database)) == {"inserted": len(keys)}
    assert keys_of(database) == sorted(keys, key=str.encode)
    assert counts(clinic.pulled(database)) == {"unchanged": len(keys)}


def test_a_query_is_a_source(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(10, age=50)
    clinic.insert(5, seed=2, age=30)
    del clinic.settings["table"]
    clinic.settings["query"] = "SELECT v.*, ':x' AS `100 %` FROM visits v WHERE age > 40 AND sex LIKE '%' # grown-up"
    assert counts(clinic.pulled(sqlite)) == {"inserted": 10}
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 10}


# ---- names and rights -----------------------------------------------------------------------------------------------


def test_a_table_and_columns_may_be_called_anything(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(4)
    odd = ODD.replace("\\", "").replace(".", "")  # a table is a file, and so is its name
    quoted = "`" + odd.replace("`", "``") + "`"
    with clinic.engine.begin() as connection:
        for statement in (
            f"RENAME TABLE visits TO {quoted}",
            f"ALTER TABLE {quoted} RENAME COLUMN age TO {quoted}",
        ):
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    clinic.settings |= {"table": odd, "schema": ""}
    clinic.columns |= {"age": odd}
    assert counts(clinic.pulled(sqlite)) == {"inserted": 4}
    clinic.settings["schema"] = "clinic"
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 4}


def test_columns_that_are_gone_are_named(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(3)
    clinic.execute("ALTER TABLE visits RENAME COLUMN bmi TO body_mass_index, DROP COLUMN diabetic")
    refused(sqlite, clinic, 2, "it has no column diabetic, bmi that can be read")
    clinic.columns = dict(COLUMNS)
    clinic.execute("DROP TABLE visits")
    refused(sqlite, clinic, 2, "source clinic", "1146")


def test_select_is_enough_and_what_we_may_not_read_is_told(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(3)
    url = make_url(clinic.url).set(username="reader")
    environ = {URL: url.render_as_string(hide_password=False)}
    refused(sqlite, clinic, 2, "source clinic", "1044", **environ)
    clinic.execute("GRANT SELECT (visit_id, patient_no, diabetic, pregnancies, glucose_mmol) ON visits TO reader@'%'")
    refused(sqlite, clinic, 2, "it has no column diastolic, skin, insulin, bmi, pedigree, age", **environ)
    clinic.execute("GRANT SELECT ON visits TO reader@'%'")
    assert clinic.pull(sqlite, **environ).exit_code == 0
    assert sqlite.value("SELECT count(*) FROM patients") == 3
    clinic.execute("REVOKE SELECT ON visits FROM reader@'%'")
    clinic.execute("CREATE SQL SECURITY INVOKER VIEW shown AS SELECT * FROM visits")
    clinic.execute("GRANT SELECT ON shown TO reader@'%'")
    clinic.settings["table"] = "shown"
    refused(sqlite, clinic, 2, "source clinic", "1356", **environ)


@pytest.mark.parametrize(
    ("changed", "number"),
    [({"password": "Canary-Smith"}, "1045"), ({"database": "nowhere"}, "1049")],
)
def test_a_way_in_that_is_none_is_a_mistake_and_not_for_later(
    sqlite: Database, clinic: Clinic, changed: dict[str, str], number: str
) -> None:
    url = make_url(clinic.url).set(**changed)
    refused(sqlite, clinic, 2, "source clinic", number, **{URL: url.render_as_string(hide_password=False)})


def test_no_value_of_a_patient_is_shown(sqlite: Database, clinic: Clinic) -> None:
    key_is(clinic, "varchar(40)")
    clinic.execute("ALTER TABLE visits MODIFY glucose_mmol varchar(40), MODIFY diabetic varchar(40)")
    clinic.insert(4)
    clinic.insert(1, seed=2, visit_id="Canary-Smith", glucose_mmol="Canary-Smith")
    clinic.insert(1, seed=3, diabetic="Canary-Smith")
    found = clinic.pulled(sqlite)
    assert found["rejected_by_reason"] == {"not_a_number": 1, "bad_outcome": 1}
    no_value(clinic.pull(sqlite))
