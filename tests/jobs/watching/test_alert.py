"""People are told of each condition when it comes, once a day and once when it is over, whatever
their receivers do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pima.core.nights.kinds import Kind, Watched
from pima.settings.reading import SHIPPED
from pima.settings.sections import AlertsSettings, DatabaseSettings, Settings
from pima.store.engine import writing
from pima.store.service.monitoring import keep_figures
from pima.store.urls import make_engine
from pima.watch.alert_sending import Message, Problem, send
from pima.watch.alerts import BackgroundTelling, Teller, Telling
from tests.support.alert_receiver import AlertReceiver, alert_receiver
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    Ended,
    call,
    clean_environ,
    free_port,
    the_json,
)
from tests.support.ledger import insert_run, insert_schedule
from tests.support.trained import install_models

MESSAGES = [Message(f"message {number}", "its body", "info") for number in range(3)]


def _run(database: Database, job: str, status: str, error_code: str = "a_code") -> None:
    """A scheduled run that has ended so just now."""
    runs = database.value("SELECT count(*) FROM runs")
    of_tick = {
        "trigger": "schedule",
        "scheduled_for": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=runs),
    }
    insert_run(
        database, job, status, **of_tick, error_code=error_code, finished_at=datetime.now(UTC)
    )


def _alert(
    database: Database, *receivers: str, exit_code: int = 0, options: tuple[str, ...] = ()
) -> Ended:
    ended = call(database, "alert", *options, PIMA_ALERTS__URLS="\n".join(receivers))
    assert ended.exit_code == exit_code, ended.stderr
    return ended


def _teller(database: Database, *receivers: str, seconds: int = 30) -> Teller:
    settings = Settings(alerts=AlertsSettings("\n".join(receivers)))
    return Teller(database.engine, settings, SHIPPED, clean_environ(), seconds=seconds)


def _time_goes_by(database: Database, **since: int) -> None:
    then = {"then": database.stored(datetime.now(UTC) - timedelta(**since))}
    database.execute("UPDATE alerts SET sent_at = :then WHERE sent_at IS NOT NULL", then)


def _a_day_goes_by(database: Database) -> None:
    """To the next look of a cron job, which was told at the end of the last one."""
    _time_goes_by(database, seconds=24 * 3600 - 30)


def test_a_failure_is_told_once_a_day_and_once_when_it_is_over(
    sqlite: Database, listener: AlertReceiver
) -> None:
    _alert(sqlite, listener.url)
    assert listener.got == []  # all is well
    _run(sqlite, "retrain", "failed")
    found = the_json(_alert(sqlite, listener.url, options=("--json",)))
    assert found == {"receivers": 1, "told": ["retrain_failed"], "over": []}
    _alert(sqlite, listener.url)
    (told,) = listener.got
    assert told["title"].startswith("pima on ")
    assert told["type"] == "failure"
    what, since, advice, page, words = told["message"].splitlines()
    assert what.startswith("The last run of retrain failed (a_code) ")
    seen = datetime.strptime(since, "Seen since %Y-%m-%d %H:%M UTC.").replace(tzinfo=UTC)
    assert timedelta() <= datetime.now(UTC) - seen < timedelta(minutes=10)
    assert "`python -m jobs.retrain`" in advice
    assert page == "More: docs/reference/errors.md#retrain_failed"
    assert words == "Words: docs/understand/words.md"
    _a_day_goes_by(sqlite)
    for _ in range(2):
        _alert(sqlite, listener.url)
    assert listener.titles == ["retrain_failed"] * 2
    _run(sqlite, "retrain", "succeeded")
    for _ in range(2):
        _alert(sqlite, listener.url)
    assert listener.titles == ["retrain_failed"] * 2 + ["retrain_failed is over"]
    assert listener.got[-1]["type"] == "success"
    _time_goes_by(sqlite, hours=1)
    _alert(sqlite, listener.url)
    assert (len(listener.got), sqlite.value("SELECT count(*) FROM alerts")) == (3, 0)


def test_a_receiver_that_is_away_takes_nothing_from_the_others_and_is_named(
    sqlite: Database, listener: AlertReceiver
) -> None:
    _run(sqlite, "score", "failed")
    away = f"jsons://user:CANARY1@127.0.0.1:{free_port()}/CANARY2?+X-Token=CANARY3"
    with alert_receiver() as other:
        other.status = 500
        ended = _alert(sqlite, away, other.url, exit_code=75)
        assert "number 1 (not_taken), number 2 (not_taken)" in ended.stderr
        assert "scheme=jsons" in ended.stderr
        ended = _alert(sqlite, listener.url, away, other.url, exit_code=75)
        assert "number 2 (not_taken), number 3 (not_taken)" in ended.stderr
        kept = sqlite.execute("SELECT * FROM alerts")
        assert "CANARY" not in ended.stderr + ended.stdout + str(kept)
        other.status = 200
        # A receiver took it, so it is not sent again before the next day.
        _alert(sqlite, listener.url, other.url)
        assert (listener.titles, other.titles) == (["score_failed"], [])
        _a_day_goes_by(sqlite)
        _alert(sqlite, listener.url, other.url)
        assert (listener.titles, other.titles) == (["score_failed"] * 2, ["score_failed"])


def test_a_receiver_that_hangs_holds_nobody_up_and_is_left_when_the_time_is_up(
    sqlite: Database, listener: AlertReceiver
) -> None:
    for job in ("score", "retrain"):
        _run(sqlite, job, "failed")
    listener.hangs_after = 1
    with alert_receiver() as other:
        begun = time.monotonic()
        assert _teller(sqlite, other.url).test() == {}
        other.got.clear()
        # Enough for one that takes them, however busy the machine is.
        seconds = 4 + 4 * round(time.monotonic() - begun)
        begun = time.monotonic()
        both = ["retrain_failed", "score_failed"]
        found = _teller(sqlite, f"{listener.url}?rto=600", other.url, seconds=seconds).tell()
        assert time.monotonic() - begun < PATIENCE_SECONDS
        assert found == Telling(both, [], {1: Problem.TIMED_OUT})
        assert (len(listener.got), sorted(other.titles)) == (1, both)
        assert _teller(sqlite, listener.url, other.url).tell() == Telling([], [], {})


def test_what_only_a_hanging_receiver_took_in_part_is_sent_again_in_the_other_part(
    sqlite: Database, listener: AlertReceiver
) -> None:
    for job in ("score", "retrain"):
        _run(sqlite, job, "failed")
    listener.hangs_after = 1
    begun = time.monotonic()
    assert _teller(sqlite, listener.url).test() == {}
    seconds = 4 + 4 * round(time.monotonic() - begun)
    listener.got.clear()
    first = _teller(sqlite, f"{listener.url}?rto=600", seconds=seconds).tell()
    assert (len(first.told), first.problems) == (1, {1: Problem.TIMED_OUT})
    listener.hangs_after = None
    second = _teller(sqlite, listener.url).tell()
    assert sorted([*first.told, *second.told]) == ["retrain_failed", "score_failed"]
    assert sorted(listener.titles) == ["retrain_failed", "score_failed"]


def test_a_sender_without_a_parent_ends_by_itself(listener: AlertReceiver) -> None:
    listener.hangs_after = 0
    given = {
        "urls": [f"{listener.url}?rto=600"],
        "seconds": 1,
        "messages": [{"title": "a", "body": "b", "kind": "info"}],
    }
    command = [sys.executable, "-m", "pima.watch.alert_sending"]
    ended = subprocess.run(
        command, input=json.dumps(given).encode(), capture_output=True, timeout=PATIENCE_SECONDS
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGALRM, b"", b"")


def _at_once(database: Database, listener: AlertReceiver) -> list[list[str]]:
    """What each of four who tell at once told."""
    found: list[Telling] = []
    begin = threading.Barrier(4)

    def tell() -> None:
        teller = _teller(database, listener.url)
        begin.wait()
        found.append(teller.tell())

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(each.told for each in found)


def test_of_those_who_tell_at_once_one_does(database: Database, listener: AlertReceiver) -> None:
    for status in ("failed", "succeeded", "failed"):
        _run(database, "score", status)
        told = [["score_failed"]] if status == "failed" else [[]]
        assert _at_once(database, listener) == [[], [], [], *told]
    assert listener.titles == ["score_failed", "score_failed is over", "score_failed"]


def test_what_somebody_claimed_and_died_over_is_told_when_the_claim_is_over(
    sqlite: Database, listener: AlertReceiver
) -> None:
    _run(sqlite, "score", "failed")
    listener.status = 500
    _alert(sqlite, listener.url, exit_code=75)
    listener.status = 200
    for hours, told in ((1, []), (-1, ["score_failed"])):
        until = sqlite.stored(datetime.now(UTC) + timedelta(hours=hours))
        sqlite.execute("UPDATE alerts SET claimed_until = :until", {"until": until})
        _alert(sqlite, listener.url)
        assert listener.titles == told


def test_the_champion_s_changes_are_told_once(
    sqlite: Database, trained: Path, listener: AlertReceiver
) -> None:
    install_models(sqlite, trained)
    sqlite.execute("DELETE FROM promotions")
    for version in ("2", "3"):
        assert call(sqlite, "models", "promote", version, "--reason", "CANARY").exit_code == 0
    assert call(sqlite, "models", "rollback", "--reason", "CANARY").exit_code == 0
    for _ in range(2):
        _alert(sqlite, listener.url)
        _a_day_goes_by(sqlite)
    said = [message["message"].splitlines()[0] for message in listener.got]
    assert said == [
        "Version 2 is the champion now (promoted_by_hand); before it was version 1.",
        "Version 3 is the champion now (promoted_by_hand); before it was version 2.",
        "Version 2 is the champion now (rolled_back); before it was version 3.",
    ]
    assert "CANARY" not in str(listener.got)
    long_ago = sqlite.stored(datetime.now(UTC) - timedelta(days=8))
    sqlite.execute("UPDATE promotions SET decided_at = :then", {"then": long_ago})
    _alert(sqlite, listener.url)
    assert (len(listener.got), sqlite.value("SELECT count(*) FROM alerts")) == (3, 0)


def test_a_challenger_that_waits_for_approval_is_told_until_somebody_decides(
    sqlite: Database, trained: Path, listener: AlertReceiver
) -> None:
    install_models(sqlite, trained)
    sqlite.execute("DELETE FROM promotions")
    verdict = (
        "INSERT INTO promotions (verdict, reason, explanation, from_version, to_version, "
        "challenger, champion_sequence, figures, decided_by) SELECT 'blocked', :reason, '', 1, 1, "
        ":challenger, sequence, '{}', 'retrain' FROM champion"
    )
    sqlite.execute(verdict, {"reason": "log_loss_veto", "challenger": 2})
    sqlite.execute(verdict, {"reason": "subgroup_worse", "challenger": 2})
    sqlite.execute(verdict, {"reason": "awaits_approval", "challenger": 3})
    _alert(sqlite, listener.url)
    waits, blocked = listener.got
    assert waits["message"].startswith(
        "Version 3 is better than the champion, and waits for a person's approval."
    )
    assert "`python -m jobs.models promote 3 --reason TEXT`" in waits["message"]
    assert (
        "Version 2 was kept from becoming champion by a guard (subgroup_worse)."
        in blocked["message"]
    )
    assert call(sqlite, "models", "promote", "3", "--reason", "a test").exit_code == 0
    _alert(sqlite, listener.url)
    assert [title.partition(":")[0] for title in listener.titles[2:]] == [
        "champion_changed",
        "awaits_approval",
    ]
    assert listener.titles[3] == "awaits_approval:3 is over"


def _figure(database: Database, run: int, kind: Kind, name: str, state: str, value: float) -> None:
    """By figure and feature."""
    figure, _, feature = name.partition(" ")
    found = Watched(feature, figure, value, 900, 0.7, 0.1, state)
    with writing(database.engine) as connection:
        keep_figures(connection, run, 2, kind, [found])


def test_drift_and_what_came_true_are_told_by_feature_and_figure(
    sqlite: Database, listener: AlertReceiver
) -> None:
    insert_run(sqlite, "score", "succeeded", model_version=2, counts='{"predicted": 900}')
    for night, state in enumerate(("alert", "usual"), 1):
        _figure(sqlite, night, Kind.VOLUME, "rows", "usual", 900)
        _figure(sqlite, night, Kind.NIGHT, "predicted_positive", "usual", 0.3)
        _figure(sqlite, night, Kind.NIGHT, "psi glucose", state, 0.31)
        _figure(sqlite, night, Kind.NIGHT, "psi bmi", "alert", 0.9)
        _figure(sqlite, 10 + night, Kind.REALISED, "realised_accuracy", "usual", 0.5)
        _figure(sqlite, 10 + night, Kind.REALISED, "realised_ones_corrected", state, 0.75)
        _figure(sqlite, 10 + night, Kind.SETTLED, "realised_week_followed_up", state, 0.4)
        _figure(sqlite, 10 + night, Kind.SETTLED, "no_better_than_constant", state, 0.05)
        _alert(sqlite, listener.url)
    assert listener.titles == [
        "no_better_than_constant",
        "drift:psi:bmi",
        "drift:psi:glucose",
        "corrected_after_outcome",
        "followed_up_below_usual",
        "corrected_after_outcome is over",
        "drift:psi:glucose is over",
        "followed_up_below_usual is over",
        "no_better_than_constant is over",
    ]
    assert "75.0% of the rows with outcome 1" in listener.got[3]["message"]
    assert "40% of 900 rows have one; 70% is usual" in listener.got[4]["message"]
    (constant, *_), (bmi, *_), (glucose, *_) = (
        each["message"].splitlines() for each in listener.got[:3]
    )
    assert bmi == "Psi of bmi, of version 2, is 0.9, but should be at most 0.8."
    assert glucose == "Psi of glucose, of version 2, is 0.31, but should be at least 0.6."
    assert constant == (
        "The same answer for everybody would do better: of 900 settled outcomes, "
        "predicted 900 by version 2, 45 are 1, and 630.0 by the probabilities; there is no "
        "champion; or those predicted 1 were treated, which pima knows only by `acted_at`."
    )
    assert "docs/do/watch-it.md" in listener.got[1]["message"]


def test_a_scheduler_is_missed_only_where_there_was_one(
    sqlite: Database, listener: AlertReceiver
) -> None:
    assert "scheduler_silent" in call(sqlite, "health").stderr
    _alert(sqlite, listener.url)
    assert listener.got == []
    insert_schedule(sqlite, "score", datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC))
    _alert(sqlite, listener.url)
    assert listener.titles == ["scheduler_silent"]


def test_the_message_names_the_service_without_user_and_secret(
    database: Database, listener: AlertReceiver
) -> None:
    _alert(database, listener.url, options=("--test",))
    assert listener.got[0]["title"].startswith(f"pima on {socket.gethostname()} (outcome in ")
    assert Path(str(database.engine.url.database)).name in listener.got[0]["title"]
    away = Teller(
        make_engine(
            "postgresql://CANARY:CANARY@db.example.org:5433/pima?sslmode=verify-full",
            DatabaseSettings(),
        ),
        Settings(alerts=AlertsSettings(listener.url)),
        SHIPPED,
        clean_environ(),
    )
    assert away.test() == {}
    assert (
        listener.got[1]["title"]
        == f"pima on {socket.gethostname()} (outcome in db.example.org:5433/pima): a test"
    )


def test_what_is_wrong_with_the_schema_is_told_where_that_can_be_kept(
    sqlite: Database, listener: AlertReceiver
) -> None:
    _run(sqlite, "score", "failed")
    _alert(sqlite, listener.url)
    sqlite.execute("DROP TRIGGER patients_deleted")
    for _ in range(2):
        _alert(sqlite, listener.url)
    assert listener.titles == [
        "score_failed",
        "schema_differs",
    ]  # of the failure nothing is known: it is not over
    sqlite.execute("UPDATE alembic_version SET version_num = '9999'")
    assert (
        the_json(_alert(sqlite, listener.url, exit_code=2, options=("--json",)))["error"]
        == "schema_ahead"
    )


def test_a_test_and_a_dry_run_change_nothing(sqlite: Database, listener: AlertReceiver) -> None:
    _run(sqlite, "score", "refused")
    shown = _alert(sqlite, listener.url, options=("--dry-run",)).stdout
    assert "score_failed: the last run of score was refused (a_code)" in shown
    assert "would be told now: score_failed" in shown
    told = the_json(_alert(sqlite, options=("--dry-run", "--json")))["would_be_told"]
    assert told == ["score_failed"]
    assert listener.got == []
    assert _alert(sqlite, listener.url, options=("--test",)).stdout == "1 receiver took the test\n"
    assert (listener.titles, sqlite.value("SELECT count(*) FROM alerts")) == (["a test"], 0)
    listener.status = 500
    assert the_json(_alert(sqlite, listener.url, exit_code=75, options=("--test", "--json")))[
        "error"
    ] == ("alerts_not_delivered")


def test_nobody_to_tell_and_addresses_that_are_none_are_wrong_configuration(
    sqlite: Database,
) -> None:
    assert "alerts.urls has no address" in _alert(sqlite, exit_code=2).stderr
    _run(sqlite, "score", "failed")
    ended = _alert(sqlite, "CANARY://nobody", exit_code=2)
    assert "apprise knows no such address as number 1 of alerts.urls" in ended.stderr


def test_the_background_looks_when_it_is_woken_and_outlives_what_goes_wrong() -> None:
    looked = threading.Semaphore(0)
    raised = [RuntimeError("CANARY"), OSError("CANARY")]

    def tell() -> None:
        looked.release()
        if raised:
            raise raised.pop()

    background = BackgroundTelling(tell, seconds=600)
    with background:
        for _ in range(3):
            background.wake()
            assert looked.acquire(timeout=PATIENCE_SECONDS)
    with BackgroundTelling(None) as nobody:
        assert nobody is None


def _senders() -> list[Path]:
    """The processes of this one's that send."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = [Path("/proc", child) for each in children for child in each.read_text().split()]
    return [
        each for each in found if b"pima.watch.alert_sending" in (each / "cmdline").read_bytes()
    ]


def test_a_sender_knows_no_secret_but_the_address_and_nobody_sees_that(
    listener: AlertReceiver,
) -> None:
    listener.hangs_after = 0
    environ = clean_environ() | {"PIMA_ALERTS__URLS": "CANARY", "DATABASE_URL_FILE": "CANARY"}
    told = ([f"{listener.url}/CANARY?rto=600"], MESSAGES, environ, PATIENCE_SECONDS)
    sending = threading.Thread(target=send, args=told)
    sending.start()
    assert listener.asked.wait(PATIENCE_SECONDS)
    (sender,) = _senders()
    assert b"CANARY" not in (sender / "environ").read_bytes() + (sender / "cmdline").read_bytes()
    listener.let_go.set()
    sending.join()
    assert _senders() == []
