"""One MariaDB for all tests, and in it a database with a table of visits for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.mariadb_server import Server, running_server
from tests.support.clinic import TABLE, Clinic, engine_of

KINDS = {"uuid": "char(36)", "real": "double", "number": "decimal(5,2)", "letter": "char(2)"}


PASSWORD = "an-open-secret"  # noqa: S105


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    with running_server() as found:
        found.execute(
            f"CREATE USER owner@'%' IDENTIFIED BY '{PASSWORD}'",
            f"CREATE USER reader@'%' IDENTIFIED BY '{PASSWORD}'",
            "GRANT ALL ON *.* TO owner@'%' WITH GRANT OPTION",
        )
        yield found


@pytest.fixture
def clinic(mariadb: Server, tmp_path: Path) -> Iterator[Clinic]:
    mariadb.execute("CREATE DATABASE clinic CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    url = f"mysql+pymysql://owner:{PASSWORD}@127.0.0.1:{mariadb.port}/clinic?charset=utf8mb4"
    found = Clinic("mariadb", url, engine_of(url), tmp_path)
    found.execute(TABLE.format(**KINDS))
    yield found
    found.engine.dispose()
    mariadb.execute("DROP DATABASE clinic", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM reader@'%'")
