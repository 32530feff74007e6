"""Invariant 9: whatever happens to a row, its values stand in no output, no log, no message and no
ledger.

The values are canaries: numbers and a name that nothing else could write, each looked for in
everything that the commands show (Python's output in this process, and all of a child's), and in
every table but those that must hold measurements. The test of a trigger of the clinic's own leans
on its being allowed on `patients`: the text of that trigger is what the driver says.
"""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.exc import DBAPIError

from pima.errors import PimaError
from pima.store.engine import reading
from pima.store.tables import TABLES
from tests.support.alert_receiver import AlertReceiver
from tests.support.canaries import BAD, CANARIES, GOOD, NAME
from tests.support.clinic import URL, Clinic
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    Ended,
    call,
    free_port,
    insert_patients,
    wait_for,
)
from tests.support.patient_files import HEADER, ID_HEADER, write
from tests.support.schedulers import EVERY_SECOND, stop
from tests.support.shipped import FEATURE_NAMES, SHIPPED

pytestmark = pytest.mark.judge

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

NEVER = "0 0 29 2 mon"
"""Retraining never ran, so it is run once all the same."""

MAY_HOLD_MEASUREMENTS = {"patients", "scoring_queue", "row_history"}
MAY_HOLD_PROBABILITIES = {"predictions"}
MAY_HOLD_KEYS = {"row_keys", "source_rejections"}


@dataclass
class Watched:
    """A database, and everything that was shown of it so far."""

    database: Database
    folder: Path
    shown: list[str] = field(default_factory=list)

    def call(self, job: str, *arguments: str, exit_code: int = 0) -> None:
        """Run a command with everything as text, then with everything as JSON; both must end
        alike."""
        self._keep(call(self.database, job, *arguments, PIMA_LOGS__FORMAT="text"), exit_code)
        self._keep(
            call(self.database, job, *arguments, "--json", PIMA_LOGS__FORMAT="json"), exit_code
        )

    def run(self, job: str, *arguments: str, exit_code: int = 0) -> None:
        """Run a command as a child: whatever native code writes is seen as well."""
        self._keep(self.database.run(job, *arguments), exit_code)

    def _keep(self, ended: Ended, exit_code: int) -> None:
        assert ended.exit_code == exit_code, ended.stderr
        self.shown += [ended.stdout, ended.stderr]

    def report(self) -> None:
        """Make one; all of it is shown."""
        path = self.folder / "report.html"
        self._keep(call(self.database, "report", "--out", str(path)), 0)
        self.shown.append(path.read_text())

    def file(self, *lines: str | bytes) -> str:
        return write(self.folder, *lines)

    def assert_nothing_leaked(self) -> None:
        assert "".join(self.shown).strip()
        for text in self.shown:
            _assert_clean(text)
        for table in TABLES:
            if table.name not in MAY_HOLD_MEASUREMENTS | MAY_HOLD_PROBABILITIES | MAY_HOLD_KEYS:
                for row in self.database.execute(f"SELECT * FROM {table.name}"):
                    _assert_clean(repr([v for v in row if not isinstance(v, bytes)]))
        assert {"runs", "rejections", "promotions", "loads"} <= {table.name for table in TABLES}


def _assert_clean(text: str) -> None:
    for canary in CANARIES:
        assert canary not in text, text


@pytest.fixture
def watched(scored_database: Database, tmp_path: Path) -> Iterator[Watched]:
    found = Watched(scored_database, tmp_path)
    yield found
    found.assert_nothing_leaked()


def _cells(outcome: str = "", **changed: Any) -> str:
    sound = (
        dict.fromkeys(FEATURE_NAMES, 30)
        | {"pregnancies": 3, "diabetes_pedigree": 0.5}
        | GOOD
        | changed
    )
    return ",".join([*(str(sound[name]) for name in FEATURE_NAMES), outcome])


