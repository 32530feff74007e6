"""Sources as they are: odd names and keys, wrong types, lacking rights. Each ends as it is meant
to, and no value of a patient's is shown."""

import json

import pytest
from sqlalchemy.engine import make_url

from tests.support.clinic import COLUMNS, KINDS, TABLE, URL, Clinic
from tests.support.databases import Database, call, server_version
from tests.support.pulls import CANARY, ODD, counts, loosely, no_value, refused

# ---- measurements and outcomes


def test_text_where_a_number_is_declared_and_decimals_with_a_comma_are_counted(
    sqlite: Database, clinic: Clinic
) -> None:
    loosely(clinic, "glucose_mmol")
    loosely(clinic, "bmi")
    clinic.insert(6, glucose_mmol="5.5", bmi="30.5")
    clinic.insert(1, seed=2, glucose_mmol=CANARY, bmi="30.5")
    clinic.insert(2, seed=3, glucose_mmol="5.5", bmi="31,5")
    clinic.insert(1, seed=4, glucose_mmol="5.5", bmi="31.5", diabetic=CANARY)
    dry = clinic.pull(sqlite, "--dry-run").stdout
    found = clinic.pulled(sqlite)
    assert counts(found) == {"inserted": 6, "rejected": 4}
    assert found["rejected_by_reason"] == {"bad_outcome": 1, "not_a_number": 3}
    assert found["rejected_by_field"] == {"not_a_number": {"bmi": 2, "glucose": 1}}
    told = "  bad_outcome: 1 row\n  not_a_number of bmi: 2 rows\n  not_a_number of glucose: 1 row\n"
    assert told in dry
    assert sqlite.value("SELECT glucose FROM patients") == 5.5 * 18.016
    no_value(clinic.pull(sqlite))


def test_a_column_of_another_type_is_named(sqlite: Database, postgresql_clinic: Clinic) -> None:
    clinic = postgresql_clinic
    clinic.insert(3)
    clinic.execute("ALTER TABLE visits ALTER age TYPE date USING date '1970-01-01' + age")
    refused(sqlite, clinic, 2, "age", "date", "numbers")
    clinic.execute("ALTER TABLE visits ALTER diabetic TYPE date USING date '1970-01-01'")
    clinic.execute("ALTER TABLE visits DROP age, ADD age integer")
    refused(sqlite, clinic, 2, "diabetic (outcome)", "date")


# ---- keys


def _key_is(clinic: Clinic, kind: str, key_type: str) -> None:
    """The table's key has another type in the database, and another in the settings."""
    clinic.execute("DROP TABLE visits")
    kinds = KINDS[clinic.kind] | {"uuid": kind}
    clinic.execute(TABLE.format(**kinds).replace(" PRIMARY KEY", ""))
    clinic.settings["key_type"] = key_type


@pytest.mark.parametrize(
    ("key_type", "respelled"),
    [
        ("text", "visit_id || ' '"),
        ("uuid", "upper(visit_id)"),
        ("uuid", "replace(visit_id, '-', '')"),
    ],
)
def test_two_spellings_of_a_key_are_one_row(
    sqlite: Database, sqlite_clinic: Clinic, key_type: str, respelled: str
) -> None:
    clinic = sqlite_clinic
    _key_is(clinic, "TEXT", key_type)
    first, second, *_ = clinic.insert(30)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 30}
    clinic.execute(
        f"UPDATE visits SET visit_id = {respelled} WHERE visit_id <> :key", {"key": first}
    )
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 30}
    clinic.insert(1, seed=2, visit_id=f"{first} ")
    refused(sqlite, clinic, 2, "in 1 row the key (visit_id) is that of another row")
    assert second not in str(clinic.pull(sqlite))


def test_several_columns_are_a_key_together(sqlite: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    _key_is(clinic, "TEXT", "text")
    clinic.settings |= {
        "key": ["sex", "visit_id", "patient_no"],
        "key_type": ["text", "text", "integer"],
    }
    for n, name in enumerate(["a", 'a"b', "a\\b", "a!", "a,b", "Zu\u0308rich", "\t", "None"]):
        for sex in "MF":
            clinic.insert(1, seed=n, visit_id=name, sex=sex, patient_no=n)
    assert counts(clinic.pulled(sqlite)) == {"inserted": 16}
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 16}
    assert json.loads(sqlite.value("SELECT min(source_key) FROM patients")) == ["F", "None", "7"]
    clinic.insert(1, seed=9, visit_id="x", sex=None)
    refused(sqlite, clinic, 2, "in 1 row the key (sex, visit_id, patient_no)")


