"""Rows that a pull can't take in as they stand in their source: put down by key and reason until they are corrected."""

from pathlib import Path

from pima.core.source import Source
from tests.support.clinic import URL, Clinic
from tests.support.databases import Database, call, the_json
from tests.support.pulls import counts
from tests.support.trained import install_models

REJECTED = "SELECT source_key, reason, field FROM source_rejections ORDER BY source_key"


def _spoil(clinic: Clinic, key: str, glucose_mmol: float = 1000) -> None:
    clinic.execute("UPDATE visits SET glucose_mmol = :value WHERE visit_id = :key", {"value": glucose_mmol, "key": key})


def test_a_row_is_put_down_until_it_is_corrected(database: Database, clinic: Clinic, trained: Path) -> None:
    install_models(database, trained)
    first, second, *_ = sorted(clinic.insert(10))
    new = clinic.insert(1, seed=2, age=500)[0]
    clinic.pulled(database)
    assert database.execute(REJECTED) == [(new, "out_of_range", "age")]
    assert call(database, "score").exit_code == 0
    superseded = "SELECT source_key FROM current_predictions WHERE superseded"
    assert database.execute(superseded) == []
    _spoil(clinic, first)
    assert counts(clinic.pulled(database)) == {"unchanged": 9, "rejected": 2}
    # Ours is left as it was; what was predicted of it is no longer what the source has.
    assert database.execute(superseded) == [(first,)]
    since = database.execute("SELECT source_key, since FROM source_rejections ORDER BY source_key")
    clinic.pulled(database)
    assert database.execute("SELECT source_key, since FROM source_rejections ORDER BY source_key") == since
    _spoil(clinic, first, 5.5)
    clinic.pulled(database)
    assert database.execute(REJECTED) == [(new, "out_of_range", "age")]
    # The correction is another version, which the old prediction is not of.
    assert database.execute(superseded) == [(first,)]
    assert call(database, "score").exit_code == 0
    assert database.execute(superseded) == []
    clinic.execute("DELETE FROM visits WHERE visit_id = :key", {"key": new})
    clinic.pulled(database)
    assert database.execute(REJECTED) == []
    assert second in {key for (key,) in database.execute("SELECT source_key FROM patients")}


def test_of_a_part_what_is_not_read_stays_put_down(database: Database, clinic: Clinic) -> None:
    clinic.execute("ALTER TABLE visits ADD COLUMN touched TEXT DEFAULT '2026-03-10'")
    clinic.settings["changed_since"] = "touched"
    bad, other, good = clinic.insert(1, age=500)[0], clinic.insert(1, seed=2, age=400)[0], clinic.insert(8, seed=3)[0]
    clinic.pulled(database)
    clinic.execute("UPDATE visits SET touched = '2026-03-12' WHERE visit_id = :key", {"key": good})
    clinic.pulled(database)
    for key, age in ((good, 50), (other, 44)):
        clinic.execute(
            "UPDATE visits SET age = :age, touched = '2026-03-14' WHERE visit_id = :key", {"age": age, "key": key}
        )
    found = clinic.pulled(database)
    assert (found["compared"], found["rejected"]) == ("changed", 0)
    assert database.execute(REJECTED) == [(bad, "out_of_range", "age")]


def test_status_and_explain_know_them(database: Database, clinic: Clinic, trained: Path) -> None:
    install_models(database, trained)
    clinic.insert(5)
    bad = clinic.insert(1, seed=2, age=500)[0]
    clinic.pulled(database)
    environ = {URL: clinic.url}
    told = the_json(call(database, "status", "--json", "--config", str(clinic.config), **environ))
    assert told["sources"][0]["rejected"] == [{"reason": "out_of_range", "field": "age", "rows": 1}]
    shown = call(database, "status", "--config", str(clinic.config), **environ).stdout
    assert "1 row rejected as they stand there" in " ".join(shown.split())
    ended = call(database, "explain", "clinic", bad, "--config", str(clinic.config), **environ)
    assert (ended.exit_code, "age broke the rule" in " ".join(ended.stderr.split())) == (3, True)
    assert bad not in ended.stderr


def test_who_is_forgotten_is_put_down_nowhere(database: Database, clinic: Clinic) -> None:
    clinic.insert(5)
    bad = clinic.insert(1, seed=2, age=500)[0]
    clinic.pulled(database)
    asked = ("--config", str(clinic.config), "--without-rows", "--reason", "a test")
    ended = call(database, "forget", "clinic", bad, *asked, **{URL: clinic.url})
    assert ended.exit_code == 0, ended.stderr
    assert database.execute(REJECTED) == []
    clinic.pulled(database)
    assert database.execute(REJECTED) == []


def test_a_name_is_read_as_sql_writes_it() -> None:
    def parts(table: str) -> tuple[str, ...]:
        return Source(name="a", key="k", columns={"age": "age"}, table=table).table_parts

    assert parts('ehr."Visits"') == ("ehr", "Visits")
    assert parts('"e.h"."Vi""sits"') == ("e.h", 'Vi"sits')
    assert parts("ehr.visits") == ("ehr", "visits")
    assert parts("visits") == ("visits",)
