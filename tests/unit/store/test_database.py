import inspect

import pytest

from pima.store.database import Database
from pima.store.postgresql.database import PostgreSQL
from pima.store.sqlite.database import SQLite


@pytest.mark.parametrize("kind", [SQLite, PostgreSQL])
def test_each_database_says_all_of_it_for_itself(kind: type[Database]) -> None:
    own = {name for name in vars(Database) if not name.startswith("_")}
    assert own == Database.__abstractmethods__
    members = own | set(inspect.get_annotations(Database))
    assert members - vars(kind).keys() == set()
