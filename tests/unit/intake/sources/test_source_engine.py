"""What a source's fingerprint goes by: whatever may lead to other rows, and no secret."""

from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from pima.core.declared.source import Source
from pima.intake.sources.pulling import open_source
from pima.intake.sources.source_engine import make_source_engine, source_place
from pima.settings.sections import DatabaseSettings
from tests.support.shipped import FEATURE_NAMES, FEATURES

SOURCE = Source("clinic", "visit_id", {name: name for name in FEATURE_NAMES}, table="visits")
SERVER = "postgresql+psycopg://reader:one@localhost:5432/clinic"


def fingerprint(url: str) -> str:
    engine = make_source_engine("clinic", url, DatabaseSettings(allow_unverified_tls=True))
    return open_source(SOURCE, FEATURES, engine).fingerprint


OTHERS = [
    "postgresql+psycopg://reader:one@localhost:5432/another",
    "postgresql+psycopg://reader:one@localhost:5433/clinic",
    "postgresql+psycopg://reader:one@127.0.0.1:5432/clinic",
    "postgresql+psycopg://another:one@localhost:5432/clinic",
    "postgresql+psycopg://reader:one@/clinic?host=/run/b",
    "postgresql+psycopg://reader:one@/clinic?host=/run/b&port=5433",
    "postgresql+psycopg://reader:one@/clinic?host=a:5432&host=b:5432",
    f"{SERVER}?hostaddr=127.0.0.2",
    f"{SERVER}?options=-csearch_path%3Da",
    f"{SERVER}?target_session_attrs=standby",
    f"{SERVER}?service=clinic",
    f"{SERVER}?user=third",
    f"{SERVER}?dbname=third",
]


def test_whatever_may_lead_to_other_rows_makes_another_fingerprint() -> None:
    assert len({fingerprint(url) for url in (SERVER, *OTHERS)}) == 1 + len(OTHERS)


@pytest.mark.parametrize(
    "same",
    [
        "postgresql://reader:one@localhost:5432/clinic",
        "postgresql+psycopg://reader:two@localhost:5432/clinic",
        "postgresql+psycopg://reader@localhost:5432/clinic",
        f"{SERVER}?sslpassword=one&passfile=/run/one&scram_client_key=one&sslkey=/run/one",
    ],
)
def test_a_password_does_not(same: str) -> None:
    assert fingerprint(same) == fingerprint(SERVER)


def test_a_path_is_what_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    first = fingerprint("sqlite:///clinic.db")
    assert first == fingerprint(f"sqlite:///{tmp_path}/one/clinic.db")
    monkeypatch.chdir(tmp_path / "two")
    assert fingerprint("sqlite:///clinic.db") != first
    (tmp_path / "link").symlink_to(tmp_path / "one" / "clinic.db")
    assert fingerprint(f"sqlite:///{tmp_path}/link") == first


ODBC = "DRIVER={ODBC 18};SERVER=host;DATABASE=clinic;UID=reader;PWD={on;e}}two};Encrypt=yes"


def test_of_another_kind_of_database_no_secret_is_looked_at() -> None:
    def place(options: dict[str, str]) -> str:
        return source_place(
            URL.create("mssql+pyodbc", "reader", "one", "host", 1433, "clinic", options)
        )

    assert "one" not in str(place({"password": "one", "Access_Token": "one", "api_key": "one"}))
    assert place({"passwd": "one"}) == place({"passwd": "two"}) == place({})
    assert (
        len(
            {
                str(place(options))
                for options in ({}, {"driver": "a"}, {"driver": "b"}, {"keyspace": "b"})
            }
        )
        == 4
    )
    there = source_place(URL.create("mssql+pyodbc", query={"odbc_connect": ODBC}))
    assert "on;e" not in str(there)
    assert "two" not in str(there)
    for part in ("host", "clinic", "reader", "Encrypt"):
        other = URL.create("mssql+pyodbc", query={"odbc_connect": ODBC.replace(part, "other")})
        assert source_place(other) != there
