"""Each job under its own role, and what each role is refused."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from pima.errors import DatabaseFailed, DatabaseUnusable
from pima.settings.reading import SHIPPED_FILE
from pima.settings.sections import DatabaseSettings
from pima.store.engine import writing
from pima.store.postgresql import schema
from pima.store.schema import migrate
from pima.store.urls import make_engine
from tests.support.alert_receiver import AlertReceiver, alert_receiver
from tests.support.clinic import URL, Clinic
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    call,
    insert_patients,
    postgresql_from,
    the_json,
    under_role,
    wait_for,
)
from tests.support.declared import configuration
from tests.support.declared import waiting as declare_horizon
from tests.support.every_command import EVERY_COMMAND, ROLES_OF_COMMANDS
from tests.support.ledger import insert_run
from tests.support.scrapes import alarms
from tests.support.shipped import FEATURE_NAMES, HOLDOUT, ROOT, SHIPPED
from tests.support.trained import install_models

pytestmark = pytest.mark.usefixtures("each_fit_once")

ROLES = (
    "pima_scorer",
    "pima_trainer",
    "pima_loader",
    "pima_writer",
    "pima_scheduler",
    "pima_operator",
    "pima_eraser",
    "pima_reader",
    "pima_monitor",
)


@pytest.fixture
def guarded(postgresql: Database) -> Database:
    """A database with the roles made, where none may create, as the page says."""
    postgresql.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # PostgreSQL 14 grants it
    made = call(postgresql, "migrate", "--roles", "--json")
    assert (made.exit_code, json.loads(made.stdout)["roles"]) == (0, list(ROLES))
    return postgresql


def test_who_may_not_make_roles_is_told_before_anything_is_migrated(
    guarded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schema.ROLES, "pima_newcomer", schema.ROLES["pima_scorer"])
    refused = call(under_role(guarded, "pima_scorer"), "migrate", "--roles", "--json")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "wrong_usage")
    for word in ("(pima_newcomer)", "CREATEROLE", "deploy/roles.sql", "Nothing was migrated"):
        assert word in refused.stderr


def _refused(database: Database, role: str, statement: str) -> bool:
    engine = make_engine(under_role(database, role).url, DatabaseSettings())
    try:
        with writing(engine) as connection:
            connection.execute(text(statement))
            connection.rollback()
    except (DatabaseFailed, DatabaseUnusable) as error:
        return "42501" in str(error)  # insufficient_privilege, and nothing else that went wrong
    finally:
        engine.dispose()
    return False


def test_scoring_works_under_its_role(guarded: Database, trained: Path) -> None:
    install_models(guarded, trained)
    insert_patients(guarded, 3)
    insert_patients(guarded, 1, bmi=5_000)
    ended = call(under_role(guarded, "pima_scorer"), "score")
    assert ended.exit_code == 0, ended.stderr
    assert guarded.value("SELECT count(*) FROM predictions") == 3
    assert guarded.value("SELECT count(*) FROM rejections") == 1
    assert "monitoring is incomplete" not in ended.stderr
    assert guarded.value("SELECT count(*) FROM monitoring WHERE figure = 'psi'") == len(
        FEATURE_NAMES
    )
    counted = guarded.value("SELECT counts -> 'unpredicted' FROM runs")
    # Outcomes that settled before today are judged, though the role sees no measurement.
    guarded.execute("UPDATE predictions SET scored_at = scored_at - interval '3 days'")
    guarded.execute(
        "UPDATE patients SET outcome = 1, labelled_at = recorded_at - interval '2 days' WHERE id < 3"
    )
    guarded.execute("UPDATE monitoring SET recorded_at = recorded_at - interval '3 days'")
    ended = call(under_role(guarded, "pima_scorer"), "score")
    assert (ended.exit_code, "monitoring is incomplete" in ended.stderr) == (0, False)
    settled = "SELECT max(rows) FROM monitoring WHERE figure = 'no_better_than_constant'"
    assert guarded.value(settled) == 2
    assert (counted["predicted"], counted["causes"][0]["rows"], counted["is_good"]) == (3, 1, False)
    # The same versions again meet their own predictions, and rejections are written over.
    for requeue in ("--stale", "--rejected"):
        assert call(guarded, "requeue", requeue).exit_code == 0
    assert call(under_role(guarded, "pima_scorer"), "score").exit_code == 0
    assert call(under_role(guarded, "pima_scorer"), "score").exit_code == 0
    # As after an upgrade; what there is to do stands at the message's end.
    guarded.execute("REVOKE SELECT (threshold) ON model_versions FROM pima_scorer")
    insert_patients(guarded, 1)
    assert call(under_role(guarded, "pima_scorer"), "score").exit_code == 2
    line = guarded.value("SELECT error_line FROM runs WHERE error_code = 'right_missing'")
    assert line.endswith("`python -m jobs.migrate --roles` makes them and corrects their rights.")


def test_loading_and_training_work_under_their_roles(guarded: Database, tmp_path: Path) -> None:
    loader, trainer = under_role(guarded, "pima_loader"), under_role(guarded, "pima_trainer")
    assert call(loader, "load", str(SHIPPED)).exit_code == 0
    # The second looks at another window, so that it judges anew.
    for environ in (
        {},
        {
            "PIMA_GATE__WINDOW": "all",
            "PIMA_GATE__APPROVE": "true",
            "PIMA_LINEAGE__MODEL_BYTES": "1",
        },
    ):
        ended = call(trainer, "retrain", **environ)
        assert ended.exit_code == 0, ended.stderr
        assert "monitoring is incomplete" not in ended.stderr
    assert guarded.value("SELECT model_version FROM champion") == 1
    assert guarded.value("SELECT count(*) FROM reports") == 2
    # A version is fitted again and its predictions explained, though by nobody who only scores.
    ended = call(under_role(guarded, "pima_operator"), "models", "reproduce", "1")
    assert ended.exit_code == 0, ended.stderr
    for role in ("pima_operator", "pima_trainer"):
        ended = call(under_role(guarded, role), "explain", "1")
        assert ended.exit_code == 0, ended.stderr
    assert (
        the_json(call(under_role(guarded, "pima_scorer"), "explain", "1", "--json"))["error"]
        == "right_missing"
    )
    corrected = tmp_path / "corrected.csv"
    corrected.write_text("id,glucose\n1,99\n")
    assert call(loader, "load", str(corrected)).exit_code == 0
    named = tmp_path / "named.csv"
    names = "pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age,outcome"
    named.write_text(f"id,{names}\n900,6,148,72,35,0,33.6,0.627,50,\n")
    assert call(loader, "load", str(named)).exit_code == 0
    assert call(under_role(guarded, "pima_scorer"), "score").exit_code == 0
    reader = make_engine(under_role(guarded, "pima_reader").url, DatabaseSettings())
    with writing(reader) as connection:
        assert connection.execute(text("SELECT count(*) FROM current_predictions")).scalar() == 1
    reader.dispose()


def test_the_clinic_s_own_software_writes_patients_under_its_role(guarded: Database) -> None:
    writer = under_role(guarded, "pima_writer")
    writer.engine = make_engine(writer.url, DatabaseSettings())
    (drawn,) = insert_patients(writer, 1)
    (given,) = insert_patients(
        writer, 1, first_id=100, source="s", source_key="k", person_key="p", outcome=1
    )
    writer.execute(
        "UPDATE patients SET outcome = 0, labelled_at = '2026-01-05' WHERE id = :id", {"id": drawn}
    )
    writer.execute("UPDATE patients SET outcome = NULL, glucose = 99 WHERE id = :id", {"id": given})
    assert guarded.execute("SELECT patient_id, glucose FROM scoring_queue") == [(given, 99)]
    writer.execute(
        "INSERT INTO patients (id, glucose) VALUES (100, 98) ON CONFLICT (id) DO UPDATE SET "
        "glucose = 98"
    )
    writer.execute("DELETE FROM patients WHERE id = :id", {"id": drawn})
    writer.engine.dispose()
    assert guarded.execute("SELECT patient_id, glucose FROM scoring_queue") == [(given, 98)]


def test_who_may_plant_functions_in_the_schema_is_named(guarded: Database) -> None:
    guarded.execute("GRANT CREATE ON SCHEMA public TO PUBLIC, pima_reader")
    told = call(guarded, "migrate", "--roles").stderr
    statement = "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    assert re.findall("REVOKE.*", told) == [
        statement
    ]  # the role's own right is gone with its others
    guarded.execute(statement)
    assert call(guarded, "migrate", "--roles").stderr == ""


def test_pulling_works_under_the_loader_s_role(guarded: Database, sqlite_clinic: Clinic) -> None:
    clinic, loader = sqlite_clinic, under_role(guarded, "pima_loader")
    first, second, *_ = clinic.insert(6)
    clinic.execute("ALTER TABLE visits ADD COLUMN known_at TEXT")
    clinic.settings["outcome_at"] = "known_at"
    assert clinic.pulled(loader)["inserted"] == 6
    said = "diabetic = 'yes', known_at = '2026-01-05', age = 50"
    clinic.execute(f"UPDATE visits SET {said} WHERE visit_id = :key", {"key": first})
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": second})
    clinic.settings["vanished"] = "delete"
    found = clinic.pulled(loader)
    assert (found["updated"], found["outcomes_arrived"], found["deleted"]) == (1, 1, 1)
    assert guarded.execute("SELECT job, status FROM runs") == [("pull", "succeeded")] * 2
    known_at = guarded.value("SELECT max(labelled_at) FROM patients").astimezone(UTC)
    assert f"{known_at:%Y-%m-%d}" == "2026-01-05"
    # Its own URL comes first.
    environ = {"DATABASE_URL": "postgresql:///nowhere", "PIMA_PULL__DATABASE_URL": loader.url}
    assert clinic.pull(guarded, **environ).exit_code == 0


def test_scheduling_health_and_metrics_work_under_their_role_and_the_children_under_theirs(
    guarded: Database, trained: Path, sqlite_clinic: Clinic
) -> None:
    install_models(guarded, trained)
    sqlite_clinic.insert(5)
    scheduler, configured = (
        under_role(guarded, "pima_scheduler"),
        ("--config", sqlite_clinic.config),
    )
    of_jobs = {"PULL": "pima_loader", "SCORE": "pima_scorer", "RETRAIN": "pima_trainer"}
    scheduler.environ = {
        f"PIMA_{job}__DATABASE_URL": under_role(guarded, role).url for job, role in of_jobs.items()
    }
    process = scheduler.start("scheduler", *configured, **{URL: sqlite_clinic.url})
    # At start it runs what never ran, retraining first: there is nothing to train on here.
    wait_for(
        lambda: guarded.value("SELECT count(*) FROM runs WHERE job = 'score' AND exit_code = 0"),
        process,
    )
    assert guarded.value("SELECT count(*) FROM predictions") == 5
    for role in (scheduler, under_role(guarded, "pima_operator")):
        told = call(role, "health", *configured).stderr
        assert (
            "Not healthy: retrain_failed: the last run of retrain was refused (too_few_labels)"
            in told
        )
        assert "pull" not in told
    status = call(under_role(guarded, "pima_operator"), "status", *configured)
    assert (status.exit_code, "5 rows read" in " ".join(status.stdout.split())) == (0, True)
    with alert_receiver() as listener:
        for role in (scheduler, under_role(guarded, "pima_operator")):
            assert call(role, "alert", PIMA_ALERTS__URLS=listener.url).exit_code == 0
        assert listener.titles[0] == "retrain_failed"
        assert "; it said: Too little labelled history" in listener.got[0]["message"]
    engine = make_engine(scheduler.url, DatabaseSettings())
    assert "retrain_failed" in alarms(engine, sqlite_clinic.config)
    engine.dispose()
    process.terminate()
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "waits for the database" in stderr) == (0, False), stderr
    ended = [("pull", "succeeded"), ("retrain", "refused"), ("score", "succeeded")]
    assert guarded.execute("SELECT job, status FROM runs ORDER BY id") == ended


def test_the_scorer_counts_who_is_followed_up_as_of_midnight(
    guarded: Database, trained: Path, tmp_path: Path
) -> None:
    install_models(guarded, trained)
    declare_horizon(guarded)
    waits = SHIPPED_FILE.read_text().replace("meaning =", 'horizon = "30 days"\nmeaning =', 1)
    config = configuration(tmp_path, waits)
    index = guarded.stored(datetime.now(UTC) - timedelta(days=40))
    insert_patients(guarded, 20, index_at=index)
    guarded.execute("UPDATE patients SET outcome = 0, labelled_at = now() - interval '5 days'")
    insert_patients(guarded, 1)
    ended = call(under_role(guarded, "pima_scorer"), "score", "--config", config)
    assert (ended.exit_code, "monitoring is incomplete" in ended.stderr) == (0, False)
    figure = "SELECT value, rows, state FROM monitoring WHERE figure = 'hardly_followed_up'"
    assert guarded.execute(figure) == [(1.0, 20, "usual")]


def test_the_scorer_tells_of_a_code_that_no_model_has_learned_from(
    server: str, tmp_path: Path, without_reports: None
) -> None:
    config = configuration(
        tmp_path,
        """
        [outcome]
        name = "readmitted"
        [[feature]]
        name = "lab"
        low = 0
        high = 40
        [[feature]]
        name = "ward"
        kind = "category"
        codes = { 1 = "north", 2 = "south", 3 = "day clinic" }
        """,
    )
    lines = [f"{n % 40},{n % 2 + 1},{int(n % 40 > 20 + n % 7)}" for n in range(400)]
    history = tmp_path / "history.csv"
    history.write_text("\n".join(["lab,ward,readmitted", *lines]) + "\n")
    for database in postgresql_from(server, "template1"):
        for role, job, *arguments in (
            ("", "migrate", "--roles"),
            ("pima_loader", "load", str(history)),
            ("pima_trainer", "retrain"),
        ):
            its_own = under_role(database, role) if role else database
            ended = call(its_own, job, *arguments, "--config", config)
            assert ended.exit_code == 0, ended.stderr
        for _ in range(2):
            database.execute(
                "INSERT INTO patients (lab, ward) SELECT 30, 3 FROM generate_series(1, 20)"
            )
            ended = call(under_role(database, "pima_scorer"), "score", "--config", config)
            assert (ended.exit_code, "monitoring is incomplete" in ended.stderr) == (0, False)
            database.execute("UPDATE patients SET outcome = 1 WHERE outcome IS NULL")
        rows = "SELECT rows FROM monitoring WHERE figure = 'unseen_code' ORDER BY run_id"
        assert database.execute(rows) == [(20,), (40,)]


def test_alerts_tell_of_a_killed_run_under_the_role_that_may_close_it(guarded: Database) -> None:
    silent = {"heartbeat_at": datetime.now(UTC) - timedelta(minutes=3)}
    insert_run(guarded, "retrain", "running", **silent)
    with alert_receiver() as listener:
        for role, told in (("pima_operator", []), ("pima_scheduler", ["retrain_failed"])):
            looked = call(under_role(guarded, role), "alert", PIMA_ALERTS__URLS=listener.url)
            assert (looked.exit_code, listener.titles) == (0, told)


def test_looking_after_the_service_works_under_its_role(
    guarded: Database, trained: Path, tmp_path: Path
) -> None:
    install_models(guarded, trained)
    waiting, rejected = insert_patients(guarded, 1)[0], insert_patients(guarded, 1, bmi=5_000)[0]
    assert call(under_role(guarded, "pima_scorer"), "score").exit_code == 0
    operator = under_role(guarded, "pima_operator")
    assert the_json(call(operator, "status", "--json"))["champion"]["version"] == 1
    # It reads all that health looks at, and finds what is so: no scheduler runs here.
    assert "scheduler_silent: no scheduler has run" in call(operator, "health").stderr
    for command in (
        ("list",),
        ("show", "2"),
        ("card", "2"),
        ("promote", "2", "--reason", "a test"),
        ("rollback", "--reason", "a test"),
        ("pin", "--reason", "a test"),
        ("unpin",),
        ("promote", "3", "--reason", "a test"),
        ("export", "3", str(tmp_path / "champion.keras")),
    ):
        ended = call(operator, "models", *command)
        assert ended.exit_code == 0, (command, ended.stderr)
    assert call(operator, "report", "--out", str(tmp_path / "report.html")).exit_code == 0
    assert the_json(call(operator, "report", "--last", "--json"))["error"] == "no_report_kept"
    assert guarded.execute("SELECT model_version, pinned FROM champion") == [(3, 0)]
    assert (tmp_path / "champion.keras").stat().st_size > 0
    queued = "SELECT patient_id FROM scoring_queue ORDER BY patient_id"
    for option, found in (
        ((), []),
        (("--stale",), [waiting]),
        (("--rejected",), [waiting, rejected]),
    ):
        ended = call(operator, "requeue", *option)
        assert ended.exit_code == 0, (option, ended.stderr)
        assert [row[0] for row in guarded.execute(queued)] == found
    assert guarded.value("SELECT count(*) FROM rejections") == 0


def test_a_stop_works_under_the_roles(guarded: Database, trained: Path) -> None:
    install_models(guarded, trained)
    insert_patients(guarded, 1)
    assert call(under_role(guarded, "pima_scorer"), "score").exit_code == 0
    for role in ("pima_scorer", "pima_scheduler", "pima_reader", "pima_writer"):
        assert _refused(guarded, role, "UPDATE champion SET suspended_at = NULL")
        assert _refused(guarded, role, "UPDATE champion SET last_stop = 0")
    operator = under_role(guarded, "pima_operator")
    assert call(operator, "models", "suspend", "--reason", "a test").exit_code == 0
    insert_patients(guarded, 2)
    ended = call(under_role(guarded, "pima_scorer"), "score", "--json")
    assert (ended.exit_code, "monitoring is incomplete" in ended.stderr) == (0, False)
    assert the_json(ended)["suspended"]["waiting"] == 2
    reader = make_engine(under_role(guarded, "pima_reader").url, DatabaseSettings())
    with writing(reader) as connection:
        shown = connection.execute(text("SELECT suspended FROM current_predictions")).all()
    reader.dispose()
    assert shown == [(True,)]
    for role in ("pima_scheduler", "pima_operator"):
        assert (
            "suspended: version 1, suspended since"
            in call(under_role(guarded, role), "health").stderr
        )
    assert call(operator, "models", "promote", "1", "--reason", "a test").exit_code == 0
    ended = call(under_role(guarded, "pima_scorer"), "score", "--json")
    assert (the_json(ended)["predicted"], "incomplete" in ended.stderr) == (2, False)


def test_a_run_that_died_is_closed_by_those_who_may_and_holds_no_lease(guarded: Database) -> None:
    insert_run(guarded, "retrain", "running", heartbeat_at=datetime(2026, 1, 1, tzinfo=UTC))
    lease = {"until": datetime.now(UTC) + timedelta(days=30)}
    guarded.execute("INSERT INTO leases VALUES ('retrain', 'run 1', 1, :until)", lease)
    for role, command, status in (
        ("pima_operator", ("status",), "running"),
        ("pima_reader", ("export", "predictions"), "running"),
        ("pima_scheduler", ("health",), "crashed"),
        ("pima_scorer", ("score",), "crashed"),
    ):
        guarded.execute("UPDATE runs SET status = 'running'")
        call(under_role(guarded, role), *command)
        assert guarded.value("SELECT status FROM runs") == status
    assert (
        the_json(call(under_role(guarded, "pima_trainer"), "retrain", "--json"))["error"]
        == "too_few_labels"
    )


def test_erasing_works_under_its_role_and_keeps_out_under_the_loader_s(
    guarded: Database, tmp_path: Path
) -> None:
    (patient_id,) = insert_patients(guarded, 1)
    guarded.execute("UPDATE patients SET source = 's', source_key = 'k', person_key = 'p'")
    guarded.execute(
        "INSERT INTO predictions VALUES (:id, 1, 1, 1, 0.5, 1, 0.5)", {"id": patient_id}
    )
    for asked in ("--dry-run", "--reason=a test"):
        ended = call(under_role(guarded, "pima_eraser"), "forget", "--person", "p", asked)
        assert ended.exit_code == 0, ended.stderr
    assert (
        guarded.value("SELECT count(*) FROM predictions")
        == guarded.value("SELECT count(*) FROM row_keys")
        == 0
    )
    file = tmp_path / "again.csv"
    file.write_text(f"id,glucose,bmi\n{patient_id},99,30\n")
    again = the_json(call(under_role(guarded, "pima_loader"), "load", "--json", str(file)))
    assert again["refused_by_reason"] == {"forgotten": 1}


def test_replaced_values_are_let_go_and_erased_under_their_roles(
    guarded: Database, trained: Path
) -> None:
    install_models(guarded, trained)
    labelled, other = insert_patients(guarded, 2)
    scorer, eraser = under_role(guarded, "pima_scorer"), under_role(guarded, "pima_eraser")
    assert call(scorer, "score").exit_code == 0
    guarded.execute("UPDATE patients SET glucose = glucose + 1")
    guarded.execute("UPDATE row_history SET replaced_at = now() - interval '2 days'")
    assert call(scorer, "score").exit_code == 0
    assert guarded.value("SELECT count(*) FROM row_history") == 2
    guarded.execute(f"UPDATE patients SET outcome = 1 WHERE id = {labelled}")
    guarded.execute("UPDATE predictions SET scored_at = scored_at - interval '300 days'")
    found = the_json(call(eraser, "retain", "--older-than", "200", "--json"))
    assert (found["predictions"], found["row_history"]) == (1, 1)
    for patient_id, rows in ((labelled, 0), (other, 1)):
        asked = ("forget", str(patient_id), "--reason", "a test", "--json")
        assert the_json(call(eraser, *asked))["row_history"] == rows
    assert guarded.value("SELECT count(*) FROM row_history") == 0


def test_every_command_works_under_its_role_where_a_source_is_declared(
    guarded: Database, sqlite_clinic: Clinic, tmp_path: Path, listener: AlertReceiver
) -> None:
    of_all = {name for names in ROLES_OF_COMMANDS.values() for name in names}
    assert {name for name, *_ in EVERY_COMMAND} - of_all == {"migrate", "scheduler"}
    sqlite_clinic.insert(30)
    sqlite_clinic.insert(4, seed=2, age=500)
    environ = {URL: sqlite_clinic.url, "PIMA_ALERTS__URLS": listener.url}
    more = {"report": ("--out", str(tmp_path / "report.html"))}
    for role, names in ROLES_OF_COMMANDS.items():
        for name, *arguments in EVERY_COMMAND:
            if name in names:
                given = [str(SHIPPED) if each == "patients.csv" else each for each in arguments]
                given += ["--config", sqlite_clinic.config, *more.get(name, ())]
                ended = call(under_role(guarded, role), name, *given, **environ)
                assert (ended.exit_code, "warning" in ended.stderr) == (0, False), (
                    name,
                    ended.stderr,
                )
    assert guarded.value("SELECT count(*) FROM reports") == 1
    unpredicted = guarded.value("SELECT counts -> 'unpredicted' FROM runs WHERE job = 'score'")
    assert [(each["source"], each["rows"]) for each in unpredicted["causes"]] == [("clinic", 4)]
    for role in ("pima_operator", "pima_scheduler"):
        ended = call(
            under_role(guarded, role), "alert", "--config", sqlite_clinic.config, **environ
        )
        assert ended.exit_code == 0, ended.stderr
    assert [title for title in listener.titles if not title.startswith("champion_changed")] == []


FORBIDDEN = {
    "pima_scorer": {
        "SELECT": (
            "monitoring.value patients.glucose patients.source_key promotions.explanation "
            "row_history.glucose model_versions.keras_artifact model_versions.metrics training_snapshots.content installation.holdout_salt row_keys alerts reports.html"
        ),
        "UPDATE": "patient_versions.patient_version champion.model_version predictions.probability",
        "DELETE": "predictions runs",
    },
    "pima_scheduler": {
        "SELECT": (
            "tallies.tally patients scoring_queue.glucose row_history predictions "
            "model_versions.keras_artifact promotions.explanation monitored_predictions"
        ),
        "DELETE": "runs",
        "UPDATE": "champion.model_version",
    },
    "pima_reader": {
        "SELECT": (
            "monitoring.value patient_versions monitored_predictions patients row_keys.side_key "
            "scoring_queue row_history model_versions champion"
        ),
        "DELETE": "rejections predictions",
    },
    "pima_monitor": {
        "SELECT": ("patient_versions predictions patients.outcome row_history current_predictions"),
    },
    "pima_trainer": {
        "UPDATE": (
            "patients.outcome rejections.reason patients.version promotions.verdict "
            "model_versions.seed "
            "model_versions.scorer_sha256 installation.holdout_salt reports.html"
        ),
        "INSERT": "predictions",
        "DELETE": "promotions scoring_queue model_versions row_keys alerts predictions",
    },
    "pima_loader": {
        "SELECT": (
            "predictions champion scoring_queue row_history model_versions.compiled_artifact "
            "installation.holdout_salt"
        ),
        "DELETE": "runs leases forgotten",
        "UPDATE": "patients.version row_keys.side_key",
        "INSERT": "row_keys",
    },
    "pima_writer": {
        "SELECT": (
            "predictions scoring_queue row_history row_keys runs leases installation "
            "alembic_version"
        ),
        "INSERT": "patients.version row_keys runs leases",
        "UPDATE": "patients.id patients.version runs leases",
        "DELETE": "runs leases row_keys",
    },
    "pima_operator": {
        "UPDATE": (
            "patients.glucose patients.outcome patients.version predictions.probability "
            "rejections.reason model_versions.seed promotions.decided_by training_snapshots.rows "
            "runs.status schedules.expression"
        ),
        "INSERT": "patients predictions",
        "DELETE": "patients predictions model_versions promotions reports champion runs leases",
        "SELECT": "installation.holdout_salt",
    },
    "pima_eraser": {
        "UPDATE": (
            "patients.glucose predictions.probability champion.model_version champion.sequence "
            "champion.pinned model_versions.scorer_sha256 model_versions.threshold"
        ),
        "DELETE": "promotions model_versions forgotten champion",
        "SELECT": "model_versions.compiled_artifact",
    },
}
"""Of a table any column, or one of them."""


def test_what_a_role_does_not_need_is_refused(guarded: Database) -> None:
    asked = [
        (role, right, *name.split("."))
        for role, rights in FORBIDDEN.items()
        for right, names in rights.items()
        for name in names.split()
    ]
    assert [each for each in asked if _may(guarded, *each)] == []
    assert [
        role for role in ROLES if not _refused(guarded, role, "CREATE TABLE mine (id INTEGER)")
    ] == []
    for view in ("predictions", "current_predictions", "rejections"):
        assert not _refused(guarded, "pima_reader", f"SELECT * FROM {view}")
    assert not _refused(guarded, "pima_monitor", "SELECT * FROM monitored_predictions")


def _may(database: Database, role: str, right: str, table: str, column: str | None = None) -> bool:
    if column is not None:
        return bool(
            database.value(
                f"SELECT has_column_privilege('{role}', '{table}', '{column}', '{right}')"
            )
        )
    of = "table" if right == "DELETE" else "any_column"
    return bool(database.value(f"SELECT has_{of}_privilege('{role}', '{table}', '{right}')"))


@pytest.mark.parametrize("role", ["pima_operator", "pima_trainer"])
def test_the_right_to_lock_patients_changes_no_value_of_theirs(
    guarded: Database, role: str
) -> None:
    insert_patients(guarded, 1)
    values = "SELECT to_jsonb(p) - 'updated_at' FROM patients p"
    before = guarded.execute(values)
    engine = make_engine(under_role(guarded, role).url, DatabaseSettings())
    with writing(engine) as connection:
        connection.execute(text("UPDATE patients SET updated_at = '1970-01-01'"))
    engine.dispose()
    assert guarded.execute(values) == before
    assert guarded.value("SELECT updated_at >= recorded_at FROM patients")


def test_making_them_again_takes_back_what_was_granted_by_hand(guarded: Database) -> None:
    guarded.execute("GRANT SELECT ON patients TO pima_scorer")
    guarded.execute("GRANT SELECT (metrics) ON model_versions TO pima_scorer")
    assert not _refused(guarded, "pima_scorer", "SELECT metrics FROM model_versions")
    assert call(guarded, "migrate", "--roles").exit_code == 0
    assert _refused(guarded, "pima_scorer", "SELECT glucose FROM patients")
    assert _refused(guarded, "pima_scorer", "SELECT metrics FROM model_versions")


def test_they_may_be_made_by_two_containers_at_once(guarded: Database) -> None:
    with ThreadPoolExecutor(2) as both:
        made = both.map(lambda _: migrate(guarded.engine, HOLDOUT, with_roles=True), range(8))
        assert all(each.roles for each in made)


def test_the_container_s_database_is_made_with_the_same_roles() -> None:
    made = re.findall(
        r"^    \('(pima_\w+)', :'\w+'\)", (ROOT / "deploy" / "roles.sql").read_text(), re.MULTILINE
    )
    assert set(made) == {"pima_owner", *ROLES}
    drawn = re.search(r"for role in (.*); do", (ROOT / "deploy" / "secrets.sh").read_text())
    assert drawn is not None
    assert set(drawn[1].split()) == {"postgres", "pima_owner", *ROLES}
