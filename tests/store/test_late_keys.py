"""Keys that came after their rows did: which of them count, and what becomes of the sides."""

import pytest

from pima.core.history import split
from pima.store.engine import reading
from pima.store.generations import newest_generation
from pima.store.histories import labelled_history
from pima.store.late_keys import late_keys
from pima.store.schema import migrate
from pima.training.late_keys import begin_where_keys_came
from tests.conftest import FEATURE_NAMES, FEATURES, SALT, Database, insert_patients

SHARE = 0.30


def _late(database: Database) -> tuple[int, int]:
    with reading(database.engine) as connection:
        found = late_keys(connection)
    return found.late, found.labelled


def _begin(database: Database) -> int:
    """The number of the generation that counts then."""
    begin_where_keys_came(database.engine, SHARE)
    with reading(database.engine) as connection:
        newest = newest_generation(connection)
    assert newest is not None
    assert newest.share == SHARE
    return newest.number


def _sides(database: Database, by_keys_now: bool = False) -> dict[int, bool]:
    """Which labelled rows are held out; those that are used for neither are left out."""
    with reading(database.engine) as connection:
        history = labelled_history(connection, FEATURE_NAMES, by_keys_now)
    found = split(history, FEATURES, SALT, SHARE)
    held, learned = (side.patient_ids.tolist() for side in (found.holdout, found.training))
    return dict.fromkeys(held, True) | dict.fromkeys(learned, False)


def _labelled(database: Database, rows: int, **keys: str) -> None:
    database.execute(f"""
        INSERT INTO patients ({", ".join((*FEATURE_NAMES, "outcome", *keys))})
        WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
        SELECT {", ".join(str(20 + n) if n else "3" for n in range(5))}, 20 + n / 64.0, 0.5, 50, n % 2
        {"".join(f", {value}" for value in keys.values())} FROM s ORDER BY n""")


def test_only_labelled_rows_whose_name_has_changed_are_late(database: Database) -> None:
    assert _late(database) == (0, 0)
    _labelled(database, 3)
    insert_patients(database, 1, outcome=1, source="clinic", source_key="v4")
    insert_patients(database, 1, outcome=1, source="clinic", source_key="v5", person_key="p")
    insert_patients(database, 1)
    assert _late(database) == (0, 5)
    database.execute("UPDATE patients SET source = 'clinic', source_key = 'v1' WHERE id = 1")
    database.execute("UPDATE patients SET person_key = 'p' WHERE id IN (2, 4, 6)")
    assert _late(database) == (3, 5)
    database.execute("UPDATE patients SET person_key = NULL WHERE id = 5")
    assert _late(database) == (4, 5)


@pytest.mark.parametrize(("late", "generation"), [(0, 1), (89, 1), (90, 2), (100, 2)])
def test_a_generation_begins_where_keys_came_for_nine_rows_in_ten(
    database: Database, late: int, generation: int
) -> None:
    _labelled(database, 100)
    database.execute(f"UPDATE patients SET person_key = 'p' || id / 3 WHERE id <= {late}")
    before = _sides(database)
    assert _begin(database) == generation
    assert (_sides(database) == before) == (generation == 1)
    assert _begin(database) == generation  # once is enough
    recorded = database.execute("SELECT number, decided_by, reason FROM holdout_generations WHERE number > 1")
    told = f"keys came for {late} of 100 labelled rows, which go by them from now on"
    assert recorded == [(2, "retrain", told)][: generation - 1]


@pytest.mark.parametrize("keys", ["source = 'clinic', source_key = 'v' || id", "person_key = 'p' || id / 3"])
def test_then_sides_are_those_of_a_database_that_was_built_anew(database: Database, keys: str) -> None:
    _labelled(database, 300)
    database.execute("DELETE FROM patients WHERE id > 290")
    insert_patients(database, 1)
    database.execute(f"UPDATE patients SET {keys}")
    if "person" in keys:
        assert len(_sides(database)) < 150  # most of the rows were lost
    expected = _sides(database, by_keys_now=True)
    assert _begin(database) == 2
    sides = _sides(database)
    assert sides == expected
    assert len(sides) == 290
    migrate(database.engine, SALT, to="base")
    migrate(database.engine, SALT)
    as_values = {part.split(" = ")[0]: part.split(" = ")[1].replace("id", "n") for part in keys.split(", ")}
    _labelled(database, 290, **as_values)
    assert _sides(database) == sides


def test_rows_that_are_gone_go_by_their_keys_too(database: Database) -> None:
    """Else a person whose row was deleted would be on no side for ever."""
    _labelled(database, 20)
    database.execute("UPDATE patients SET person_key = 'p' || id / 2")
    database.execute("DELETE FROM patients WHERE id > 15")
    assert _begin(database) == 2
    assert database.value("SELECT count(*) FROM row_keys WHERE side_key <> 'person ' || person_key") == 0
    assert len(_sides(database)) == 15