def test_a_night_with_good_and_bad_rows_shows_no_value(watched: Watched) -> None:
    insert_patients(watched.database, 3, **GOOD)
    for column, value in BAD.items():
        insert_patients(watched.database, 1, **(GOOD | {column: value}))
    insert_patients(watched.database, 1, **(GOOD | {"age": None}))
    insert_patients(watched.database, 1, **(GOOD | {"bmi": float("inf")}))
    watched.call("status")
    watched.call("score", "--dry-run", "--batch-size", "2")
    watched.call("score", "--limit", "4", "--batch-size", "3")
    watched.call("score")
    assert watched.database.value("SELECT count(*) FROM rejections") == len(BAD) + 2
    watched.call("requeue", "--rejected")
    watched.run("score")
    watched.call("requeue")
    watched.call("models", "pin", "--reason", "for this test")
    watched.call("requeue", "--stale")
    watched.database.execute("UPDATE patients SET outcome = 1")
    watched.call("status")
    watched.call("models", "list")
    watched.call("models", "show", "1")
    watched.call("models", "card", "1")
    for what in ("rejections", "runs", "verdicts"):
        watched.shown.append(call(watched.database, "export", what).stdout)
    watched.call("retrain", exit_code=3)
    watched.report()


def test_a_retraining_and_the_reports_on_it_show_no_value(
    each_fit_once: None, watched: Watched
) -> None:
    assert call(watched.database, "load", str(SHIPPED)).exit_code == 0
    for outcome in (0, 1):
        insert_patients(watched.database, 12, outcome=outcome, **GOOD)
    insert_patients(watched.database, 12, **(GOOD | {"age": 40.0029296875}))
    watched.call("score")
    watched.database.execute("UPDATE patients SET outcome = 1 WHERE outcome IS NULL")
    insert_patients(watched.database, 3, **(GOOD | {"bmi": BAD["bmi"]}))
    watched.call("score")
    watched.call("retrain")
    assert watched.database.value("SELECT count(*) FROM reports") == 2


def test_what_is_asked_of_one_row_is_shown_and_kept_nowhere(watched: Watched) -> None:
    (rejected,) = insert_patients(watched.database, 1, **(GOOD | {"bmi": BAD["bmi"]}))
    watched.call("explain", str(rejected), exit_code=1)  # no training rows are kept here
    watched.call("explain", NAME, exit_code=2)
    watched.call("explain", NAME, NAME, exit_code=2)


def test_a_pull_shows_no_value_nor_what_a_row_is_called(
    scored_database: Database, postgresql_clinic: Clinic, tmp_path: Path
) -> None:
    watched, clinic = Watched(scored_database, tmp_path), postgresql_clinic
    clinic.execute(
        "ALTER TABLE visits ALTER visit_id TYPE text, ALTER glucose_mmol TYPE text, ALTER "
        "patient_no TYPE text"
    )
    clinic.settings |= {"key_type": "text", "person_type": "text"}
    sound = {
        "glucose_mmol": "5.5",
        "bmi": GOOD["bmi"],
        "pedigree": GOOD["diabetes_pedigree"],
        "diabetic": "yes",
    }

    def visits(seed: int, **changed: Any) -> None:
        clinic.insert(
            1, seed, **(sound | {"visit_id": f"{seed} {NAME}", "patient_no": NAME} | changed)
        )

    def pull(*arguments: str, exit_code: int = 0) -> None:
        watched.call("pull", "--config", clinic.config, *arguments, exit_code=exit_code)

    watched.database.environ[URL] = clinic.url
    for seed in range(9):
        visits(seed)
    visits(10, glucose_mmol=NAME)
    visits(11, diabetic=NAME)
    visits(12, bmi=-613.3125)
    pull("--dry-run")
    pull()
    clinic.execute("UPDATE visits SET age = 44, diabetic = 'no'")
    pull()
    visits(13, visit_id=f"1 {NAME} ")
    pull(exit_code=2)
    clinic.execute("DELETE FROM visits WHERE visit_id LIKE '1 %'")
    visits(14, visit_id=NAME * 20)
    pull(exit_code=2)
    clinic.execute("DELETE FROM visits WHERE visit_id LIKE :key", {"key": f"{NAME}%"})
    clinic.execute("UPDATE visits SET glucose_mmol = :name", {"name": NAME})
    pull(exit_code=3)
    # What an error of the server's tells holds the value; what it is called here does not.
    clinic.execute(
        "CREATE VIEW broken AS SELECT *, glucose_mmol::double precision AS glucose FROM visits"
    )
    clinic.settings["table"] = "broken"
    clinic.columns["glucose"] = "glucose"
    pull(exit_code=2)
    watched.assert_nothing_leaked()


