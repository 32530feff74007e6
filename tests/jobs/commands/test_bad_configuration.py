"""Wrong configuration, wrong usage and the default database: exit code 2, the key named, no secret
shown."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import Database, call, the_json
from tests.support.every_command import EVERY_COMMAND, SECRET, every_command, wrong
from tests.support.patient_files import GOOD
from tests.support.shipped import ROOT

# ---- the URL


@pytest.mark.parametrize(
    "url", [f"postgresql://doctor:{SECRET}@host:port/db", f"host=localhost password={SECRET}", ""]
)
def test_a_malformed_url_is_refused_and_not_repeated(url: str) -> None:
    wrong(
        call(None, "status", DATABASE_URL=url),
        "URL",
        "Expected: sqlite:///path/to/file.db or postgresql+psycopg://",
    )
    ended = call(None, "score", "--json", DATABASE_URL=url)
    wrong(ended)
    assert the_json(ended)["error"] == "wrong_configuration"


@pytest.mark.parametrize(
    "url",
    [
        f"sqlite://{SECRET}/pima.db",
        f"sqlite:////tmp/{SECRET}%00.db",
        f"sqlite:////tmp/{SECRET}\udcff.db",
        f"sqlite:////tmp/{'long' * 1_000}/pima.db",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?port=1&port=2",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db%00",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?client_encoding=sql_ascii",
        f"postgresql://u:p@127.0.0.1:1/db?connect_timeout={SECRET}",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?connect_timeout=1&connect_timeout=2",
    ],
    ids=range(9),
)
def test_what_no_driver_takes_is_refused_of_our_database_and_of_a_source(url: str) -> None:
    wrong(call(None, "status", DATABASE_URL=url), "Expected: ")
    wrong(
        call(None, "suggest", "--source", "a", "--table", "b", PIMA_SOURCE__A__URL=url),
        "source a",
        "Expected: ",
    )


@every_command
def test_every_command_refuses_a_malformed_url(command: tuple[str, ...]) -> None:
    wrong(call(None, *command, DATABASE_URL=f"mysql://doctor:{SECRET}@host/db"), "Expected")


def test_a_database_that_does_not_exist_is_named_without_the_password(server: str) -> None:
    there = make_url(server).set(
        drivername="postgresql+psycopg", password=SECRET, database="no_such_database"
    )
    url = there.render_as_string(hide_password=False)
    assert SECRET in url
    wrong(call(None, "score", DATABASE_URL=url), "DATABASE_URL", "no_such_database", "***")
    wrong(call(None, "score", "--json", DATABASE_URL=url), "database_unusable")


@pytest.mark.parametrize(
    "content", [f"{SECRET} is no database, but long enough to be read".encode() * 99, b"short"]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    for command in ("score", "migrate"):
        wrong(call(None, command, DATABASE_URL=f"sqlite:///{path}"), "letter.txt")
    assert path.read_bytes() == content


def test_a_folder_that_does_not_exist_and_a_folder_as_database_are_refused(tmp_path: Path) -> None:
    wrong(
        call(None, "migrate", DATABASE_URL=f"sqlite:///{tmp_path}/absent/pima.db"), "absent/pima.db"
    )
    assert not (tmp_path / "absent").exists()
    wrong(call(None, "migrate", DATABASE_URL=f"sqlite:///{tmp_path}"), "CANTOPEN")


def test_a_jobs_own_url_wins_for_that_job_only(sqlite: Database, tmp_path: Path) -> None:
    own = {"PIMA_RETRAIN__DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere.db"}
    wrong(call(sqlite, "retrain", **own), "there is no such file", "elsewhere.db")
    assert call(sqlite, "score", **own).exit_code == 0
    assert sqlite.execute("SELECT DISTINCT job FROM runs") == [("score",)]
    # It is enough where the general one is wrong.
    assert (
        call(None, "score", DATABASE_URL="nonsense", PIMA_SCORE__DATABASE_URL=sqlite.url).exit_code
        == 0
    )


# ---- config and variables


def test_a_wrong_settings_file_is_refused_and_the_key_named(tmp_path: Path) -> None:
    path, database = tmp_path / "wrong.toml", f"sqlite:///{tmp_path}/untouched.db"
    for content, named in (
        (b"[score]\nbatch_rows = true\n", "score.batch_rows"),
        (b"# caf\xe9\n", "not TOML"),
        (b"[score]\nbatch_rows = " + b"1" * 5_000, "not TOML"),
        (b"[score]\nbatch_rows = " + b"[" * 3_000 + b"]" * 3_000, "not TOML"),
        (b'[declaration]\nfile = "\\u0000"\n', "declaration.file"),
        (b'[report]\nfolder = "\\u0000"\n', "report.folder"),
    ):
        path.write_bytes(content)
        wrong(
            call(None, "status", "--config", str(path), DATABASE_URL=database),
            "wrong.toml",
            named,
            "Expected",
        )
    wrong(
        call(None, "status", "--config", str(tmp_path / "absent.toml"), DATABASE_URL=database),
        "absent",
        "Expected",
    )
    assert not (tmp_path / "untouched.db").exists()


def test_a_wrong_variable_is_refused_and_named_with_what_was_expected(sqlite: Database) -> None:
    for variable, value, expected in (
        ("PIMA_LOAD__DATABASE_URL", f"sqlite:///{SECRET}", "score"),
        (
            "PIMA_PING__SCORE_URL",
            SECRET,
            "an address that begins with http:// or https://, or nothing",
        ),
    ):
        ended = call(sqlite, "score", "--json", **{variable: value})
        wrong(ended, variable)
        assert expected in ended.stderr.partition("Expected: ")[2]
        assert the_json(ended)["error"] == "wrong_configuration"
    assert sqlite.value("SELECT count(*) FROM runs") == 0


@every_command
def test_every_command_refuses_a_variable_that_it_does_not_know(
    sqlite: Database, command: tuple[str, ...]
) -> None:
    wrong(call(sqlite, *command, PIMA_TYPO__X="1"), "PIMA_TYPO__X")


@pytest.mark.parametrize("job", ["status", "health", "scheduler"])
def test_a_schedule_that_can_not_be_read_is_refused(sqlite: Database, job: str) -> None:
    for key, value in (("SCORE", "15 2 * * 1"), ("TIME_ZONE", "Mars/Olympus")):
        wrong(call(sqlite, job, **{f"PIMA_SCHEDULE__{key}": value}), value, "Expected")


# ---- usage

WRONG_USAGE: list[tuple[str, ...]] = [
    ("score", "--no-such-option"),
    ("score", "--batch-size", "1000001"),
    ("score", "--lim", "5"),
    ("score", "--run-id", "0"),
    ("models",),
    ("models", "show", "99999999999999999999"),
    ("models", "promote", "1"),
    ("models", "rollback", "--reason", " "),
    ("migrate", "--features", "--reason", ""),
    ("requeue", "--stale", "--rejected"),
    ("retain", "--older-than", "1000000"),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_ends_with_2_and_says_so_on_stderr(arguments: tuple[str, ...]) -> None:
    ended = call(None, *arguments)
    wrong(ended, "usage: python -m jobs.")
    assert ended.stdout == ""
    as_json = the_json(call(None, arguments[0], "--json", *arguments[1:]))
    assert as_json.keys() == {"error", "message"}
    assert as_json["error"] == "wrong_usage"
    assert ended.stderr.endswith(f"error: {as_json['message']}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("score", "--limit", SECRET),
            "argument --limit: expected a whole number from 1 to 1000000000",
        ),
        (("score", "--limt", SECRET), "unrecognized arguments, among them --limt"),
        (("score", f"--limt={SECRET}", "-7177.0625"), "unrecognized arguments, among them --limt"),
        (("score", SECRET, "7177.0625"), "unrecognized arguments"),
        (("score", f"--dry-run={SECRET}"), "argument --dry-run: ignored explicit argument"),
        (("models", SECRET), "argument COMMAND: invalid choice (choose from "),
        (("models", f"' (choose from {SECRET}"), "argument COMMAND: invalid choice (choose from "),
        (("models", "show", SECRET), "argument N: expected a whole number from 1 to 1000000000"),
    ],
)
def test_wrong_usage_is_told_without_what_was_typed_as_a_value(
    arguments: tuple[str, ...], message: str
) -> None:
    ended = call(None, *arguments, "--json")
    assert the_json(ended)["message"].startswith(message)
    assert f"error: {message}" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    assert "7177" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("show", "99"), ("promote", "99", "--reason", "a try"), ("export", "99", "absent.keras")],
)
def test_a_version_that_does_not_exist_is_refused(
    sqlite: Database, arguments: tuple[str, ...]
) -> None:
    ended = call(sqlite, "models", *arguments, "--json")
    wrong(ended, "99")
    assert the_json(ended)["error"] == "no_such_version"


def test_there_is_nothing_to_roll_back_to_without_a_champion(sqlite: Database) -> None:
    ended = call(sqlite, "models", "rollback", "--reason", "a try", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (3, "nothing_to_roll_back_to")


# ---- the default database


@pytest.mark.parametrize(
    ("command", "exists"), [(("status",), False), (("load", "patients.csv"), True)]
)
def test_the_first_command_makes_the_default_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], exists: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "config", "config")
    Path("patients.csv").write_text(f"{GOOD}\n")
    if exists:
        Path("pima.db").touch()
    salts = set()
    # The row that was loaded has its outcome, so nothing waits.
    for each in (command, ("score",)):
        ended = call(None, *each, "--json")
        assert ended.exit_code == 0, ended.stderr
        the_json(ended)
        with closing(sqlite3.connect("pima.db")) as made:
            assert made.execute("SELECT count(*) FROM patients").fetchone() == (
                int(command[0] == "load"),
            )
            salts |= set(made.execute("SELECT holdout_salt FROM installation"))
    assert len(salts) == 1


def test_a_database_that_was_named_is_not_made_by_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/named.db"
    for command in EVERY_COMMAND:
        if command[0] != "migrate":
            wrong(call(None, *command, DATABASE_URL=url), "named.db", "python -m jobs.migrate")
            assert list(tmp_path.iterdir()) == []
    ill = call(None, "health", DATABASE_URL=url)
    assert (ill.exit_code, "database_unusable" in ill.stderr, list(tmp_path.iterdir())) == (
        1,
        True,
        [],
    )
    assert call(None, "migrate", DATABASE_URL=url).exit_code == 0


def test_without_its_settings_file_no_command_starts_and_no_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong(call(None, "status"), "config/pima.toml", "--config")
    assert list(tmp_path.iterdir()) == []


def test_roles_on_sqlite_are_refused_before_anything_is_migrated(tmp_path: Path) -> None:
    ended = call(None, "migrate", "--roles", DATABASE_URL=f"sqlite:///{tmp_path}/pima.db")
    assert (ended.exit_code, "SQLite knows no roles" in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "pima.db").exists()
