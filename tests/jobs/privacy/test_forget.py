"""Forgetting a person: nothing of them is left in any table, nor in SQLite's file, and they do not
come back."""

import json
import shutil
import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from deploy import sqlite_to_postgresql
from pima.core.declared.identifiers import ById, Forgotten, mark_of, name_of_person
from pima.core.rows.history import ranked
from pima.core.rows.validation import Measurements
from pima.erasing.forgetting import Forgetting, forget
from pima.errors import FileNotMadeAnew
from pima.intake.sources import pulling
from pima.settings.sections import DatabaseSettings
from pima.store.database import database_of
from pima.store.engine import reading, writing
from pima.store.models.lineage import ids_from_parquet
from pima.store.predictions import Predictions
from pima.store.rows.erasing import everyone_forgotten
from pima.store.service import leases
from pima.store.service.runs import start_run
from pima.store.tables import TABLES, model_versions, training_snapshots
from pima.store.urls import make_engine
from tests.support.clinic import Clinic
from tests.support.databases import (
    Copied,
    Database,
    call,
    insert_patients,
    the_json,
    until_someone_waits_for_a_lock,
)
from tests.support.patient_files import HEADER, write
from tests.support.shipped import FEATURE_NAMES, SALT

PERSON, KEY = "Canary-Person", "Canary-Key"
ID = 4_011_223_344_556_677_001
"""A row's own; it can stand nowhere by chance."""
GLUCOSE = 177.0625
SOUND = "6,{glucose},72,35,0,33.6,0.627,50"
SOURCE = (
    '[[source]]\nname = "clinic"\ntable = "visits"\nkey = "visit"\nperson = '
    '"no"\n[source.columns]\n'
)


def _lived_in(database: Database, trained: Path) -> None:
    """A database of either kind with versions, snapshots and test sets that retrainings have
    made."""
    if database.kind == "sqlite":
        database.engine.dispose()
        shutil.copy(trained, database.engine.url.database or "")
        return
    assert call(database, "migrate", PIMA_HOLDOUT__SALT=SALT).exit_code == 0
    assert sqlite_to_postgresql.main([str(trained)], {"DATABASE_URL": database.url}) == 0


@pytest.fixture
def lived_in(copied: Copied, trained: Path, capsys: pytest.CaptureFixture[str]) -> Database:
    found = copied(_lived_in, trained)
    capsys.readouterr()
    return found


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "forget.toml"
    columns = "".join(f'{name} = "{name}"\n' for name in FEATURE_NAMES)
    path.write_text(f'{SOURCE}{columns}[holdout]\nsalt = "{SALT}"\n')
    return str(path)


def _ids_of(database: Database, version: int) -> set[int]:
    return set(
        ids_from_parquet(
            _bytes(database, select(model_versions.c.training_ids), version, "number")
        ).tolist()
    )


def _bytes(
    database: Database, statement: Any, version: int, column: str = "model_version"
) -> bytes:
    with reading(database.engine) as connection:
        return bytes(
            connection.execute(
                statement.where(statement.selected_columns[0].table.c[column] == version)
            ).scalar()
        )


def _snapshot(database: Database, version: int) -> bytes:
    return _bytes(database, select(training_snapshots.c.content), version)


def _everything(database: Database) -> Iterator[tuple[str, Any]]:
    """Each value of each table, with where it stands."""
    for table in (*(table.name for table in TABLES), "current_predictions"):
        for row in database.execute(f"SELECT * FROM {table}"):
            yield from ((table, value) for value in row)


