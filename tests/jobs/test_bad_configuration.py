"""Wrong configuration, wrong usage and the default database: exit code 2, the key named, no secret shown."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.support.databases import PATIENCE_SECONDS, Database, Ended, call, clean_environ, the_json
from tests.support.every_command import EVERY_COMMAND, SECRET, every_command, wrong
from tests.support.patient_files import GOOD
from tests.support.shipped import ROOT

# ---- the URL ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [f"postgresql://doctor:{SECRET}@host:port/db", f"host=localhost password={SECRET}", ""])
def test_a_malformed_url_is_refused_and_not_repeated(url: str) -> None:
    wrong(call(None, "status", DATABASE_URL=url), "URL", "Expected: sqlite:///path/to/file.db or postgresql+psycopg://")
    ended = call(None, "score", "--json", DATABASE_URL=url)
    wrong(ended)
    assert the_json(ended)["error"] == "wrong_configuration"


@every_command
def test_every_command_refuses_a_malformed_url(command: tuple[str, ...]) -> None:
    wrong(call(None, *command, DATABASE_URL=f"mysql://doctor:{SECRET}@host/db"), "Expected")


@every_command
def test_a_variable_of_a_source_that_is_not_declared_stops_the_pull_alone(
    sqlite: Database, command: tuple[str, ...]
) -> None:
    """Each command ends as it does without the variable, or for want of the database that it was to name."""
    variable = "PIMA_SOURCE__OTHER__URL"
    given = {variable: f"sqlite:///{SECRET}.db", "DATABASE_URL": f"mysql://doctor:{SECRET}@host/db"}
    ended = call(None, *command, **given)
    assert (ended.exit_code, variable in ended.stderr) == (2, False)
    if command == ("pull",):
        wrong(call(sqlite, *command, **{variable: SECRET}), variable, "or the URL of a [[source]]")


def test_a_database_that_does_not_exist_is_named_without_the_password(server: str) -> None:
    there = make_url(server).set(drivername="postgresql+psycopg", password=SECRET, database="no_such_database")
    url = there.render_as_string(hide_password=False)
    assert SECRET in url
    wrong(call(None, "score", DATABASE_URL=url), "DATABASE_URL", "no_such_database", "***")
    wrong(call(None, "score", "--json", DATABASE_URL=url), "database_unusable")


def test_a_password_among_the_urls_options_is_not_shown_either(server: str) -> None:
    there = make_url(server).set(drivername="postgresql+psycopg", database="no_such_database")
    url = there.update_query_dict({"password": SECRET}).render_as_string(hide_password=False)
    wrong(call(None, "score", DATABASE_URL=url), "no_such_database")


@pytest.mark.parametrize("content", [f"{SECRET} is no database, but long enough to be read".encode() * 99, b"short"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    for command in ("score", "migrate"):
        wrong(call(None, command, DATABASE_URL=f"sqlite:///{path}"), "letter.txt")
    assert path.read_bytes() == content


def test_a_folder_that_does_not_exist_and_a_folder_as_database_are_refused(tmp_path: Path) -> None:
    wrong(call(None, "migrate", DATABASE_URL=f"sqlite:///{tmp_path}/absent/pima.db"), "absent/pima.db")
    assert not (tmp_path / "absent").exists()
    wrong(call(None, "migrate", DATABASE_URL=f"sqlite:///{tmp_path}"), "CANTOPEN")


def test_the_url_may_stand_in_a_file_that_ends_with_a_newline(sqlite: Database, tmp_path: Path) -> None:
    for end in ("", "\n", "\r\n"):
        path = tmp_path / "url"
        path.write_bytes((sqlite.url + end).encode())
        assert call(None, "status", DATABASE_URL_FILE=str(path)).exit_code == 0


def test_an_unreadable_url_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("absent", "bytes", "."):
        wrong(call(None, "status", DATABASE_URL_FILE=str(tmp_path / name)), "DATABASE_URL_FILE", "Expected")
    wrong(call(None, "status", DATABASE_URL_FILE=str(tmp_path / "empty")), "URL", "Expected")


@pytest.mark.parametrize(
    ("job", "prefix"), [("status", ""), ("score", ""), ("score", "PIMA_SCORE__"), ("retrain", "PIMA_RETRAIN__")]
)
def test_both_a_variable_and_its_file_are_refused(sqlite: Database, tmp_path: Path, job: str, prefix: str) -> None:
    (tmp_path / "url").write_text(f"postgresql://doctor:{SECRET}@host/db")
    name = f"{prefix}DATABASE_URL"
    wrong(call(sqlite, job, **{name: sqlite.url, f"{name}_FILE": str(tmp_path / "url")}), name, f"{name}_FILE")


@pytest.mark.parametrize(("job", "other"), [("score", "retrain"), ("retrain", "score")])
def test_a_jobs_own_url_wins_for_that_job_only(sqlite: Database, tmp_path: Path, job: str, other: str) -> None:
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    own = {f"PIMA_{job.upper()}__DATABASE_URL": elsewhere}
    wrong(call(sqlite, job, **own), "there is no such file", "elsewhere.db")
    (tmp_path / "url").write_text(f"{elsewhere}\n")
    wrong(call(sqlite, job, **{f"PIMA_{job.upper()}__DATABASE_URL_FILE": str(tmp_path / "url")}), "no such file")
    # An empty queue is done, an empty history refused.
    assert call(sqlite, other, **own).exit_code == {"score": 0, "retrain": 3}[other]
    assert call(sqlite, "status", **own).exit_code == 0
    assert sqlite.execute("SELECT DISTINCT job FROM runs") == [(other,)]


def test_a_jobs_own_url_is_enough_where_the_general_one_is_wrong(sqlite: Database) -> None:
    assert call(None, "score", DATABASE_URL="nonsense", PIMA_SCORE__DATABASE_URL=sqlite.url).exit_code == 0


# ---- config and variables -----------------------------------------------------------------------------------------

WRONG_TOML = [
    (b"[score]\nbatch_rows = true\n", "score.batch_rows"),
    (b"# caf\xe9\n", "not TOML"),
]


@pytest.mark.parametrize(("content", "named"), WRONG_TOML)
def test_a_wrong_settings_file_is_refused_and_the_key_named(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(content)
    database = f"sqlite:///{tmp_path}/untouched.db"
    wrong(call(None, "status", "--config", str(path), DATABASE_URL=database), "wrong.toml", named, "Expected")
    assert not (tmp_path / "untouched.db").exists()


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_missing_settings_file_is_refused(tmp_path: Path, name: str) -> None:
    wrong(call(None, "score", "--config", str(tmp_path / name)), name, "Expected")


WRONG_VARIABLES = [
    ("PIMA_SCORE__BATCH_SIZE", "5", "batch_rows"),
    ("PIMA_SCORING__BATCH_ROWS", "5", "score"),
    ("PIMA_LOAD__DATABASE_URL", f"sqlite:///{SECRET}", "score"),
    ("PIMA_SCORE__BATCH_ROWS", "many", "a whole number, at least 1 and at most 1,000,000"),
    ("PIMA_PING__SCORE_URL", SECRET, "an address that begins with http:// or https://, or nothing"),
]


@pytest.mark.parametrize(("variable", "value", "expected"), WRONG_VARIABLES)
def test_a_wrong_variable_is_refused_and_named_with_what_was_expected(
    sqlite: Database, variable: str, value: str, expected: str
) -> None:
    ended = call(sqlite, "score", "--json", **{variable: value})
    wrong(ended, variable)
    assert expected in ended.stderr.partition("Expected: ")[2]
    assert the_json(ended)["error"] == "wrong_configuration"
    assert sqlite.value("SELECT count(*) FROM runs") == 0


@every_command
def test_every_command_refuses_a_variable_that_it_does_not_know(sqlite: Database, command: tuple[str, ...]) -> None:
    wrong(call(sqlite, *command, PIMA_TYPO__X="1"), "PIMA_TYPO__X")


@pytest.mark.parametrize("job", ["status", "health", "scheduler"])
@pytest.mark.parametrize(("key", "value"), [("SCORE", "15 2 * * 1"), ("TIME_ZONE", "Mars/Olympus")])
def test_a_schedule_that_can_not_be_read_is_refused(sqlite: Database, job: str, key: str, value: str) -> None:
    wrong(call(sqlite, job, **{f"PIMA_SCHEDULE__{key}": value}), value, "Expected")


def test_another_salt_than_the_databases_is_refused(sqlite: Database) -> None:
    for job in ("retrain", "migrate"):
        wrong(call(sqlite, job, PIMA_HOLDOUT__SALT=SECRET), "holdout.salt", "Expected")


# ---- usage --------------------------------------------------------------------------------------------------------

WRONG_USAGE: list[tuple[str, ...]] = [
    ("score", "--no-such-option"),
    ("score", "--limit", "0"),
    ("score", "--batch-size", "0"),
    ("score", "--batch-size", "1000001"),
    ("score", "--lim", "5"),
    ("score", "--run-id", "0"),
    ("score", "--run-id", "99999999999999999999"),
    ("models",),
    ("models", "show", "0"),
    ("models", "show", "99999999999999999999"),
    ("models", "promote", "1"),
    ("models", "promote", "1", "--reason", ""),
    ("models", "rollback", "--reason", " "),
    ("models", "unpin", "--reason", ""),
    ("migrate", "--features", "--reason", ""),
    ("migrate", "--features", "--reason", " \n"),
    ("requeue", "--stale", "--rejected"),
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
        (("score", "--limit", SECRET), "argument --limit: expected a whole number from 1 to 1000000000"),
        (("score", "--limt", SECRET), "unrecognized arguments, among them --limt"),
        (("score", f"--limt={SECRET}", "-7177.0625"), "unrecognized arguments, among them --limt"),
        (("score", SECRET, "7177.0625"), "unrecognized arguments"),
        (("score", f"--dry-run={SECRET}"), "argument --dry-run: ignored explicit argument"),
        (("models", SECRET), "argument COMMAND: invalid choice (choose from "),
        (("models", f"' (choose from {SECRET}"), "argument COMMAND: invalid choice (choose from "),
        (("models", "show", SECRET), "argument N: expected a whole number from 1 to 1000000000"),
    ],
)
def test_wrong_usage_is_told_without_what_was_typed_as_a_value(arguments: tuple[str, ...], message: str) -> None:
    ended = call(None, *arguments, "--json")
    assert the_json(ended)["message"].startswith(message)
    assert f"error: {message}" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    assert "7177" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "arguments", [("show", "99"), ("promote", "99", "--reason", "a try"), ("export", "99", "absent.keras")]
)
def test_a_version_that_does_not_exist_is_refused(sqlite: Database, arguments: tuple[str, ...]) -> None:
    ended = call(sqlite, "models", *arguments, "--json")
    wrong(ended, "99")
    assert the_json(ended)["error"] == "no_such_version"


def test_there_is_nothing_to_roll_back_to_without_a_champion(sqlite: Database) -> None:
    ended = call(sqlite, "models", "rollback", "--reason", "a try", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (3, "nothing_to_roll_back_to")


# ---- the default database -------------------------------------------------------------------------------------------


def _in_folder(folder: Path, *command: str, **environ: str) -> Ended:
    """Run a command in a folder where nothing but the settings is, and no database is named."""
    (folder / "config").mkdir(exist_ok=True)
    shutil.copy(ROOT / "config" / "pima.toml", folder / "config")
    return _started(folder, *command, **environ)


def _started(folder: Path, *command: str, **environ: str) -> Ended:
    process = subprocess.run(
        [sys.executable, "-m", f"jobs.{command[0]}", *command[1:]],
        cwd=folder,
        env=clean_environ() | {"PYTHONPATH": str(ROOT)} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert "Traceback" not in process.stdout + process.stderr
    return Ended(process.returncode, process.stdout, process.stderr)


@pytest.mark.parametrize("command", [("status",), ("load", "patients.csv")], ids=" ".join)
@pytest.mark.parametrize("exists", [False, True], ids=["no file", "an empty file"])
def test_the_first_command_makes_the_default_database(tmp_path: Path, command: tuple[str, ...], exists: bool) -> None:
    (tmp_path / "patients.csv").write_text(f"{GOOD}\n")
    if exists:
        (tmp_path / "pima.db").touch()
    ended = _in_folder(tmp_path, *command, "--json")
    assert ended.exit_code == 0, ended.stderr
    the_json(ended)
    made = sqlite3.connect(tmp_path / "pima.db")
    assert made.execute("SELECT count(*) FROM patients").fetchone() == ((1 if command[0] == "load" else 0),)
    salt = made.execute("SELECT holdout_salt FROM installation").fetchone()
    made.close()
    # The row that was loaded has its outcome, so nothing waits.
    assert _in_folder(tmp_path, "score").exit_code == 0
    made = sqlite3.connect(tmp_path / "pima.db")
    assert made.execute("SELECT holdout_salt FROM installation").fetchone() == salt
    made.close()


def test_a_database_that_was_named_is_not_made_by_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/named.db"
    for command in EVERY_COMMAND:
        if command[0] != "migrate":
            wrong(call(None, *command, DATABASE_URL=url), "named.db", "python -m jobs.migrate")
            assert list(tmp_path.iterdir()) == []
    ill = call(None, "health", DATABASE_URL=url)
    assert (ill.exit_code, "database_unusable" in ill.stderr, list(tmp_path.iterdir())) == (1, True, [])
    assert call(None, "migrate", DATABASE_URL=url).exit_code == 0


def test_without_its_settings_file_no_command_starts_and_no_database_is_made(tmp_path: Path) -> None:
    wrong(_started(tmp_path, "status"), "config/pima.toml", "--config")
    assert list(tmp_path.iterdir()) == []