def test_keys_of_every_sign_come_in_and_stay(postgresql: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    _key_is(clinic, "TEXT", "text")
    keys = [
        "None",
        "\\N",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\\nb",
        "\\",
        "'",
        '"',
        "%s",
        ":x",
        "ü",
        "\U0001f600",
        " a",
        "NULL",
    ]
    for n, key in enumerate(keys):
        clinic.insert(1, seed=n, visit_id=key)
    assert counts(clinic.pulled(postgresql)) == {"inserted": len(keys)}
    assert counts(clinic.pulled(postgresql)) == {"unchanged": len(keys)}
    found = [
        key for (key,) in postgresql.execute("SELECT source_key FROM patients ORDER BY source_key")
    ]
    assert found == sorted(keys, key=str.encode)


# ---- names


def test_a_table_and_columns_may_be_called_anything(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(4)
    quoted = '"' + ODD.replace('"', '""') + '"'
    with clinic.engine.begin() as connection:
        for statement in (
            f"ALTER TABLE visits RENAME TO {quoted}",
            f"ALTER TABLE {quoted} RENAME age TO {quoted}",
        ):
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    clinic.settings |= {"table": ODD, "schema": ""}
    clinic.columns |= {"age": ODD}
    assert counts(clinic.pulled(sqlite)) == {"inserted": 4}
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 4}


def test_a_table_of_another_schema_is_found(sqlite: Database, postgresql_clinic: Clinic) -> None:
    clinic = postgresql_clinic
    clinic.insert(4)
    clinic.execute('CREATE SCHEMA "a.b"')
    clinic.execute('ALTER TABLE visits SET SCHEMA "a.b"')
    refused(sqlite, clinic, 2, "its table visits can't be read", "UndefinedTable")
    clinic.settings |= {"schema": "a.b"}
    assert counts(clinic.pulled(sqlite)) == {"inserted": 4}
    clinic.execute('ALTER SCHEMA "a.b" RENAME TO ward')
    clinic.settings.pop("schema", None)
    clinic.settings["table"] = "ward.visits"
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 4}


def test_sql_in_any_configured_name_is_the_name_of_nothing(
    sqlite: Database, clinic: Clinic
) -> None:
    clinic.insert(3)
    sql = 'visits"; DROP TABLE visits; --'
    settings = dict(clinic.settings)
    for place in ("table", "schema", "key", "person", "outcome"):
        clinic.settings = settings | {place: sql}
        message = refused(sqlite, clinic, 2, "source clinic")
        assert place in ("table", "schema") or f"it has no column {sql} that can be read" in message
    clinic.settings = settings
    clinic.columns["age"] = sql
    refused(sqlite, clinic, 2, f"it has no column {sql} that can be read")
    assert clinic.execute("SELECT count(*) FROM visits") == [(3,)]


def test_a_query_is_a_source(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(10, age=50)
    clinic.insert(5, seed=2, age=30)
    del clinic.settings["table"]
    query = (
        "SELECT v.*, ':x' AS \"100 %\" FROM visits v WHERE age > 40 AND sex LIKE '%' -- the "
        "grown-up; "
    )
    clinic.settings["query"] = query.rstrip("; ") + "\n;"
    assert counts(clinic.pulled(sqlite)) == {"inserted": 10}
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 10}


def test_a_query_that_only_reads_is_asked_for(sqlite: Database, clinic: Clinic) -> None:
    clinic.insert(3)
    del clinic.settings["table"]
    for query in (
        "DELETE FROM visits RETURNING *",
        "SELECT * FROM visits) x; DELETE FROM visits; --",
        "WITH gone AS (DELETE FROM visits RETURNING *) SELECT * FROM gone",
    ):
        clinic.settings["query"] = query
        refused(sqlite, clinic, 2, "clinic")
    assert clinic.execute("SELECT count(*) FROM visits") == [(3,)]


# ---- what is not there


def test_a_table_that_is_not_there_is_named(sqlite: Database, clinic: Clinic) -> None:
    clinic.execute("DROP TABLE visits")
    refused(sqlite, clinic, 2, "its table visits can't be read (")


