"""The table that a file's rows go through, beside somebody's own of the same name."""

from pima.store import patients
from pima.store.engine import writing
from tests.conftest import FEATURE_NAMES, Database


def test_a_table_of_the_staging_tables_name_is_neither_filled_nor_dropped(database: Database) -> None:
    database.execute("CREATE TABLE pima_staging (whose TEXT)")
    database.execute("INSERT INTO pima_staging VALUES ('of the clinic')")
    for line in (1, 2):
        with writing(database.engine) as connection:
            patients.make_staging(connection, FEATURE_NAMES)
            patients.stage(connection, FEATURE_NAMES, [(line, None, *[100.0] * 8, None)])
            assert patients.take_staged(connection, ("glucose",)).inserted == 1
    database.engine.dispose()
    assert database.value("SELECT whose FROM pima_staging") == "of the clinic"