def test_a_run_that_fails_shows_no_value(watched: Watched) -> None:
    insert_patients(watched.database, 3, **GOOD)
    insert_patients(watched.database, 2, **(GOOD | {"age": BAD["age"]}))
    watched.database.execute("CREATE UNIQUE INDEX someone_elses ON rejections (reason)")
    watched.call("score", exit_code=1)
    watched.database.execute("DROP INDEX someone_elses")
    watched.database.execute("UPDATE model_versions SET compiled_artifact = NULL")
    watched.call("score", exit_code=1)
    watched.database.execute("UPDATE champion SET model_version = NULL")
    watched.call("score", exit_code=3)
    watched.call("status")


# PostgreSQL, whose error texts hold the row; the rest does not depend on the database.
@pytest.mark.parametrize("copied", ["postgresql"], indirect=True)
def test_a_scheduler_with_its_metrics_its_pings_its_alerts_and_its_health_shows_no_value(
    watched: Watched, receiver: tuple[str, list[str]], listener: AlertReceiver
) -> None:
    database, (address, asked), port = watched.database, receiver, free_port()
    insert_patients(database, 203, **GOOD)  # of fewer there would be no figures of the night
    for column, value in BAD.items():
        insert_patients(database, 1, **(GOOD | {column: value}))
    environ = {"PIMA_SCHEDULE__SCORE": EVERY_SECOND, "PIMA_SCHEDULE__RETRAIN": NEVER}
    pings = {f"PIMA_PING__{job}_URL": f"{address}/{job}" for job in ("SCORE", "RETRAIN")}
    told = {"PIMA_METRICS__PORT": str(port), "PIMA_ALERTS__URLS": listener.url}
    scheduler = database.start("scheduler", **environ, **pings, **told)
    wait_for(lambda: {"/SCORE", "/RETRAIN/fail"} <= set(asked), scheduler)
    watched.call("health", exit_code=1)  # there is nothing to train on
    newest = database.value("SELECT max(id) FROM patients")
    database.execute(
        f"CREATE UNIQUE INDEX someone_elses ON rejections (reason) WHERE patient_id > {newest}"
    )
    insert_patients(database, 2, **(GOOD | {"age": BAD["age"]}))
    wait_for(lambda: "/SCORE/fail" in asked, scheduler)
    wait_for(lambda: {"score_failed", "retrain_failed"} <= set(listener.titles), scheduler)
    watched.shown.append(str(listener.got))
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS
    ) as answer:
        watched.shown += [answer.read().decode(), *asked]
    watched.shown.append(stop(scheduler))
    database.execute(
        "UPDATE scoring_queue SET enqueued_at = :long_ago", {"long_ago": database.stored(LONG_AGO)}
    )
    watched.call("health", exit_code=1)
    watched.call("alert", "--dry-run")
    watched.call("status")
    assert any('pima_rows_total{result="rejected"} 5.0' in text for text in watched.shown)
    assert any(
        'pima_monitoring{feature="age",figure="wasserstein"}' in text for text in watched.shown
    )
    assert (
        database.value("SELECT count(*) FROM runs WHERE error_line IS NOT NULL AND job = 'score'")
        >= 1
    )


def test_files_that_are_loaded_show_no_value(watched: Watched) -> None:
    watched.call("load", "--again", watched.file(HEADER, _cells(), _cells("1")))
    watched.call("load", watched.file(ID_HEADER, f"900,{_cells()}", f"901,{_cells('0')}"))
    watched.call("load", watched.file("id,glucose,outcome", f"900,{GOOD['glucose'] + 100},1"))
    lines = [
        _cells("1"),
        *(_cells(**{column: value}) for column, value in BAD.items()),
        _cells(age=NAME),
        f"{NAME},1",
    ]
    watched.call("load", "--partial", "--again", watched.file(HEADER, *lines))
    ignored = watched.file(f"{HEADER},name", f"{_cells()},{NAME}", f"{_cells(**BAD)},{NAME}")
    watched.call("load", "--ignore", "name", ignored, exit_code=2)
    watched.call("load", "--ignore", "name", "--partial", "--again", ignored)
    watched.call("load", "--ignore", "nme", ignored, exit_code=2)
    assert "nme" in watched.shown[-1]
    watched.call("status")
    assert watched.database.value("SELECT count(*) FROM patients") == 10