def _person(database: Database, config: str) -> tuple[int, int]:
    """Give one person a training row, a row of a test set, one that is predicted and waits again, a
    rejected one, and notes and errors that name them; the first two ids."""
    learned = min(_ids_of(database, 3) & _ids_of(database, 2))
    (judged,) = database.execute("SELECT patient_ids FROM test_sets")[-1]
    judged = (json.loads(judged) if isinstance(judged, str) else judged)[0]
    insert_patients(database, 1, first_id=ID, glucose=GLUCOSE)
    insert_patients(database, 1, first_id=ID + 1, bmi=5_000)
    for n, patient_id in enumerate((learned, judged, ID, ID + 1)):
        database.execute(
            f"UPDATE patients SET source = 'clinic', source_key = '{KEY}-{n}', person_key = "
            f"'{PERSON}' WHERE id = :id", {"id": patient_id},
        )  # fmt: skip
    assert call(database, "score", "--config", config).exit_code == 0
    database.execute("UPDATE patients SET age = age + 1 WHERE id = :id", {"id": ID})
    return learned, judged


def test_nothing_of_a_person_is_left_anywhere(lived_in: Database, config: str) -> None:
    learned, judged = _person(lived_in, config)
    _leave_in_a_free_place(lived_in)
    first_snapshot, first_fingerprints = _snapshot(lived_in, 3), _fingerprints(lived_in)
    asked = ("forget", "--config", config, "--person", PERSON, "--json")
    before = list(_everything(lived_in))
    would = the_json(call(lived_in, *asked, "--dry-run"))
    assert list(_everything(lived_in)) == before
    ended = call(lived_in, *asked, "--reason", "asked by letter")
    found = the_json(ended)
    assert {**would, "dry_run": False} == found
    counts = (
        "rows",
        "queue_entries",
        "predictions",
        "rejections",
        "row_keys",
        "test_sets",
    )
    assert [found[name] for name in counts] == [
        4,
        1,
        1,
        1,
        4,
        len(_test_sets_with(before, judged)),
    ]
    assert 3 in found["snapshots"]
    assert set(found["learned_by"]) >= {2, 3}
    assert PERSON not in ended.stdout + ended.stderr

    gone = {learned, judged, ID, ID + 1}
    for table, value in _everything(lived_in):
        as_text = value.decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
        assert not any(canary in as_text for canary in (PERSON, KEY, str(ID), str(GLUCOSE))), table
    for version in (2, 3):
        assert not gone & _ids_of(lived_in, version)
    for table, column in (
        ("patients", "id"),
        ("predictions", "patient_id"),
        ("row_keys", "patient_id"),
    ):
        assert not gone & {row[0] for row in lived_in.execute(f"SELECT {column} FROM {table}")}
    assert not _test_sets_with(_everything(lived_in), judged)
    if lived_in.kind == "sqlite":
        lived_in.engine.dispose()
        content = Path(lived_in.engine.url.database or "").read_bytes()
        for canary in (
            PERSON.encode(),
            KEY.encode(),
            struct.pack(">d", GLUCOSE),
            struct.pack(">q", ID),
        ):
            assert canary not in content
        # Nor what the snapshot was.
        assert first_snapshot[len(first_snapshot) // 2 :][:64] not in content

    # History goes on to name the first ones.
    assert _fingerprints(lived_in) == first_fingerprints
    reproduced = call(lived_in, "models", "reproduce", "3")
    assert (reproduced.exit_code, "rows were removed because" in reproduced.stderr) == (1, True)
    assert call(lived_in, "explain", "1").exit_code in (0, 2)
    # A second time there is nothing to do, and nobody who never was is forgotten.
    again = the_json(call(lived_in, *asked, "--reason", "asked twice"))
    assert (again["forgotten_before"], again["rows"], again["predictions"]) == (True, 0, 0)
    nobody = call(lived_in, "forget", "--person", "somebody", "--reason", "a test", "--json")
    assert (nobody.exit_code, the_json(nobody)["error"]) == (2, "nobody_to_forget")


def _leave_in_a_free_place(database: Database) -> None:
    """As a SQLite does that overwrites nothing of what it deletes."""
    if database.kind == "sqlite":
        with closing(
            sqlite3.connect(database.engine.url.database or "", isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute(
                f"INSERT INTO source_pulls (source, fingerprint) VALUES ('clinic', '{KEY} of "
                "before')"
            )
            connection.execute("DELETE FROM source_pulls WHERE fingerprint LIKE '% of before'")
        assert f"{KEY} of before".encode() in Path(database.engine.url.database or "").read_bytes()


def _fingerprints(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT 'version', data_fingerprint FROM model_versions UNION ALL SELECT 'test set', "
        "fingerprint FROM test_sets UNION ALL SELECT 'snapshot', coalesce(first_sha256, sha256) "
        "FROM training_snapshots ORDER BY 1, 2"
    )


def _test_sets_with(everything: Any, patient_id: int) -> list[Any]:
    """Those that list an id."""
    lists = [
        value for table, value in everything if table == "test_sets" and str(value).startswith("[")
    ]
    return [
        each
        for each in lists
        if patient_id in (json.loads(each) if isinstance(each, str) else each)
    ]


def test_who_was_forgotten_does_not_come_back_by_a_file(database: Database, tmp_path: Path) -> None:
    insert_patients(database, 1, first_id=ID)
    database.execute(
        f"UPDATE patients SET source = 'clinic', source_key = '{KEY}', person_key = '{PERSON}'"
    )
    assert call(database, "forget", str(ID), "--reason", "a test").exit_code == 0
    row = SOUND.format(glucose=120)
    files = {
        "id": [f"id,{HEADER}", f"{ID},{row},", f"7,{row},"],
        "source_key": [
            f"source,source_key,{HEADER}",
            f"clinic,{KEY},{row},",
            f"clinic,other,{row},",
        ],
        "person_key": [f"person_key,{HEADER}", f"{PERSON},{row},", f"p,{row},"],
    }
    for column, lines in files.items():
        ended = call(database, "load", write(tmp_path, *lines), "--json")
        found = the_json(ended)
        # The others are loaded without --partial: it is no fault of the file's.
        assert (ended.exit_code, found["inserted"], found["refused_by_reason"]) == (
            0,
            1,
            {"forgotten": 1},
        )
        assert found["partly_loaded"] == []
        assert [(line["line"], line["field"]) for line in found["bad_lines"]] == [(2, column)]
    assert (
        database.value("SELECT count(*) FROM row_keys WHERE source_key = :key", {"key": KEY}) == 0
    )


def test_nor_by_a_pull(database: Database, own_clinic: Clinic) -> None:
    first, second, *_ = own_clinic.insert(4)
    assert own_clinic.pulled(database)["inserted"] == 4
    environ = {"PIMA_SOURCE__CLINIC__URL": own_clinic.url}
    asked = ("--config", own_clinic.config, "--reason", "a test")
    own_clinic.execute("UPDATE visits SET age = 33 WHERE visit_id = :key", {"key": first})
    ended = call(database, "forget", "clinic", first.upper(), *asked, **environ)
    assert ended.exit_code == 0, ended.stderr
    (person,) = own_clinic.execute(
        "SELECT patient_no FROM visits WHERE visit_id = :key", {"key": second}
    )[0]
    # As this source spells it; an integer of more digits would be another person's text.
    assert call(database, "forget", "--person", f"00{person}", *asked, **environ).exit_code == 0
    own_clinic.execute("UPDATE visits SET age = 34")
    found = own_clinic.pulled(database)
    assert (found["inserted"], found["rejected_by_reason"], found["vanished"]) == (
        0,
        {"forgotten": 2},
        0,
    )
    assert database.value("SELECT count(*) FROM patients") == 2
    # However many of a source's rows they are: it is not at fault.
    own_clinic.execute(
        "DELETE FROM visits WHERE age = 34 AND visit_id NOT IN (:a, :b)", {"a": first, "b": second}
    )
    own_clinic.settings["most_vanished"] = 1
    assert own_clinic.pulled(database, "--full")["rejected"] == 2


def test_who_has_no_row_is_kept_out_by_key(database: Database, own_clinic: Clinic) -> None:
    """As after the restore of a backup from before they came."""
    first, second, third = own_clinic.insert(3)
    (person,) = own_clinic.execute(
        "SELECT patient_no FROM visits WHERE visit_id = :key", {"key": second}
    )[0]
    for who in (["clinic", first.upper()], ["--person", f"00{person}"]):
        asked = ("forget", *who, "--config", own_clinic.config, "--reason", "a test", "--json")
        environ = {"PIMA_SOURCE__CLINIC__URL": own_clinic.url}
        refused = call(database, *asked, **environ)
        assert (refused.exit_code, the_json(refused)["error"]) == (2, "nobody_to_forget")
        assert "--without-rows" in refused.stderr
        assert call(database, *asked, "--without-rows", "--dry-run", **environ).exit_code == 0
        assert (
            the_json(call(database, *asked, "--without-rows", **environ))["forgotten_before"]
            is False
        )
        assert the_json(call(database, *asked, **environ))["forgotten_before"] is True
    assert own_clinic.pulled(database)["rejected_by_reason"] == {"forgotten": 2}
    assert database.execute("SELECT source_key FROM patients") == [(third,)]
    # Ids are given again to whoever comes next.
    by_id = call(database, "forget", "77", "--without-rows", "--reason", "a test", "--json")
    assert (by_id.exit_code, the_json(by_id)["error"]) == (2, "wrong_usage")


def test_nor_by_a_pull_that_has_read_a_correction_to_that_person(
    database: Database, own_clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    (corrected,) = own_clinic.insert(1, patient_no=1)
    own_clinic.insert(2, seed=2, patient_no=2)
    assert own_clinic.pulled(database)["inserted"] == 3
    own_clinic.execute("UPDATE visits SET patient_no = 2 WHERE visit_id = :key", {"key": corrected})
    require_sound = pulling.require_sound

    def somebody_is_forgotten_meanwhile(*arguments: Any) -> None:
        assert call(database, "forget", "--person", "2", "--reason", "a test").exit_code == 0
        require_sound(*arguments)

    monkeypatch.setattr(pulling, "require_sound", somebody_is_forgotten_meanwhile)
    assert own_clinic.pulled(database)["updated"] == 0
    assert database.execute("SELECT person_key FROM patients") == [("1",)]


def test_a_row_that_somebody_has_deleted_is_taken_out_of_what_models_learned_from(
    lived_in: Database, tmp_path: Path
) -> None:
    learned = min(_ids_of(lived_in, 3) & _ids_of(lived_in, 2))
    lived_in.execute("DELETE FROM patients WHERE id = :id", {"id": learned})
    ended = call(lived_in, "forget", str(learned), "--reason", "asked by letter", "--json")
    assert ended.exit_code == 0, ended.stderr
    found = the_json(ended)
    assert (found["rows"], found["predictions"], found["learned_by"]) == (0, 0, [1, 2, 3])
    for version in (2, 3):
        assert learned not in _ids_of(lived_in, version)
        assert learned not in set(ids_from_parquet(_snapshot(lived_in, version)).tolist())
    file = write(tmp_path, f"id,{HEADER}", f"{learned},{SOUND.format(glucose=120)},1")
    assert the_json(call(lived_in, "load", file, "--json"))["refused_by_reason"] == {"forgotten": 1}
    assert call(lived_in, "forget", "4711471147114711", "--reason", "nobody").exit_code == 2


def test_a_damaged_list_of_training_rows_is_named_and_deleted_and_all_else_is_erased(
    lived_in: Database,
) -> None:
    learned = min(_ids_of(lived_in, 3) & _ids_of(lived_in, 2))
    content = bytearray(_bytes(lived_in, select(model_versions.c.training_ids), 2, "number"))
    content[len(content) // 2] ^= 1
    lived_in.execute(
        "UPDATE model_versions SET training_ids = :ids WHERE number = 2", {"ids": bytes(content)}
    )
    asked = ("forget", str(learned), "--json", "--reason", "asked by letter")
    for rows in (1, 0):
        ended = call(lived_in, *asked)
        assert ended.exit_code == 0, ended.stderr
        found = the_json(ended)
        assert found["rows"] == rows
        (named,) = [each for each in found["not_reached"] if "damaged" in each]
        assert "version 2 " in named
        assert _bytes(lived_in, select(model_versions.c.training_ids), 2, "number") == b""
    assert learned not in _ids_of(lived_in, 3)
    assert learned not in set(ids_from_parquet(_snapshot(lived_in, 3)).tolist())
    assert lived_in.value("SELECT count(*) FROM patients WHERE id = :id", {"id": learned}) == 0


def test_rows_that_a_foreign_key_or_a_trigger_of_the_clinics_keeps_are_told_and_all_stays(
    postgresql: Database, sqlite: Database
) -> None:
    keeps = """CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keeps BEFORE DELETE ON patients FOR EACH ROW EXECUTE FUNCTION keeps()"""
    refers = "CREATE TABLE bills (patient BIGINT REFERENCES patients (id))"
    late = refers.replace("))", ") DEFERRABLE INITIALLY DEFERRED)")
    for database, made, told in (
        (sqlite, refers, "the foreign key of the table bills (patient) keeps them"),
        (sqlite, late, "the foreign key of the table bills (patient) keeps them"),
        (postgresql, refers, "the constraint bills_patient_fkey of the table bills keeps them"),
        (postgresql, late, "the constraint bills_patient_fkey of the table bills keeps them"),
        (postgresql, keeps, "a trigger or constraint that is not pima's keeps them"),
    ):
        (patient,) = insert_patients(database, 1)
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS bills")
            connection.exec_driver_sql(made)
        if made != keeps:
            database.execute(f"INSERT INTO bills VALUES ({patient})")
        before = list(_everything(database))
        refused = call(database, "forget", str(patient), "--reason", "asked", "--json")
        assert (refused.exit_code, the_json(refused)["error"]) == (2, "rows_kept"), refused.stderr
        assert told in refused.stderr
        assert list(_everything(database)) == before


def test_one_of_several_rows_of_a_person_is_not_forgotten_alone(database: Database) -> None:
    first, second, other = insert_patients(database, 3)
    database.execute("UPDATE patients SET person_key = 'p' WHERE id < :id", {"id": other})
    ended = call(database, "forget", str(first), "--reason", "a test", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (2, "person_has_more_rows")
    # Of one that is deleted, too: a model may have learned from it.
    database.execute("DELETE FROM patients WHERE id = :id", {"id": second})
    assert call(database, "forget", str(first), "--reason", "a test").exit_code == 2
    assert (
        the_json(call(database, "forget", "--person", "p", "--reason", "a test", "--json"))[
            "row_keys"
        ]
        == 2
    )
    assert database.execute("SELECT id FROM patients") == [(other,)]


def test_a_row_that_came_under_another_person_stays_on_its_side(database: Database) -> None:
    ids = insert_patients(database, 40)
    database.execute(
        "UPDATE patients SET person_key = 'p' || id"
    )  # they came without: their sides go by their ids
    database.execute("DELETE FROM patients WHERE id > :id", {"id": ids[0]})
    for person in ("Canary-a", "Canary-b"):
        database.execute(f"INSERT INTO patients (glucose, person_key) VALUES (1, '{person}')")
    database.execute("UPDATE patients SET person_key = 'somebody' WHERE person_key LIKE 'Canary%'")
    before = _ranks(database)
    for person in ("Canary-a", "Canary-b"):
        asked = ("forget", "--person", person, "--reason", "a test", "--json")
        database.execute(f"INSERT INTO patients (glucose, person_key) VALUES (2, '{person}')")
        found = the_json(call(database, *asked))
        assert (found["rows"], found["not_reached"][0][:30]) == (
            1,
            "1 row that came under that key",
        )
    with reading(database.engine) as connection:
        marks = everyone_forgotten(connection)
    assert [marks.has(name_of_person(person)) for person in ("Canary-a", "somebody")] == [
        True,
        False,
    ]
    assert not database.execute("SELECT 1 FROM row_keys WHERE side_key LIKE '%Canary%'")
    assert _ranks(database) == before


def _ranks(database: Database) -> list[tuple[int, int]]:
    rows = database.execute(
        "SELECT patient_id, side_key, person_key FROM row_keys ORDER BY patient_id"
    )
    salt = database.value("SELECT holdout_salt FROM installation")
    found = ranked([row[1] for row in rows], [row[2] for row in rows], salt)
    return list(zip([row[0] for row in rows], found["Rank"].tolist(), strict=True))


@pytest.mark.parametrize("job", [leases.RETRAINING, leases.RETAINING])
def test_what_is_at_work_has_read_the_rows(sqlite: Database, job: str) -> None:
    (patient_id,) = insert_patients(sqlite, 1)
    with writing(sqlite.engine) as connection:
        run = start_run(connection, job, "manual", None, "here")
        leases.take_lease(connection, job, leases.owner_of(run or 0), 60)
    ended = call(sqlite, "forget", str(patient_id), "--reason", "a test", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (75, "lease_held")
    assert sqlite.value("SELECT count(*) FROM patients") == 1


def test_what_is_being_scored_is_erased_with_the_rest(postgresql: Database) -> None:
    database = postgresql  # a file has one writer at a time
    (patient_id,) = insert_patients(database, 1)
    asked = Forgetting(ById(patient_id), "somebody", "a test")
    with writing(database.engine) as connection:
        batch = database_of(connection).scoring.claim(connection, FEATURE_NAMES, 0, 10)
        assert isinstance(batch.measurements, Measurements)
        made = Predictions(
            batch.patient_ids, batch.patient_versions, batch.measurements.values[:, 0] * 0 + 0.5
        )
        thread = threading.Thread(target=forget, args=(database.engine, asked, False))
        thread.start()
        until_someone_waits_for_a_lock(database)
        assert database_of(connection).scoring.write_predictions(connection, made, 1, 1, 0.5) == 1
    thread.join()
    assert database.value("SELECT count(*) FROM predictions") == 0
    assert database.value("SELECT count(*) FROM patients") == 0


@pytest.mark.parametrize(
    "arguments", [(), ("1", "--person", "p"), ("1", "2", "3"), ("x",), ("nowhere", "1"), ("1",)]
)
def test_what_is_asked_for_must_be_one_person_with_a_reason(
    sqlite: Database, arguments: tuple[str, ...]
) -> None:
    reason = () if arguments == ("1",) else ("--reason", "a test")
    assert call(sqlite, "forget", *arguments, *reason).exit_code == 2


def test_a_mark_tells_nothing_without_the_salt() -> None:
    known = Forgotten("a salt", frozenset([mark_of("id 7", "a salt")]))
    assert (known.has("id 7"), known.has("id 8"), known.has("person 7")) == (True, False, False)
    assert mark_of("id 7", "another") not in known.marks
    of_0_1_0 = Forgotten("a salt", frozenset(mark.removeprefix("id ") for mark in known.marks))
    assert (of_0_1_0.marks == known.marks, of_0_1_0.has("id 7"), of_0_1_0.has("id 8")) == (
        False,
        True,
        False,
    )
    assert known.among("s", ["7"], [None]) == [False]


def test_where_the_file_can_t_be_made_anew_it_says_that_the_person_is_erased(
    sqlite: Database,
) -> None:
    (patient,) = insert_patients(sqlite, 1)
    engine = make_engine(sqlite.url, DatabaseSettings(lock_timeout_seconds=1))
    asked = Forgetting(ById(patient), "somebody", "asked")
    with closing(sqlite3.connect(str(sqlite.engine.url.database))) as reader:

        def read_on(*_: object) -> None:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM patients").fetchall()

        # Once it has committed.
        event.listen(engine, "checkin", read_on, once=True)
        with pytest.raises(
            FileNotMadeAnew, match=r"The person was erased, but .* another process holds"
        ):
            forget(engine, asked, dry_run=False)
    assert sqlite.value("SELECT count(*) FROM patients") == 0
    assert forget(engine, asked, dry_run=False).forgotten_before
    engine.dispose()
