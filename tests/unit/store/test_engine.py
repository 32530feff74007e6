"""The URL of a database: its driver, its password, its port."""

import pytest

from pima.errors import WrongConfiguration
from pima.store.engine import parse_url


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg"),
        ("postgresql://u:p@h:5432/d", "postgresql+psycopg"),
        ("postgresql+psycopg:///d?host=/run", "postgresql+psycopg"),
        ("sqlite:///a.db", "sqlite+pysqlite"),
        ("sqlite:////tmp/a.db", "sqlite+pysqlite"),
        (" sqlite:///a.db\n", "sqlite+pysqlite"),
    ],
)
def test_a_url_gets_the_driver_that_is_installed(text: str, driver: str) -> None:
    assert parse_url(text).drivername == driver


def test_a_password_with_every_sign_stays_whole() -> None:
    assert parse_url("postgresql://u:p%40%2F%3A%25@h/d").password == "p@/:%"  # noqa: S105


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "5432x"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(WrongConfiguration) as caught:
        parse_url(f"postgresql://u:secret@h:{port}/d")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