REFUSED: dict[str, list[str | bytes]] = {
    "out of range": [HEADER, *(_cells(**{column: value}) for column, value in BAD.items())],
    "no number": [
        HEADER,
        _cells(age=NAME),
        _cells(NAME),
        _cells(bmi="4.40625e999"),
        _cells(bmi=NAME + "\0"),
    ],
    "ragged": [HEADER, _cells() + f",{NAME}", "77.0625"],
    "an open quote": [HEADER, _cells(age=f'"{NAME}')],
    "a long field": [HEADER, _cells(age="77.0625" * 200_000)],
    "Latin-1": [HEADER, _cells(age=NAME + "ü").encode("latin-1")],
    "ids": [ID_HEADER, f"{NAME},{_cells()}", f"77.0625,{_cells()}"],
    "an id twice": [ID_HEADER, f"5,{_cells()}", f"5,{_cells()}"],
    "an unknown id": ["id,glucose", "999,177.0625"],
    "unknown column": [f"{HEADER},name", f"{_cells()},{NAME}"],
    "a number as column": [f"{HEADER},77.0625", f"{_cells()},1"],
    "no header": [_cells(age=NAME)],
    "no header, text and a known name": [f"{NAME},glucose,177.0625"],
    "no header, semicolons": [_cells(age=NAME).replace(",", ";")],
    "no Parquet": ["PAR1" + NAME + _cells()],
}
"""`tests/unit/intake/files/test_header.py` has more first lines that may be a row."""
REFUSED_COLUMNS: list[dict[str, Any]] = [
    {"glucose": [177.0625, 7177.0625]},
    {"glucose": pa.array([{NAME: 177.0625}, None])},
    {"visit": [177.0625, 1.984375]},
]


def test_files_that_are_refused_show_no_value(watched: Watched) -> None:
    for lines in REFUSED.values():
        watched.call("load", watched.file(*lines), exit_code=2)
    path = watched.folder / "patients.parquet"
    for columns in REFUSED_COLUMNS:
        pq.write_table(pa.table({name: [30, 30] for name in FEATURE_NAMES} | columns), path)
        watched.call("load", str(path), exit_code=2)
    assert watched.database.value("SELECT count(*) FROM patients") == 0


def test_a_constraint_of_the_clinics_own_that_a_file_breaks_is_named_without_the_row(
    watched: Watched,
) -> None:
    watched.database.execute("CREATE UNIQUE INDEX one_glucose_each ON patients (glucose)")
    insert_patients(watched.database, 1, first_id=900, **GOOD)
    insert_patients(watched.database, 1, first_id=901)
    watched.call("load", watched.file("id,glucose", f"901,{GOOD['glucose']}"), exit_code=1)
    file = watched.file(HEADER, _cells(glucose=178), _cells(glucose=178))
    watched.call("load", file, exit_code=1)
    if watched.database.kind == "postgresql":
        assert "one_glucose_each" in watched.shown[-1]
        assert "23505" in watched.shown[-1]
        watched.database.execute("DROP INDEX one_glucose_each")
        watched.database.execute(
            "ALTER TABLE patients ADD CONSTRAINT low CHECK (bmi < 44) NOT VALID"
        )
        watched.call("load", file, exit_code=1)
        assert "low" in watched.shown[-1]


def test_a_trigger_of_the_clinics_own_that_tells_the_row_is_not_repeated(watched: Watched) -> None:
    if watched.database.kind == "postgresql":
        watched.database.execute("""
            CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'bad row: %', NEW; END $$""")
        watched.database.execute(
            "CREATE TRIGGER tells BEFORE INSERT ON patients FOR EACH ROW EXECUTE FUNCTION tell()"
        )
        watched.call("load", watched.file(HEADER, _cells()), exit_code=1)
        return
    # A job would refuse the trigger at its start.
    watched.call("status", exit_code=0)
    watched.database.execute(f"""
        CREATE TRIGGER tells BEFORE INSERT ON patients BEGIN SELECT RAISE(ABORT, 'bad row: {NAME}');
            END""")
    with pytest.raises(PimaError) as caught:
        insert_patients(watched.database, 1)
    assert all(NAME not in text for text in _chain(caught.value))


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error!s} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_the_canaries_are_found_where_they_may_stand(database: Database) -> None:
    insert_patients(database, 1, **GOOD)
    database.execute("UPDATE patients SET age = age + 1")
    with reading(database.engine) as connection, pytest.raises(DBAPIError):
        connection.exec_driver_sql("SELECT nothing FROM nowhere")
    for table in MAY_HOLD_MEASUREMENTS:
        with pytest.raises(AssertionError):
            _assert_clean(repr(database.execute(f"SELECT * FROM {table}")))
