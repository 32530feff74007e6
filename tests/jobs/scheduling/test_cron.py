"""Jobs that no scheduler starts: what went wrong is told at the next look, and what a person ended
is not."""

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.alert_receiver import AlertReceiver
from tests.support.clinic import URL, Clinic, installed
from tests.support.databases import Database, call, clean_environ, insert_patients, wait_for
from tests.support.pages import PAGES, blocks
from tests.support.trained import install_models


def _told(database: Database, listener: AlertReceiver) -> list[str]:
    """What the next look tells that was not told before."""
    known = len(listener.got)
    ended = call(database, "alert", PIMA_ALERTS__URLS=listener.url)
    assert ended.exit_code == 0, ended.stderr
    return listener.titles[known:]


@pytest.fixture
def folder(tmp_path: Path, sqlite_clinic: Clinic) -> Path:
    """The one of the page's crontab."""
    return installed(sqlite_clinic, tmp_path / "srv")


@dataclass(frozen=True)
class Machine:
    """A machine whose commands stand on the page, with /srv/pima and /etc/pima as folders of the
    test."""

    folder: Path
    environ: dict[str, str]

    def _placed(self, text: str) -> str:
        return text.replace("/srv/pima", str(self.folder)).replace("/etc/pima", str(self.folder))

    def mailed(self, line: str) -> str:
        """What cron mails of a line."""
        ended = self._ended(["sh", "-c", self._placed(line)], {})
        return ended.stdout + ended.stderr

    def exit_code(self, unit: str, job: str) -> int:
        """How systemd's unit ends for a job."""
        found = re.findall(r"^(\w+)=(.*)$", self._placed(unit).replace("%i", job), re.MULTILINE)
        environ = dict(value.split("=", 1) for name, value in found if name == "Environment")
        assert dict(found)["WorkingDirectory"] == str(self.folder)
        assert dict(found)["User"] == "pima"
        return self._ended(dict(found)["ExecStart"].split(), environ).returncode

    def _ended(
        self, command: list[str], environ: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=clean_environ() | self.environ | environ,
            capture_output=True,
            text=True,
        )


def _block(word: str) -> str:
    """The page's one block with this word."""
    page = PAGES["docs/do/run-under-cron.md"].read_text()
    (found,) = [block.text for block in blocks(page) if word in block.text]
    return found


def _lines() -> list[str]:
    """The commands of the page's crontab: of the night, of the week, of each hour."""
    crontab = _block("MAILTO").splitlines()
    return [line.split(maxsplit=5)[5] for line in crontab if "/srv/pima" in line]


def test_the_page_s_lines_mail_each_exit_code_and_tell_of_what_failed(
    sqlite: Database, sqlite_clinic: Clinic, trained: Path, listener: AlertReceiver, folder: Path
) -> None:
    night, _, look = _lines()
    machine = Machine(
        folder,
        {
            "DATABASE_URL": sqlite.url,
            URL: sqlite_clinic.url,
            "PIMA_ALERTS__URLS": listener.url,
        },
    )
    install_models(sqlite, trained)
    sqlite.execute("DELETE FROM promotions")
    insert_patients(sqlite, 3)
    sqlite_clinic.insert(2)
    source = Path(sqlite_clinic.folder, "clinic.db")
    gone = source.rename(source.with_name("gone.db"))
    assert (machine.mailed(night), machine.mailed(look)) == ("pull: exit code 2\n", "")
    assert sqlite.value("SELECT count(*) FROM predictions") == 3
    assert listener.titles == ["pull_failed:clinic"]
    assert listener.got[0]["message"].startswith(
        "The last pull of clinic failed (source_unusable) "
    )
    gone.rename(source)
    sqlite_clinic.pulled(sqlite)
    assert _told(sqlite, listener) == ["pull_failed:clinic is over"]


def test_a_night_of_a_stop_mails_nothing_and_one_alert_tells_of_it(
    sqlite: Database, sqlite_clinic: Clinic, trained: Path, listener: AlertReceiver, folder: Path
) -> None:
    night, _, look = _lines()
    environ = {
        "DATABASE_URL": sqlite.url,
        URL: sqlite_clinic.url,
        "PIMA_ALERTS__URLS": listener.url,
    }
    machine = Machine(folder, environ)
    install_models(sqlite, trained)
    sqlite.execute("DELETE FROM promotions")
    sqlite_clinic.insert(2)
    assert call(sqlite, "models", "suspend", "--reason", "a test").exit_code == 0
    for _ in range(2):
        assert (machine.mailed(night), machine.mailed(look)) == ("", "")
    assert listener.titles == ["suspended"]
    assert '"waiting": 2}' in (folder / "score.log").read_text()
    assert call(sqlite, "models", "promote", "1", "--reason", "a test").exit_code == 0
    assert machine.mailed(night) == ""
    assert sqlite.value("SELECT count(*) FROM predictions") == 2