def test_columns_that_are_gone_are_named(sqlite: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    clinic.insert(3)
    clinic.execute("ALTER TABLE visits RENAME COLUMN bmi TO body_mass_index")
    clinic.execute("ALTER TABLE visits DROP COLUMN diabetic")
    refused(sqlite, clinic, 2, "it has no column diabetic, bmi that can be read")


def test_features_and_columns_have_to_fit(sqlite: Database, sqlite_clinic: Clinic) -> None:
    clinic = sqlite_clinic
    clinic.insert(3)
    del clinic.columns["age"]
    refused(sqlite, clinic, 2, "columns lacks age")
    clinic.columns = dict(COLUMNS) | {"weight": "weight"}
    refused(sqlite, clinic, 2, "columns has weight, which is no declared feature", "glucose")
    # One that may be missing need not be there, and is left alone.
    clinic.columns = {name: column for name, column in COLUMNS.items() if name != "insulin"}
    assert counts(clinic.pulled(sqlite)) == {"inserted": 3}
    sqlite.execute("UPDATE patients SET insulin = 99")
    assert counts(clinic.pulled(sqlite)) == {"unchanged": 3}


def test_a_view_that_needs_rights_that_we_lack_is_refused_and_select_is_enough(
    server: str, sqlite: Database, postgresql_clinic: Clinic
) -> None:
    clinic = postgresql_clinic
    clinic.insert(3)
    clinic.execute("DROP ROLE IF EXISTS clinic_reader")
    clinic.execute("CREATE ROLE clinic_reader LOGIN")
    try:
        if server_version(server) >= 15:
            clinic.execute("CREATE VIEW shown WITH (security_invoker) AS SELECT * FROM visits")
        else:
            clinic.execute("CREATE VIEW shown AS SELECT * FROM visits")
            clinic.execute("ALTER VIEW shown OWNER TO clinic_reader")
        clinic.execute("GRANT SELECT ON shown TO clinic_reader")
        clinic.settings["table"] = "shown"
        reader = make_url(clinic.url).set(username="clinic_reader", password=None)
        url = reader.render_as_string(hide_password=False)
        refused(sqlite, clinic, 2, "clinic_reader lacks a right on the table visits", **{URL: url})
        clinic.settings["table"] = "visits"
        clinic.execute(
            "GRANT SELECT (visit_id, patient_no, diabetic, pregnancies, glucose_mmol) ON visits "
            "TO clinic_reader"
        )
        lacking = "it has no column diastolic, skin, insulin, bmi, pedigree, age"
        refused(
            sqlite, clinic, 2, lacking, "lacks a right", "and the right to read each", **{URL: url}
        )
        clinic.execute("GRANT SELECT ON visits TO clinic_reader")
        assert clinic.pull(sqlite, **{URL: url}).exit_code == 0
        assert sqlite.value("SELECT count(*) FROM patients") == 3
    finally:
        clinic.execute("DROP OWNED BY clinic_reader")
        clinic.execute("DROP ROLE clinic_reader")


def test_a_url_that_leads_nowhere_is_told(sqlite: Database, sqlite_clinic: Clinic) -> None:
    for url, named in (
        ("", "URL"),
        ("nonsense", "can't be read as one"),
        (f"postgresql://u:{CANARY}@@h/d", "source clinic"),
        ("nosuchdatabase://h/d", "nosuchdatabase"),
        ("mssql+pymssql://h/d", "pymssql"),
        (
            "sqlite:///absent/file.db",
            f"no such file). Nothing was changed. Expected: in {URL} the path",
        ),
        ("sqlite:///README.md", "SQLITE_NOTADB"),
        ("sqlite:///a.db?mode=ro", "options"),
        ("postgresql://u@db.example.org/d", "prove who it is"),
    ):
        refused(sqlite, sqlite_clinic, 2, named, **{URL: url})


def test_a_source_without_a_url_and_one_that_is_not_declared_are_told(
    sqlite: Database, sqlite_clinic: Clinic
) -> None:
    clinic = sqlite_clinic
    ended = call(sqlite, "pull", "--config", clinic.config)
    assert (ended.exit_code, f"{URL}, or {URL}_FILE" in ended.stderr) == (2, True)
    ended = clinic.pull(sqlite, CANARY)
    assert (ended.exit_code, "they declare: clinic" in ended.stderr) == (2, True)
    no_value(ended)
    assert (
        "declare no [[source]], so there is nothing to pull; `python -m jobs.suggest`"
        in call(sqlite, "pull").stderr
    )
    assert clinic.pull(sqlite, "clinic").exit_code == 3  # it is empty


# ---- pima's own tables


def test_a_table_of_pimas_own_is_no_source_for_it(database: Database, own_clinic: Clinic) -> None:
    main = {"sqlite": "MAIN", "postgresql": "public"}[database.kind]
    for table in ("patients", "current_predictions", f"{main}.patients"):
        own_clinic.settings |= {"table": table, "key": "id", "key_type": "integer"}
        refused(database, own_clinic, 2, "is pima's own", "need no [[source]]")


def test_a_table_of_a_clinics_may_be_called_as_one_of_pimas(
    database: Database, clinic: Clinic
) -> None:
    clinic.insert(3)
    clinic.execute("ALTER TABLE visits RENAME TO patients")
    clinic.settings["table"] = "patients"
    assert counts(clinic.pulled(database)) == {"inserted": 3}
