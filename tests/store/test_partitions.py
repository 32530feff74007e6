"""Parts of `predictions` on PostgreSQL: divided while everything goes on, and nothing is lost, doubled or hidden."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pima import scoring
from pima.store.database import database_of
from pima.store.engine import writing
from pima.store.postgresql import partitions as postgresql_partitions
from tests.conftest import (
    SOUND,
    Database,
    call,
    insert_many,
    insert_patients,
    install_models,
    the_json,
    under_role,
    without_triggers,
)

DIVIDE = ("migrate", "--partitions", "100")


@pytest.fixture
def scored(postgresql: Database, trained: Path) -> Database:
    """Rows that were scored, under the roles of their jobs."""
    assert call(postgresql, "migrate", "--roles").exit_code == 0
    install_models(postgresql, trained)
    insert_patients(postgresql, 20)
    assert call(under_role(postgresql, "pima_scorer"), "score").exit_code == 0
    return postgresql


def _parts(database: Database) -> dict[str, int]:
    """The rows of each part that has some."""
    return dict(database.execute("SELECT tableoid::regclass::text, count(*) FROM predictions GROUP BY 1 ORDER BY 1"))


def _names(database: Database) -> list[str]:
    return [row[0] for row in database.execute("SELECT relid::regclass::text FROM pg_partition_tree('predictions')")]


def test_a_table_is_divided_and_all_goes_on(scored: Database) -> None:
    scorer, reader, eraser = (under_role(scored, f"pima_{role}") for role in ("scorer", "reader", "eraser"))
    scored.execute("CREATE VIEW of_a_clinic AS SELECT patient_id, probability FROM predictions")
    scored.execute("GRANT SELECT (patient_id, probability) ON predictions TO pima_monitor")
    rows = scored.execute("SELECT * FROM predictions ORDER BY 1")
    shown = scored.execute("SELECT * FROM current_predictions ORDER BY 1")
    assert the_json(call(scored, *DIVIDE, "--json"))["partitions"] == {"divided_now": True, "parts": 2}
    assert the_json(call(scored, *DIVIDE, "--json"))["partitions"] == {"divided_now": False, "parts": 2}
    assert scored.execute("SELECT * FROM predictions ORDER BY 1") == rows
    assert scored.execute("SELECT * FROM current_predictions ORDER BY 1") == shown
    assert scored.value("SELECT has_column_privilege('pima_monitor', 'predictions', 'probability', 'SELECT')")
    assert the_json(call(scored, "migrate", "--to", "0016", "--json"))["error"] == "still_divided"
    # What comes now finds parts that were made ahead, however many versions were drawn since.
    insert_many(scored, 500)
    found = the_json(call(scorer, "score", "--json"))
    assert (found["predicted"], found["rejected"]) == (500, 0)
    assert _parts(scored) == {"predictions_below_200": 199, "predictions_below_300": 100, "predictions_below_600": 221}
    assert call(scored, "requeue", "--stale").exit_code == 0
    scored.execute("UPDATE patients SET age = age + 1 WHERE id = 1")
    assert the_json(call(scorer, "score", "--json"))["predicted"] == 1
    for view in ("current_predictions", "of_a_clinic"):
        assert scored.value(f"SELECT count(DISTINCT patient_id) FROM {view}") == 520
    assert len(call(reader, "export", "predictions").stdout.splitlines()) == 1 + 520
    assert len(call(reader, "export", "predictions", "--all").stdout.splitlines()) == 1 + 521

    # A part goes as a whole once nothing in it is kept, and no row of another.
    scored.execute("UPDATE predictions SET scored_at = now() - interval '300 days'")
    scored.execute("UPDATE patients SET outcome = 1 WHERE version < 300 AND id <> 250")
    removed = the_json(call(eraser, "retain", "--older-than", "200", "--json"))
    assert (removed["parts"], removed["predictions"]) == (1, 200 + 98)
    assert _parts(scored) == {"predictions_below_300": 1, "predictions_below_600": 222}
    assert "predictions_below_200" not in _names(scored)
    assert call(scorer, "score").exit_code == 0


DROPS = "CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
UNDO_A_PART = {
    "a trigger that drops rows": (
        f"""{DROPS}; CREATE TRIGGER drops BEFORE INSERT ON predictions_below_200 FOR EACH ROW
        EXECUTE FUNCTION drops()""",
        "the BEFORE trigger drops on predictions_below_200 could change or drop what is written there",
    ),
    "one of a part's own part": (
        f"""{DROPS}; ALTER TABLE predictions DETACH PARTITION predictions_below_300;
        CREATE TABLE divided PARTITION OF predictions FOR VALUES FROM (200) TO (300) PARTITION BY HASH (patient_id);
        CREATE TABLE all_of_it PARTITION OF divided FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        CREATE TRIGGER drops BEFORE INSERT ON all_of_it FOR EACH ROW EXECUTE FUNCTION drops()""",
        "the BEFORE trigger drops on all_of_it could change or drop what is written there",
    ),
    "a part for all else": (
        "CREATE TABLE rest PARTITION OF predictions DEFAULT",
        "rest is a DEFAULT part of predictions, whose rows are in the way",
    ),
    "what a crash empties": (
        "ALTER TABLE predictions_below_200 SET UNLOGGED",
        "predictions_below_200 is unlogged, and empty after a crash",
    ),
}


@pytest.mark.parametrize("what", UNDO_A_PART)
def test_what_undoes_the_work_of_a_part_is_told(scored: Database, what: str) -> None:
    """A row sets off the triggers of the part that it comes to, though it was written to the whole table."""
    assert call(scored, *DIVIDE).exit_code == 0
    insert_patients(scored, 5)
    statements, said = UNDO_A_PART[what]
    with scored.engine.begin() as connection:
        connection.exec_driver_sql(statements)
    refused = call(under_role(scored, "pima_scorer"), "score")
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert scored.value("SELECT count(*) FROM scoring_queue") == 5


def test_a_trigger_of_a_part_that_tells_others_is_no_fault(scored: Database) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    insert_patients(scored, 5)
    with scored.engine.begin() as connection:
        connection.exec_driver_sql(
            f"""{DROPS}; CREATE TRIGGER tells AFTER INSERT ON predictions_below_200 FOR EACH ROW
            EXECUTE FUNCTION drops()"""
        )
    assert the_json(call(scored, "score", "--json"))["predicted"] == 5


def test_a_part_whose_row_waits_still_is_not_dropped(scored: Database) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    insert_many(scored, 300)
    scored.execute("DELETE FROM predictions WHERE patient_id = 7")
    scored.execute("UPDATE predictions SET scored_at = now() - interval '300 days'")
    scored.execute("UPDATE patients SET outcome = 1 WHERE version < 200 AND id <> 7")
    removed = the_json(call(scored, "retain", "--older-than", "200", "--json"))
    assert (removed["parts"], removed["predictions"]) == (0, 19)
    # Its version has a part to go to.
    assert the_json(call(scored, "requeue", "--json"))["requeued"] == 1
    assert call(scored, "score").exit_code == 0
    assert _parts(scored)["predictions_below_200"] == 1


def test_a_row_that_is_restored_when_its_part_is_gone_gets_one_again(scored: Database) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    insert_many(scored, 500)
    scorer, eraser = under_role(scored, "pima_scorer"), under_role(scored, "pima_eraser")
    assert call(scorer, "score").exit_code == 0
    scored.execute("CREATE TABLE backup AS SELECT * FROM patients WHERE id = 1")
    scored.execute("DELETE FROM patients WHERE id = 1")
    scored.execute("UPDATE predictions SET scored_at = now() - interval '300 days'")
    scored.execute("UPDATE patients SET outcome = 1 WHERE version < 300")
    assert the_json(call(eraser, "retain", "--older-than", "200", "--json"))["parts"] == 2
    assert _names(scored) == ["predictions", "predictions_below_600", "predictions_below_700", "predictions_below_800"]
    with without_triggers(scored):
        scored.execute("INSERT INTO patients SELECT * FROM backup")
    insert_patients(scored, 5)
    assert call(scored, "requeue").exit_code == 0
    waits = call(scorer, "score")
    assert (waits.exit_code, "for rows that were restored, by python -m jobs.migrate" in waits.stderr) == (75, True)
    assert call(scored, "migrate").exit_code == 0
    assert the_json(call(scorer, "score", "--json"))["predicted"] == 6
    assert _parts(scored)["predictions_below_300"] == 1
    assert call(scored, "migrate").exit_code == 0


def test_a_part_that_somebody_has_detached_is_told(scored: Database) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    insert_many(scored, 150)
    assert call(under_role(scored, "pima_scorer"), "score").exit_code == 0
    scored.execute("ALTER TABLE predictions DETACH PARTITION predictions_below_200")
    refused = call(scored, "migrate")
    assert (refused.exit_code, "predictions_below_200 is no part of predictions any more" in refused.stderr) == (
        2,
        True,
    )
    scored.execute("ALTER TABLE predictions ATTACH PARTITION predictions_below_200 FOR VALUES FROM (MINVALUE) TO (200)")
    assert call(scored, "migrate").exit_code == 0


def test_a_part_is_not_dropped_whose_versions_nobody_else_sees_yet(
    scored: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    monkeypatch.setattr(postgresql_partitions, "_SECONDS_FOR_WRITERS", 0.2)
    names, values = ", ".join(SOUND), ", ".join(map(str, SOUND.values()))
    with writing(scored.engine) as connection:
        # So many in one transaction that they have a part for themselves.
        connection.execute(text(f"INSERT INTO patients ({names}) SELECT {values} FROM generate_series(1, 300)"))
        removed = the_json(call(under_role(scored, "pima_eraser"), "retain", "--older-than", "200", "--json"))
        assert removed["parts"] == 0
    assert the_json(call(scored, "score", "--json"))["predicted"] == 300


def test_more_than_there_are_parts_for_while_rows_are_scored_is_the_next_runs(
    scored: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    insert_many(scored, 500)
    monkeypatch.setattr(scoring, "make_partitions_ahead", lambda _: None)
    ended = call(scored, "score", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (75, "database_busy")
    monkeypatch.undo()
    assert the_json(call(scored, "score", "--json"))["predicted"] == 500


def test_what_was_ended_in_between_is_gone_on_from(scored: Database) -> None:
    partitions = database_of(scored.engine).partitions
    assert partitions is not None
    with writing(scored.engine) as connection:
        below = partitions.bound(connection, 100)
    # Killed here: what is written meanwhile has room.
    insert_patients(scored, 5)
    assert the_json(call(scored, "score", "--json"))["predicted"] == 5
    with writing(scored.engine) as connection:
        assert partitions.bound(connection, 100) == below
    assert call(scored, *DIVIDE).exit_code == 0
    assert _parts(scored) == {f"predictions_below_{below}": 25}


def test_what_lies_too_far_ahead_waits_until_the_table_is_divided(scored: Database) -> None:
    partitions = database_of(scored.engine).partitions
    assert partitions is not None
    with writing(scored.engine) as connection:
        partitions.bound(connection, 100)
    insert_many(scored, 300)
    ended = call(under_role(scored, "pima_scorer"), "score", "--json")
    assert (ended.exit_code, the_json(ended)["error"]) == (75, "database_busy")
    assert "run python -m jobs.migrate --partitions again" in ended.stderr
    assert call(scored, *DIVIDE).exit_code == 0
    assert the_json(call(scored, "score", "--json"))["predicted"] == 300


def test_whoever_writes_predictions_is_waited_for_a_while_and_then_nothing_has_changed(scored: Database) -> None:
    with writing(scored.engine) as connection:
        connection.execute(text("DELETE FROM predictions WHERE patient_id = 1"))
        ended = call(scored, *DIVIDE, "--json")
        assert (ended.exit_code, the_json(ended)["error"]) == (75, "database_busy")
        connection.rollback()
    assert scored.value("SELECT count(*) FROM pg_constraint WHERE conname = 'predictions_before'") == 0
    assert call(scored, *DIVIDE).exit_code == 0


def test_whoever_reads_meanwhile_is_not_ended(scored: Database) -> None:
    """Who waits in a circle with somebody else is ended by the server after a second."""
    over = threading.Event()

    def read(name: str) -> int:
        times = 0
        while not over.wait(0.005):
            assert scored.value(f"SELECT count(*) FROM {name}") == 20
            times += 1
        return times

    names = ("current_predictions", "monitored_predictions", "predictions")
    with ThreadPoolExecutor(len(names)) as threads:
        readers = [threads.submit(read, name) for name in names]
        try:
            ended = call(scored, *DIVIDE)
        finally:
            over.set()
    assert (ended.exit_code, all(reader.result() for reader in readers)) == (0, True)


def test_two_make_the_next_part_and_neither_fails(scored: Database) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    insert_many(scored, 250)
    found: list[int] = []

    def make() -> None:
        with writing(scored.engine) as connection:
            found.append(connection.execute(text("SELECT make_predictions_ahead()")).scalar_one())

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), sum(found)) == (4, len(_names(scored)) - 3)


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE MATERIALIZED VIEW m AS SELECT * FROM predictions", "the materialized view m"),
        ("CREATE PUBLICATION p FOR TABLE predictions", "the publication p"),
        ("CREATE PUBLICATION p FOR ALL TABLES", "the publication p"),
        ("CREATE PUBLICATION p FOR TABLES IN SCHEMA public", "the publication p"),
        (
            "CREATE TABLE letters (a bigint, b bigint, c bigint, FOREIGN KEY (a, b, c) REFERENCES predictions)",
            "the constraint letters_a_b_c_fkey on table letters",
        ),
        (
            "ALTER TABLE predictions ADD FOREIGN KEY (run_id) REFERENCES runs",
            "the constraint predictions_run_id_fkey on table predictions",
        ),
        ("CREATE UNIQUE INDEX once ON predictions (patient_version, run_id)", "the unique index once"),
        ("ALTER TABLE predictions ENABLE ROW LEVEL SECURITY", "row security"),
        ("CREATE POLICY one ON predictions USING (patient_id = 1)", "the policy one on table predictions"),
        (
            "CREATE POLICY pe ON loads USING (EXISTS (SELECT 1 FROM predictions x WHERE x.run_id = loads.id))",
            "the policy pe on table loads",
        ),
        (
            "CREATE TABLE cl (id bigint); CREATE RULE re AS ON INSERT TO cl DO ALSO SELECT count(*) FROM predictions",
            "the rule re on table cl",
        ),
        (
            "CREATE FUNCTION fa() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM predictions; END",
            "the function fa()",
        ),
        (
            "CREATE FUNCTION fd(predictions) RETURNS float8 LANGUAGE sql AS 'SELECT $1.probability'",
            "the function fd(predictions)",
        ),
        ("CREATE TABLE cl (id bigint, p predictions[])", "the column p of table cl"),
    ],
)
def test_what_would_hang_on_a_part_alone_is_in_the_way(postgresql: Database, made: str, named: str) -> None:
    with postgresql.engine.begin() as connection:
        connection.exec_driver_sql(made)
    ended = call(postgresql, *DIVIDE, "--json")
    assert (ended.exit_code, the_json(ended)["error"], named in ended.stderr) == (2, "cannot_partition", True)
    assert _names(postgresql) == []


def test_nobody_may_drop_another_table_by_it(scored: Database) -> None:
    assert call(scored, *DIVIDE).exit_code == 0
    for name in ("patients", "predictions", "nothing"):
        with pytest.raises(Exception, match="P0001"), writing(scored.engine) as connection:
            connection.execute(text("SELECT drop_old_predictions(:name)"), {"name": name})
    may: Any = scored.execute(
        "SELECT has_function_privilege('pima_scorer', 'drop_old_predictions(text)', 'EXECUTE'),"
        " has_function_privilege('pima_eraser', 'drop_old_predictions(text)', 'EXECUTE'),"
        " has_function_privilege('pima_reader', 'make_predictions_ahead()', 'EXECUTE')"
    )
    assert may == [(False, True, False)]


def test_a_file_has_no_parts(sqlite: Database) -> None:
    ended = call(sqlite, *DIVIDE)
    assert (ended.exit_code, "SQLite's tables have no parts" in ended.stderr) == (2, True)
