"""What health and the metrics say of the sources, by what the runs of pull have left in the
ledger."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.databases import Database, call
from tests.support.ledger import insert_run, insert_schedule
from tests.support.scrapes import scrape

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
COUNTED = {
    "rows": 9,
    "inserted": 5,
    "updated": 1,
    "unchanged": 2,
    "rejected": 1,
    "vanished": 0,
    "deleted": 0,
}


SOURCE = '[[source]]\nname = "{}"\ntable = "visits"\nkey = "id"\ncolumns = {{ age = "age" }}\n'


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Two sources."""
    path = tmp_path / "two.toml"
    path.write_text(SOURCE.format("clinic") + SOURCE.format("ward"))
    return str(path)


def _ran(
    database: Database,
    status: str,
    sources: dict[str, str],
    *,
    attempt: int = 1,
    trigger: str = "schedule",
    ago: timedelta = timedelta(),
    at: datetime | None = None,
    line: str | None = None,
) -> None:
    """A run of pull, each at a tick of its own, and the status that it has left for each source."""
    tick = FIRST + timedelta(days=database.value("SELECT count(*) FROM runs"))
    left = [
        {"source": name, "status": ended, "error_code": f"code_of_{name}"}
        for name, ended in sources.items()
    ]
    moment = (at or datetime.now(UTC)) - ago
    insert_run(
        database,
        "pull",
        status,
        trigger=trigger,
        scheduled_for=None if trigger == "manual" else tick,
        attempt=attempt,
        counts=json.dumps({"sources": [COUNTED | each for each in left]} if left else {}),
        error_code="code_of_run",
        error_line=line,
        heartbeat_at=moment,
        finished_at=moment,
    )


def _complaints(database: Database, config: str, **environ: str) -> list[str]:
    """Those of pulling."""
    told = call(database, "health", "--config", config, **environ).stderr
    return [reason for reason in told.split("; ") if "pull_" in reason]


BOTH = {"clinic": "succeeded", "ward": "succeeded"}


ENDS: list[tuple[str, str, int, str | None]] = [
    ("failed", "failed", 1, "failed (code_of_ward)"),
    ("refused", "refused", 1, "was refused (code_of_ward)"),
    ("try_again_later", "try_again_later", 4, "gave up after its last try (code_of_ward)"),
    ("try_again_later", "try_again_later", 3, None),
    # Not tried again, since another source has failed.
    ("refused", "try_again_later", 1, "gave up after its last try (code_of_ward)"),
    # What ended the run ended this source's part of it.
    ("crashed", "running", 1, "crashed (code_of_run)"),
    ("failed", "running", 1, "failed (code_of_run)"),
    ("interrupted", "running", 1, None),
    ("running", "running", 1, None),
    ("failed", "succeeded", 1, None),
]


def test_a_source_whose_last_pull_failed_is_named_until_one_succeeds(
    database: Database, config: str
) -> None:
    for status, left, attempt, told in ENDS:
        _ran(database, "succeeded", BOTH)
        _ran(database, status, {"clinic": "succeeded", "ward": left}, attempt=attempt)
        found = _complaints(database, config)
        assert [f"the last pull of ward {told}" in reason for reason in found] == (
            [True] if told else []
        ), status
    _ran(database, "failed", {"clinic": "succeeded", "ward": "failed"})
    for later in ("interrupted", "running"):  # neither has done the work
        _ran(database, later, {"clinic": "running"})
        assert len(_complaints(database, config)) == 1
    _ran(database, "succeeded", BOTH)
    assert _complaints(database, config) == []


def test_a_run_that_came_to_no_source_is_told_of_each(database: Database, config: str) -> None:
    """As where a URL's file is gone, though it ended in the millisecond of the run before."""
    now = datetime.now(UTC)
    _ran(database, "succeeded", BOTH, at=now)
    _ran(database, "failed", {}, at=now)
    clinic, ward = _complaints(database, config)
    assert "the last pull of clinic failed (code_of_run)" in clinic
    assert "the last pull of ward failed (code_of_run)" in ward
    _ran(database, "succeeded", {"clinic": "succeeded"}, trigger="manual")
    (ward,) = _complaints(database, config)
    assert "of ward" in ward
    (Path(config).parent / "none.toml").touch()
    assert (
        _complaints(database, str(Path(config).parent / "none.toml")) == []
    )  # of a source that the settings lack


def test_what_a_pull_said_last_is_told_of_the_source_that_it_was_about(
    database: Database, config: str
) -> None:
    for line, of_clinic, of_ward in (
        ("error: The source ward looks faulty.", "(not kept)", "The source ward looks faulty."),
        ("error: The database is away.", "The database is away.", "The database is away."),
        (None, "(not kept)", "(not kept)"),
    ):
        _ran(database, "failed", {"clinic": "failed", "ward": "failed"}, line=line)
        told = " ".join(call(database, "health", "--config", config).stderr.split())
        assert re.findall(
            r"pull of (\w+) failed \(\w+\) \d seconds ago; it said: (.*?)(?=;|$)", told
        ) == [
            ("clinic", of_clinic),
            ("ward", of_ward),
        ]


