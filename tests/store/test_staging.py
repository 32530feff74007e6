"""The table that a file's rows go through: beside somebody's own of the same name, and gone once they are taken in."""

import pandas as pd

from pima.intake.loading import LoadOptions, load_files
from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.store.arrivals import Staging
from pima.store.engine import writing
from tests.support.databases import Database
from tests.support.shipped import SHIPPED


def test_a_table_of_the_staging_tables_name_is_neither_filled_nor_dropped(database: Database) -> None:
    database.execute("CREATE TABLE pima_staging (whose TEXT)")
    database.execute("INSERT INTO pima_staging VALUES ('of the clinic')")
    for line in (1, 2):
        with writing(database.engine) as connection:
            staging = Staging(connection, ("glucose",), "nothing")
            staging.make()
            staging.append(pd.DataFrame({"glucose": [100.0]}, index=[line]), "line")
            assert staging.take().inserted == 1
            staging.drop()
    database.engine.dispose()
    assert database.value("SELECT whose FROM pima_staging") == "of the clinic"


def test_what_a_file_held_is_not_left_in_the_session(database: Database) -> None:
    """Behind a pool of connections the next user of the session would read it."""
    load_files(database.engine, [SHIPPED, SHIPPED], LoadOptions(again=True), SHIPPED_DECLARATION, lambda *_: None)
    assert database.engine.pool.checkedin() > 0  # the connection is the same one
    staged = "sqlite_temp_master WHERE name" if database.kind == "sqlite" else "pg_class WHERE relname"
    assert database.value(f"SELECT count(*) FROM {staged} = 'pima_staging'") == 0