def test_a_full_disk_for_the_logs_mails_nothing_where_all_succeeded(
    sqlite: Database, sqlite_clinic: Clinic, trained: Path, folder: Path
) -> None:
    night = _lines()[0]
    install_models(sqlite, trained)
    sqlite_clinic.insert(2)
    for job in ("pull", "score"):
        (folder / f"{job}.log").symlink_to("/dev/full")
    machine = Machine(folder, {"DATABASE_URL": sqlite.url, URL: sqlite_clinic.url})
    assert machine.mailed(night) == ""
    assert sqlite.execute("SELECT job, status FROM runs ORDER BY id") == [
        ("pull", "succeeded"),
        ("score", "succeeded"),
    ]


def test_the_page_s_unit_has_what_each_of_its_timers_needs(
    sqlite: Database, sqlite_clinic: Clinic, trained: Path, listener: AlertReceiver, folder: Path
) -> None:
    install_models(sqlite, trained)
    sqlite_clinic.insert(2)
    secrets = {
        "database_url": sqlite.url,
        "clinic_url": sqlite_clinic.url,
        "alerts_urls": listener.url,
    }
    for name, content in secrets.items():
        (folder / name).write_text(f"{content}\n")
    unit = _block("[Service]")
    page = PAGES["docs/do/run-under-cron.md"].read_text()
    timers = set(re.findall(r"`pima@(\w+)\.timer`", page))
    assert timers == {"pull", "score", "retrain", "alert"}
    machine = Machine(folder, {})
    for job in ("pull", "score", "alert"):
        assert machine.exit_code(unit, job) == 0
    assert sqlite.value("SELECT count(*) FROM predictions") == 2
    assert listener.titles[:1] == ["champion_changed:1"]


def test_a_run_that_failed_is_told_and_a_dry_run_is_not(
    scored_database: Database, listener: AlertReceiver
) -> None:
    insert_patients(scored_database, 2)
    _told(scored_database, listener)  # who became champion
    damage = "UPDATE model_versions SET scorer_sha256 = {} WHERE number = 1"
    scored_database.execute(damage.format("'x' || scorer_sha256"))
    assert call(scored_database, "score", "--dry-run").exit_code == 1
    assert _told(scored_database, listener) == []
    assert call(scored_database, "score").exit_code == 1
    assert _told(scored_database, listener) == ["score_failed"]
    scored_database.execute(damage.format("substr(scorer_sha256, 2)"))
    assert call(scored_database, "score").exit_code == 0
    assert _told(scored_database, listener) == ["score_failed is over"]


@pytest.mark.usefixtures("equal_fits_once", "without_reports")
def test_a_retraining_that_was_killed_is_told_and_keeps_no_other_out(
    history: Database, listener: AlertReceiver
) -> None:
    """Even if the clock was a month ahead, so that its lease ends in a month."""
    process = history.start("retrain")
    wait_for(lambda: history.value("SELECT count(*) FROM leases"), process)
    assert call(history, "retrain").exit_code == 75
    process.kill()
    process.communicate()
    assert _told(history, listener) == []  # a person's try met another, which may be alive
    in_a_month = {"then": history.stored(datetime.now(UTC) + timedelta(days=30))}
    history.execute(
        "UPDATE runs SET started_at = :then, heartbeat_at = :then WHERE status = 'running'",
        in_a_month,
    )
    history.execute("UPDATE leases SET expires_at = :then", in_a_month)
    assert _told(history, listener) == ["retrain_failed"]
    assert listener.got[-1]["message"].startswith(
        "The last run of retrain crashed (heartbeat_lost) "
    )
    assert history.execute("SELECT status FROM runs ORDER BY id") == [
        ("crashed",),
        ("try_again_later",),
    ]
    ended = call(history, "retrain")
    assert ended.exit_code == 0, ended.stderr
    assert "retrain_failed is over" in _told(history, listener)