def test_what_no_scheduler_pulled_counts_by_source(database: Database, config: str) -> None:
    _ran(
        database,
        "try_again_later",
        {"clinic": "try_again_later", "ward": "try_again_later"},
        trigger="manual",
    )
    assert _complaints(database, config) == []
    _ran(database, "failed", {"clinic": "failed"}, trigger="manual")
    _ran(database, "succeeded", {"ward": "succeeded"}, trigger="manual")
    (clinic,) = _complaints(database, config)
    assert "the last pull of clinic failed (code_of_clinic)" in clinic
    _ran(database, "succeeded", BOTH, trigger="dry_run")
    assert len(_complaints(database, config)) == 1
    _ran(database, "succeeded", BOTH, trigger="manual")
    assert _complaints(database, config) == []
    _ran(database, "failed", {"clinic": "failed", "ward": "failed"}, trigger="dry_run")
    assert _complaints(database, config) == []


def test_a_pull_without_the_url_of_its_source_is_told_of_each(
    database: Database, config: str
) -> None:
    assert call(database, "pull", "--config", config).exit_code == 2
    clinic, ward = _complaints(database, config)
    assert "the last pull of clinic failed (wrong_configuration)" in clinic
    assert "of ward failed" in ward


def test_the_retries_of_the_settings_say_which_try_was_the_last(
    database: Database, config: str
) -> None:
    _ran(database, "try_again_later", {"clinic": "try_again_later"}, attempt=2)
    assert _complaints(database, config, PIMA_SCHEDULE__RETRIES="2") == []
    assert len(_complaints(database, config, PIMA_SCHEDULE__RETRIES="1")) == 1


def _seen(database: Database, source: str, ago: timedelta) -> None:
    """A scheduler that knows the source for so long."""
    insert_schedule(database, f"pull {source}", datetime.now(UTC) - ago, datetime.now(UTC))


NIGHTLY = {"PIMA_SCHEDULE__SCORE": "15 2 * * *", "PIMA_SCHEDULE__RETRAIN": "0 3 * * sun"}


def test_a_source_that_was_not_pulled_for_two_nights_is_told(
    database: Database, config: str
) -> None:
    assert _complaints(database, config, **NIGHTLY) == []  # no scheduler knows them
    _seen(database, "clinic", timedelta(days=3))
    _seen(database, "ward", timedelta(hours=30))
    (told,) = _complaints(database, config, **NIGHTLY)
    assert (
        "pull_not_succeeding: clinic was not pulled for 3.0 days, more than 2 of its periods"
        in told
    )
    _ran(database, "succeeded", BOTH, ago=timedelta(hours=47))
    assert _complaints(database, config, **NIGHTLY) == []


def test_the_last_success_counts_whatever_came_after_it(database: Database, config: str) -> None:
    for name in ("clinic", "ward"):
        _seen(database, name, timedelta(days=30))
    _ran(database, "succeeded", BOTH, ago=timedelta(hours=60))
    _ran(
        database, "interrupted", {"clinic": "succeeded", "ward": "running"}, ago=timedelta(hours=12)
    )
    (told,) = _complaints(database, config, **NIGHTLY)
    assert "pull_not_succeeding: ward was not pulled for 2.5 days" in told
    # As often as the more frequent of the jobs.
    (told,) = _complaints(database, config, **NIGHTLY | {"PIMA_SCHEDULE__RETRAIN": "0 * * * *"})[:1]
    assert "pull_not_succeeding: clinic was not pulled for 12.0 hours" in told


def test_the_metrics_have_each_source_s_last_success_and_what_became_of_its_rows(
    database: Database, config: str
) -> None:
    _ran(database, "succeeded", BOTH, ago=timedelta(hours=2))
    _ran(
        database,
        "failed",
        {"clinic": "failed", "ward": "succeeded", "closed": "succeeded"},
        ago=timedelta(hours=1),
    )
    _ran(database, "succeeded", BOTH, trigger="dry_run")
    with Path(config).open("a") as file:
        file.write(SOURCE.format("new"))
    found = scrape(database.engine, config)
    assert ("pima_alarm", "pull_failed", "clinic") in found
    hours = {
        labels[1]: (datetime.now(UTC).timestamp() - value) / 3600
        for labels, value in found.items()
        if labels[0] == "pima_source_last_success_timestamp_seconds"
    }
    assert {source: round(age) for source, age in hours.items()} == {"clinic": 2, "ward": 1}
    rows = {labels[1:]: value for labels, value in found.items() if labels[0] == "pima_source_rows"}
    expected = {what: number for what, number in COUNTED.items() if what != "rows"}
    assert rows == {(source, what): number for source in hours for what, number in expected.items()}
    # The job's own figures, as every job has them.
    assert found["pima_job_runs_total", "pull", "succeeded"] == 1
    assert found["pima_job_runs_total", "pull", "failed"] == 1
    assert ("pima_job_last_success_timestamp_seconds", "pull") in found
    assert ("pima_job_duration_seconds", "pull") in found
